//! Success: the envelope `{"status", "message", "data", "meta"}`.

use axum::http::header::{CONTENT_TYPE, ETAG, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use erp_service::{Committed, StoredResponse};
use serde::Serialize;

use crate::paging::Meta;

/// A success response, new or replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply(Committed);

#[derive(Serialize)]
struct Envelope<'a, T: Serialize + ?Sized> {
    status: u16,
    message: &'a str,
    data: &'a T,
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<Meta>,
}

/// Renders a 200 with data.
pub fn ok<T: Serialize>(message: &str, data: &T) -> Result<StoredResponse, serde_json::Error> {
    envelope(200, message, data, None)
}

/// Renders a 200 with a resource and its version (`ETag`, RFC 9110 section 8.8.3).
pub fn resource<T: Serialize>(
    message: &str,
    data: &T,
    version: u64,
) -> Result<StoredResponse, serde_json::Error> {
    Ok(StoredResponse { etag: Some(format!("\"{version}\"")), ..ok(message, data)? })
}

/// Renders a 201 with a resource, its version and its path, which starts with `/api/`.
pub fn created<T: Serialize>(
    message: &str,
    data: &T,
    version: u64,
    location: String,
) -> Result<StoredResponse, serde_json::Error> {
    let response = envelope(201, message, data, None)?;
    Ok(StoredResponse { etag: Some(format!("\"{version}\"")), location: Some(location), ..response })
}

pub(crate) fn envelope<T: Serialize + ?Sized>(
    status: u16,
    message: &str,
    data: &T,
    meta: Option<Meta>,
) -> Result<StoredResponse, serde_json::Error> {
    let body = serde_json::to_string(&Envelope { status, message, data, meta })?;
    Ok(StoredResponse { status, body, etag: None, location: None })
}

impl From<StoredResponse> for Reply {
    fn from(response: StoredResponse) -> Self {
        Self(Committed { response, replayed: false })
    }
}

impl From<Committed> for Reply {
    fn from(committed: Committed) -> Self {
        Self(committed)
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let Committed { response: StoredResponse { status, body, etag, location }, replayed } = self.0;
        let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (code, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in [(ETAG, etag), (LOCATION, location)] {
            if let Some(value) = value.and_then(|text| HeaderValue::try_from(text).ok()) {
                headers.insert(name, value);
            }
        }
        if replayed {
            headers.insert("idempotent-replayed", HeaderValue::from_static("true"));
        }
        response
    }
}
