//! Executes calls, and makes the error responses of the services.

pub mod dynamo;

use std::sync::Arc;

use serde_json::{Value, json};

use crate::Simulation;
use crate::connector::{Call, Service, WireResponse};
use crate::invocation::{Ended, Function};

/// Executes a call.
pub(crate) async fn execute(simulation: &Arc<Simulation>, call: &Call) -> WireResponse {
    match call.service {
        Service::DynamoDb => simulation.write(|dynamo| dynamo.execute(&call.operation, &call.body)),
        Service::Sns => publish(simulation, call, usize::MAX),
        Service::Sqs => queue(simulation, call, usize::MAX),
        Service::Lambda => invoke(simulation, call).await,
    }
}

/// Executes a part of a batch and reports the rest.
pub(crate) async fn execute_partially(simulation: &Arc<Simulation>, call: &Call) -> WireResponse {
    match call.service {
        Service::DynamoDb => simulation.write(|dynamo| dynamo.execute_partially(&call.operation, &call.body)),
        Service::Sns => publish(simulation, call, entries(call).len() / 2),
        Service::Sqs => queue(simulation, call, entries(call).len() / 2),
        Service::Lambda => execute(simulation, call).await,
    }
}

/// Returns an internal error in the format of a service.
pub(crate) fn server_error(service: Service) -> WireResponse {
    match service {
        Service::DynamoDb => dynamo_error(500, "InternalServerError", "Internal server error"),
        Service::Sns => sns_error(500, "InternalFailure"),
        Service::Sqs => sqs_error(500, "InternalFailure"),
        Service::Lambda => lambda_error(500, "ServiceException"),
    }
}

/// Returns a throttling error in the format of a service.
pub(crate) fn throttled(call: &Call) -> WireResponse {
    match call.service {
        Service::DynamoDb if call.operation == "TransactWriteItems" => {
            cancelled(call, "ThrottlingError", "Throughput exceeds the current capacity of your table.")
        }
        Service::DynamoDb => dynamo_error(
            400,
            "ProvisionedThroughputExceededException",
            "The level of configured provisioned throughput for the table was exceeded.",
        ),
        Service::Sns => sns_error(400, "Throttling"),
        Service::Sqs => sqs_error(400, "RequestThrottled"),
        Service::Lambda => lambda_error(429, "TooManyRequestsException"),
    }
}

/// Returns a transaction conflict.
pub(crate) fn conflict(call: &Call) -> WireResponse {
    let reason = "Transaction is ongoing for the item";
    match call.operation.as_str() {
        "TransactWriteItems" => cancelled(call, "TransactionConflict", reason),
        _ => dynamo_error(400, "TransactionConflictException", reason),
    }
}

fn cancelled(call: &Call, code: &str, message: &str) -> WireResponse {
    let actions = call.body["TransactItems"].as_array().map_or(1, Vec::len);
    let reason = |index| match index {
        0 => json!({"Code": code, "Message": message}),
        _ => json!({"Code": "None"}),
    };
    let reasons: Vec<Value> = (0..actions).map(reason).collect();
    let body = json!({
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": format!("Transaction cancelled, please refer cancellation reasons for specific reasons [{code}]"),
        "CancellationReasons": reasons,
    });
    WireResponse { status: 400, body: body.to_string(), headers: Vec::new() }
}

pub(crate) fn dynamo_error(status: u16, code: &str, message: &str) -> WireResponse {
    let kind = format!("com.amazonaws.dynamodb.v20120810#{code}");
    WireResponse {
        status,
        body: json!({"__type": kind, "message": message}).to_string(),
        headers: Vec::new(),
    }
}

fn sns_error(status: u16, code: &str) -> WireResponse {
    let body = format!(
        "<ErrorResponse><Error><Type>Receiver</Type><Code>{code}</Code><Message>injected</Message></Error>\
         <RequestId>r</RequestId></ErrorResponse>"
    );
    WireResponse { status, body, headers: Vec::new() }
}

fn sqs_error(status: u16, code: &str) -> WireResponse {
    let body = json!({"__type": format!("com.amazonaws.sqs#{code}"), "message": "injected"}).to_string();
    WireResponse { status, body, headers: Vec::new() }
}

fn lambda_error(status: u16, code: &str) -> WireResponse {
    let body = json!({"Message": "injected", "Type": "Service"}).to_string();
    WireResponse { status, body, headers: vec![("x-amzn-errortype", code.to_owned())] }
}

fn entries(call: &Call) -> &[Value] {
    call.body["Entries"].as_array().map_or(&[], Vec::as_slice)
}

/// Publishes the first `limit` entries and reports the others as failed.
fn publish(simulation: &Simulation, call: &Call, limit: usize) -> WireResponse {
    let topic = call.body["TopicArn"].as_str().unwrap_or_default();
    let (mut successful, mut failed) = (String::new(), String::new());
    for (index, entry) in entries(call).iter().enumerate() {
        let id = entry["Id"].as_str().unwrap_or_default();
        if index < limit {
            let message = entry["Message"].as_str().unwrap_or_default();
            simulation.publish(topic, message, entry["Type"].as_str().unwrap_or_default());
            successful.push_str(&format!("<member><Id>{id}</Id><MessageId>m-{id}</MessageId></member>"));
        } else {
            failed.push_str(&format!(
                "<member><Id>{id}</Id><Code>InternalError</Code><SenderFault>false</SenderFault></member>"
            ));
        }
    }
    WireResponse::ok(format!(
        "<PublishBatchResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishBatchResult>\
         <Successful>{successful}</Successful><Failed>{failed}</Failed></PublishBatchResult>\
         <ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></PublishBatchResponse>"
    ))
}

/// Executes a call of a worker to SQS on the first `limit` entries, and reports the others as failed.
fn queue(simulation: &Simulation, call: &Call, limit: usize) -> WireResponse {
    let now = simulation.clock.elapsed();
    let result = simulation.broker().execute(&call.operation, &call.body, limit, now);
    // A message may be visible earlier.
    simulation.wake();
    result.map_or_else(
        || sqs_error(400, "InvalidParameterValue"),
        |output| WireResponse::ok(output.to_string()),
    )
}

/// Invokes a function, which continues even if its invoker crashes.
async fn invoke(simulation: &Arc<Simulation>, call: &Call) -> WireResponse {
    let name = call.body["FunctionName"].as_str().unwrap_or_default().to_owned();
    let Some(function) =
        Function::ALL.into_iter().find(|function| simulation.environments.name(*function) == name)
    else {
        return lambda_error(404, "ResourceNotFoundException");
    };
    let (simulation, payload) = (Arc::clone(simulation), call.body["Payload"].clone());
    let attempt = crate::invocation::CURRENT.try_with(|invocation| invocation.attempt).ok().flatten();
    let run = tokio::spawn(async move {
        simulation.invoke(function, attempt, move |handler| async move { handler.query(payload).await }).await
    });
    let failed = |message: &str| WireResponse {
        status: 200,
        body: json!({"errorMessage": message, "errorType": "Runtime"}).to_string(),
        headers: vec![("x-amz-function-error", "Unhandled".to_owned())],
    };
    match run.await {
        Ok(Ended::Done(Ok(response))) => WireResponse::ok(response.to_string()),
        Ok(Ended::Done(Err(reason))) => failed(&reason),
        Ok(Ended::Crashed) => failed("the function crashed"),
        Ok(Ended::TimedOut) => failed("the function timed out"),
        Err(error) => failed(&error.to_string()),
    }
}
