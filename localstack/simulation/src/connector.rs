//! The HTTP client below the SDK, in place of the network.

use std::fmt;
use std::sync::Weak;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

use crate::Simulation;
use crate::backend;
use crate::faults::{Fault, Io};
use crate::invocation::CURRENT;

/// The service that a call addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// DynamoDB.
    DynamoDb,
    /// SNS.
    Sns,
    /// SQS.
    Sqs,
    /// Lambda.
    Lambda,
}

/// A call to AWS.
///
/// `body` is the JSON of a DynamoDB or SQS request; for SNS `{"TopicArn", "Entries": [{"Id", "Message", "Type"}]}`;
/// for Lambda `{"FunctionName", "Payload"}`.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The service.
    pub service: Service,
    /// The operation, such as `TransactWriteItems`.
    pub operation: String,
    /// The request.
    pub body: Value,
}

/// A response of AWS in the wire format of the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireResponse {
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
    /// Headers with a meaning.
    pub headers: Vec<(&'static str, String)>,
}

impl WireResponse {
    /// Creates a 200 with a body.
    pub fn ok(body: impl Into<String>) -> Self {
        Self { status: 200, body: body.into(), headers: Vec::new() }
    }

    /// Returns whether the status is a success.
    pub fn is_ok(&self) -> bool {
        self.status < 300
    }
}

/// An injected bug: rewrites calls and responses below the SDK, so that the tested code needs no switch.
pub trait Mutation: Send + Sync {
    /// Returns the calls to execute in place of a call, one after the other until one fails. The response is
    /// that of the first that fails, or else of the first.
    fn calls(&self, call: Call) -> Vec<Call> {
        vec![call]
    }

    /// Rewrites the response that the function receives.
    fn response(&self, _: &Call, response: WireResponse) -> WireResponse {
        response
    }

    /// Rewrites the batch of messages that a function receives, the JSON of the Lambda event.
    fn batch(&self, _: crate::invocation::Function, event: Value) -> Value {
        event
    }

    /// Rewrites the request that a function receives, the JSON of the Lambda event.
    fn request(&self, _: crate::invocation::Function, event: Value) -> Value {
        event
    }
}

/// The connector of a simulation.
#[derive(Clone)]
pub struct Connector(pub(crate) Weak<Simulation>);

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}

impl HttpClient for Connector {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let connector = self.clone();
        HttpConnectorFuture::new(async move {
            let call = read(&request);
            let simulation =
                connector.0.upgrade().ok_or_else(|| connection_error("the simulation has ended"))?;
            let WireResponse { status, body, headers } = exchange(&simulation, call).await?;
            let mut response = http(status, body);
            for (name, value) in headers {
                response.headers_mut().insert(name, value);
            }
            Ok(response)
        })
    }
}

fn http(status: u16, body: String) -> HttpResponse {
    HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::from(body))
}

fn connection_error(reason: &str) -> ConnectorError {
    ConnectorError::io(reason.to_owned().into())
}

/// Waits for the scheduler, then executes the call under faults and mutation.
async fn exchange(
    simulation: &std::sync::Arc<Simulation>,
    call: Call,
) -> Result<WireResponse, ConnectorError> {
    let mutation = simulation.mutation();
    let calls = match &mutation {
        Some(mutation) => mutation.calls(call.clone()),
        None => vec![call.clone()],
    };
    let mut received: Option<WireResponse> = None;
    for one in calls {
        let response = attempt(simulation, one).await?;
        let failed = !response.is_ok();
        if received.is_none() || failed {
            received = Some(response);
        }
        if failed {
            break;
        }
    }
    let response = received.unwrap_or_else(|| WireResponse::ok("{}"));
    Ok(match mutation {
        Some(mutation) => mutation.response(&call, response),
        None => response,
    })
}

async fn attempt(
    simulation: &std::sync::Arc<Simulation>,
    call: Call,
) -> Result<WireResponse, ConnectorError> {
    simulation.scheduler.admit().await;
    let invocation = CURRENT.try_with(std::sync::Arc::clone).ok();
    let fault = match &invocation {
        Some(invocation) => {
            let number = invocation.next_io();
            let fault = simulation.faults().io(&Io { invocation, number, call: &call });
            simulation.note_io(invocation, number, &call, fault);
            fault
        }
        None => Fault::None,
    };
    let crash = || async {
        if let Some(invocation) = &invocation {
            invocation.crash.notify_one();
        }
        std::future::pending::<WireResponse>().await
    };
    match fault {
        Fault::None => Ok(backend::execute(simulation, &call).await),
        Fault::Refused => Err(connection_error("connection refused")),
        Fault::ServerError => Ok(backend::server_error(call.service)),
        Fault::Throttled => Ok(backend::throttled(&call)),
        Fault::Conflict => Ok(backend::conflict(&call)),
        Fault::LostResponse => {
            backend::execute(simulation, &call).await;
            Err(connection_error("connection reset by peer"))
        }
        Fault::LateResponse => {
            backend::execute(simulation, &call).await;
            // The caller times out first.
            Ok(std::future::pending().await)
        }
        Fault::ErrorAfter => {
            backend::execute(simulation, &call).await;
            Ok(backend::server_error(call.service))
        }
        Fault::Partial => Ok(backend::execute_partially(simulation, &call).await),
        Fault::CrashBefore => Ok(crash().await),
        Fault::CrashAfter => {
            backend::execute(simulation, &call).await;
            Ok(crash().await)
        }
    }
}

/// Parses a request of the SDK.
fn read(request: &HttpRequest) -> Call {
    let bytes = request.body().bytes().unwrap_or_default();
    if let Some(target) = request.headers().get("x-amz-target") {
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let service = if target.starts_with("AmazonSQS.") { Service::Sqs } else { Service::DynamoDb };
        return Call { service, operation, body: serde_json::from_slice(bytes).unwrap() };
    }
    let path = request.uri().split("/2015-03-31/functions/").nth(1);
    if let Some(name) = path.and_then(|rest| rest.split('/').next()) {
        let payload: Value = serde_json::from_slice(bytes).unwrap();
        // A name, or the ARN of an alias: `arn:aws:lambda:…:function:name:live`.
        let name = name.replace("%3A", ":");
        let name = name.split(":function:").last().and_then(|rest| rest.split(':').next());
        let body = json!({"FunctionName": name, "Payload": payload});
        return Call { service: Service::Lambda, operation: "Invoke".to_owned(), body };
    }
    let fields: std::collections::BTreeMap<String, String> =
        form_urlencoded::parse(bytes).into_owned().collect();
    let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
    let entries = (1..).map_while(|number| {
        let prefix = format!("PublishBatchRequestEntries.member.{number}");
        fields.contains_key(&format!("{prefix}.Id")).then(|| {
            json!({
                "Id": field(&format!("{prefix}.Id")),
                "Message": field(&format!("{prefix}.Message")),
                "Type": field(&format!("{prefix}.MessageAttributes.entry.1.Value.StringValue")),
            })
        })
    });
    let body = json!({"TopicArn": field("TopicArn"), "Entries": entries.collect::<Vec<_>>()});
    Call { service: Service::Sns, operation: field("Action"), body }
}
