//! JSON bodies, validated so that every error is reported at once: wrong types, missing and unknown fields, values out
//! of range.
//!
//! serde stops at the first error and parses numbers as binary fractions. Here the body is split into fields whose
//! values stay text ([`RawValue`]), and each field is parsed by its domain type, so amounts are exact.

use std::fmt;

use erp_domain::ValidationError;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::{FieldError, Problem, ProblemKind};

/// Maximum size of a body: 1 MiB.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;
/// Maximum validation errors of one response.
const MAX_ERRORS: usize = 100;
/// Maximum characters of a field name in a pointer.
const MAX_NAME_CHARACTERS: usize = 100;

/// A type that is parsed from the fields of a JSON object.
pub trait FromBody: Sized {
    /// Parses every field, then returns `None` if any of them has an error.
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self>;
}

pub(crate) fn too_large() -> Problem {
    Problem::new(
        ProblemKind::PayloadTooLarge,
        format!("The body must not be larger than {MAX_BODY_BYTES} bytes."),
    )
}

/// Returns whether there is no body.
pub(crate) fn is_blank(body: &[u8]) -> bool {
    body.iter().all(u8::is_ascii_whitespace)
}

/// Parses a JSON object; the error has all validation errors of its fields.
pub(crate) fn read<T: FromBody>(body: &[u8]) -> Result<T, Problem> {
    let malformed = |detail: String| Problem::new(ProblemKind::MalformedJson, detail);
    if is_blank(body) {
        return Err(malformed("The body is empty; a JSON object is expected.".to_owned()));
    }
    let raw: &RawValue =
        serde_json::from_slice(body).map_err(|error| malformed(format!("The body is not JSON: {error}.")))?;
    let object = Object::of(raw).map_err(|reason| malformed(format!("The body {reason}.")))?;
    let mut errors = Vec::new();
    match object.read(String::new(), &mut errors) {
        Some(value) if errors.is_empty() => Ok(value),
        _ => Err(Problem::invalid(errors)),
    }
}

fn add_error(errors: &mut Vec<FieldError>, pointer: &str, reason: impl Into<String>) {
    match errors.len() {
        ..MAX_ERRORS => errors.push(FieldError::body(pointer, reason)),
        MAX_ERRORS => errors.push(FieldError::body("", "Further validation errors omitted.")),
        _ => {}
    }
}

/// The fields of a JSON object in their order; a name may occur more than once.
struct Object<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Object<'a> {
    fn of(raw: &'a RawValue) -> Result<Self, ValidationError> {
        match Json::of(raw)? {
            Json::Object(text) => serde_json::from_str(text)
                .map_err(|error| ValidationError::new(format!("must be valid JSON: {error}"))),
            other => Err(other.is_not("an object")),
        }
    }

    fn read<T: FromBody>(self, pointer: String, errors: &mut Vec<FieldError>) -> Option<T> {
        let mut fields = Fields { pointer, fields: Vec::new(), errors };
        for (name, value) in self.0 {
            if fields.fields.iter().take(MAX_ERRORS).any(|(other, _)| *other == name) {
                fields.error(&name, "is given twice");
            } else {
                fields.fields.push((name, value));
            }
        }
        let value = T::from_fields(&mut fields);
        for (name, _) in std::mem::take(&mut fields.fields) {
            fields.error(&name, "is not a known field");
        }
        value
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;
        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = Object<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Object(fields))
            }
        }
        deserializer.deserialize_map(ObjectVisitor)
    }
}

