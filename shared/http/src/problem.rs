//! Errors as clients see them: `application/problem+json` (RFC 9457).
//!
//! A [`Problem`] has a public face, which says what the client can do about it, and may have a private cause, which
//! is logged once, where the answer leaves, and never shown.

use std::error::Error;

use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use erp_contracts::{Answer, StoreError};
use erp_domain::Invalid;
use serde::Serialize;

macro_rules! kinds {
    ($($variant:ident $status:literal $code:literal $title:literal;)+) => {
        /// Every kind of error. `type` in the answer is `urn:erp:problem:` and the code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Kind { $(#[doc = $title] $variant,)+ }

        impl Kind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];
            /// HTTP status.
            pub const fn status(self) -> u16 { match self { $(Self::$variant => $status,)+ } }
            /// A stable word for programs.
            pub const fn code(self) -> &'static str { match self { $(Self::$variant => $code,)+ } }
            /// A short title for people.
            pub const fn title(self) -> &'static str { match self { $(Self::$variant => $title,)+ } }
        }
    };
}

kinds! {
    MalformedJson 400 "malformed_json" "Malformed JSON";
    ValidationFailed 400 "validation_failed" "Validation failed";
    BadRequest 400 "bad_request" "Bad request";
    Unauthorized 401 "unauthorized" "Unauthorized";
    InvalidCredentials 401 "invalid_credentials" "Invalid credentials";
    Forbidden 403 "forbidden" "Forbidden";
    NotFound 404 "not_found" "Not found";
    MethodNotAllowed 405 "method_not_allowed" "Method not allowed";
    DuplicateEmail 409 "duplicate_email" "E-mail address is taken";
    DuplicateSku 409 "duplicate_sku" "SKU is taken";
    IllegalTransition 409 "illegal_transition" "Not possible in this status";
    InsufficientStock 409 "insufficient_stock" "Not enough in stock";
    Conflict 409 "conflict" "Changed by somebody else";
    VersionMismatch 412 "version_mismatch" "Version mismatch";
    PayloadTooLarge 413 "payload_too_large" "Payload too large";
    UnsupportedMediaType 415 "unsupported_media_type" "Unsupported media type";
    IdempotencyKeyReused 422 "idempotency_key_reused" "Idempotency-Key used for another request";
    TooManyRequests 429 "too_many_requests" "Too many requests";
    InternalError 500 "internal_error" "Internal error";
    ServiceUnavailable 503 "service_unavailable" "Service unavailable";
}

/// One fault of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) into the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// Name of the parameter in the path, the query or the headers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
    /// What is wrong with it.
    pub detail: String,
}

impl FieldError {
    /// A fault of a field of the body.
    pub fn body(pointer: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { pointer: Some(pointer.into()), parameter: None, detail: reason.into() }
    }

    /// A fault of a parameter.
    pub fn parameter(name: impl Into<String>, reason: &Invalid) -> Self {
        Self { pointer: None, parameter: Some(name.into()), detail: reason.to_string() }
    }
}

/// An error on its way to the client.
#[derive(Debug)]
pub struct Problem {
    /// Which.
    pub kind: Kind,
    /// What happened this time, for people.
    pub detail: String,
    /// Every fault of the request at once.
    pub errors: Vec<FieldError>,
    /// Further members of the body, such as the shortage per item.
    pub extensions: serde_json::Map<String, serde_json::Value>,
    /// Why, for us.
    pub cause: Option<Box<dyn Error + Send + Sync>>,
    headers: HeaderMap,
    answered: bool,
}

