//! The HTTP client below the SDK. Nothing above it knows that it is not the network.

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

/// What a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// Tables.
    DynamoDb,
    /// Topics.
    Sns,
    /// Other functions.
    Lambda,
}

/// A call to AWS.
///
/// `body` is the JSON that DynamoDB gets; for SNS `{"TopicArn", "Entries": [{"Id", "Message", "Type"}]}`; for Lambda
/// `{"FunctionName", "Payload"}`.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// What it is for.
    pub service: Service,
    /// Such as `TransactWriteItems`.
    pub operation: String,
    /// What is asked.
    pub body: Value,
}

/// An answer from AWS, in the service's own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireResponse {
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
    /// Headers that mean something.
    pub headers: Vec<(&'static str, String)>,
}

impl WireResponse {
    /// A body with 200.
    pub fn ok(body: impl Into<String>) -> Self {
        Self { status: 200, body: body.into(), headers: Vec::new() }
    }

    /// Whether it is a success.
    pub fn is_ok(&self) -> bool {
        self.status < 300
    }
}

/// Rewrites calls and answers below the SDK: bugs that are put in on purpose, without a switch in what is tested.
pub trait Mutation: Send + Sync {
    /// What is carried out in the place of a call, one after the other, as far as they succeed. The answer is that of
    /// the first that fails, or else of the first.
    fn calls(&self, call: Call) -> Vec<Call> {
        vec![call]
    }

    /// What the function hears.
    fn answer(&self, _: &Call, answer: WireResponse) -> WireResponse {
        answer
    }

    /// The batch of messages that a function gets from its queue, as the JSON of Lambda's event.
    fn batch(&self, _: crate::invocation::Function, event: Value) -> Value {
        event
    }

    /// The request that a function gets from the gateway, as the JSON of Lambda's event.
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
            let simulation = connector.0.upgrade().ok_or_else(|| refused("the simulation has ended"))?;
            let answer = exchange(&simulation, call).await?;
            let mut response = http(answer.status, answer.body);
            for (name, value) in answer.headers {
                response.headers_mut().insert(name, value);
            }
            Ok(response)
        })
    }
}

fn http(status: u16, body: String) -> HttpResponse {
    HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::from(body))
}

fn refused(reason: &str) -> ConnectorError {
    ConnectorError::io(reason.to_owned().into())
}

/// Waits for its turn, and then is carried out as faults and mutation will have it.
async fn exchange(simulation: &std::sync::Arc<Simulation>, call: Call) -> Result<WireResponse, ConnectorError> {
    let mutation = simulation.mutation();
    let calls = match &mutation {
        Some(mutation) => mutation.calls(call.clone()),
        None => vec![call.clone()],
    };
    let mut told: Option<WireResponse> = None;
    for one in calls {
        let answer = attempt(simulation, one).await?;
        let failed = !answer.is_ok();
        if told.is_none() || failed {
            told = Some(answer);
        }
        if failed {
            break;
        }
    }
    let answer = told.unwrap_or_else(|| WireResponse::ok("{}"));
    Ok(match mutation {
        Some(mutation) => mutation.answer(&call, answer),
        None => answer,
    })
}

async fn attempt(simulation: &std::sync::Arc<Simulation>, call: Call) -> Result<WireResponse, ConnectorError> {
    simulation.scheduler.pass().await;
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
    let die = || async {
        if let Some(invocation) = &invocation {
            invocation.dies.notify_one();
        }
        std::future::pending::<WireResponse>().await
    };
    match fault {
        Fault::None => Ok(backend::carry_out(simulation, &call).await),
        Fault::Refused => Err(refused("connection refused")),
        Fault::ServerError => Ok(backend::server_error(call.service)),
        Fault::Throttled => Ok(backend::throttled(&call)),
        Fault::Conflict => Ok(backend::conflict(&call)),
        Fault::LostAnswer => {
            backend::carry_out(simulation, &call).await;
            Err(refused("connection reset by peer"))
        }
        Fault::LateAnswer => {
            backend::carry_out(simulation, &call).await;
            // The caller's patience ends first.
            Ok(std::future::pending().await)
        }
        Fault::ErrorAfter => {
            backend::carry_out(simulation, &call).await;
            Ok(backend::server_error(call.service))
        }
        Fault::Partial => Ok(backend::partly(simulation, &call).await),
        Fault::CrashBefore => Ok(die().await),
        Fault::CrashAfter => {
            backend::carry_out(simulation, &call).await;
            Ok(die().await)
        }
    }
}

/// What a request of the SDK asks.
fn read(request: &HttpRequest) -> Call {
    let bytes = request.body().bytes().unwrap_or_default();
    if let Some(target) = request.headers().get("x-amz-target") {
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        return Call { service: Service::DynamoDb, operation, body: serde_json::from_slice(bytes).unwrap() };
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
