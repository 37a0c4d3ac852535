//! The classic bugs, put in below the SDK or in front of a function. Nothing in the platform knows of them.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::{Value, json};

use super::wire::{self, actions, batch_puts, part};
use crate::connector::{WireResponse, Call, Mutation, Service};
use crate::invocation::{CURRENT, Function};

fn runs(function: Function) -> bool {
    CURRENT.try_with(|invocation| invocation.function == function).unwrap_or(false)
}

/// The event is not written with the change but published once the change is committed.
pub(super) struct PublishedDirectly;

impl Mutation for PublishedDirectly {
    fn calls(&self, mut call: Call) -> Vec<Call> {
        let mut published = Vec::new();
        if call.operation == "TransactWriteItems" {
            for action in actions(&mut call) {
                if action.body["Item"].get("outbox_pk").is_none()
                    || action.body["Item"].get("event").is_none()
                {
                    continue;
                }
                let event = action.body["Item"]["event"]["S"].as_str().unwrap_or_default().to_owned();
                let kind = serde_json::from_str::<Value>(&event).unwrap_or_default()["type"].clone();
                let service =
                    kind.as_str().unwrap_or_default().split('.').next().unwrap_or_default().to_owned();
                let topic = format!("arn:aws:sns:us-east-1:000000000000:erp-{service}-events");
                published.push(Call {
                    service: Service::Sns,
                    operation: "PublishBatch".to_owned(),
                    body: json!({"TopicArn": topic, "Entries": [{"Id": "0", "Message": event, "Type": kind}]}),
                });
                if let Some(item) = action.body["Item"].as_object_mut() {
                    item.remove("outbox_pk");
                    item.remove("outbox_sk");
                }
            }
        }
        std::iter::once(call).chain(published).collect()
    }
}

/// Every confirmation that is delivered is applied, whether or not it was before.
#[derive(Default)]
pub(super) struct NotDeduplicated(Mutex<BTreeMap<String, u32>>);

impl Mutation for NotDeduplicated {
    fn batch(&self, function: Function, event: Value) -> Value {
        if function == Function::InventoryWorker {
            for order in confirmed(&event) {
                *self.0.lock().unwrap().entry(order["data"]["order_id"].to_string()).or_default() += 1;
            }
        }
        event
    }

    fn calls(&self, mut call: Call) -> Vec<Call> {
        for mut action in actions(&mut call) {
            if action.row() == "ORDER/ALLOCATION" && action.kind == "Put" {
                action.strip();
            }
        }
        vec![call]
    }

    fn answer(&self, call: &Call, answer: WireResponse) -> WireResponse {
        let key = &call.body["Key"];
        if call.operation == "GetItem"
            && runs(Function::InventoryWorker)
            && wire::row(key) == "ORDER/ALLOCATION"
        {
            let order = key["pk"]["S"].as_str().unwrap_or_default().trim_start_matches("ORDER#");
            let mut waiting = self.0.lock().unwrap();
            if let Some(count) = waiting.get_mut(&json!(order).to_string()).filter(|count| **count > 0) {
                *count -= 1;
                return WireResponse::ok("{}");
            }
        }
        answer
    }
}

/// The confirmations in a batch of messages.
fn confirmed(event: &Value) -> Vec<Value> {
    let records = event["Records"].as_array().into_iter().flatten();
    let bodies = records.filter_map(|record| serde_json::from_str::<Value>(record["body"].as_str()?).ok());
    bodies.filter(|body| body["type"] == "sales.order.confirmed").collect()
}

/// A sale is read, looked at, and written whatever became of it meanwhile.
pub(super) struct CheckThenSet;

impl Mutation for CheckThenSet {
    fn calls(&self, mut call: Call) -> Vec<Call> {
        for mut action in actions(&mut call) {
            if runs(Function::SalesApi) && action.kind == "Update" && action.row() == "ORDER/ORDER" {
                action.strip();
            }
        }
        vec![call]
    }
}

/// Stock is taken whether or not it is there.
pub(super) struct TakenUnseen;

impl Mutation for TakenUnseen {
    fn calls(&self, mut call: Call) -> Vec<Call> {
        for mut action in actions(&mut call) {
            if action.condition().as_deref() == Some("#quantity >= :n") {
                action.strip();
            }
        }
        vec![call]
    }
}

