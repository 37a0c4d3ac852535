//! Request bodies, read so that every fault is reported at once: wrong types, missing and unknown fields, values
//! out of range.
//!
//! serde stops at the first fault and reads numbers as binary fractions; a form of twenty fields deserves all its
//! faults in one answer, and `0.1` deserves to be a tenth. So the body is split into fields whose values stay text
//! ([`RawValue`]), and each field is read by the domain type that it is for.

use std::borrow::Cow;
use std::fmt;

use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use erp_domain::Invalid;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::{FieldError, Kind, Problem};

/// The largest body, in bytes: 1 MiB.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;
/// Faults reported at most: a body made of nothing but faults must not make an answer larger than itself.
const MAX_ERRORS: usize = 100;

/// A body, not read yet: JSON or nothing.
#[derive(Debug, Clone)]
pub struct Body(Vec<u8>);

/// What can be read from the fields of a JSON object.
pub trait FromBody: Sized {
    /// Reads it; none once a fault was noted, but only after every field was looked at.
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self>;
}

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = match Limited::new(body, MAX_BODY_BYTES).collect().await {
            Ok(collected) => collected.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => return Err(too_large()),
            Err(error) => return Err(Problem::unavailable(error)),
        };
        if !bytes.is_empty() {
            let content_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
            if !content_type.is_some_and(is_json) {
                let detail = "The body must be JSON, with Content-Type: application/json.";
                return Err(Problem::new(Kind::UnsupportedMediaType, detail));
            }
        }
        Ok(Self(bytes.to_vec()))
    }
}

pub(crate) fn too_large() -> Problem {
    Problem::new(Kind::PayloadTooLarge, format!("The body must not be larger than {MAX_BODY_BYTES} bytes."))
}

fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    let media_type = parts.next().is_some_and(|media_type| {
        let media_type = media_type.to_ascii_lowercase();
        media_type == "application/json"
            || (media_type.starts_with("application/") && media_type.ends_with("+json"))
    });
    let utf8 = parts.all(|parameter| {
        let lower = parameter.to_ascii_lowercase();
        !lower.starts_with("charset=") || lower.trim_start_matches("charset=").trim_matches('"') == "utf-8"
    });
    media_type && utf8
}

impl Body {
    /// A body from bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(u8::is_ascii_whitespace)
    }

    /// Reads a `T`.
    ///
    /// # Errors
    /// When it is not a JSON object, or with every fault of its fields.
    pub fn read<T: FromBody>(&self) -> Result<T, Problem> {
        let malformed = |detail: String| Problem::new(Kind::MalformedJson, detail);
        if self.is_empty() {
            return Err(malformed("The body is empty; a JSON object is expected.".to_owned()));
        }
        let raw: &RawValue = serde_json::from_slice(&self.0)
            .map_err(|error| malformed(format!("The body is not JSON: {}", describe(&error))))?;
        let object: Object<'_> = match Json::of(raw) {
            Json::Object(raw) => serde_json::from_str(raw.get())
                .map_err(|error| malformed(format!("The body is not JSON: {}", describe(&error))))?,
            other => {
                return Err(malformed(format!("The body must be a JSON object, not {}.", other.name())));
            }
        };
        let mut errors = Errors::default();
        let mut fields = Fields::new(String::new(), object, &mut errors);
        let value = T::from_fields(&mut fields);
        fields.finish();
        match value {
            Some(value) if errors.0.is_empty() => Ok(value),
            _ => Err(Problem::invalid(errors.0)),
        }
    }

    /// Reads a `T`, or takes the default where there is no body.
    ///
    /// # Errors
    /// As [`Body::read`].
    pub fn read_or_default<T: FromBody + Default>(&self) -> Result<T, Problem> {
        if self.is_empty() { Ok(T::default()) } else { self.read() }
    }
}

fn describe(error: &serde_json::Error) -> String {
    // serde_json's own words end with the place; they name no Rust type for syntax errors.
    error.to_string()
}

/// Faults found so far.
#[derive(Debug, Default)]
pub(crate) struct Errors(Vec<FieldError>);

impl Errors {
    fn add(&mut self, pointer: &str, reason: impl Into<String>) {
        if self.0.len() < MAX_ERRORS {
            self.0.push(FieldError::body(pointer, reason));
        }
    }
}

struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(Name(name)) = map.next_key()? {
                    fields.push((name, map.next_value()?));
                }
                Ok(fields)
            }
        }
        struct Name<'a>(Cow<'a, str>);
        impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer).map(|name| Self(Cow::Owned(name)))
            }
        }
        deserializer.deserialize_map(Fields).map(Object)
    }
}

