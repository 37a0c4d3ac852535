//! Text that people enter: normalised, so that equal-looking values are equal and nothing invisible is stored.

use std::fmt;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

use crate::ValidationError;

/// Normalises one line of text: NFC, surrounding white space removed, `min` to `max` characters. Control characters,
/// line breaks included, and format characters (zero-width, bidirectional) are errors.
pub fn single_line(text: &str, min: usize, max: usize) -> Result<String, ValidationError> {
    bounded(&text.nfc().collect::<String>(), min, max, |c| c == '\t')
}

/// Normalises text of several lines: as [`single_line`], with line breaks allowed and CR LF converted to LF.
pub fn multi_line(text: &str, min: usize, max: usize) -> Result<String, ValidationError> {
    let text: String = text.replace("\r\n", "\n").nfc().collect();
    bounded(&text, min, max, |c| c == '\t' || c == '\n')
}

fn bounded(
    text: &str,
    min: usize,
    max: usize,
    allowed: impl Fn(char) -> bool,
) -> Result<String, ValidationError> {
    for c in text.chars().filter(|c| !allowed(*c)) {
        match c.general_category() {
            GeneralCategory::Control => {
                return Err(ValidationError::new("must not contain control characters"));
            }
            GeneralCategory::Format => {
                let reason = format!("must not contain the invisible character U+{:04X}", c as u32);
                return Err(ValidationError::new(reason));
            }
            _ => {}
        }
    }
    let text = if text.chars().all(is_blank) { "" } else { text.trim() };
    let length = text.chars().count();
    if length < min {
        return Err(match min {
            1 => ValidationError::new("must not be empty"),
            _ => ValidationError::new(format!("must have at least {min} characters")),
        });
    }
    if length > max {
        return Err(ValidationError::new(format!("must have at most {max} characters")));
    }
    Ok(text.to_owned())
}

/// Whether a character leaves no mark on the screen. Besides white space these are the fillers of Hangul, the blank
/// Braille pattern and the combining grapheme joiner, which are neither white space nor format characters.
fn is_blank(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '\u{034F}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}')
        || matches!(c, '\u{2800}' | '\u{3164}' | '\u{FFA0}' | '\u{FE00}'..='\u{FE0F}')
}

/// An e-mail address: trimmed, lower-cased, the domain as A-labels (RFC 5891), so that one mailbox has one spelling.
///
/// The syntax is that of HTML's `type=email` (<https://html.spec.whatwg.org/#valid-e-mail-address>), the length that of
/// RFC 5321.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(format = Email, max_length = 254, example = "ann@example.com"))]
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct EmailAddress(String);

impl EmailAddress {
    /// Parses and normalises an address of at most 254 characters.
    pub fn parse(text: &str) -> Result<Self, ValidationError> {
        let invalid = || ValidationError::new("must be an e-mail address");
        let text = single_line(text, 1, 1000)?;
        let (local, domain) = text.rsplit_once('@').ok_or_else(invalid)?;
        let local = local.to_lowercase();
        let local_ok = !local.is_empty()
            && local.len() <= 64
            && local.bytes().all(|b| b.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&b));
        // UTS #46, as browsers apply it: maps case and width, and refuses what is not a host name.
        let domain =
            idna::domain_to_ascii_cow(domain.as_bytes(), idna::AsciiDenyList::URL).map_err(|_| invalid())?;
        let label_ok = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if !local_ok || !domain.split('.').all(label_ok) {
            return Err(invalid());
        }
        let email = format!("{local}@{domain}");
        if email.len() > 254 {
            return Err(ValidationError::new("must have at most 254 characters"));
        }
        Ok(Self(email))
    }

    /// Returns the normalised address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for EmailAddress {
    type Error = ValidationError;
    fn try_from(text: String) -> Result<Self, ValidationError> {
        Self::parse(&text)
    }
}
impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A stock keeping unit: NFKC, trimmed, upper-cased, 1 to 100 characters, so that SKUs that look alike by width,
/// composition or case are the same SKU.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 100, example = "LAP-14-32"))]
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Sku(String);

impl Sku {
    /// Parses and normalises a SKU; as [`single_line`].
    pub fn parse(text: &str) -> Result<Self, ValidationError> {
        // Upper-casing can change the normal form and the length ("ß" becomes "SS"): normalise and check afterwards.
        let folded: String = single_line(text, 1, 100)?.nfkc().collect::<String>().to_uppercase();
        let folded: String = folded.nfkc().collect();
        single_line(&folded, 1, 100).map(Self)
    }

