//! Queues: create, find, change, delete, count.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{from_json, to_json};
use crate::broker::error::{BrokerError, ErrorCode};
use crate::broker::queue::{self, Queue, REDRIVE_POLICY};

const COLUMNS: &str = "id, name, attributes, tags, created_at, modified_at";

type Columns = (i64, String, String, String, i64, i64);

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
}

fn queue_of((id, name, attributes, tags, created_at, modified_at): Columns) -> Result<Queue, BrokerError> {
    Ok(Queue {
        id,
        name,
        attributes: from_json(&attributes)?,
        tags: from_json(&tags)?,
        created_at,
        modified_at,
    })
}

/// The number of messages in a queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Messages that can be received now.
    pub(crate) visible: u64,
    /// Messages that were received and not deleted, within their visibility timeout.
    pub(crate) in_flight: u64,
    /// Messages whose delay has not passed.
    pub(crate) delayed: u64,
}

/// The queue with this name, if it exists.
pub(crate) fn find(c: &Connection, name: &str) -> Result<Option<Queue>, BrokerError> {
    c.prepare_cached(&format!("SELECT {COLUMNS} FROM queues WHERE name = ?1"))?
        .query_row([name], columns)
        .optional()?
        .map(queue_of)
        .transpose()
}

/// The queue with this name.
///
/// # Errors
/// `QueueDoesNotExist`.
pub(crate) fn get(c: &Connection, name: &str) -> Result<Queue, BrokerError> {
    find(c, name)?.ok_or_else(|| {
        BrokerError::rejected(
            ErrorCode::QueueDoesNotExist,
            format!("The specified queue does not exist: {name}."),
        )
    })
}

/// All queues whose name starts with the prefix, sorted by name.
pub(crate) fn list(c: &Connection, prefix: &str) -> Result<Vec<Queue>, BrokerError> {
    let mut statement = c.prepare_cached(&format!("SELECT {COLUMNS} FROM queues ORDER BY name"))?;
    let rows = statement.query_map([], columns)?.collect::<Result<Vec<_>, _>>()?;
    rows.into_iter().filter(|(_, name, ..)| name.starts_with(prefix)).map(queue_of).collect()
}

/// The queues whose redrive policy names this queue.
pub(crate) fn dead_letter_sources(c: &Connection, name: &str) -> Result<Vec<Queue>, BrokerError> {
    let mut sources = Vec::new();
    for queue in list(c, "")? {
        if queue.redrive()?.is_some_and(|redrive| redrive.target == name) {
            sources.push(queue);
        }
    }
    Ok(sources)
}

/// Creates a queue with a new name.
pub(crate) fn insert(
    c: &Connection,
    now: i64,
    name: &str,
    attributes: &BTreeMap<String, String>,
    tags: &BTreeMap<String, String>,
) -> Result<(), BrokerError> {
    queue::check_name(name)?;
    queue::check_attributes(attributes)?;
    check_redrive(c, name, attributes)?;
    c.prepare_cached(
        "INSERT INTO queues (name, attributes, tags, created_at, modified_at) VALUES (?1, ?2, ?3, ?4, ?4)",
    )?
    .execute(params![name, to_json(&without_empty(attributes))?, to_json(tags)?, now])?;
    Ok(())
}

/// Sets the attributes of a queue to exactly these; all others get their default.
pub(crate) fn set_attributes(
    c: &Connection,
    now: i64,
    queue: &Queue,
    attributes: &BTreeMap<String, String>,
) -> Result<(), BrokerError> {
    queue::check_attributes(attributes)?;
    // An unchanged policy is not checked: its dead-letter queue may have been deleted since.
    if attributes.get(REDRIVE_POLICY) != queue.attributes.get(REDRIVE_POLICY) {
        check_redrive(c, &queue.name, attributes)?;
    }
    let attributes = without_empty(attributes);
    if attributes == queue.attributes {
        return Ok(());
    }
    c.prepare_cached("UPDATE queues SET attributes = ?2, modified_at = ?3 WHERE id = ?1")?
        .execute(params![queue.id, to_json(&attributes)?, now])?;
    Ok(())
}

/// Sets the tags of a queue to exactly these.
pub(crate) fn set_tags(
    c: &Connection,
    queue: &Queue,
    tags: &BTreeMap<String, String>,
) -> Result<(), BrokerError> {
    c.prepare_cached("UPDATE queues SET tags = ?2 WHERE id = ?1")?
        .execute(params![queue.id, to_json(tags)?])?;
    Ok(())
}

/// Deletes a queue with its messages.
pub(crate) fn delete(c: &Connection, queue: &Queue) -> Result<(), BrokerError> {
    c.prepare_cached("DELETE FROM queues WHERE id = ?1")?.execute([queue.id])?;
    Ok(())
}

/// Counts the messages of a queue at the time `now`.
pub(crate) fn count(c: &Connection, now: i64, queue: &Queue) -> Result<Counts, BrokerError> {
    let sql = "SELECT count(*) FILTER (WHERE visible_at <= ?2),
                      count(*) FILTER (WHERE visible_at > ?2 AND receives > 0),
                      count(*) FILTER (WHERE visible_at > ?2 AND receives = 0)
               FROM messages WHERE queue = ?1";
    let (visible, in_flight, delayed) = c
        .prepare_cached(sql)?
        .query_row(params![queue.id, now], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(Counts { visible, in_flight, delayed })
}

/// The attributes without those whose value is empty, which removes them.
fn without_empty(attributes: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    attributes.iter().filter(|(_, value)| !value.is_empty()).map(|(n, v)| (n.clone(), v.clone())).collect()
}

/// Checks that the dead-letter queue exists and allows this source.
fn check_redrive(
    c: &Connection,
    name: &str,
    attributes: &BTreeMap<String, String>,
) -> Result<(), BrokerError> {
    let Some(policy) = attributes.get(REDRIVE_POLICY).filter(|policy| !policy.is_empty()) else {
        return Ok(());
    };
    let rejected = |reason: &str| {
        BrokerError::rejected(
            ErrorCode::InvalidParameterValue,
            format!("Value {policy} for parameter RedrivePolicy is invalid. Reason: {reason}"),
        )
    };
    let redrive = queue::parse_redrive(policy).map_err(rejected)?;
    let target = find(c, &redrive.target)?.ok_or_else(|| rejected("Dead letter target does not exist."))?;
    if target.allows_redrive_from(&queue::arn(name))? {
        return Ok(());
    }
    Err(rejected("The dead-letter queue's RedriveAllowPolicy does not name this queue."))
}
