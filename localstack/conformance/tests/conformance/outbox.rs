//! Which records of a table's stream reach the relay: those of rows with events that are not out yet. The rows are
//! real ones, written by the stores and read back.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use aws_sdk_dynamodb::types::AttributeValue;
use erp_aws::outbox::EventRow;
use erp_aws::table::write;
use erp_aws::{Key, Table};
use erp_contracts::{Cause, Event, EventKind};
use erp_domain::ports::{RandomIds, SystemClock};
use erp_domain::stock::{Allocation, AllocationState};
use erp_domain::{Clock, Id, Ids};
use erp_local::broker::filter::matches;
use erp_local::deployment::TriggerSource;
use erp_testkit::Dynamo;
use inventory::ports::AllocationStore;
use inventory::store::DynamoStore;
use relay::outbox::{DynamoOutbox, Outbox};
use relay::record::Outgoing;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::world::World;

pub(crate) mod holds {
    crate::checks::checks!(new_events_go_to_the_relay_and_nothing_else_does);
}

fn event() -> Event {
    let kind = EventKind::OrderBackordered;
    Event::new(RandomIds.next(), kind, "order", SystemClock.now(), &Cause::default(), &json!({})).unwrap()
}

/// A value as it stands in a stream record.
fn streamed(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => json!({"S": text}),
        AttributeValue::N(number) => json!({"N": number}),
        AttributeValue::L(list) => json!({"L": list.iter().map(streamed).collect::<Vec<_>>()}),
        AttributeValue::M(map) => {
            json!({"M": map.iter().map(|(name, value)| (name.clone(), streamed(value))).collect::<BTreeMap<_, _>>()})
        }
        other => panic!("{other:?} is in none of our rows"),
    }
}

fn image(row: &erp_aws::table::Row) -> Value {
    row.iter().map(|(name, value)| (name.clone(), streamed(value))).collect()
}

async fn stored(table: &Table, key: &Key) -> Value {
    let get = table.client.get_item().table_name(&table.name).set_key(Some(key.attributes()));
    image(&get.send().await.unwrap().item.unwrap())
}

/// Something that happens to a row, as a stream tells it, and whether the relay wants to know.
struct Case {
    what: &'static str,
    record: Value,
    wanted: bool,
}

/// What happens to rows, each read back from a table that the stores wrote it into.
async fn happenings() -> Vec<Case> {
    let dynamo = Dynamo::start().await;
    let table = dynamo.table("erp-inventory", &["list", "outbox"]).await;

    let news = EventRow::to_publish::<()>("ORDER#1", &event()).unwrap();
    let history = EventRow::history::<()>("ORDER#1", &event()).unwrap();
    let (news, history) = (image(&write::<_, ()>(&news).unwrap()), image(&write::<_, ()>(&history).unwrap()));

    let order_id = Id::new(RandomIds.next());
    let allocation = Allocation {
        order_id,
        state: AllocationState::Backordered,
        demand: BTreeMap::new(),
        sequence: 1,
        since: SystemClock.now(),
        moves: Vec::new(),
    };
    let said = event();
    DynamoStore::new(table.clone()).save(None, &allocation, Some(&said)).await.unwrap();
    let key = Key::new(format!("ORDER#{order_id}"), "ALLOCATION");
    let decided = stored(&table, &key).await;
    let outgoing = Outgoing {
        table: table.name.clone(),
        key: key.clone(),
        outbox_sk: said.id.to_string(),
        events: vec![said],
        sequence_number: "1".to_owned(),
    };
    DynamoOutbox { client: dynamo.client.clone() }.published(&outgoing).await.unwrap();
    let published = stored(&table, &key).await;

    let plain = json!({"pk": {"S": "ITEM#1"}, "sk": {"S": "ITEM"}});
    [
        ("INSERT of an event row", "INSERT", Some(news), true),
        ("INSERT of an allocation with its first event", "INSERT", Some(decided.clone()), true),
        ("MODIFY of an allocation with a further event", "MODIFY", Some(decided), true),
        ("INSERT of a row of somebody else's event", "INSERT", Some(history), false),
        ("MODIFY of an allocation whose events are out", "MODIFY", Some(published), false),
        ("INSERT of a row without events", "INSERT", Some(plain), false),
        ("REMOVE of a row that is gone", "REMOVE", None, false),
    ]
    .map(|(what, name, image, wanted)| {
        let mut record = json!({"eventName": name, "eventSource": "aws:dynamodb", "dynamodb": {"Keys": {}}});
        if let Some(image) = image {
            record["dynamodb"]["NewImage"] = image;
        }
        Case { what, record, wanted }
    })
    .into()
}

fn new_events_go_to_the_relay_and_nothing_else_does(world: &World) -> Vec<String> {
    static CASES: OnceLock<Vec<Case>> = OnceLock::new();
    let cases = CASES.get_or_init(|| Runtime::new().unwrap().block_on(happenings()));
    let mut faults = Vec::new();
    for trigger in &world.deployment.triggers {
        let TriggerSource::Stream { filters, .. } = &trigger.source else { continue };
        for Case { what, record, wanted } in cases {
            let passes = filters.is_empty() || filters.iter().any(|filter| matches(filter, record));
            if passes != *wanted {
                let verb = if *wanted { "must" } else { "must not" };
                faults.push(format!(
                    "{}.{}: the Pattern {verb} let {what} through",
                    trigger.function, trigger.name
                ));
            }
        }
    }
    faults
}
