//! Message move tasks: redrive of dead letters to their source queues.

use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::queues;
use crate::broker::error::{BrokerError, ErrorCode};
use crate::broker::queue::{self, Queue};

/// A redrive of a dead-letter queue. It completes within its request, so none is ever running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MoveTask {
    /// Task handle.
    pub(crate) handle: String,
    /// ARN of the dead-letter queue.
    pub(crate) source: String,
    /// ARN of the destination; `None` for the source queue of each message.
    pub(crate) destination: Option<String>,
    /// Milliseconds since the Unix epoch.
    pub(crate) started_at: i64,
    /// Number of messages moved.
    pub(crate) moved: i64,
    /// Number of messages in the dead-letter queue at the start.
    pub(crate) to_move: i64,
    /// The reason if some messages did not move.
    pub(crate) failure: Option<String>,
}

/// Moves all visible messages of a dead-letter queue. They get new ids and a new time of sending, as in SQS.
/// Returns the task and the names of the queues that received messages.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html>
pub(crate) fn start(
    c: &Connection,
    now: i64,
    source_arn: &str,
    destination_arn: Option<&str>,
) -> Result<(MoveTask, Vec<String>), BrokerError> {
    let source = by_arn(c, source_arn)?;
    if queues::dead_letter_sources(c, &source.name)?.is_empty() {
        return Err(BrokerError::rejected(
            ErrorCode::InvalidParameterValue,
            "Source queue must be configured as a Dead Letter Queue.",
        ));
    }
    let destination = destination_arn.map(|arn| by_arn(c, arn)).transpose()?;
    let mut statement = c.prepare_cached(
        "SELECT id, dead_letter_source FROM messages WHERE queue = ?1 AND visible_at <= ?2 ORDER BY visible_at, id",
    )?;
    let waiting: Vec<(i64, Option<String>)> = statement
        .query_map(params![source.id, now], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let to_move = i64::try_from(waiting.len()).unwrap_or(i64::MAX);
    let mut targets: Vec<Queue> = Vec::new();
    let mut moved = 0;
    for (row, source_queue) in waiting {
        let target = match (&destination, source_queue.as_deref().and_then(queue::name_of_arn)) {
            (Some(queue), _) => Some(queue.clone()),
            (None, Some(name)) => match targets.iter().find(|known| known.name == name) {
                Some(known) => Some(known.clone()),
                None => queues::find(c, name)?,
            },
            (None, None) => None,
        };
        let Some(target) = target else { continue };
        c.prepare_cached(
            "UPDATE messages SET queue = ?2, message_id = ?3, sent_at = ?4, visible_at = ?4, receives = 0,
                                 first_received_at = NULL, dead_letter_source = NULL
             WHERE id = ?1",
        )?
        .execute(params![row, target.id, Uuid::new_v4().to_string(), now])?;
        moved += 1;
        if !targets.iter().any(|known| known.id == target.id) {
            targets.push(target);
        }
    }
    let task = MoveTask {
        handle: Uuid::new_v4().to_string(),
        source: source.arn(),
        destination: destination.map(|queue| queue.arn()),
        started_at: now,
        moved,
        to_move,
        failure: (moved < to_move)
            .then(|| "Some messages have no source queue, or it was deleted.".to_owned()),
    };
    c.prepare_cached(
        "INSERT INTO moves (handle, source, destination, started_at, moved, to_move, failure)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        task.handle,
        task.source,
        task.destination,
        task.started_at,
        task.moved,
        task.to_move,
        task.failure
    ])?;
    Ok((task, targets.into_iter().map(|queue| queue.name).collect()))
}

/// The latest tasks of a dead-letter queue, newest first.
pub(crate) fn list(c: &Connection, source_arn: &str, max: i64) -> Result<Vec<MoveTask>, BrokerError> {
    let source = by_arn(c, source_arn)?;
    let read = |row: &Row<'_>| {
        Ok(MoveTask {
            handle: row.get(0)?,
            source: row.get(1)?,
            destination: row.get(2)?,
            started_at: row.get(3)?,
            moved: row.get(4)?,
            to_move: row.get(5)?,
            failure: row.get(6)?,
        })
    };
    let mut statement = c.prepare_cached(
        "SELECT handle, source, destination, started_at, moved, to_move, failure
         FROM moves WHERE source = ?1 ORDER BY started_at DESC, rowid DESC LIMIT ?2",
    )?;
    let moves = statement.query_map(params![source.arn(), max], read)?.collect::<Result<_, _>>()?;
    Ok(moves)
}

fn by_arn(c: &Connection, arn: &str) -> Result<Queue, BrokerError> {
    let found = match queue::name_of_arn(arn) {
        Some(name) => queues::find(c, name)?,
        None => None,
    };
    found.ok_or_else(|| {
        BrokerError::rejected(
            ErrorCode::ResourceNotFoundException,
            format!("The resource that you specified for the queue ARN '{arn}' doesn't exist."),
        )
    })
}