/// A value of a field, by the kind that JSON knows.
enum Json<'a> {
    Null,
    Bool(bool),
    Number(&'a str),
    String(String),
    Array(&'a RawValue),
    Object(&'a RawValue),
}

impl<'a> Json<'a> {
    fn of(raw: &'a RawValue) -> Self {
        match raw.get().as_bytes().first() {
            Some(b'n') => Self::Null,
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'"') => Self::String(serde_json::from_str(raw.get()).unwrap_or_default()),
            Some(b'[') => Self::Array(raw),
            Some(b'{') => Self::Object(raw),
            _ => Self::Number(raw.get()),
        }
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

    fn not(&self, wanted: &str) -> Invalid {
        Invalid::new(format!("must be {wanted}, not {}", self.name()))
    }
}

/// The fields of an object that is being read. Every field asked for is ticked off; what is left at the end is
/// reported as unknown.
pub struct Fields<'a, 'e> {
    pointer: String,
    fields: Vec<(Cow<'a, str>, &'a RawValue, bool)>,
    errors: &'e mut Errors,
}

impl<'a, 'e> Fields<'a, 'e> {
    fn new(pointer: String, object: Object<'a>, errors: &'e mut Errors) -> Self {
        let mut fields: Vec<(Cow<'a, str>, &'a RawValue, bool)> = Vec::new();
        for (name, value) in object.0 {
            if fields.iter().take(MAX_ERRORS).any(|(other, ..)| *other == name) {
                errors.add(&child(&pointer, &name), "is given twice");
            } else {
                fields.push((name, value, false));
            }
        }
        Self { pointer, fields, errors }
    }

    fn finish(self) {
        for (name, _, used) in &self.fields {
            if !used {
                self.errors.add(&child(&self.pointer, name), "is not a field that is known here");
            }
        }
    }

    /// Notes a fault of a field that only shows when several fields are seen together.
    pub fn fault(&mut self, name: &str, reason: impl Into<String>) {
        let pointer = child(&self.pointer, name);
        self.errors.add(&pointer, reason);
    }

    /// The value of a field; null is none.
    fn take(&mut self, name: &str) -> Option<Json<'a>> {
        let (_, raw, used) = self.fields.iter_mut().find(|(field, ..)| field == name)?;
        *used = true;
        match Json::of(raw) {
            Json::Null => None,
            value => Some(value),
        }
    }

    fn note<T>(&mut self, name: &str, read: Result<T, Invalid>) -> Option<T> {
        read.map_err(|reason| self.fault(name, reason.to_string())).ok()
    }

    fn require<T>(&mut self, name: &str, value: Option<Option<T>>) -> Option<T> {
        match value {
            Some(None) => {
                self.fault(name, "is required");
                None
            }
            Some(some) => some,
            None => None,
        }
    }

    /// A string that must be there.
    pub fn text<T>(&mut self, name: &str, read: impl FnOnce(&str) -> Result<T, Invalid>) -> Option<T> {
        let value = self.optional_text(name, read);
        self.require(name, value)
    }

    /// A string that may be there: `Some(None)` if it is not, `None` if it has a fault.
    pub fn optional_text<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, Invalid>,
    ) -> Option<Option<T>> {
        let Some(value) = self.take(name) else {
            return Some(None);
        };
        let read = match value {
            Json::String(text) => read(&text),
            other => Err(other.not("a string")),
        };
        self.note(name, read).map(Some)
    }

    /// A decimal number, given as a number or a string, read from its text; it may be absent.
    pub fn optional_decimal<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, Invalid>,
    ) -> Option<Option<T>> {
        let Some(value) = self.take(name) else {
            return Some(None);
        };
        let read = match value {
            Json::Number(text) => read(text),
            Json::String(text) => read(text.trim()),
            other => Err(other.not("a number")),
        };
        self.note(name, read).map(Some)
    }

    /// A decimal number that must be there.
    pub fn decimal<T>(&mut self, name: &str, read: impl FnOnce(&str) -> Result<T, Invalid>) -> Option<T> {
        let value = self.optional_decimal(name, read);
        self.require(name, value)
    }

    /// A whole number; it may be absent.
    pub fn optional_integer<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(i64) -> Result<T, Invalid>,
    ) -> Option<Option<T>> {
        let Some(value) = self.take(name) else {
            return Some(None);
        };
        let read = match value {
            Json::Number(text) => match text.parse::<i64>() {
                Ok(number) => read(number),
                // A whole number that is too large is refused by its own bound, in its own words.
                Err(_) if text.bytes().all(|b| b.is_ascii_digit()) => read(i64::MAX),
                Err(_)
                    if text
                        .strip_prefix('-')
                        .is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit())) =>
                {
                    read(i64::MIN)
                }
                Err(_) => Err(Invalid::new("must be a whole number, without decimals or exponent")),
            },
            other => Err(other.not("a whole number")),
        };
        self.note(name, read).map(Some)
    }

    /// A whole number that must be there.
    pub fn integer<T>(&mut self, name: &str, read: impl FnOnce(i64) -> Result<T, Invalid>) -> Option<T> {
        let value = self.optional_integer(name, read);
        self.require(name, value)
    }

    /// True or false; it may be absent.
    pub fn optional_bool(&mut self, name: &str) -> Option<Option<bool>> {
        let Some(value) = self.take(name) else {
            return Some(None);
        };
        let read = match value {
            Json::Bool(value) => Ok(value),
            other => Err(other.not("true or false")),
        };
        self.note(name, read).map(Some)
    }

    /// An array of objects with `min` to `max` elements, which must be there.
    pub fn list<T: FromBody>(&mut self, name: &str, min: usize, max: usize) -> Option<Vec<T>> {
        let raw = match self.take(name) {
            Some(Json::Array(raw)) => raw,
            Some(other) => return self.note(name, Err(other.not("an array"))),
            None => return self.require(name, Some(None)),
        };
        let elements: Vec<&RawValue> = match serde_json::from_str(raw.get()) {
            Ok(elements) => elements,
            Err(error) => return self.note(name, Err(Invalid::new(error.to_string()))),
        };
        if elements.len() < min || elements.len() > max {
            let reason = format!("must have {min} to {max} elements, not {}", elements.len());
            return self.note(name, Err(Invalid::new(reason)));
        }
        let list = child(&self.pointer, name);
        let read: Vec<Option<T>> = elements
            .into_iter()
            .enumerate()
            .map(|(index, element)| {
                let pointer = format!("{list}/{index}");
                let object = match Json::of(element) {
                    Json::Object(raw) => {
                        serde_json::from_str::<Object<'_>>(raw.get()).map_err(|e| e.to_string())
                    }
                    other => Err(other.not("an object").to_string()),
                };
                match object {
                    Ok(object) => {
                        let mut fields = Fields::new(pointer, object, self.errors);
                        let value = T::from_fields(&mut fields);
                        fields.finish();
                        value
                    }
                    Err(reason) => {
                        self.errors.add(&pointer, reason);
                        None
                    }
                }
            })
            .collect();
        read.into_iter().collect()
    }
}