/// The stock of each item is changed by itself, and the order's allocation after them.
pub(super) struct OneByOne;

impl Mutation for OneByOne {
    fn calls(&self, call: Call) -> Vec<Call> {
        let Some((stock, rest)) = part(&call, |action| action.row() == "ITEM/STOCK") else {
            return vec![call];
        };
        if !runs(Function::InventoryWorker) {
            return vec![call];
        }
        let single = |action: &Value| wire::transaction(vec![action.clone()]);
        let stock: Vec<Call> =
            stock.body["TransactItems"].as_array().into_iter().flatten().map(single).collect();
        stock.into_iter().chain([rest]).collect()
    }

    /// The answer of a part, as one of the whole: that reason is where the function looks for it.
    fn answer(&self, call: &Call, answer: WireResponse) -> WireResponse {
        if answer.is_ok() || call.operation != "TransactWriteItems" || !runs(Function::InventoryWorker) {
            return answer;
        }
        let mut told: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        let whole = call.body["TransactItems"].as_array().cloned().unwrap_or_default();
        let reason = told["CancellationReasons"]
            .as_array()
            .and_then(|reasons| reasons.iter().find(|reason| reason["Code"] != "None").cloned());
        let Some(reason) = reason else { return answer };
        let failed = wire::row(&reason["Item"]);
        let mut found = false;
        let reasons = whole.into_iter().map(|mut action| {
            let row = action
                .as_object_mut()
                .and_then(|action| action.iter_mut().next())
                .map(|(_, body)| wire::row(body.get("Key").unwrap_or(&body["Item"])));
            if !found && row.as_ref() == Some(&failed) {
                found = true;
                return reason.clone();
            }
            json!({"Code": "None"})
        });
        told["CancellationReasons"] = Value::Array(reasons.collect());
        WireResponse { body: told.to_string(), ..answer }
    }
}

/// Two lines of one item are each compared with the stock, and their sum is not.
#[derive(Default)]
pub(super) struct LinesApart(Mutex<BTreeMap<(String, String), i64>>);

impl Mutation for LinesApart {
    fn batch(&self, function: Function, event: Value) -> Value {
        if function == Function::InventoryWorker {
            for order in confirmed(&event) {
                let id = order["data"]["order_id"].as_str().unwrap_or_default();
                for line in order["data"]["items"].as_array().into_iter().flatten() {
                    let item = line["item_id"].as_str().unwrap_or_default();
                    let quantity = line["quantity"].as_i64().unwrap_or_default();
                    let mut largest = self.0.lock().unwrap();
                    let largest = largest.entry((id.to_owned(), item.to_owned())).or_default();
                    *largest = quantity.max(*largest);
                }
            }
        }
        event
    }

    fn calls(&self, mut call: Call) -> Vec<Call> {
        let tail =
            |key: &Value| key["pk"]["S"].as_str().unwrap_or_default().split('#').nth(1).map(str::to_owned);
        let order = actions(&mut call)
            .iter()
            .find(|action| action.row() == "ORDER/ALLOCATION")
            .and_then(|action| tail(action.body.get("Key").unwrap_or(&action.body["Item"])));
        for action in actions(&mut call) {
            if action.condition().as_deref() != Some("#quantity >= :n") {
                continue;
            }
            let line = order.clone().zip(tail(&action.body["Key"]));
            let largest = line.and_then(|line| self.0.lock().unwrap().get(&line).copied());
            if let Some(largest) = largest {
                action.body["ConditionExpression"] = json!("#quantity >= :line");
                action.body["ExpressionAttributeValues"][":line"] = json!({"N": largest.to_string()});
            }
        }
        vec![call]
    }
}

/// The answer is kept after its effect, not with it.
pub(super) struct RecordAfterwards;

impl Mutation for RecordAfterwards {
    fn calls(&self, call: Call) -> Vec<Call> {
        match part(&call, |action| action.row() == "IDEMPOTENCY/RESPONSE") {
            Some((record, effect)) => vec![effect, record],
            None => vec![call],
        }
    }
}