    /// Returns the normalised SKU.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Sku {
    type Error = ValidationError;
    fn try_from(text: String) -> Result<Self, ValidationError> {
        Self::parse(&text)
    }
}
impl fmt::Display for Sku {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_stored_composed_and_without_invisible_characters() {
        assert_eq!(single_line("  Cafe\u{301} ", 1, 10).unwrap(), "Café");
        assert_eq!(multi_line("a\r\nb\tc\n", 0, 10).unwrap(), "a\nb\tc");
        for text in ["a\u{200B}b", "\u{202E}abc", "\u{FEFF}a", "a\u{AD}b", "a\u{2066}b", "\u{200B}"] {
            let reason = single_line(text, 0, 10).unwrap_err().to_string();
            assert!(reason.starts_with("must not contain the invisible character U+"), "{text:?}: {reason}");
        }
        for text in ["a\nb", "a\r\nb", "a\u{0}b", "a\u{85}b"] {
            assert!(single_line(text, 0, 10).is_err(), "{text:?} was accepted");
        }
        assert!(multi_line("a\rb", 0, 10).is_err(), "a lone CR is a control character");
    }

    #[test]
    fn a_value_without_a_visible_character_is_empty() {
        for text in ["", "   ", "\u{3000}\u{A0}", "\u{3164}", "\u{2800}\u{2800}", "\u{115F}\u{FFA0}"] {
            assert_eq!(single_line(text, 1, 10).unwrap_err().to_string(), "must not be empty", "{text:?}");
            assert_eq!(single_line(text, 0, 10).unwrap(), "", "{text:?}");
        }
    }

    #[test]
    fn one_mailbox_has_one_spelling() {
        for (text, email) in [
            ("  Ann.Lee+x@Example.COM ", "ann.lee+x@example.com"),
            ("ann@Bücher.example", "ann@xn--bcher-kva.example"),
            ("ann@bu\u{308}cher.example", "ann@xn--bcher-kva.example"),
            ("ann@ｅxample.com", "ann@example.com"),
        ] {
            assert_eq!(EmailAddress::parse(text).as_ref().map(EmailAddress::as_str), Ok(email), "{text}");
        }
        let long = format!("{}@example.com", "a".repeat(65));
        let too_long = format!("{}@{}.example", "a".repeat(64), ["b".repeat(60).as_str(); 4].join("."));
        for text in [
            "",
            " ",
            "a",
            "@b.c",
            "a@",
            "a@b@c",
            "a b@c.d",
            "a@-b.c",
            "a@b..c",
            "a@b.c-",
            "a\u{200B}@b.c",
            "ä@b.c",
            &long,
            &too_long,
            "a@b.c\n, d@e.f",
        ] {
            assert!(EmailAddress::parse(text).is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn skus_that_look_alike_are_the_same_sku() {
        for text in ["  lap-1 x ", "LAP-1 X", "ｌａｐ-1 x", "ＬＡＰ－１ x"] {
            assert_eq!(Sku::parse(text).unwrap().as_str(), "LAP-1 X", "{text}");
        }
        assert_eq!(Sku::parse("Cafe\u{301}"), Sku::parse("café"));
        assert_eq!(Sku::parse("ﬁx"), Sku::parse("fix"));
        assert!(Sku::parse("   ").is_err());
        assert!(Sku::parse(&"a".repeat(101)).is_err());
        assert!(Sku::parse(&"ß".repeat(100)).is_err(), "it is longer than 100 once upper-cased");
        assert!(Sku::parse("a\u{0}b").is_err());
    }

    proptest::proptest! {
        #[test]
        fn normalising_twice_changes_nothing(text in "\\PC{0,40}") {
            if let Ok(once) = single_line(&text, 0, 100) {
                proptest::prop_assert_eq!(single_line(&once, 0, 100), Ok(once));
            }
            if let Ok(once) = Sku::parse(&text) {
                proptest::prop_assert_eq!(Sku::parse(once.as_str()), Ok(once));
            }
            if let Ok(once) = EmailAddress::parse(&text) {
                proptest::prop_assert_eq!(EmailAddress::parse(once.as_str()), Ok(once));
            }
        }
    }
}
