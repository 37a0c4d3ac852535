//! Text that people type: e-mail addresses, SKUs, names.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Invalid;

/// Trims, and refuses what is too short, too long (both in characters) or holds control characters.
///
/// # Errors
/// With the reason.
pub fn bounded(text: &str, min: usize, max: usize) -> Result<String, Invalid> {
    let text = text.trim();
    let length = text.chars().count();
    if length < min {
        return Err(Invalid::new(if min == 1 {
            "must not be empty".to_owned()
        } else {
            format!("must have at least {min} characters")
        }));
    }
    if length > max {
        return Err(Invalid::new(format!("must have at most {max} characters")));
    }
    if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return Err(Invalid::new("must not hold control characters"));
    }
    Ok(text.to_owned())
}

/// An e-mail address, trimmed and lower-cased, so that one mailbox has one spelling.
///
/// The shape is checked the way HTML's `type=email` does (<https://html.spec.whatwg.org/#valid-e-mail-address>),
/// and the length against RFC 5321: whether mail arrives only sending shows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Email(String);

impl Email {
    /// Reads an address.
    ///
    /// # Errors
    /// When it cannot be one.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let invalid = || Invalid::new("must be an e-mail address");
        let email = text.trim().to_lowercase();
        if email.is_empty() {
            return Err(Invalid::new("must not be empty"));
        }
        if email.len() > 254 {
            return Err(Invalid::new("must have at most 254 characters"));
        }
        let (local, domain) = email.split_once('@').ok_or_else(invalid)?;
        let local_ok = !local.is_empty()
            && local.len() <= 64
            && local.bytes().all(|b| b.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&b));
        let label_ok = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if local_ok && domain.split('.').all(label_ok) { Ok(Self(email)) } else { Err(invalid()) }
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Email {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        Self::parse(&text)
    }
}
impl From<Email> for String {
    fn from(email: Email) -> String {
        email.0
    }
}
impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A stock keeping unit, trimmed and upper-cased: 1 to 100 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sku(String);

impl Sku {
    /// Reads a SKU.
    ///
    /// # Errors
    /// When it is empty, too long or holds control characters.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let sku = bounded(text, 1, 100)?.to_uppercase();
        // Upper-casing can lengthen a text ("ß" becomes "SS"), so the bound is asked again.
        bounded(&sku, 1, 100).map(Self)
    }

    /// The SKU.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Sku {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        Self::parse(&text)
    }
}
impl From<Sku> for String {
    fn from(sku: Sku) -> String {
        sku.0
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
    fn one_mailbox_has_one_spelling() {
        assert_eq!(Email::parse("  Ann.Lee+x@Example.COM ").unwrap().as_str(), "ann.lee+x@example.com");
        let long = format!("{}@example.com", "a".repeat(65));
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
            &long,
            "a@b.c\n, d@e.f",
        ] {
            assert!(Email::parse(text).is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn one_sku_has_one_spelling() {
        assert_eq!(Sku::parse("  lap-1 x ").unwrap().as_str(), "LAP-1 X");
        assert!(Sku::parse("   ").is_err());
        assert!(Sku::parse(&"a".repeat(101)).is_err());
        assert!(Sku::parse(&"ß".repeat(100)).is_err(), "it is longer than 100 once upper-cased");
        assert!(Sku::parse("a\u{0}b").is_err());
    }
}
