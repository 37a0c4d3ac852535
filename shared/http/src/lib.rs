//! The HTTP house style, once for all services: what comes in, what goes out, and what an error looks like.
//!
//! ```text
//! problem      errors: application/problem+json (RFC 9457)
//! reply        success: the envelope
//! body         request bodies, read so that every fault is reported at once
//! caller       who calls, as parameters of a handler: the signature tells who may
//! request      ids in paths, If-Match, Idempotency-Key
//! paging       limit/offset, page/size, cursor
//! idempotency  one key, one effect, one answer
//! openapi      the base of the OpenAPI document and what is the same for every operation
//! app          the layers around a service's router, and running it in Lambda
//! ```
//!
//! A handler extracts, calls one use case and maps the result; it holds no rule. Nothing here knows AWS beyond the
//! shape of a request as `lambda_http` gives it.

pub mod app;
pub mod body;
pub mod caller;
pub mod idempotency;
pub mod openapi;
pub mod paging;
pub mod problem;
pub mod reply;
pub mod request;

pub use app::{App, RequestInfo};
pub use body::{Body, Fields, FromBody};
pub use caller::{AnyCaller, FinanceManager, Manager, Reader};
pub use paging::ListQuery;
pub use problem::{FieldError, Kind, Problem};
pub use reply::Reply;
pub use request::{Idempotency, IfMatch, PathId};
