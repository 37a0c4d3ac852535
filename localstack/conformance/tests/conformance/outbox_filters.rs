//! The filters between table streams and the relay: only rows with unpublished events pass. The rows are
//! written by the stores and read back.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use aws_sdk_dynamodb::types::AttributeValue;
use erp_aws::outbox::EventRow;
use erp_aws::table::{Row, write};
use erp_aws::{Key, Table};
use erp_contracts::{Cause, Event, EventKind};
use erp_domain::time::{RandomIds, SystemClock};
use erp_domain::{Clock, Demand, Ids, Quantity};
use erp_local::broker::filter::matches;
use erp_local::deployment::TriggerSource;
use erp_testkit::Dynamo;
use inventory::domain::{Allocation, OrderDemand, StockSnapshot};
use inventory::store::InventoryStore;
use relay::outbox::remove_published;
use relay::row::OutboxRow;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::template::Template;

pub(crate) mod checks {
    crate::template_checks::register!(only_rows_with_unpublished_events_invoke_the_relay);
}

fn event() -> Event {
    let kind = EventKind::OrderBackordered;
    Event::new(RandomIds.next(), kind, "order", SystemClock.now(), &Cause::default(), &json!({})).unwrap()
}

/// Converts a value to the JSON of a stream record.
fn to_json(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => json!({"S": text}),
        AttributeValue::N(number) => json!({"N": number}),
        AttributeValue::Bool(value) => json!({"BOOL": value}),
        AttributeValue::L(list) => json!({"L": list.iter().map(to_json).collect::<Vec<_>>()}),
        AttributeValue::M(map) => json!({"M": image(map)}),
        other => panic!("no row contains {other:?}"),
    }
}

fn image(row: &Row) -> Value {
    row.iter().map(|(name, value)| (name.clone(), to_json(value))).collect()
}

async fn stored(table: &Table, key: &Key) -> Row {
    let get = table.client.get_item().table_name(&table.name).set_key(Some(key.attributes()));
    get.send().await.unwrap().item.unwrap()
}

/// A stream record, and whether the relay must be invoked with it.
struct Case {
    description: &'static str,
    record: Value,
    passes: bool,
}

async fn cases() -> Vec<Case> {
    let dynamo = Dynamo::start().await;
    let table = dynamo.table("erp-inventory", &["list", "outbox"]).await;

    let unpublished = write(&EventRow::to_publish("ORDER#1", &event()).unwrap()).unwrap();
    let history = write(&EventRow::history("ORDER#1", &event()).unwrap()).unwrap();

    let ids: &dyn Ids = &RandomIds;
    let order_id = ids.make();
    let demand: Demand = [(ids.make(), Quantity::new(1).unwrap())].into_iter().collect();
    let missing: BTreeSet<_> = demand.items().collect();
    let allocation =
        Allocation::backordered(&OrderDemand { order_id, demand, since: SystemClock.now() }, missing);
    let store = InventoryStore::new(table.clone());
    let change = store.save_allocation(None, &allocation, Some(&event()), &StockSnapshot::default()).unwrap();
    change.save(&table).await.unwrap();
    let key = Key::new(format!("ORDER#{order_id}"), "ALLOCATION");
    let decided = stored(&table, &key).await;
    let outbox_row = OutboxRow::from_index(&table.name, decided.clone()).unwrap();
    remove_published(&table.client, &outbox_row).await.unwrap();
    let published = stored(&table, &key).await;

    let without_event = Key::new("ITEM#1", "ITEM").attributes();
    [
        ("INSERT of an event row", "INSERT", Some(unpublished), true),
        ("INSERT of an allocation with its first event", "INSERT", Some(decided.clone()), true),
        ("MODIFY of an allocation with a further event", "MODIFY", Some(decided), true),
        ("INSERT of the history row of another context's event", "INSERT", Some(history), false),
        ("MODIFY of an allocation whose events are published", "MODIFY", Some(published), false),
        ("INSERT of a row without events", "INSERT", Some(without_event), false),
        ("REMOVE of a row", "REMOVE", None, false),
    ]
    .map(|(description, name, row, passes)| {
        let mut record = json!({"eventName": name, "eventSource": "aws:dynamodb", "dynamodb": {"Keys": {}}});
        if let Some(row) = row {
            record["dynamodb"]["NewImage"] = image(&row);
        }
        Case { description, record, passes }
    })
    .into()
}

fn only_rows_with_unpublished_events_invoke_the_relay(template: &Template) -> Vec<String> {
    static CASES: OnceLock<Vec<Case>> = OnceLock::new();
    let cases = CASES.get_or_init(|| Runtime::new().unwrap().block_on(cases()));
    let mut violations = Vec::new();
    for trigger in &template.deployment.triggers {
        let TriggerSource::Stream { filters, .. } = &trigger.source else { continue };
        if trigger.function != "RelayFunction" {
            continue;
        }
        for Case { description, record, passes } in cases {
            let found = filters.is_empty() || filters.iter().any(|filter| matches(filter, record));
            if found != *passes {
                let verb = if *passes { "must" } else { "must not" };
                violations.push(format!(
                    "{}.{}: the Pattern {verb} match {description}",
                    trigger.function, trigger.name
                ));
            }
        }
    }
    violations
}