/// A JSON value by its type; numbers, arrays and objects stay text.
enum Json<'a> {
    Null,
    Bool(bool),
    Number(&'a str),
    String(String),
    Array(&'a str),
    Object(&'a str),
}

impl<'a> Json<'a> {
    /// # Errors
    /// If a string contains an escape that is not a Unicode character (an unpaired surrogate), which [`RawValue`] accepts.
    fn of(raw: &'a RawValue) -> Result<Self, ValidationError> {
        Ok(match raw.get().as_bytes().first() {
            Some(b'n') => Self::Null,
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'"') => Self::String(serde_json::from_str(raw.get()).map_err(|_| {
                ValidationError::new("must be valid Unicode: it contains an unpaired surrogate")
            })?),
            Some(b'[') => Self::Array(raw.get()),
            Some(b'{') => Self::Object(raw.get()),
            _ => Self::Number(raw.get()),
        })
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }

    fn is_not(&self, expected: &str) -> ValidationError {
        ValidationError::new(format!("must be {expected}, not {}", self.name()))
    }
}

/// The parser of a domain type.
type ParseText<T> = fn(&str) -> Result<T, ValidationError>;

/// The fields of an object that is being parsed. A field that is not read is reported as unknown at the end.
pub struct Fields<'a, 'e> {
    pointer: String,
    /// The fields that have not been read.
    fields: Vec<(String, &'a RawValue)>,
    errors: &'e mut Vec<FieldError>,
}

impl<'a> Fields<'a, '_> {
    /// Adds a validation error of a field, for rules that involve several fields.
    pub fn error(&mut self, name: &str, reason: impl Into<String>) {
        add_error(self.errors, &child(&self.pointer, name), reason);
    }

    /// Reads a field once: `Some(None)` if it is absent or null, `None` if it is invalid.
    fn optional<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Json<'a>) -> Result<T, ValidationError>,
    ) -> Option<Option<T>> {
        let Some(index) = self.fields.iter().position(|(field, _)| field == name) else {
            return Some(None);
        };
        let (_, raw) = self.fields.remove(index);
        let value = match Json::of(raw) {
            Ok(Json::Null) => return Some(None),
            value => value.and_then(read),
        };
        value.map(Some).map_err(|reason| self.error(name, reason.to_string())).ok()
    }

    fn required<T>(&mut self, name: &str, value: Option<Option<T>>) -> Option<T> {
        let value = value?;
        if value.is_none() {
            self.error(name, "is required");
        }
        value
    }

    /// Parses a required string.
    pub fn text<T>(&mut self, name: &str, read: ParseText<T>) -> Option<T> {
        let value = self.optional_text(name, read);
        self.required(name, value)
    }

    /// Parses an optional string: `Some(None)` if it is absent or null, `None` if it is invalid.
    pub fn optional_text<T>(&mut self, name: &str, read: ParseText<T>) -> Option<Option<T>> {
        self.optional(name, |value| match value {
            Json::String(text) => read(&text),
            other => Err(other.is_not("a string")),
        })
    }

    /// Parses an optional decimal, given as a number or a string, from its text.
    pub fn optional_decimal<T>(&mut self, name: &str, read: ParseText<T>) -> Option<Option<T>> {
        self.optional(name, |value| match value {
            Json::Number(text) => read(text),
            Json::String(text) => read(text.trim()),
            other => Err(other.is_not("a number")),
        })
    }

    /// Parses a required decimal.
    pub fn decimal<T>(&mut self, name: &str, read: ParseText<T>) -> Option<T> {
        let value = self.optional_decimal(name, read);
        self.required(name, value)
    }

    /// Parses an optional integer.
    pub fn optional_integer<T>(
        &mut self,
        name: &str,
        read: fn(i64) -> Result<T, ValidationError>,
    ) -> Option<Option<T>> {
        self.optional(name, |value| match value {
            Json::Number(text) => integer(text).and_then(read),
            other => Err(other.is_not("a whole number")),
        })
    }

    /// Parses a required integer.
    pub fn integer<T>(&mut self, name: &str, read: fn(i64) -> Result<T, ValidationError>) -> Option<T> {
        let value = self.optional_integer(name, read);
        self.required(name, value)
    }

    /// Parses an optional boolean.
    pub fn optional_bool(&mut self, name: &str) -> Option<Option<bool>> {
        self.optional(name, |value| match value {
            Json::Bool(value) => Ok(value),
            other => Err(other.is_not("true or false")),
        })
    }

    /// Parses a required array of `min` to `max` objects.
    pub fn list<T: FromBody>(&mut self, name: &str, min: usize, max: usize) -> Option<Vec<T>> {
        let elements = self.optional(name, |value| {
            let Json::Array(text) = value else { return Err(value.is_not("an array")) };
            let elements: Vec<&RawValue> =
                serde_json::from_str(text).map_err(|error| ValidationError::new(error.to_string()))?;
            if !(min..=max).contains(&elements.len()) {
                let reason = format!("must have {min} to {max} elements, not {}", elements.len());
                return Err(ValidationError::new(reason));
            }
            Ok(elements)
        });
        let elements = self.required(name, elements)?;
        let list = child(&self.pointer, name);
        let mut values = Vec::new();
        for (index, element) in elements.into_iter().enumerate() {
            let pointer = format!("{list}/{index}");
            match Object::of(element) {
                Ok(object) => values.push(object.read(pointer, self.errors)),
                Err(reason) => {
                    add_error(self.errors, &pointer, reason.to_string());
                    values.push(None);
                }
            }
        }
        values.into_iter().collect()
    }
}

