//! Success: the envelope `{"status", "message", "data", "meta"}`.

use axum::http::header::{CONTENT_TYPE, ETAG, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use erp_contracts::Answer;
use serde::Serialize;

use crate::paging::Meta;

/// A successful answer, or a kept one.
///
/// It is made before anything is saved, out of what is about to be saved, so that it can be kept in the same
/// transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply(pub Answer);

#[derive(Serialize)]
struct Envelope<'a, T: Serialize> {
    status: u16,
    message: &'a str,
    data: &'a T,
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<Meta>,
}

impl Reply {
    /// 200 with data.
    ///
    /// # Errors
    /// When `data` cannot be written as JSON, which is a fault of ours.
    pub fn ok<T: Serialize>(message: &str, data: &T) -> Result<Self, serde_json::Error> {
        Self::new(200, message, data, None)
    }

    /// 201 with data.
    ///
    /// # Errors
    /// As [`Reply::ok`].
    pub fn created<T: Serialize>(
        message: &str,
        data: &T,
        location: String,
    ) -> Result<Self, serde_json::Error> {
        let mut reply = Self::new(201, message, data, None)?;
        reply.0.location = Some(location);
        Ok(reply)
    }

    /// 200 with a page of a list.
    ///
    /// # Errors
    /// As [`Reply::ok`].
    pub fn list<T: Serialize>(message: &str, data: &[T], meta: Meta) -> Result<Self, serde_json::Error> {
        Self::new(200, message, &data, Some(meta))
    }

    fn new<T: Serialize>(
        status: u16,
        message: &str,
        data: &T,
        meta: Option<Meta>,
    ) -> Result<Self, serde_json::Error> {
        let body = serde_json::to_string(&Envelope { status, message, data, meta })?;
        Ok(Self(Answer { status, body, etag: None, location: None }))
    }

    /// Names the version (`ETag`, RFC 9110 section 8.8.3).
    #[must_use]
    pub fn version(mut self, version: u64) -> Self {
        self.0.etag = Some(format!("\"{version}\""));
        self
    }
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Self(answer)
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let Answer { status, body, etag, location } = self.0;
        let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (code, body).into_response();
        let headers = response.headers_mut();
        let json = HeaderValue::from_static("application/json");
        headers.insert(CONTENT_TYPE, if status < 400 { json } else { crate::problem::PROBLEM_JSON });
        for (name, value) in [(ETAG, etag), (LOCATION, location)] {
            if let Some(value) = value.and_then(|text| HeaderValue::try_from(text).ok()) {
                headers.insert(name, value);
            }
        }
        response
    }
}
