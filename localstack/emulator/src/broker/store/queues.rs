//! Queues: made, found, changed, dropped, counted.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{from_json, to_json};
use crate::broker::error::{BrokerError, ErrorCode};
use crate::broker::queue::{self, Queue, REDRIVE_ALLOW_POLICY, REDRIVE_POLICY};

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

/// How many messages a queue holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Can be received now.
    pub(crate) visible: u64,
    /// Received and not deleted, within their visibility time-out.
    pub(crate) in_flight: u64,
    /// Sent with a delay that has not passed.
    pub(crate) delayed: u64,
}

/// The queue of that name, or none.
pub(crate) fn find(c: &Connection, name: &str) -> Result<Option<Queue>, BrokerError> {
    c.prepare_cached(&format!("SELECT {COLUMNS} FROM queues WHERE name = ?1"))?
        .query_row([name], columns)
        .optional()?
        .map(queue_of)
        .transpose()
}

/// The queue of that name, or a refusal.
pub(crate) fn get(c: &Connection, name: &str) -> Result<Queue, BrokerError> {
    find(c, name)?.ok_or_else(|| {
        BrokerError::refused(
            ErrorCode::QueueDoesNotExist,
            format!("The specified queue does not exist: {name}."),
        )
    })
}

/// All queues by name, from that prefix on.
pub(crate) fn list(c: &Connection, prefix: &str) -> Result<Vec<Queue>, BrokerError> {
    let mut statement = c.prepare_cached(&format!("SELECT {COLUMNS} FROM queues ORDER BY name"))?;
    let rows = statement.query_map([], columns)?.collect::<Result<Vec<_>, _>>()?;
    rows.into_iter().filter(|(_, name, ..)| name.starts_with(prefix)).map(queue_of).collect()
}

/// The queues whose redrive policy names that queue.
pub(crate) fn dead_letter_sources(c: &Connection, name: &str) -> Result<Vec<Queue>, BrokerError> {
    let mut sources = list(c, "")?;
    sources.retain(|source| source.redrive().is_some_and(|redrive| redrive.target == name));
    Ok(sources)
}

/// Makes a queue that does not exist.
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
    .execute(params![name, to_json(&set(attributes))?, to_json(tags)?, now])?;
    Ok(())
}

/// Sets the attributes of a queue to exactly these; what is not among them gets its default.
pub(crate) fn set_attributes(
    c: &Connection,
    now: i64,
    queue: &Queue,
    attributes: &BTreeMap<String, String>,
) -> Result<(), BrokerError> {
    queue::check_attributes(attributes)?;
    // A policy that stays may have lost its dead-letter queue since; that is no reason to refuse other changes.
    if attributes.get(REDRIVE_POLICY) != queue.attributes.get(REDRIVE_POLICY) {
        check_redrive(c, &queue.name, attributes)?;
    }
    let attributes = set(attributes);
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

/// Drops a queue with its messages.
pub(crate) fn delete(c: &Connection, queue: &Queue) -> Result<(), BrokerError> {
    c.prepare_cached("DELETE FROM queues WHERE id = ?1")?.execute([queue.id])?;
    Ok(())
}

/// Counts the messages of a queue at that time.
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

/// An empty value takes an attribute away.
fn set(attributes: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    attributes.iter().filter(|(_, value)| !value.is_empty()).map(|(n, v)| (n.clone(), v.clone())).collect()
}

/// Refuses a dead-letter queue that is missing or does not want these letters.
fn check_redrive(
    c: &Connection,
    name: &str,
    attributes: &BTreeMap<String, String>,
) -> Result<(), BrokerError> {
    let Some(policy) = attributes.get(REDRIVE_POLICY).filter(|policy| !policy.is_empty()) else {
        return Ok(());
    };
    let refuse = |why: &str| {
        BrokerError::refused(
            ErrorCode::InvalidParameterValue,
            format!("Value {policy} for parameter RedrivePolicy is invalid. Reason: {why}"),
        )
    };
    let redrive = queue::parse_redrive(policy).map_err(refuse)?;
    let target = find(c, &redrive.target)?.ok_or_else(|| refuse("Dead letter target does not exist."))?;
    match target.attributes.get(REDRIVE_ALLOW_POLICY) {
        Some(allow) if !queue::allows_redrive_from(allow, &queue::arn(name)) => {
            Err(refuse("The dead-letter queue's RedriveAllowPolicy does not name this queue."))
        }
        Some(_) | None => Ok(()),
    }
}
