//! Percent-decoding of paths and queries.

use std::borrow::Cow;

/// Decodes a path segment; bytes that are not UTF-8 become U+FFFD, as on AWS. None if a `%` is not followed by two
/// hexadecimal digits.
pub(super) fn decode_segment(segment: &str) -> Option<String> {
    decode(segment, false)
}

/// The parameters of a query in their order. Malformed encoding is left as it is.
pub(super) fn query_parameters(query: &str) -> Vec<(String, String)> {
    let lenient = |text: &str| decode(text, true).unwrap_or_else(|| text.to_owned());
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (lenient(name), lenient(value)))
        .collect()
}

fn decode(text: &str, plus_is_space: bool) -> Option<String> {
    let text = if plus_is_space { Cow::Owned(text.replace('+', " ")) } else { Cow::Borrowed(text) };
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let (high, low) = (hex(bytes.next()?)?, hex(bytes.next()?)?);
            decoded.push(high * 16 + low);
        } else {
            decoded.push(byte);
        }
    }
    Some(String::from_utf8_lossy(&decoded).into_owned())
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_decoded_or_rejected() {
        for (segment, decoded) in [
            ("plain", Some("plain")),
            ("a%20b+c", Some("a b+c")),
            ("a%2Fb", Some("a/b")),
            ("%C3%A9", Some("é")),
            ("%FF", Some("\u{fffd}")),
            ("%", None),
            ("%4", None),
            ("%zz", None),
            ("%+1", None),
        ] {
            assert_eq!(decode_segment(segment).as_deref(), decoded, "{segment}");
        }
    }

    #[test]
    fn a_query_keeps_order_and_repeated_parameters() {
        let parameters = query_parameters("a=1&b=x+y%26z&a=2&flag&&=nameless&bad=%zz");
        let expected =
            [("a", "1"), ("b", "x y&z"), ("a", "2"), ("flag", ""), ("", "nameless"), ("bad", "%zz")];
        assert_eq!(parameters, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
