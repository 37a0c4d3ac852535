//! Event kinds: published to a topic, subscribed by a queue, read by the function behind it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws_lambda_events::event::sqs::SqsEvent;
use erp_aws::batch::MessageError;
use erp_contracts::{Cause, Event, EventKind};
use erp_domain::order::OrderKind;
use erp_domain::ports::{RandomIds, SystemClock};
use erp_domain::{Clock, Ids};
use erp_testkit::Dynamo;
use inventory::allocations::Allocations;
use localstack::arn;
use localstack::deployment::TriggerSource;
use relay::config::TOPICS;
use serde_json::{Value, json};

use crate::none;
use crate::world::{STACK, deployment, function};

/// An event of a kind that carries nothing of what it should.
fn empty(kind: EventKind) -> Event {
    Event::new(RandomIds.next(), kind, "nobody", SystemClock.now(), &Cause::default(), &json!({})).unwrap()
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
            other => panic!("{other} is driven by a queue: say here how it handles an event"),
        };
        if refused {
            read.insert(*kind);
        }
    }
    read
}

/// The kinds that a queue is subscribed to; those that are none as faults.
fn subscribed(queue_arn: &str, faults: &mut Vec<String>) -> BTreeSet<EventKind> {
    let mut kinds = BTreeSet::new();
    for subscription in deployment().subscriptions.iter().filter(|found| found.queue_arn == queue_arn) {
        let policy = subscription.attributes.get("FilterPolicy").map_or("{}", String::as_str);
        let policy: Value = serde_json::from_str(policy).unwrap();
        for name in policy["type"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            match name.parse() {
                Ok(kind) => drop(kinds.insert(kind)),
                Err(_) => faults.push(format!("{name} in a FilterPolicy is no erp_contracts::EventKind")),
            }
        }
    }
    kinds
}

#[tokio::test]
async fn a_queue_is_subscribed_to_what_the_function_behind_it_reads() {
    let mut faults = Vec::new();
    for trigger in &deployment().triggers {
        let TriggerSource::Queue { queue_arn, .. } = &trigger.source else { continue };
        let binary = &function(&trigger.function).binary;
        let subscribed = subscribed(queue_arn, &mut faults);
        let read = read_by(binary).await;
        for kind in subscribed.difference(&read) {
            faults.push(format!(
                "{binary} does nothing with {kind}: take it out of the FilterPolicy of {queue_arn}"
            ));
        }
        for kind in read.difference(&subscribed) {
            faults.push(format!("{binary} waits for {kind}: add it to a FilterPolicy of {queue_arn}"));
        }
    }
    none(faults);
}

#[test]
fn every_subscription_names_kinds_of_its_topic_and_delivers_them_as_they_are() {
    let mut faults = Vec::new();
    for subscription in &deployment().subscriptions {
        let (topic, queue) = (&subscription.topic_arn, &subscription.queue_arn);
        if subscription.attributes.get("RawMessageDelivery").map(String::as_str) != Some("true") {
            faults.push(format!(
                "{topic} to {queue}: add RawMessageDelivery: true, the body must be the event itself"
            ));
        }
        let policy: Value = serde_json::from_str(&subscription.attributes["FilterPolicy"]).unwrap();
        for name in policy["type"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let Ok(kind) = name.parse::<EventKind>() else { continue };
            let published = arn::topic(&format!("{STACK}-{}-events", kind.service()));
            if *topic != published {
                faults.push(format!("{kind} is published to {published}, and is never seen on {topic}"));
            }
        }
    }
    none(faults);
}

#[test]
fn every_service_that_publishes_has_its_topic_and_the_relay_knows_it() {
    let publishing: BTreeSet<&str> = EventKind::ALL.iter().map(|kind| kind.service()).collect();
    let known: BTreeMap<&str, &str> = TOPICS.into_iter().collect();
    let topics = deployment().topics.iter().map(|topic| topic.name.clone());
    let topics: BTreeSet<String> = topics.filter(|name| name.ends_with("-events")).collect();
    let wanted: BTreeSet<String> =
        publishing.iter().map(|service| format!("{STACK}-{service}-events")).collect();
    assert_eq!(topics, wanted, "make the topics of template.yaml those of the services that publish");
    assert_eq!(
        known.keys().copied().collect::<BTreeSet<_>>(),
        publishing,
        "make relay::config::TOPICS those of the services that publish"
    );
    let environment =
        &deployment().functions.iter().find(|function| function.binary == "relay").unwrap().environment;
    none(known.into_iter().filter_map(|(service, variable)| {
        let wanted = arn::topic(&format!("{STACK}-{service}-events"));
        (environment.get(variable) != Some(&wanted))
            .then(|| format!("RelayFunction: {variable} must be {wanted}"))
    }));
}

#[test]
fn the_stream_of_every_table_drives_the_relay() {
    none(deployment().tables.iter().filter_map(|table| {
        let drives = deployment().triggers.iter().any(|trigger| {
            matches!(&trigger.source, TriggerSource::Stream { table: name, .. } if *name == table.name)
                && function(&trigger.function).binary == "relay"
        });
        (!drives).then(|| {
            format!(
                "add an event for the stream of {} to RelayFunction: its events go nowhere",
                table.logical_id
            )
        })
    }));
}