/// What a cancelled order held is given back twice.
pub(super) struct GivenBackTwice;

impl Mutation for GivenBackTwice {
    fn calls(&self, mut call: Call) -> Vec<Call> {
        let released = actions(&mut call).iter().any(|action| action.value(":state") == Some("released"));
        let again =
            part(&call, |action| action.row() == "ITEM/STOCK").filter(|_| released).map(|(stock, _)| stock);
        std::iter::once(call).chain(again).collect()
    }
}

/// A movement is written and the stock left as it is.
pub(super) struct MovementAlone;

impl Mutation for MovementAlone {
    fn calls(&self, call: Call) -> Vec<Call> {
        match part(&call, |action| action.kind == "Update" && action.row() == "ITEM/STOCK") {
            Some((_, rest)) if runs(Function::InventoryApi) => vec![rest],
            _ => vec![call],
        }
    }
}

/// Orders move stock, and nothing is written down of it.
pub(super) struct StockAlone;

impl Mutation for StockAlone {
    fn calls(&self, call: Call) -> Vec<Call> {
        if batch_puts(&call).iter().any(|row| row == "ITEM/MOVEMENT") { Vec::new() } else { vec![call] }
    }
}

/// Who waits is not put into the line.
pub(super) struct LineForgotten;

impl Mutation for LineForgotten {
    fn calls(&self, call: Call) -> Vec<Call> {
        if batch_puts(&call).iter().any(|row| row == "ITEM/WAITING") { Vec::new() } else { vec![call] }
    }
}

/// The route that deletes contacts takes everybody for a finance manager.
pub(super) struct RoleUnseen;

impl Mutation for RoleUnseen {
    fn request(&self, function: Function, mut event: Value) -> Value {
        let context = &mut event["requestContext"]["authorizer"];
        let has_role = context.get("role").is_some();
        if function == Function::ContactApi && has_role && event["httpMethod"] == "DELETE" {
            event["requestContext"]["authorizer"]["role"] = json!("finance_manager");
        }
        event
    }
}

/// `If-Match` is not looked at.
pub(super) struct VersionUnseen;

impl Mutation for VersionUnseen {
    fn request(&self, _: Function, mut event: Value) -> Value {
        for field in ["headers", "multiValueHeaders"] {
            if let Some(headers) = event[field].as_object_mut() {
                headers.retain(|name, _| !name.eq_ignore_ascii_case("if-match"));
            }
        }
        event
    }
}

/// `Idempotency-Key` is not looked at.
pub(super) struct KeyUnseen;

impl Mutation for KeyUnseen {
    fn request(&self, _: Function, mut event: Value) -> Value {
        for field in ["headers", "multiValueHeaders"] {
            if let Some(headers) = event[field].as_object_mut() {
                headers.retain(|name, _| !name.eq_ignore_ascii_case("idempotency-key"));
            }
        }
        event
    }
}

/// The relay does not read which entries of a batch SNS did not take.
pub(super) struct FailuresUnread;

impl Mutation for FailuresUnread {
    fn answer(&self, call: &Call, answer: WireResponse) -> WireResponse {
        if call.operation != "PublishBatch" || !answer.is_ok() {
            return answer;
        }
        let entries = call.body["Entries"].as_array().into_iter().flatten();
        let all: String = entries
            .filter_map(|entry| entry["Id"].as_str())
            .map(|id| format!("<member><Id>{id}</Id><MessageId>m-{id}</MessageId></member>"))
            .collect();
        WireResponse::ok(format!(
            "<PublishBatchResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishBatchResult>\
             <Successful>{all}</Successful><Failed></Failed></PublishBatchResult>\
             <ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></PublishBatchResponse>"
        ))
    }
}

/// The sweep finds nothing.
pub(super) struct NoSweep;

impl Mutation for NoSweep {
    fn answer(&self, call: &Call, answer: WireResponse) -> WireResponse {
        let asks = matches!(call.operation.as_str(), "Query" | "Scan") && runs(Function::RelaySweep);
        if asks {
            WireResponse::ok(json!({"Items": [], "Count": 0, "ScannedCount": 0}).to_string())
        } else {
            answer
        }
    }
}
