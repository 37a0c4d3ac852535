//! Counts the billed usage on demand: invocations, API calls, DynamoDB request units, SNS requests. A test compares the
//! costs in docs/runbook.md with it.
//!
//! The database reports the consumed capacity of a call itself (`ReturnConsumedCapacity`). Only calls of functions are
//! counted; the access key tells them from calls of the owner.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header::CONTENT_LENGTH;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::aws::Service;
use crate::deployment::Function;
use crate::iam::{self, Iam};
use crate::lambda::{Functions, Invocation, Invoke, InvokeError};

/// The largest request body of any service, in bytes.
const BODY_LIMIT: usize = 16 * 1024 * 1024;
/// SNS bills one request for each chunk of a publication of this size, in bytes (<https://aws.amazon.com/sns/pricing/>).
const PUBLISHED_CHUNK: usize = 64 * 1024;
/// The operations that consume read units; all others consume write units.
const READS: [&str; 5] = ["BatchGetItem", "GetItem", "Query", "Scan", "TransactGetItems"];

/// The usage of an interval.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Used {
    /// Invocations, by the function's name.
    pub invocations: BTreeMap<String, u64>,
    /// Messages that functions received from queues.
    pub messages: u64,
    /// Calls by functions, by the function's name and the operation, such as `DynamoDB GetItem`.
    pub calls: BTreeMap<(String, String), u64>,
    /// DynamoDB read request units.
    pub read_units: f64,
    /// DynamoDB write request units.
    pub write_units: f64,
    /// SNS publish requests, one for each 64 KiB.
    pub published: u64,
    /// Calls that failed. DynamoDB bills failed conditional writes as well, which the units here do not include.
    pub failed: u64,
}

/// The counters, which are active between `begin` and `end`.
pub struct Usage {
    counting: Mutex<Option<Used>>,
    ignored: Mutex<BTreeSet<String>>,
    functions: Arc<Functions>,
    /// Names of functions by access key.
    callers: BTreeMap<String, String>,
}

impl Usage {
    pub(super) fn new(functions: Arc<Functions>, deployed: &[Function], iam: &Iam) -> Arc<Self> {
        let callers = deployed.iter().filter_map(|function| {
            let credentials = iam.credentials(&function.logical_id)?;
            Some((credentials.access_key_id.clone(), function.name.clone()))
        });
        let callers = callers.collect();
        Arc::new(Self { counting: Mutex::default(), ignored: Mutex::default(), functions, callers })
    }

    /// Leaves out a function from now on, such as one whose batches on AWS are larger than here.
    pub fn ignore(&self, function: &str) {
        self.ignored.lock().unwrap_or_else(PoisonError::into_inner).insert(function.to_owned());
    }

    /// Starts counting from zero.
    pub fn begin(&self) {
        *self.lock() = Some(Used::default());
    }

    /// Stops counting, and returns the usage since [`begin`](Self::begin).
    pub fn end(&self) -> Used {
        self.lock().take().unwrap_or_default()
    }

    /// Forwards a request to its service and counts its usage.
    pub(super) async fn observe(&self, service: Service, request: Request, router: Router) -> Response {
        let caller = self.caller(request.headers()).filter(|caller| !self.ignores(caller));
        let (Some(caller), true) = (caller, self.lock().is_some()) else {
            return forward(router, request).await;
        };
        let (parts, body) = request.into_parts();
        let Ok(body) = axum::body::to_bytes(body, BODY_LIMIT).await else {
            return StatusCode::PAYLOAD_TOO_LARGE.into_response();
        };
        match service {
            Service::DynamoDb => self.database(caller, parts, &body, router).await,
            Service::Lambda => {
                // `/2015-03-31/functions/NAME-or-ARN/invocations`; the SDK escapes the colons of an ARN.
                let given = parts.uri.path().split('/').nth(3).unwrap_or_default().replace("%3A", ":");
                let response = forward(router, Request::from_parts(parts, Body::from(body))).await;
                self.count(|used| {
                    called(used, caller, "Lambda Invoke", response.status());
                    *used.invocations.entry(self.name(&given)).or_default() += 1;
                });
                response
            }
            Service::Broker => {
                let (call, published) = broker_call(&parts.headers, &body);
                let response = forward(router, Request::from_parts(parts, Body::from(body))).await;
                self.count(|used| {
                    called(used, caller, &call, response.status());
                    used.published += published;
                });
                response
            }
        }
    }

    async fn database(&self, caller: &str, mut parts: Parts, body: &Bytes, router: Router) -> Response {
        let target = parts.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
        let operation = target.and_then(|target| target.rsplit('.').next()).unwrap_or_default().to_owned();
        let body = with_capacity_request(&operation, body).unwrap_or_else(|| body.clone());
        parts.headers.remove(CONTENT_LENGTH);
        let response = forward(router, Request::from_parts(parts, Body::from(body))).await;
        let (parts, body) = response.into_parts();
        let Ok(body) = axum::body::to_bytes(body, BODY_LIMIT).await else {
            return StatusCode::BAD_GATEWAY.into_response();
        };
        let units = consumed(&body);
        self.count(|used| {
            called(used, caller, &format!("DynamoDB {operation}"), parts.status);
            let kind = if READS.contains(&operation.as_str()) {
                &mut used.read_units
            } else {
                &mut used.write_units
            };
            *kind += units;
        });
        Response::from_parts(parts, Body::from(body))
    }

