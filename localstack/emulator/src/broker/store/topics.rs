//! Topics, subscriptions, and the delivery of a publication to all subscribed queues in one transaction.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use uuid::Uuid;

use super::{from_json, messages, queues, to_json};
use crate::broker::error::{BrokerError, ErrorCode};
use crate::broker::message::NewMessage;
use crate::broker::queue::{self, Queue};
use crate::broker::topic::{self, Publication, Subscription};

/// A stored topic.
#[derive(Debug, Clone)]
pub(crate) struct Topic {
    /// ARN of the topic.
    pub(crate) arn: String,
    /// The attributes that were set; all others have their default.
    pub(crate) attributes: BTreeMap<String, String>,
    /// Tags.
    pub(crate) tags: BTreeMap<String, String>,
}

/// The topic, if it exists.
pub(crate) fn find(c: &Connection, arn: &str) -> Result<Option<Topic>, BrokerError> {
    let found: Option<(String, String)> = c
        .prepare_cached("SELECT attributes, tags FROM topics WHERE arn = ?1")?
        .query_row([arn], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((attributes, tags)) = found else {
        return Ok(None);
    };
    Ok(Some(Topic { arn: arn.to_owned(), attributes: from_json(&attributes)?, tags: from_json(&tags)? }))
}

/// The topic.
///
/// # Errors
/// `NotFound`.
pub(crate) fn get(c: &Connection, arn: &str) -> Result<Topic, BrokerError> {
    find(c, arn)?
        .ok_or_else(|| BrokerError::rejected(ErrorCode::NotFound, format!("Topic does not exist: {arn}")))
}

/// The ARNs of all topics.
pub(crate) fn list(c: &Connection) -> Result<Vec<String>, BrokerError> {
    let mut statement = c.prepare_cached("SELECT arn FROM topics ORDER BY arn")?;
    let arns = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(arns)
}

/// Creates a topic, or sets its attributes and tags to exactly these.
pub(crate) fn put(c: &Connection, topic: &Topic) -> Result<(), BrokerError> {
    topic::check_attributes(&topic.attributes)?;
    c.prepare_cached(
        "INSERT INTO topics (arn, attributes, tags) VALUES (?1, ?2, ?3)
         ON CONFLICT (arn) DO UPDATE SET attributes = excluded.attributes, tags = excluded.tags",
    )?
    .execute(params![topic.arn, to_json(&topic.attributes)?, to_json(&topic.tags)?])?;
    Ok(())
}

/// Deletes a topic with its subscriptions; a missing topic is no error, as in SNS.
pub(crate) fn delete(c: &Connection, arn: &str) -> Result<(), BrokerError> {
    c.prepare_cached("DELETE FROM topics WHERE arn = ?1")?.execute([arn])?;
    Ok(())
}

type Columns = (String, String, String, String);

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
}

fn subscription_of((arn, topic, endpoint, attributes): Columns) -> Result<Subscription, BrokerError> {
    Ok(Subscription { arn, topic, endpoint, attributes: from_json(&attributes)? })
}

/// All subscriptions, or those of one topic.
pub(crate) fn subscriptions(c: &Connection, topic: Option<&str>) -> Result<Vec<Subscription>, BrokerError> {
    let rows: Vec<Columns> = match topic {
        Some(topic) => c
            .prepare_cached("SELECT arn, topic, endpoint, attributes FROM subscriptions WHERE topic = ?1")?
            .query_map([topic], columns)?
            .collect::<Result<_, _>>()?,
        None => c
            .prepare_cached("SELECT arn, topic, endpoint, attributes FROM subscriptions ORDER BY arn")?
            .query_map([], columns)?
            .collect::<Result<_, _>>()?,
    };
    rows.into_iter().map(subscription_of).collect()
}

/// The subscription with this ARN.
///
/// # Errors
/// `NotFound`.
pub(crate) fn subscription(c: &Connection, arn: &str) -> Result<Subscription, BrokerError> {
    c.prepare_cached("SELECT arn, topic, endpoint, attributes FROM subscriptions WHERE arn = ?1")?
        .query_row([arn], columns)
        .optional()?
        .map(subscription_of)
        .transpose()?
        .ok_or_else(|| BrokerError::rejected(ErrorCode::NotFound, "Subscription does not exist"))
}

