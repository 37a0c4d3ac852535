//! Event kinds: published to a topic, subscribed by a queue, read by the function behind it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use aws_lambda_events::event::sqs::SqsEvent;
use erp_aws::batch::MessageError;
use erp_contracts::{Cause, Event, EventKind};
use erp_domain::order::OrderKind;
use erp_domain::ports::{RandomIds, SystemClock};
use erp_domain::{Clock, Ids};
use erp_local::arn;
use erp_local::deployment::{Subscription, TriggerSource};
use erp_testkit::Dynamo;
use inventory::allocations::Allocations;
use relay::config::TOPICS;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::world::{STACK, World};

pub(crate) mod holds {
    crate::checks::checks!(
        a_queue_is_subscribed_to_what_the_function_behind_it_reads,
        every_subscription_names_kinds_of_its_topic_and_delivers_them_as_they_are,
        every_service_that_publishes_has_its_topic_and_the_relay_knows_it,
        the_stream_of_every_table_drives_the_relay,
    );
}

/// An event of a kind that carries nothing of what it should.
fn empty(kind: EventKind) -> Event {
    Event::new(RandomIds.next(), kind, "nobody", SystemClock.now(), &Cause::default(), &json!({})).unwrap()
}

/// The functions behind queues, each with the kinds that it reads.
fn readers() -> &'static BTreeMap<&'static str, BTreeSet<EventKind>> {
    static READERS: OnceLock<BTreeMap<&str, BTreeSet<EventKind>>> = OnceLock::new();
    READERS.get_or_init(|| {
        let runtime = Runtime::new().unwrap();
        ["inventory-worker", "sales-worker"].map(|binary| (binary, runtime.block_on(read_by(binary)))).into()
    })
}

/// The kinds that a function reads: where such an event carries nothing, it says so.
async fn read_by(binary: &str) -> BTreeSet<EventKind> {
    let table = Dynamo::start().await.table("nothing", &[]).await;
    let mut read = BTreeSet::new();
    for kind in EventKind::ALL {
        let event = empty(*kind);
        let refused = match binary {
            "inventory-worker" => {
                let store = Arc::new(inventory::store::DynamoStore::new(table.clone()));
                let allocations =
                    Allocations { store, clock: Arc::new(SystemClock), ids: Arc::new(RandomIds) };
                let record = json!({"messageId": "1", "body": event.to_json().unwrap()});
                let batch: SqsEvent = serde_json::from_value(json!({"Records": [record]})).unwrap();
                !inventory::worker::work(&allocations, batch).await.batch_item_failures.is_empty()
            }
            "sales-worker" => {
                let store = erp_orders::store::DynamoStore::new(table.clone(), OrderKind::Sales);
                matches!(sales::worker::handle(&store, event).await, Err(MessageError::Poison(_)))
            }
            other => panic!("say here how {other} handles an event"),
        };
        if refused {
            read.insert(*kind);
        }
    }
    read
}

/// The kinds that a queue is subscribed to; those that are none as faults.
fn subscribed(world: &World, queue_arn: &str, faults: &mut Vec<String>) -> BTreeSet<EventKind> {
    let mut kinds = BTreeSet::new();
    for subscription in world.deployment.subscriptions.iter().filter(|found| found.queue_arn == queue_arn) {
        let names = names(subscription);
        if names.is_empty() {
            faults.push(format!(
                "{} to {queue_arn}: add a FilterPolicy of type, or everything comes",
                subscription.topic_arn
            ));
        }
        for name in names {
            match name.parse() {
                Ok(kind) => drop(kinds.insert(kind)),
                Err(_) => faults.push(format!("{name} in a FilterPolicy is no erp_contracts::EventKind")),
            }
        }
    }
    kinds
}

/// The names in the filter policy of a subscription.
fn names(subscription: &Subscription) -> Vec<String> {
    let policy = subscription.attributes.get("FilterPolicy").map_or("{}", String::as_str);
    let policy: Value = serde_json::from_str(policy).unwrap();
    let names = policy["type"].as_array().into_iter().flatten().filter_map(Value::as_str);
    names.map(str::to_owned).collect()
}

fn a_queue_is_subscribed_to_what_the_function_behind_it_reads(world: &World) -> Vec<String> {
    let mut faults = Vec::new();
    for trigger in &world.deployment.triggers {
        let TriggerSource::Queue { queue_arn, .. } = &trigger.source else { continue };
        let binary = world.function(&trigger.function).binary.as_str();
        let Some(read) = readers().get(binary) else {
            faults.push(format!(
                "{binary} is driven by a queue: say in kinds::readers how it handles an event"
            ));
            continue;
        };
        let subscribed = subscribed(world, queue_arn, &mut faults);
        for kind in subscribed.difference(read) {
            faults.push(format!(
                "{binary} does nothing with {kind}: take it out of the FilterPolicy of {queue_arn}"
            ));
        }
        for kind in read.difference(&subscribed) {
            faults.push(format!("{binary} waits for {kind}: add it to a FilterPolicy of {queue_arn}"));
        }
    }
    faults
}

fn every_subscription_names_kinds_of_its_topic_and_delivers_them_as_they_are(world: &World) -> Vec<String> {
    let mut faults = Vec::new();
    for subscription in &world.deployment.subscriptions {
        let (topic, queue) = (&subscription.topic_arn, &subscription.queue_arn);
        if subscription.attributes.get("RawMessageDelivery").map(String::as_str) != Some("true") {
            faults.push(format!(
                "{topic} to {queue}: add RawMessageDelivery: true, the body must be the event itself"
            ));
        }
        for name in names(subscription) {
            let Ok(kind) = name.parse::<EventKind>() else { continue };
            let published = arn::topic(&format!("{STACK}-{}-events", kind.service()));
            if *topic != published {
                faults.push(format!("{kind} is published to {published}, and is never seen on {topic}"));
            }
        }
    }
    faults
}

fn every_service_that_publishes_has_its_topic_and_the_relay_knows_it(world: &World) -> Vec<String> {
    let publishing: BTreeSet<&str> = EventKind::ALL.iter().map(|kind| kind.service()).collect();
    let known: BTreeSet<&str> = TOPICS.into_iter().map(|(service, _)| service).collect();
    let topics = world.deployment.topics.iter().map(|topic| topic.name.clone());
    let topics: BTreeSet<String> = topics.filter(|name| name.ends_with("-events")).collect();
    let wanted: BTreeSet<String> =
        publishing.iter().map(|service| format!("{STACK}-{service}-events")).collect();
    let mut faults = Vec::new();
    if topics != wanted {
        faults
            .push(format!("make the topics of template.yaml those of the services that publish: {wanted:?}"));
    }
    if known != publishing {
        faults.push(format!("make relay::config::TOPICS those of the services that publish: {publishing:?}"));
    }
    faults
}

fn the_stream_of_every_table_drives_the_relay(world: &World) -> Vec<String> {
    let without = world.deployment.tables.iter().filter(|table| {
        !world.deployment.triggers.iter().any(|trigger| {
            matches!(&trigger.source, TriggerSource::Stream { table: name, .. } if *name == table.name)
                && world.function(&trigger.function).binary == "relay"
        })
    });
    let fault =
        |id: &str| format!("add an event for the stream of {id} to RelayFunction: its events go nowhere");
    without.map(|table| fault(&table.logical_id)).collect()
}
