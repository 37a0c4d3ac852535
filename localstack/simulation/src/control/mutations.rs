//! The classic bugs, injected below the SDK or in front of a function. The platform contains no code for
//! them.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::{Value, json};

use super::wire::{self, actions, batch_puts, part};
use crate::connector::{Call, Mutation, Service, WireResponse};
use crate::invocation::{CURRENT, Function};

/// The condition of a decrease of stock.
const SUFFICIENT_STOCK: &str = "#quantity >= :needed";

/// Returns whether the current invocation is of a function.
fn runs(function: Function) -> bool {
    CURRENT.try_with(|invocation| invocation.function == function).unwrap_or(false)
}

/// Events are published after the commit, without the outbox.
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
                let kind = serde_json::from_str::<Value>(&event).unwrap()["type"].clone();
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

/// Every delivered confirmation is applied, without de-duplication.
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
                action.drop_condition();
            }
        }
        vec![call]
    }

    fn response(&self, call: &Call, response: WireResponse) -> WireResponse {
        let key = &call.body["Key"];
        if call.operation == "GetItem"
            && runs(Function::InventoryWorker)
            && wire::row(key) == "ORDER/ALLOCATION"
        {
            let order = key["pk"]["S"].as_str().unwrap_or_default().trim_start_matches("ORDER#");
            let mut deliveries = self.0.lock().unwrap();
            if let Some(count) = deliveries.get_mut(&json!(order).to_string()).filter(|count| **count > 0) {
                *count -= 1;
                return WireResponse::ok("{}");
            }
        }
        response
    }
}

/// Returns the confirmations in a batch of messages.
fn confirmed(event: &Value) -> Vec<Value> {
    let records = event["Records"].as_array().into_iter().flatten();
    let bodies = records.filter_map(|record| serde_json::from_str::<Value>(record["body"].as_str()?).ok());
    bodies.filter(|body| body["type"] == "sales.order.confirmed").collect()
}

/// A sales order is updated without its condition.
pub(super) struct UnconditionalConfirm;

impl Mutation for UnconditionalConfirm {
    fn calls(&self, mut call: Call) -> Vec<Call> {
        for mut action in actions(&mut call) {
            if runs(Function::SalesApi) && action.kind == "Update" && action.row() == "ORDER/ORDER" {
                action.drop_condition();
            }
        }
        vec![call]
    }
}

/// Stock is allocated without its condition.
pub(super) struct UnconditionalAllocation;

impl Mutation for UnconditionalAllocation {
    fn calls(&self, mut call: Call) -> Vec<Call> {
        for mut action in actions(&mut call) {
            if action.condition().as_deref() == Some(SUFFICIENT_STOCK) {
                action.drop_condition();
            }
        }
        vec![call]
    }
}

/// The stock of each item is changed in a separate write, before the allocation row.
pub(super) struct SeparateWrites;

impl Mutation for SeparateWrites {
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

    /// Reports the failure of a part at its position in the whole transaction, where the function expects it.
    fn response(&self, call: &Call, response: WireResponse) -> WireResponse {
        if response.is_ok() || call.operation != "TransactWriteItems" || !runs(Function::InventoryWorker) {
            return response;
        }
        let mut error: Value = serde_json::from_str(&response.body).unwrap();
        let whole = call.body["TransactItems"].as_array().cloned().unwrap_or_default();
        let reason = error["CancellationReasons"]
            .as_array()
            .and_then(|reasons| reasons.iter().find(|reason| reason["Code"] != "None").cloned());
        let Some(reason) = reason else { return response };
        let failed_row = wire::row(&reason["Item"]);
        let mut is_assigned = false;
        let reasons = whole.into_iter().map(|mut action| {
            let row = action
                .as_object_mut()
                .and_then(|action| action.iter_mut().next())
                .map(|(_, body)| wire::row(body.get("Key").unwrap_or(&body["Item"])));
            if !is_assigned && row.as_ref() == Some(&failed_row) {
                is_assigned = true;
                return reason.clone();
            }
            json!({"Code": "None"})
        });
        error["CancellationReasons"] = Value::Array(reasons.collect());
        WireResponse { body: error.to_string(), ..response }
    }
}

/// Lines of the same item are compared with the stock separately, not as a sum.
#[derive(Default)]
pub(super) struct SeparateLines(Mutex<BTreeMap<(String, String), i64>>);

impl Mutation for SeparateLines {
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
            if action.condition().as_deref() != Some(SUFFICIENT_STOCK) {
                continue;
            }
            let line = order.clone().zip(tail(&action.body["Key"]));
            let largest = line.and_then(|line| self.0.lock().unwrap().get(&line).copied());
            if let Some(largest) = largest {
                action.body["ExpressionAttributeValues"][":needed"] = json!({"N": largest.to_string()});
            }
        }
        vec![call]
    }
}

