//! Errors as clients see them: `application/problem+json` (RFC 9457).
//!
//! A [`Problem`] has a public message and may have a private cause, which is logged once, when the response is sent, and
//! never sent.

use std::error::Error;
use std::fmt::Display;
use std::sync::Arc;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use erp_aws::StoreError;
use erp_service::ServiceError;
use serde::Serialize;
use strum::{EnumMessage, IntoStaticStr, VariantArray};

/// The kind of an error. The documentation of a kind is its title in the response, `type` is `urn:erp:problem:` and the
/// code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EnumMessage, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum ProblemKind {
    /// Malformed JSON.
    MalformedJson,
    /// Validation failed.
    ValidationFailed,
    /// Bad request.
    BadRequest,
    /// Unauthorized.
    Unauthorized,
    /// Invalid credentials.
    InvalidCredentials,
    /// Forbidden.
    Forbidden,
    /// Not found.
    NotFound,
    /// Method not allowed.
    MethodNotAllowed,
    /// E-mail address is taken.
    DuplicateEmail,
    /// SKU is taken.
    DuplicateSku,
    /// Not possible in this status.
    IllegalTransition,
    /// Not enough in stock.
    InsufficientStock,
    /// Still in use.
    InUse,
    /// Customer or vendor no longer exists.
    PartyGone,
    /// Version mismatch.
    VersionMismatch,
    /// Payload too large.
    PayloadTooLarge,
    /// Unsupported media type.
    UnsupportedMediaType,
    /// Idempotency-Key used for another request.
    IdempotencyKeyReused,
    /// Too many requests.
    TooManyRequests,
    /// Internal error.
    InternalError,
    /// Service unavailable.
    ServiceUnavailable,
}

impl ProblemKind {
    /// Returns the stable code for programs: `validation_failed`.
    pub fn code(self) -> &'static str {
        self.into()
    }

    /// Returns the HTTP status code.
    pub const fn status(self) -> u16 {
        match self {
            Self::MalformedJson | Self::ValidationFailed | Self::BadRequest => 400,
            Self::Unauthorized | Self::InvalidCredentials => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::DuplicateEmail
            | Self::DuplicateSku
            | Self::IllegalTransition
            | Self::InsufficientStock
            | Self::InUse
            | Self::PartyGone => 409,
            Self::VersionMismatch => 412,
            Self::PayloadTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::IdempotencyKeyReused => 422,
            Self::TooManyRequests => 429,
            Self::InternalError => 500,
            Self::ServiceUnavailable => 503,
        }
    }

    /// Returns a short title for people.
    pub fn title(self) -> &'static str {
        self.get_documentation().unwrap_or_default().trim_end_matches('.')
    }
}

/// A validation error of one field or parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) into the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "/items/0/quantity")]
    pub pointer: Option<String>,
    /// Name of the path, query or header parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
    /// The reason: a predicate without a subject.
    #[schema(example = "must be at least 1")]
    pub detail: String,
}

impl FieldError {
    /// Creates an error of a field of the body.
    pub fn body(pointer: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { pointer: Some(pointer.into()), parameter: None, detail: reason.into() }
    }

    /// Creates an error of a parameter.
    pub fn parameter(name: impl Into<String>, reason: impl Display) -> Self {
        Self { pointer: None, parameter: Some(name.into()), detail: reason.to_string() }
    }
}

/// The document of an error (RFC 9457).
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemDocument {
    /// A stable URI per kind.
    #[schema(example = "urn:erp:problem:validation_failed")]
    r#type: String,
    /// A short title per kind.
    #[schema(example = "Validation failed")]
    title: &'static str,
    /// The HTTP status code.
    #[schema(example = 400)]
    status: u16,
    /// A message about this occurrence.
    detail: String,
    /// The path of the request.
    instance: String,
    /// A stable code per kind, for programs.
    #[schema(example = "validation_failed")]
    code: &'static str,
    /// The id in `X-Request-Id` and in the logs.
    request_id: String,
    /// All validation errors.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FieldError>,
    #[serde(flatten)]
    extensions: serde_json::Map<String, serde_json::Value>,
}