fn child(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use erp_domain::{LineQuantity, Money};

    #[derive(Debug, PartialEq)]
    struct Line {
        quantity: LineQuantity,
        price: Option<Money>,
    }
    impl FromBody for Line {
        fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
            let quantity = fields.integer("quantity", LineQuantity::new);
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
            let name = fields.text("name", |text| erp_domain::text::bounded(text, 1, 5));
            let lines = fields.list("lines", 1, 2);
            Some(Self { name: name?, lines: lines? })
        }
    }

    fn faults(body: &str) -> Vec<String> {
        let problem = Body::new(body).read::<Form>().unwrap_err();
        assert_eq!(problem.kind, Kind::ValidationFailed, "{problem:?}");
        problem.errors.into_iter().map(|e| format!("{} {}", e.pointer.unwrap(), e.detail)).collect()
    }

    #[test]
    fn every_fault_is_reported_at_once() {
        assert_eq!(
            faults(
                r#"{"name": 5, "lines": [{"quantity": 0, "price": 0.005}, {"quantity": 1.5, "x~/": 1}], "extra": null, "name": "b"}"#
            ),
            [
                "/name is given twice",
                "/name must be a string, not a number",
                "/lines/0/quantity must be at least 1",
                "/lines/0/price must have at most two decimals",
                "/lines/1/quantity must be a whole number, without decimals or exponent",
                "/lines/1/x~0~1 is not a field that is known here",
                "/extra is not a field that is known here",
            ]
        );
        assert_eq!(faults("{}"), ["/name is required", "/lines is required"]);
        assert_eq!(faults(r#"{"name":"a","lines":[]}"#), ["/lines must have 1 to 2 elements, not 0"]);
        assert_eq!(faults(r#"{"name":"a","lines":[1]}"#), ["/lines/0 must be an object, not a number"]);
        let huge = r#"{"name":"a","lines":[{"quantity":99999999999999999999}]}"#;
        assert_eq!(faults(huge), ["/lines/0/quantity must not be more than 1000000000"]);
    }

    #[test]
    fn amounts_are_read_from_the_text_of_the_number() {
        for (price, minor) in [("0.1", 10), ("\"12.34\"", 1234), ("90000", 9_000_000)] {
            let form: Form =
                Body::new(format!(r#"{{"name":"a","lines":[{{"quantity":1,"price":{price}}}]}}"#))
                    .read()
                    .unwrap();
            assert_eq!(form.lines[0].price.unwrap().minor(), minor);
        }
        for price in ["1e3", "0.100000000000000005", "-1", "\"1e3\"", "[]"] {
            assert_eq!(
                faults(&format!(r#"{{"name":"a","lines":[{{"quantity":1,"price":{price}}}]}}"#)).len(),
                1
            );
        }
    }

    #[test]
    fn what_is_not_a_json_object_is_malformed() {
        for body in ["", "  ", "{", "nope", "[]", "1", "null", "\"a\"", "{\"a\":1}x", "\u{feff}{}"] {
            assert_eq!(Body::new(body).read::<Form>().unwrap_err().kind, Kind::MalformedJson, "{body:?}");
        }
        assert_eq!(Body::new(vec![b'{', 0xff, b'}']).read::<Form>().unwrap_err().kind, Kind::MalformedJson);
        let deep = format!("{{\"name\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
        assert!(Body::new(deep).read::<Form>().is_err(), "no stack overflow");
    }

    proptest::proptest! {
        #[test]
        fn no_body_makes_the_reader_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            drop(Body::new(bytes).read::<Form>());
        }
    }
}