impl Problem {
    /// An error of a kind.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let mut headers = HeaderMap::new();
        match kind {
            Kind::Unauthorized => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Kind::ServiceUnavailable | Kind::TooManyRequests => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            Kind::MalformedJson
            | Kind::ValidationFailed
            | Kind::BadRequest
            | Kind::InvalidCredentials
            | Kind::Forbidden
            | Kind::NotFound
            | Kind::MethodNotAllowed
            | Kind::DuplicateEmail
            | Kind::DuplicateSku
            | Kind::IllegalTransition
            | Kind::InsufficientStock
            | Kind::Conflict
            | Kind::VersionMismatch
            | Kind::PayloadTooLarge
            | Kind::UnsupportedMediaType
            | Kind::IdempotencyKeyReused
            | Kind::InternalError => {}
        }
        Self {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
            extensions: serde_json::Map::new(),
            cause: None,
            headers,
            answered: false,
        }
    }

    /// The request has these faults.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = match errors.len() {
            1 => "The request has a fault.".to_owned(),
            n => format!("The request has {n} faults."),
        };
        Self { errors, ..Self::new(Kind::ValidationFailed, detail) }
    }

    /// A thing that is not there: `what` starts a sentence, such as "Customer".
    pub fn not_found(what: &str) -> Self {
        Self::new(Kind::NotFound, format!("{what} not found."))
    }

    /// `If-Match` named another version than the one there is.
    pub fn version_mismatch(found: u64) -> Self {
        Self::new(
            Kind::VersionMismatch,
            format!("The version is \"{found}\" by now; read it again and decide anew."),
        )
    }

    /// Something of ours is wrong.
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            cause: Some(cause.into()),
            ..Self::new(Kind::InternalError, "This is our fault, and it was logged.")
        }
    }

    /// Something that we depend on does not work; trying again may help.
    pub fn unavailable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let detail = "Something that this depends on does not answer; try again.";
        Self { cause: Some(cause.into()), ..Self::new(Kind::ServiceUnavailable, detail) }
    }

    /// Sets when to come back, in seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: i64) -> Self {
        self.headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        self
    }

    /// Names the verbs there are (`Allow`).
    #[must_use]
    pub fn allow(mut self, methods: HeaderValue) -> Self {
        self.headers.insert(ALLOW, methods);
        self
    }

    /// Names the field of the body that it is about.
    #[must_use]
    pub fn at(mut self, pointer: &str, reason: &str) -> Self {
        self.errors.push(FieldError::body(pointer, reason));
        self
    }

    /// Adds a member to the body.
    #[must_use]
    pub fn with(mut self, name: &str, value: serde_json::Value) -> Self {
        self.extensions.insert(name.to_owned(), value);
        self
    }

    /// Whether this stands for "the same request was answered in the meantime": the idempotency layer then gives
    /// that answer, and nobody sees this problem.
    pub(crate) fn is_answered(&self) -> bool {
        self.answered
    }

    /// The body, as it goes out.
    pub(crate) fn body(&self, instance: &str, request_id: &str) -> String {
        #[derive(Serialize)]
        struct Body<'a> {
            r#type: String,
            title: &'a str,
            status: u16,
            detail: &'a str,
            instance: &'a str,
            code: &'a str,
            request_id: &'a str,
            #[serde(skip_serializing_if = "<[_]>::is_empty")]
            errors: &'a [FieldError],
            #[serde(flatten)]
            extensions: &'a serde_json::Map<String, serde_json::Value>,
        }
        let body = Body {
            r#type: format!("urn:erp:problem:{}", self.kind.code()),
            title: self.kind.title(),
            status: self.kind.status(),
            detail: &self.detail,
            instance,
            code: self.kind.code(),
            request_id,
            errors: &self.errors,
            extensions: &self.extensions,
        };
        serde_json::to_string(&body).unwrap_or_else(|_| "{}".to_owned())
    }

    /// The refusal as an answer to keep under an `Idempotency-Key`.
    pub(crate) fn answer(&self, instance: &str, request_id: &str) -> Answer {
        Answer {
            status: self.kind.status(),
            body: self.body(instance, request_id),
            etag: None,
            location: None,
        }
    }

    /// The response, complete.
    pub(crate) fn finish(self, instance: &str, request_id: &str) -> Response {
        let status = StatusCode::from_u16(self.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, self.body(instance, request_id)).into_response();
        response.headers_mut().extend(self.headers);
        response.headers_mut().insert(CONTENT_TYPE, PROBLEM_JSON);
        response
    }
}

/// The content type of an error.
pub const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// A problem inside a response, until the outermost layer, which knows the request, writes it.
#[derive(Clone)]
pub(crate) struct Pending(pub(crate) std::sync::Arc<std::sync::Mutex<Option<Problem>>>);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(Pending(std::sync::Arc::new(std::sync::Mutex::new(Some(self)))));
        response
    }
}

impl<C: Into<Problem>> From<StoreError<C>> for Problem {
    fn from(error: StoreError<C>) -> Self {
        match error {
            StoreError::Conflict(condition) => condition.into(),
            StoreError::Answered => Self {
                answered: true,
                ..Self::new(
                    Kind::Conflict,
                    "The same request is being answered; ask again with the same key.",
                )
            },
            StoreError::Unavailable(cause) => Self::unavailable(cause),
        }
    }
}

impl From<std::convert::Infallible> for Problem {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

impl From<serde_json::Error> for Problem {
    /// An answer that cannot be written.
    fn from(error: serde_json::Error) -> Self {
        Self::internal(error)
    }
}
