//! Event types: published to a topic, subscribed by a queue, parsed by the function behind the queue.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use erp_aws::batch::MessageError;
use erp_contracts::{Cause, Event, EventKind};
use erp_domain::time::{RandomIds, SystemClock};
use erp_domain::{Clock, Ids};
use erp_local::arn;
use erp_local::deployment::{Subscription, TriggerSource};
use relay::config::TOPICS;
use serde_json::{Value, json};
use strum::VariantArray;

use crate::template::{STACK, Template};

pub(crate) mod checks {
    crate::template_checks::register!(
        every_queue_is_subscribed_to_the_event_types_that_its_function_processes,
        every_subscription_filters_event_types_of_its_topic_and_delivers_raw_messages,
        every_publishing_context_has_a_topic_that_the_relay_knows,
        the_stream_of_every_table_triggers_the_relay,
    );
}

/// The functions behind queues.
const CONSUMERS: [(&str, Parse); 2] = [
    ("inventory-worker", |event| inventory::worker::Command::parse(event).map(drop)),
    ("sales-worker", |event| sales::worker::decision(event).map(drop)),
];

/// Parses an event; ignores an event of a type that the function does not process.
type Parse = fn(&Event) -> Result<(), MessageError>;

/// Returns an event whose payload is empty, which no function that processes the type can parse.
fn event_without_payload(kind: EventKind) -> Event {
    let cause = Cause::default();
    Event::new(RandomIds.next(), kind, "subject", SystemClock.now(), &cause, &json!({})).unwrap()
}

/// Returns the event types that each function processes.
fn processed() -> &'static BTreeMap<&'static str, BTreeSet<EventKind>> {
    static PROCESSED: OnceLock<BTreeMap<&str, BTreeSet<EventKind>>> = OnceLock::new();
    PROCESSED.get_or_init(|| {
        let of = |parse: Parse| {
            let kinds = EventKind::VARIANTS.iter().copied();
            let rejects = |kind| matches!(parse(&event_without_payload(kind)), Err(MessageError::Poison(_)));
            kinds.filter(|kind| rejects(*kind)).collect()
        };
        CONSUMERS.into_iter().map(|(binary, parse)| (binary, of(parse))).collect()
    })
}

/// Returns the event types that a queue is subscribed to. Adds a violation for each unknown type.
fn subscribed(template: &Template, queue_arn: &str, violations: &mut Vec<String>) -> BTreeSet<EventKind> {
    let mut kinds = BTreeSet::new();
    for subscription in template.deployment.subscriptions.iter().filter(|found| found.queue_arn == queue_arn)
    {
        let names = filtered_types(subscription);
        if names.is_empty() {
            violations.push(format!(
                "{} to {queue_arn}: add a FilterPolicy of type, or every event is delivered",
                subscription.topic_arn
            ));
        }
        for name in names {
            match name.parse() {
                Ok(kind) => drop(kinds.insert(kind)),
                Err(_) => {
                    violations.push(format!("{name} in a FilterPolicy is not an erp_contracts::EventKind"));
                }
            }
        }
    }
    kinds
}

/// Returns the event types in the filter policy of a subscription.
fn filtered_types(subscription: &Subscription) -> Vec<String> {
    let policy = subscription.attributes.get("FilterPolicy").map_or("{}", String::as_str);
    let policy: Value = serde_json::from_str(policy).unwrap();
    let names = policy["type"].as_array().into_iter().flatten().filter_map(Value::as_str);
    names.map(str::to_owned).collect()
}

fn every_queue_is_subscribed_to_the_event_types_that_its_function_processes(
    template: &Template,
) -> Vec<String> {
    let mut violations = Vec::new();
    for trigger in &template.deployment.triggers {
        let TriggerSource::Queue { queue_arn, .. } = &trigger.source else { continue };
        let binary = template.function(&trigger.function).binary.as_str();
        let Some(processed) = processed().get(binary) else {
            violations.push(format!(
                "a queue triggers {binary}: add its parser to CONSUMERS in event_subscriptions.rs"
            ));
            continue;
        };
        let subscribed = subscribed(template, queue_arn, &mut violations);
        for kind in subscribed.difference(processed) {
            violations.push(format!(
                "{binary} does not process {kind}: remove it from the FilterPolicy of {queue_arn}"
            ));
        }
        for kind in processed.difference(&subscribed) {
            violations.push(format!("{binary} processes {kind}: add it to a FilterPolicy of {queue_arn}"));
        }
    }
    violations
}

fn every_subscription_filters_event_types_of_its_topic_and_delivers_raw_messages(
    template: &Template,
) -> Vec<String> {
    let mut violations = Vec::new();
    for subscription in &template.deployment.subscriptions {
        let (topic, queue) = (&subscription.topic_arn, &subscription.queue_arn);
        if subscription.attributes.get("RawMessageDelivery").map(String::as_str) != Some("true") {
            violations.push(format!(
                "{topic} to {queue}: add RawMessageDelivery: true, because the body must be the event"
            ));
        }
        for name in filtered_types(subscription) {
            let Ok(kind) = name.parse::<EventKind>() else { continue };
            let published = arn::topic(&format!("{STACK}-{}-events", kind.service()));
            if *topic != published {
                violations.push(format!("{kind} is published to {published}, never to {topic}"));
            }
        }
    }
    violations
}

fn every_publishing_context_has_a_topic_that_the_relay_knows(template: &Template) -> Vec<String> {
    let publishing: BTreeSet<&str> = EventKind::VARIANTS.iter().map(|kind| kind.service()).collect();
    let known: BTreeSet<&str> = TOPICS.into_iter().map(|(context, _)| context).collect();
    let topics = template.deployment.topics.iter().map(|topic| topic.name.clone());
    let topics: BTreeSet<String> = topics.filter(|name| name.ends_with("-events")).collect();
    let expected: BTreeSet<String> =
        publishing.iter().map(|context| format!("{STACK}-{context}-events")).collect();
    let mut violations = Vec::new();
    if topics != expected {
        violations.push(format!("template.yaml must have a topic per publishing context: {expected:?}"));
    }
    if known != publishing {
        violations.push(format!("relay::config::TOPICS must list the publishing contexts: {publishing:?}"));
    }
    violations
}

fn the_stream_of_every_table_triggers_the_relay(template: &Template) -> Vec<String> {
    // The table of the reconciliation has no events.
    let tables = template.deployment.tables.iter().filter(|table| table.logical_id != "ReconciliationTable");
    let without = tables.filter(|table| {
        !template.deployment.triggers.iter().any(|trigger| {
            matches!(&trigger.source, TriggerSource::Stream { table: name, .. } if *name == table.name)
                && template.function(&trigger.function).binary == "relay"
        })
    });
    let violation = |id: &str| {
        format!("add an event of the stream of {id} to RelayFunction, or its events are not published")
    };
    without.map(|table| violation(&table.logical_id)).collect()
}