/// The subscription of this queue to this topic, if it exists.
pub(crate) fn subscription_between(
    c: &Connection,
    topic: &str,
    endpoint: &str,
) -> Result<Option<Subscription>, BrokerError> {
    c.prepare_cached(
        "SELECT arn, topic, endpoint, attributes FROM subscriptions WHERE topic = ?1 AND endpoint = ?2",
    )?
    .query_row([topic, endpoint], columns)
    .optional()?
    .map(subscription_of)
    .transpose()
}

/// Subscribes a queue to a topic, or sets the attributes of the subscription to exactly these. Returns its
/// ARN.
pub(crate) fn subscribe(
    c: &Connection,
    topic: &str,
    endpoint: &str,
    attributes: &BTreeMap<String, String>,
) -> Result<String, BrokerError> {
    get(c, topic)?;
    topic::check_subscription(attributes)?;
    if queue::name_of_arn(endpoint).is_none() {
        return Err(BrokerError::rejected(
            ErrorCode::InvalidParameter,
            format!("Invalid parameter: SQS endpoint ARN: {endpoint}"),
        ));
    }
    let arn = match subscription_between(c, topic, endpoint)? {
        Some(existing) => existing.arn,
        None => format!("{topic}:{}", Uuid::new_v4()),
    };
    c.prepare_cached(
        "INSERT INTO subscriptions (arn, topic, endpoint, attributes) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (arn) DO UPDATE SET attributes = excluded.attributes",
    )?
    .execute(params![arn, topic, endpoint, to_json(attributes)?])?;
    Ok(arn)
}

/// Deletes a subscription; a missing one is no error, as in SNS.
pub(crate) fn unsubscribe(c: &Connection, arn: &str) -> Result<(), BrokerError> {
    c.prepare_cached("DELETE FROM subscriptions WHERE arn = ?1")?.execute([arn])?;
    Ok(())
}

/// Inserts publications into every queue whose filter matches, and returns the names of these queues.
pub(crate) fn publish(
    c: &Connection,
    now: i64,
    topic: &str,
    publications: &[Publication],
    base_url: &str,
) -> Result<Vec<String>, BrokerError> {
    let mut target_queues = Vec::new();
    for subscription in subscriptions(c, Some(topic))? {
        let rule = subscription.delivery_rule()?;
        let matching: Result<Vec<NewMessage>, BrokerError> = publications
            .iter()
            .filter(|publication| rule.matches(publication))
            .map(|publication| rule.message(publication, &subscription, now, base_url))
            .collect();
        let matching = matching?;
        if matching.is_empty() {
            continue;
        }
        let target = existing(c, subscription.queue())?;
        let dead_letter_queue = existing(c, subscription.dead_letter_queue()?.as_deref())?;
        for message in matching {
            let mut accepting = None;
            for queue in [&target, &dead_letter_queue].into_iter().flatten() {
                if accepting.is_none() && accepts(queue, &message)? {
                    accepting = Some(queue);
                }
            }
            match accepting {
                Some(queue) => {
                    messages::insert(c, now, queue, &message)?;
                    if !target_queues.contains(&queue.name) {
                        target_queues.push(queue.name.clone());
                    }
                }
                // As in SNS, which reports nothing to the publisher.
                None => tracing::warn!(
                    subscription = subscription.arn,
                    endpoint = subscription.endpoint,
                    "dropped a publication: its queue does not exist or does not accept the message"
                ),
            }
        }
    }
    Ok(target_queues)
}

fn existing(c: &Connection, name: Option<&str>) -> Result<Option<Queue>, BrokerError> {
    match name {
        Some(name) => queues::find(c, name),
        None => Ok(None),
    }
}

/// Returns `true` if the message is valid in SQS and not too large for the queue.
fn accepts(queue: &Queue, message: &NewMessage) -> Result<bool, BrokerError> {
    Ok(message.check().is_ok() && message.size() <= queue.max_message_bytes()?)
}