/// An error response.
#[derive(Debug)]
pub struct Problem {
    /// The kind.
    pub kind: ProblemKind,
    /// A message about this occurrence, for people.
    pub detail: String,
    /// All validation errors of the request.
    pub errors: Vec<FieldError>,
    /// Additional members of the document, such as the shortage per item.
    pub extensions: serde_json::Map<String, serde_json::Value>,
    /// The private cause, for the log.
    pub cause: Option<Box<dyn Error + Send + Sync>>,
    pub(crate) headers: HeaderMap,
}

impl Problem {
    /// Creates an error.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        let mut headers = HeaderMap::new();
        if kind == ProblemKind::Unauthorized {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if matches!(kind, ProblemKind::ServiceUnavailable | ProblemKind::TooManyRequests) {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        Self {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
            extensions: serde_json::Map::new(),
            cause: None,
            headers,
        }
    }

    /// Creates a 400 with validation errors.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = match errors.len() {
            1 => "The request has a validation error.".to_owned(),
            n => format!("The request has {n} validation errors."),
        };
        Self { errors, ..Self::new(ProblemKind::ValidationFailed, detail) }
    }

    /// Creates a 404; `what` starts the message, such as "Customer".
    pub fn not_found(what: &str) -> Self {
        Self::new(ProblemKind::NotFound, format!("{what} not found."))
    }

    /// Creates a 412 with the current version.
    pub fn version_mismatch(found: u64) -> Self {
        Self::new(ProblemKind::VersionMismatch, format!("The current version is \"{found}\"."))
    }

    /// Creates a 500.
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            cause: Some(cause.into()),
            ..Self::new(ProblemKind::InternalError, "An internal error occurred.")
        }
    }

    /// Creates a 503.
    pub fn unavailable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let detail = "A dependency is unavailable: retry the request.";
        Self { cause: Some(cause.into()), ..Self::new(ProblemKind::ServiceUnavailable, detail) }
    }

    /// Sets `Retry-After`, in seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: i64) -> Self {
        self.headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        self
    }

    /// Adds an error of a field of the body.
    #[must_use]
    pub fn at(mut self, pointer: &str, reason: &str) -> Self {
        self.errors.push(FieldError::body(pointer, reason));
        self
    }

    /// Adds a member to the document.
    #[must_use]
    pub fn with(mut self, name: &str, value: serde_json::Value) -> Self {
        self.extensions.insert(name.to_owned(), value);
        self
    }

    /// Creates the response with the document.
    pub(crate) fn document(&self, status: StatusCode, instance: &str, request_id: &str) -> Response {
        let document = ProblemDocument {
            r#type: format!("urn:erp:problem:{}", self.kind.code()),
            title: self.kind.title(),
            status: self.kind.status(),
            detail: self.detail.clone(),
            instance: instance.to_owned(),
            code: self.kind.code(),
            request_id: request_id.to_owned(),
            errors: self.errors.clone(),
            extensions: self.extensions.clone(),
        };
        (status, self.headers.clone(), [(CONTENT_TYPE, PROBLEM_JSON)], Json(document)).into_response()
    }
}

/// The content type of an error response.
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

impl IntoResponse for Problem {
    /// Creates a response without a body: the request layer, which knows path and request id, takes the problem out of
    /// the extensions and writes the document.
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Extension(Arc::new(self))).into_response()
    }
}

impl<R: Into<Problem>> From<ServiceError<R>> for Problem {
    fn from(error: ServiceError<R>) -> Self {
        match error {
            ServiceError::Rejected(rejection) => rejection.into(),
            ServiceError::Contended => {
                Self::new(ProblemKind::ServiceUnavailable, "Concurrent update: retry the request.")
            }
            ServiceError::KeyReused => Self::new(
                ProblemKind::IdempotencyKeyReused,
                "This Idempotency-Key is bound to another request; use a new key.",
            ),
            ServiceError::Unavailable(cause) => Self::unavailable(cause),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::unavailable(error.into_cause())
    }
}

impl From<std::convert::Infallible> for Problem {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

impl From<serde_json::Error> for Problem {
    /// A response that cannot be serialised.
    fn from(error: serde_json::Error) -> Self {
        Self::internal(error)
    }
}
