//! What the tests of the services share.
//!
//! ```text
//! dynamo   an embedded DynamoDB over HTTP, so that the real SDK is used
//! request  requests as API Gateway sends them, and their answers
//! clock    a clock that tests set
//! ```
#![expect(clippy::unwrap_used, reason = "only tests use this, and there a panic is the report")]

pub mod clock;
pub mod dynamo;
pub mod request;

pub use clock::TestClock;
pub use dynamo::Dynamo;
pub use request::{ApiAnswer, ApiRequest};