/// The idempotency record is written after the effect.
pub(super) struct RecordAfterEffect;

impl Mutation for RecordAfterEffect {
    fn calls(&self, call: Call) -> Vec<Call> {
        match part(&call, |action| action.row() == "IDEMPOTENCY/RESPONSE") {
            Some((record, effect)) => vec![effect, record],
            None => vec![call],
        }
    }
}

/// The allocation of a cancelled order is released twice.
pub(super) struct ReleasedTwice;

impl Mutation for ReleasedTwice {
    fn calls(&self, mut call: Call) -> Vec<Call> {
        let released = actions(&mut call).iter().any(|action| action.value(":state") == Some("released"));
        let again =
            part(&call, |action| action.row() == "ITEM/STOCK").filter(|_| released).map(|(stock, _)| stock);
        std::iter::once(call).chain(again).collect()
    }
}

/// A movement is written without the change of stock.
pub(super) struct MovementWithoutStock;

impl Mutation for MovementWithoutStock {
    fn calls(&self, call: Call) -> Vec<Call> {
        match part(&call, |action| action.kind == "Update" && action.row() == "ITEM/STOCK") {
            Some((_, rest)) if runs(Function::InventoryApi) => vec![rest],
            _ => vec![call],
        }
    }
}

/// Stock changes without movements.
pub(super) struct StockWithoutMovement;

impl Mutation for StockWithoutMovement {
    fn calls(&self, call: Call) -> Vec<Call> {
        if batch_puts(&call).iter().any(|row| row == "ITEM/MOVEMENT") { Vec::new() } else { vec![call] }
    }
}

/// Allocations do not change the counter of allocated quantities in the stock row.
pub(super) struct NotCounted;

impl Mutation for NotCounted {
    fn calls(&self, mut call: Call) -> Vec<Call> {
        for action in actions(&mut call) {
            if action.row() == "ITEM/STOCK" && action.value(":allocated").is_some() {
                action.body["ExpressionAttributeValues"][":allocated"] = json!({"N": "0"});
            }
        }
        vec![call]
    }
}

/// The lower bound of back-orders is raised although an order has begun to wait since the walk began.
pub(super) struct BoundRaisedBlindly;

impl Mutation for BoundRaisedBlindly {
    fn calls(&self, mut call: Call) -> Vec<Call> {
        for mut action in actions(&mut call) {
            if action.row() == "ITEM/STOCK" && action.value(":smallest").is_some() {
                action.drop_condition();
            }
        }
        vec![call]
    }
}

/// Back-ordered orders are not put into the back-order queue.
pub(super) struct NotQueued;

impl Mutation for NotQueued {
    fn calls(&self, call: Call) -> Vec<Call> {
        if batch_puts(&call).iter().any(|row| row == "ITEM/WAITING") { Vec::new() } else { vec![call] }
    }
}

/// The route that deletes contacts accepts every role.
pub(super) struct RoleIgnored;

impl Mutation for RoleIgnored {
    fn request(&self, function: Function, mut event: Value) -> Value {
        let context = &mut event["requestContext"]["authorizer"];
        let has_role = context.get("role").is_some();
        if function == Function::ContactApi && has_role && event["httpMethod"] == "DELETE" {
            event["requestContext"]["authorizer"]["role"] = json!("finance_manager");
        }
        event
    }
}

/// `If-Match` is ignored.
pub(super) struct PreconditionIgnored;

impl Mutation for PreconditionIgnored {
    fn request(&self, _: Function, mut event: Value) -> Value {
        for field in ["headers", "multiValueHeaders"] {
            if let Some(headers) = event[field].as_object_mut() {
                headers.retain(|name, _| !name.eq_ignore_ascii_case("if-match"));
            }
        }
        event
    }
}

/// `Idempotency-Key` is ignored.
pub(super) struct KeyIgnored;

impl Mutation for KeyIgnored {
    fn request(&self, _: Function, mut event: Value) -> Value {
        for field in ["headers", "multiValueHeaders"] {
            if let Some(headers) = event[field].as_object_mut() {
                headers.retain(|name, _| !name.eq_ignore_ascii_case("idempotency-key"));
            }
        }
        event
    }
}

/// The relay ignores failed entries of `PublishBatch`.
pub(super) struct FailuresIgnored;

impl Mutation for FailuresIgnored {
    fn response(&self, call: &Call, response: WireResponse) -> WireResponse {
        if call.operation != "PublishBatch" || !response.is_ok() {
            return response;
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
    fn response(&self, call: &Call, response: WireResponse) -> WireResponse {
        if matches!(call.operation.as_str(), "Query" | "Scan") && runs(Function::RelaySweep) {
            return WireResponse::ok(json!({"Items": [], "Count": 0, "ScannedCount": 0}).to_string());
        }
        response
    }
}
