//! API Gateway: a REST API with one stage in front of functions.
//!
//! ```text
//! service    one request, from its route to its answer
//! route      which resource a path is, and which of its methods
//! encoding   percent-encoding of paths and queries
//! context    what is known of a request: the `$context` variables
//! event      the proxy event that a function gets
//! answer     the HTTP answer out of what the function returned
//! authorizer the token authorizer and its cache
//! policy     whether the authorizer's policy lets a request through
//! refusal    how the gateway answers by itself: gateway responses and their templates
//! ```
//!
//! It answers as AWS does behind a custom domain name, so the stage is no part of the path. Known differences:
//! every body with `isBase64Encoded` is decoded, whatever `BinaryMediaTypes` says; no header of an answer is
//! renamed to `x-amzn-remapped-…`; a function that is throttled is a 429 rather than a 5xx.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html>

mod answer;
mod authorizer;
mod context;
mod encoding;
mod event;
mod policy;
mod refusal;
mod route;
mod service;

pub use service::{Gateway, router};

#[cfg(test)]
mod tests;
