//! Test fixtures that the services share.
//!
//! ```text
//! calls     counts the calls of a DynamoDB client
//! dynamo    an embedded DynamoDB over HTTP, so that the real SDK is used
//! proxy     an HTTP proxy that counts connections and requests, and loses some
//! request   requests as API Gateway sends them, and the responses
//! sns       an SNS endpoint that records what is published
//! sqs       an SQS endpoint that records calls
//! sdk       the configuration of the SDK clients of an endpoint
//! clock     a clock that tests set
//! snapshot  generated files that are committed at their own path
//! ```
#![expect(clippy::unwrap_used, reason = "only tests use this package")]

pub mod calls;
pub mod clock;
pub mod dynamo;
pub mod proxy;
pub mod request;
pub mod sdk;
pub mod snapshot;
pub mod sns;
pub mod sqs;

pub use calls::CallCounter;
pub use clock::TestClock;
pub use dynamo::Dynamo;
pub use proxy::Proxy;
pub use request::{ApiRequest, ApiResponse};
pub use sns::FakeSns;
pub use sqs::FakeSqs;
