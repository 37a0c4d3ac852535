//! Requests that change something: the JSON body, and the `Idempotency-Key` that identifies a repeated request.
//!
//! Two requests are the same if method, route, canonical path ids, caller, precondition and parsed JSON are equal; the
//! order of keys and white space do not count.

use axum::extract::{FromRequest, MatchedPath, Request};
use axum::http::HeaderName;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, IF_MATCH};
use axum::http::request::Parts;
use erp_service::{IdempotencyKey, WriteRequest};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::Value;

use crate::app::RequestInfo;
use crate::body::{self, FromBody, MAX_BODY_BYTES, too_large};
use crate::parameters::path_parameters;
use crate::{FieldError, Problem, ProblemKind};

/// The request header of idempotent requests.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Maximum length of an idempotency key, in characters.
const MAX_KEY_LENGTH: usize = 255;

/// A request with a JSON body, or without a body, in the context of its caller.
#[derive(Debug, Clone)]
pub struct JsonRequest {
    body: Vec<u8>,
    /// The context for committing a change.
    pub write: WriteRequest,
}

impl JsonRequest {
    /// Parses the body, a JSON object; the error has all validation errors of its fields.
    pub fn read<T: FromBody>(&self) -> Result<T, Problem> {
        body::read(&self.body)
    }

    /// Parses the body, or returns the default if there is none.
    pub fn read_or_default<T: FromBody + Default>(&self) -> Result<T, Problem> {
        if body::is_blank(&self.body) { Ok(T::default()) } else { self.read() }
    }

    /// Checks that there is no body, or an empty object.
    pub fn expect_empty(&self) -> Result<(), Problem> {
        self.read_or_default()
    }
}

impl FromBody for () {
    fn from_fields(_: &mut body::Fields<'_, '_>) -> Option<Self> {
        Some(())
    }
}

impl<S: Send + Sync> FromRequest<S> for JsonRequest {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let unsupported = |detail: &str| Problem::new(ProblemKind::UnsupportedMediaType, detail);
        let (mut parts, body) = request.into_parts();
        let mut encodings = parts.headers.get_all(CONTENT_ENCODING).iter();
        if encodings.any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return Err(unsupported("The body must not be encoded: send it without Content-Encoding."));
        }
        let bytes = match Limited::new(body, MAX_BODY_BYTES).collect().await {
            Ok(collected) => collected.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => return Err(too_large()),
            Err(error) => return Err(Problem::unavailable(error)),
        };
        if !bytes.is_empty() {
            let content_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
            if !content_type.is_some_and(is_json) {
                return Err(unsupported("The body must be JSON, with Content-Type: application/json."));
            }
        }
        let info = parts.extensions.get::<RequestInfo>().cloned().unwrap_or_default();
        let key = match key_of(&parts)? {
            Some(key) => Some(identify(key, &mut parts, state, &info, &bytes).await?),
            None => None,
        };
        Ok(Self { body: bytes.to_vec(), write: WriteRequest { cause: info.cause(), key } })
    }
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

/// Returns the value of the `Idempotency-Key` header.
fn key_of(parts: &Parts) -> Result<Option<String>, Problem> {
    let invalid = |reason: &str| Problem::invalid(vec![FieldError::parameter("Idempotency-Key", reason)]);
    let mut values = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(invalid("must be given once"));
    }
    let is_visible = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    let key = value.to_str().ok().filter(|key| key.bytes().all(is_visible));
    let key = key.ok_or_else(|| invalid("must be visible ASCII"))?.trim();
    if key.is_empty() || key.len() > MAX_KEY_LENGTH {
        return Err(invalid(&format!("must have 1 to {MAX_KEY_LENGTH} characters")));
    }
    Ok(Some(key.to_owned()))
}

async fn identify<S: Send + Sync>(
    key: String,
    parts: &mut Parts,
    state: &S,
    info: &RequestInfo,
    body: &[u8],
) -> Result<IdempotencyKey, Problem> {
    let route = parts.extensions.get::<MatchedPath>().map_or("-".to_owned(), |path| path.as_str().to_owned());
    // UUIDs in one spelling: letter case and percent-encoding do not make another resource.
    let parameters = path_parameters(parts, state)
        .await?
        .into_iter()
        .map(|(_, value)| value.parse::<uuid::Uuid>().map_or(value, |id| id.to_string()));
    let caller = info.cause().actor.unwrap_or_else(|| "public".to_owned());
    let mut scope = vec![caller, parts.method.to_string(), route];
    scope.extend(parameters);
    let precondition = parts.headers.get_all(IF_MATCH).iter();
    let precondition: Vec<_> = precondition.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    let body = match serde_json::from_slice::<Value>(body) {
        Ok(value) => canonical(value),
        // Not JSON: the request is rejected and binds no key.
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    let request = format!("{}\n{body}", precondition.join(","));
    Ok(IdempotencyKey { key, scope: scope.join("\n"), request })
}

/// Serialises JSON with sorted keys and without white space.
fn canonical(mut value: Value) -> String {
    value.sort_all_objects();
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_order_and_white_space_do_not_make_another_request() {
        let canonical = |text: &str| canonical(serde_json::from_str(text).unwrap());
        assert_eq!(
            canonical(r#"{"b": [1, {"d":null,"c":"x"}], "a": true}"#),
            r#"{"a":true,"b":[1,{"c":"x","d":null}]}"#
        );
        assert_eq!(canonical("{\"a\":1,\"b\":2}"), canonical("{ \"b\" : 2,\n\"a\" : 1 }"));
        assert_ne!(canonical("[1,2]"), canonical("[2,1]"));
        assert_ne!(canonical(r#"{"a":"1"}"#), canonical(r#"{"a":1}"#));
    }

    #[test]
    fn only_json_in_utf_8_is_json() {
        for text in ["application/json", "Application/JSON; charset=UTF-8", "application/merge-patch+json"] {
            assert!(is_json(text), "{text}");
        }
        for text in ["", "text/json", "application/json; charset=latin1", "application/jsonx"] {
            assert!(!is_json(text), "{text}");
        }
    }
}
