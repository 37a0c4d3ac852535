//! Maps the result of a function to an HTTP response.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html#api-gateway-simple-proxy-for-lambda-output-format>

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

/// Headers that the gateway sets itself.
const OVERWRITTEN: [HeaderName; 6] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProxyResponse {
    status_code: Value,
    headers: Option<BTreeMap<String, Value>>,
    multi_value_headers: Option<BTreeMap<String, Vec<Value>>>,
    body: Option<String>,
    is_base64_encoded: Option<bool>,
}

/// Parses the result of a function.
///
/// # Errors
/// The reason why it is not a proxy integration response, for the log only.
pub(super) fn parse(payload: &[u8]) -> Result<Response, String> {
    let proxy: ProxyResponse = serde_json::from_slice(payload).map_err(|error| error.to_string())?;
    let status = status(&proxy.status_code).ok_or_else(|| format!("statusCode {}", proxy.status_code))?;
    let mut headers = headers(&proxy)?;
    let text = proxy.body.unwrap_or_default();
    let body = if proxy.is_base64_encoded.unwrap_or_default() {
        STANDARD.decode(&text).map_err(|error| format!("the body is not base64: {error}"))?
    } else {
        text.into_bytes()
    };
    if !body.is_empty() {
        headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
    }
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// The status, from a number or a string.
fn status(value: &Value) -> Option<StatusCode> {
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
    let status = StatusCode::from_u16(u16::try_from(number).ok()?).ok()?;
    // After an informational status (1xx) the client would wait for another response.
    (200..600).contains(&status.as_u16()).then_some(status)
}

/// Merges both maps; a value in both counts once.
fn headers(proxy: &ProxyResponse) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    let many = proxy.multi_value_headers.iter().flatten();
    let many = many.flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
    for (name, value) in many {
        let (name, value) = header(name, value)?;
        headers.append(name, value);
    }
    for (name, value) in proxy.headers.iter().flatten() {
        let (name, value) = header(name, value)?;
        if !headers.get_all(&name).iter().any(|other| other == value) {
            headers.append(name, value);
        }
    }
    for name in OVERWRITTEN {
        headers.remove(name);
    }
    Ok(headers)
}

fn header(name: &str, value: &Value) -> Result<(HeaderName, HeaderValue), String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => return Err(format!("header {name} is {value}")),
    };
    let parsed = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(&text));
    match parsed {
        (Ok(name), Ok(value)) => Ok((name, value)),
        (Err(_), _) | (_, Err(_)) => Err(format!("header {name:?}: {text:?}")),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use serde_json::json;

    use super::*;

    fn read(value: &Value) -> Result<Response, String> {
        parse(value.to_string().as_bytes())
    }

    #[tokio::test]
    async fn a_response_is_mapped() {
        let response = read(&json!({
            "statusCode": 201,
            "headers": {"ETag": "\"1\"", "X-Count": 3, "Content-Length": "999", "Vary": "Origin"},
            "multiValueHeaders": {"Set-Cookie": ["a=1", "b=2"], "Vary": ["Origin", "Accept"]},
            "body": "{}",
        }))
        .unwrap();
        assert_eq!(response.status(), StatusCode::CREATED);
        let all = |name: &str| -> Vec<_> { response.headers().get_all(name).iter().collect() };
        assert_eq!(all("set-cookie"), ["a=1", "b=2"]);
        assert_eq!(all("vary"), ["Origin", "Accept"]);
        assert_eq!(all("x-count"), ["3"]);
        assert_eq!(all("content-type"), ["application/json"]);
        assert!(all("content-length").is_empty(), "the gateway sets it");
        assert_eq!(to_bytes(response.into_body(), 100).await.unwrap(), "{}");
    }

    #[tokio::test]
    async fn a_base64_body_is_decoded() {
        let response = read(&json!({"statusCode": "200", "isBase64Encoded": true, "body": "AP8="})).unwrap();
        assert_eq!(to_bytes(response.into_body(), 100).await.unwrap(), &[0x00, 0xff][..]);
    }

    #[test]
    fn a_malformed_response_is_an_error() {
        for value in [
            json!(null),
            json!("ok"),
            json!({}),
            json!({"statusCode": 42}),
            json!({"statusCode": 101}),
            json!({"statusCode": 200.5}),
            json!({"statusCode": 200, "body": {"not": "text"}}),
            json!({"statusCode": 200, "headers": {"a": ["b"]}}),
            json!({"statusCode": 200, "headers": {"a": "b\r\nc: d"}}),
            json!({"statusCode": 200, "headers": {"a b": "c"}}),
            json!({"statusCode": 200, "isBase64Encoded": true, "body": "?"}),
        ] {
            assert!(read(&value).is_err(), "{value}");
        }
    }
}
