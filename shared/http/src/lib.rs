//! The HTTP conventions of all services: requests, responses, errors.
//!
//! ```text
//! problem        errors: application/problem+json (RFC 9457)
//! reply          success: the envelope
//! body           JSON bodies, validated so that every error is reported at once
//! caller         the caller as a handler parameter: the signature shows who may call
//! parameters     ids in paths, If-Match
//! write_request  requests that change something: body, Idempotency-Key
//! paging         limit/offset, page/size, cursor
//! openapi        the base of the OpenAPI document, and what is common to all operations
//! app            the layers around a router, and the Lambda runtime
//! ```
//!
//! A handler extracts, calls one use case and maps the result; it contains no rule.

pub mod app;
pub mod body;
pub mod caller;
pub mod openapi;
pub mod paging;
mod parameters;
pub mod problem;
pub mod reply;
mod write_request;

pub use app::{App, RequestInfo};
pub use body::{Fields, FromBody};
pub use caller::{FinanceManager, Manager, OptionalCaller, Reader};
pub use paging::{ListQuery, PageParams};
pub use parameters::{IfMatch, PathId};
pub use problem::{FieldError, Problem, ProblemKind};
pub use reply::Reply;
pub use write_request::JsonRequest;