    /// The physical name of a function, by any of its names.
    fn name(&self, function: &str) -> String {
        self.functions.name(function).unwrap_or(function).to_owned()
    }

    fn caller(&self, headers: &HeaderMap) -> Option<&str> {
        self.callers.get(iam::caller(headers)?).map(String::as_str)
    }

    fn ignores(&self, function: &str) -> bool {
        self.ignored.lock().unwrap_or_else(PoisonError::into_inner).contains(function)
    }

    fn count(&self, add: impl FnOnce(&mut Used)) {
        if let Some(used) = self.lock().as_mut() {
            add(used);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Used>> {
        self.counting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts the invocations by the gateway and by event source mappings.
pub(super) struct Counted(pub(super) Arc<Usage>);

impl Invoke for Counted {
    fn invoke<'a>(
        &'a self,
        function: &'a str,
        payload: Bytes,
    ) -> BoxFuture<'a, Result<Invocation, InvokeError>> {
        let Self(usage) = self;
        let ignored = usage.ignores(&usage.name(function));
        usage.count(|used| {
            if ignored {
                return;
            }
            *used.invocations.entry(usage.name(function)).or_default() += 1;
            used.messages += messages(&payload);
        });
        Box::pin(usage.functions.invoke(function, payload))
    }
}

/// Number of SQS messages in an event; an event that is not JSON has none.
fn messages(event: &Bytes) -> u64 {
    let event: Value = serde_json::from_slice(event).unwrap_or(Value::Null);
    let records = event["Records"].as_array().map_or(&[][..], Vec::as_slice);
    records.iter().filter(|record| record["eventSource"] == "aws:sqs").count() as u64
}

async fn forward(router: Router, request: Request) -> Response {
    match router.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

fn called(used: &mut Used, caller: &str, call: &str, status: StatusCode) {
    *used.calls.entry((caller.to_owned(), call.to_owned())).or_default() += 1;
    used.failed += u64::from(!status.is_success());
}

/// The request with `ReturnConsumedCapacity`; none when it consumes nothing or is not a JSON object.
fn with_capacity_request(operation: &str, body: &Bytes) -> Option<Bytes> {
    if operation.starts_with("Describe") || operation.starts_with("List") {
        return None;
    }
    let mut request: serde_json::Map<String, Value> = serde_json::from_slice(body).ok()?;
    request.insert("ReturnConsumedCapacity".to_owned(), json!("TOTAL"));
    Some(Value::Object(request).to_string().into())
}

/// The consumed units in a response, of one table or of several. A response that is not JSON reports none.
fn consumed(body: &Bytes) -> f64 {
    let response: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let capacity = &response["ConsumedCapacity"];
    let tables = capacity.as_array().map_or(std::slice::from_ref(capacity), Vec::as_slice);
    tables.iter().filter_map(|table| table["CapacityUnits"].as_f64()).sum()
}

/// The operation of an SNS or SQS request, and the number of billed publish requests.
fn broker_call(headers: &HeaderMap, body: &Bytes) -> (String, u64) {
    if let Some(target) = headers.get("x-amz-target").and_then(|target| target.to_str().ok()) {
        return (target.replacen("AmazonSQS.", "SQS ", 1), 0);
    }
    let form: Vec<_> = form_urlencoded::parse(body).into_owned().collect();
    let action = form.iter().find(|(key, _)| key == "Action").map_or("", |(_, value)| value);
    let published = if action.starts_with("Publish") {
        // Messages and their attributes are billed; other parameters are not.
        let bytes: usize = form.iter().filter(|(key, _)| key.contains("Message")).map(|(_, v)| v.len()).sum();
        bytes.div_ceil(PUBLISHED_CHUNK).max(1) as u64
    } else {
        0
    };
    (format!("SNS {action}"), published)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_of_one_table_or_of_several_are_summed() {
        for (response, units) in [
            (json!({"ConsumedCapacity": {"TableName": "a", "CapacityUnits": 0.5}}), 0.5),
            (json!({"ConsumedCapacity": [{"CapacityUnits": 4.0}, {"CapacityUnits": 2.0}]}), 6.0),
            (json!({}), 0.0),
        ] {
            assert!((consumed(&response.to_string().into()) - units).abs() < f64::EPSILON, "{response}");
        }
        assert_eq!(with_capacity_request("DescribeTable", &Bytes::from_static(b"{}")), None);
        let request = with_capacity_request("GetItem", &Bytes::from_static(br#"{"TableName":"a"}"#)).unwrap();
        assert_eq!(
            serde_json::from_slice::<Value>(&request).unwrap(),
            json!({"TableName": "a", "ReturnConsumedCapacity": "TOTAL"})
        );
    }

    #[test]
    fn a_publication_is_billed_in_chunks() {
        for (bytes, chunks) in [(1, 1), (PUBLISHED_CHUNK, 1), (PUBLISHED_CHUNK + 1, 2)] {
            let message = "m".repeat(bytes);
            let body = format!("Action=Publish&Message={message}");
            assert_eq!(broker_call(&HeaderMap::new(), &body.into()), ("SNS Publish".to_owned(), chunks));
        }
        let headers = HeaderMap::from_iter([(
            axum::http::HeaderName::from_static("x-amz-target"),
            axum::http::HeaderValue::from_static("AmazonSQS.GetQueueAttributes"),
        )]);
        assert_eq!(broker_call(&headers, &Bytes::new()), ("SQS GetQueueAttributes".to_owned(), 0));
    }
}
