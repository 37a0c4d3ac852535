//! The AWS endpoint: dispatches requests to the services.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;

use super::usage::Usage;

/// The services behind the endpoint.
#[derive(Clone)]
pub(super) struct Services {
    /// DynamoDB and DynamoDB Streams.
    pub(super) dynamodb: Router,
    /// Invocations.
    pub(super) lambda: Router,
    /// SNS and SQS.
    pub(super) broker: Router,
    /// Counts the calls.
    pub(super) usage: Arc<Usage>,
}

/// The service of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    /// DynamoDB and DynamoDB Streams.
    DynamoDb,
    /// Invocations.
    Lambda,
    /// SNS and SQS.
    Broker,
}

/// Dispatches each request to its service.
pub(super) fn router(services: Services) -> Router {
    Router::new().fallback(move |request: Request| dispatch(services.clone(), request))
}

async fn dispatch(services: Services, request: Request) -> Response {
    let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok());
    let service = service(target, request.uri().path());
    let router = match service {
        Service::DynamoDb => services.dynamodb,
        Service::Lambda => services.lambda,
        Service::Broker => services.broker,
    };
    services.usage.observe(service, request, router).await
}

/// The JSON protocols name their service in `X-Amz-Target`, Lambda has a path, and SNS has neither.
fn service(target: Option<&str>, path: &str) -> Service {
    match target {
        Some(target) if target.starts_with("DynamoDB") => Service::DynamoDb,
        None if path.starts_with("/2015-03-31/") => Service::Lambda,
        Some(_) | None => Service::Broker,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_is_dispatched_to_its_service() {
        for (target, path, expected) in [
            (Some("DynamoDB_20120810.PutItem"), "/", Service::DynamoDb),
            (Some("DynamoDBStreams_20120810.GetRecords"), "/", Service::DynamoDb),
            (Some("AmazonSQS.SendMessage"), "/", Service::Broker),
            (None, "/2015-03-31/functions/erp-relay/invocations", Service::Lambda),
            (None, "/", Service::Broker),
            (None, "/000000000000/erp-stock-queue", Service::Broker),
        ] {
            assert_eq!(service(target, path), expected, "{target:?} {path}");
        }
    }
}