/// Parses an integer as JSON Schema defines it: `20.0` is one, too. An integer beyond `i64` becomes the closest bound,
/// which the bounds of its type reject.
fn integer(text: &str) -> Result<i64, ValidationError> {
    let text = match text.split_once('.') {
        Some((integer, fraction)) if fraction.bytes().all(|b| b == b'0') => integer,
        _ => text,
    };
    let (digits, bound) = text.strip_prefix('-').map_or((text, i64::MAX), |digits| (digits, i64::MIN));
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ValidationError::new("must be a whole number, without decimals or exponent"));
    }
    Ok(text.parse().unwrap_or(bound))
}

fn child(pointer: &str, name: &str) -> String {
    // The name of an unknown field may be as long as the body: the response shows its beginning.
    let shown: String = name.chars().take(MAX_NAME_CHARACTERS).collect();
    let cut = if shown.len() < name.len() { "…" } else { "" };
    format!("{pointer}/{}{cut}", shown.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use erp_domain::{Money, Quantity};

    #[derive(Debug, PartialEq)]
    struct Line {
        quantity: Quantity,
        price: Option<Money>,
    }
    impl FromBody for Line {
        fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
            let quantity = fields.integer("quantity", Quantity::of_line);
            let price = fields.optional_decimal("price", Money::parse);
            Some(Self { quantity: quantity?, price: price? })
        }
    }
    #[derive(Debug, PartialEq)]
    struct Form {
        name: String,
        lines: Vec<Line>,
    }
    impl FromBody for Form {
        fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
            let name = fields.text("name", |text| erp_domain::text::single_line(text, 1, 5));
            let lines = fields.list("lines", 1, 2);
            Some(Self { name: name?, lines: lines? })
        }
    }

    fn errors(body: &str) -> Vec<String> {
        let problem = read::<Form>(body.as_ref()).unwrap_err();
        assert_eq!(problem.kind, ProblemKind::ValidationFailed, "{problem:?}");
        problem.errors.into_iter().map(|e| format!("{} {}", e.pointer.unwrap(), e.detail)).collect()
    }

    #[test]
    fn every_validation_error_is_reported_at_once() {
        assert_eq!(
            errors(
                r#"{"name": 5, "lines": [{"quantity": 0, "price": 0.005}, {"quantity": 1.5, "x~/": 1}], "extra": null, "name": "b"}"#
            ),
            [
                "/name is given twice",
                "/name must be a string, not a number",
                "/lines/0/quantity must be at least 1",
                "/lines/0/price must have at most two decimals",
                "/lines/1/quantity must be a whole number, without decimals or exponent",
                "/lines/1/x~0~1 is not a known field",
                "/extra is not a known field",
            ]
        );
        assert_eq!(errors("{}"), ["/name is required", "/lines is required"]);
        assert_eq!(errors(r#"{"name":"a","lines":[]}"#), ["/lines must have 1 to 2 elements, not 0"]);
        assert_eq!(errors(r#"{"name":"a","lines":[1]}"#), ["/lines/0 must be an object, not a number"]);
        let huge = r#"{"name":"a","lines":[{"quantity":99999999999999999999}]}"#;
        assert_eq!(errors(huge), ["/lines/0/quantity must not be more than 1000000000"]);
    }

    #[test]
    fn amounts_are_read_from_the_text_of_the_number() {
        for (price, minor) in [("0.1", 10), ("\"12.34\"", 1234), ("90000", 9_000_000)] {
            let form: Form =
                read(format!(r#"{{"name":"a","lines":[{{"quantity":1,"price":{price}}}]}}"#).as_bytes())
                    .unwrap();
            assert_eq!(form.lines[0].price.unwrap().minor(), minor);
        }
        for price in ["1e3", "0.100000000000000005", "-1", "\"1e3\"", "[]"] {
            assert_eq!(
                errors(&format!(r#"{{"name":"a","lines":[{{"quantity":1,"price":{price}}}]}}"#)).len(),
                1
            );
        }
    }

    #[test]
    fn an_integer_may_have_a_zero_fraction_and_no_exponent() {
        let quantity = |number: &str| format!(r#"{{"name":"a","lines":[{{"quantity":{number}}}]}}"#);
        for number in ["20", "20.0", "20.000"] {
            let form: Form = read(quantity(number).as_bytes()).unwrap();
            assert_eq!(form.lines[0].quantity.get(), 20, "{number}");
        }
        for number in ["2e1", "20.5", "20.0e0", "-1.0", "-99999999999999999999"] {
            assert_eq!(errors(&quantity(number)).len(), 1, "{number}");
        }
    }

    #[test]
    fn a_body_that_is_not_a_json_object_is_malformed() {
        for body in ["", "  ", "{", "nope", "[]", "1", "null", "\"a\"", "{\"a\":1}x", "\u{feff}{}"] {
            assert_eq!(read::<Form>(body.as_ref()).unwrap_err().kind, ProblemKind::MalformedJson, "{body:?}");
        }
        assert_eq!(read::<Form>(&[b'{', 0xff, b'}']).unwrap_err().kind, ProblemKind::MalformedJson);
        let deep = format!("{{\"name\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
        assert!(read::<Form>(deep.as_bytes()).is_err(), "no stack overflow");
    }

    #[test]
    fn a_string_that_cannot_be_decoded_is_an_error_and_never_a_default() {
        for text in [r#""+1 555 \ud83d""#, r#""\udc00""#, r#""\ud83d\ud83d""#] {
            let detail = "must be valid Unicode: it contains an unpaired surrogate";
            assert_eq!(
                errors(&format!(r#"{{"name":{text},"lines":[{{"quantity":1}}]}}"#)),
                [format!("/name {detail}")]
            );
            let price = format!(r#"{{"name":"a","lines":[{{"quantity":1,"price":{text}}}]}}"#);
            assert_eq!(errors(&price), [format!("/lines/0/price {detail}")]);
            assert_eq!(
                errors(&format!(r#"{{"name":"a","lines":[{text}]}}"#)),
                [format!("/lines/0 {detail}")]
            );
            let name = format!(r#"{{"name":"a","lines":[{{"quantity":1}}],{text}:1}}"#);
            assert_eq!(read::<Form>(name.as_bytes()).unwrap_err().kind, ProblemKind::MalformedJson);
        }
        assert!(
            read::<Form>(br#"{"name":"\ud83d\ude00","lines":[{"quantity":1}]}"#).is_ok(),
            "a pair is one character"
        );
    }

    #[test]
    fn many_and_long_unknown_fields_do_not_make_a_long_response() {
        let long = format!(r#"{{"name":"a","lines":[{{"quantity":1}}],"{}":1}}"#, "x".repeat(900_000));
        assert_eq!(errors(&long), [format!("/{}… is not a known field", "x".repeat(100))]);
        let many: String = (0..1000).map(|n| format!(r#""f{n}":1,"#)).collect();
        let many = errors(&format!(r#"{{{many}"name":"a","lines":[{{"quantity":1}}]}}"#));
        assert_eq!(many.len(), 101);
        assert_eq!(many[100], " Further validation errors omitted.");
    }

    proptest::proptest! {
        #[test]
        fn no_body_makes_the_parser_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            drop(read::<Form>(&bytes));
        }
    }
}
