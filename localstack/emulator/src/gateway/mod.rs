//! API Gateway: a REST API with one stage in front of functions.
//!
//! ```text
//! service               handles a request: route, authorizer, integration, response
//! route                 matches a path to a resource and a method
//! encoding              percent-decoding of paths and queries
//! context               the `$context` variables
//! event                 the proxy event for the function
//! integration_response  maps the result of the function to an HTTP response
//! authorizer            the Lambda authorizer and its cache
//! policy                evaluates the authorizer's policy document
//! gateway_response      errors that the gateway itself produces, rendered with the template's `GatewayResponses`
//! ```
//!
//! It behaves as API Gateway does behind a custom domain name: the path does not contain the stage. Known differences:
//! `BinaryMediaTypes` is ignored, and every body with `isBase64Encoded` is decoded; response headers are not renamed
//! to `x-amzn-remapped-…`; a throttled function is a 429 rather than a 5xx.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html>

mod authorizer;
mod context;
mod encoding;
mod event;
mod gateway_response;
mod integration_response;
mod policy;
mod route;
mod service;

pub use service::{Gateway, router};

#[cfg(test)]
mod tests;
