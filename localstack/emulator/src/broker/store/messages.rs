//! Messages: sent, received, hidden, deleted, expired, and moved aside when nobody manages to process them.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use uuid::Uuid;

use super::{from_json, queues, to_json};
use crate::broker::error::{BrokerError, ErrorCode};
use crate::broker::message::{NewMessage, Receipt, ReceivedMessage, md5_hex};
use crate::broker::queue::{self, Queue};

/// What one look into a queue brought.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// The messages, now hidden from others.
    pub(crate) messages: Vec<ReceivedMessage>,
    /// The dead-letter queue that got messages instead.
    pub(crate) moved_to: Option<String>,
    /// When the next message becomes visible, in milliseconds since the epoch; none while there is none.
    pub(crate) next_visible_at: Option<i64>,
}

/// Puts a message, already checked, into a queue and returns its id.
pub(crate) fn insert(
    c: &Connection,
    now: i64,
    queue: &Queue,
    message: &NewMessage,
) -> Result<String, BrokerError> {
    let message_id = Uuid::new_v4().to_string();
    let attributes = if message.attributes.is_empty() { None } else { Some(to_json(&message.attributes)?) };
    let delay = message.delay.unwrap_or_else(|| queue.number(queue::DELAY));
    c.prepare_cached(
        "INSERT INTO messages (queue, message_id, body, attributes, sender, trace_header, sent_at, visible_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        queue.id,
        message_id,
        message.body,
        attributes,
        message.sender,
        message.trace_header,
        now,
        now.saturating_add(delay.saturating_mul(1000)),
    ])?;
    Ok(message_id)
}

/// Takes up to `max` visible messages and hides them for that many milliseconds. A message that was received as often as
/// the redrive policy allows goes to the dead-letter queue in the same transaction.
pub(crate) fn receive(
    c: &Connection,
    now: i64,
    queue: &Queue,
    max: usize,
    hide_for: Option<i64>,
) -> Result<Received, BrokerError> {
    expire(c, now, queue)?;
    let hide_for = hide_for.unwrap_or_else(|| queue.number(queue::VISIBILITY_TIMEOUT).saturating_mul(1000));
    let dead_letters = match queue.redrive() {
        // A dead-letter queue that was deleted takes nothing; the messages stay.
        Some(redrive) => queues::find(c, &redrive.target)?.map(|target| (target, redrive.max_receives)),
        None => None,
    };
    let mut received = Received::default();
    loop {
        let found = visible(c, now, queue, max)?;
        let mut moved = 0;
        let all = found.len();
        for stored in found {
            match &dead_letters {
                Some((target, most)) if stored.receives >= *most => {
                    move_aside(c, now, queue, target, stored.row)?;
                    received.moved_to = Some(target.name.clone());
                    moved += 1;
                }
                Some(_) | None => received.messages.push(stored.hand_out(c, now, queue, hide_for)?),
            }
        }
        // A look that only cleared dead letters away may have hidden live ones behind them.
        if moved == 0 || moved < all {
            break;
        }
    }
    if received.messages.is_empty() {
        received.next_visible_at = c
            .prepare_cached("SELECT min(visible_at) FROM messages WHERE queue = ?1")?
            .query_row([queue.id], |row| row.get(0))?;
    }
    Ok(received)
}

/// A message as the table has it.
struct Stored {
    row: i64,
    message_id: String,
    body: String,
    attributes: Option<String>,
    sender: String,
    trace_header: Option<String>,
    dead_letter_source: Option<String>,
    sent_at: i64,
    first_received_at: Option<i64>,
    receives: i64,
}

fn visible(c: &Connection, now: i64, queue: &Queue, max: usize) -> Result<Vec<Stored>, BrokerError> {
    let read = |row: &Row<'_>| {
        Ok(Stored {
            row: row.get(0)?,
            message_id: row.get(1)?,
            body: row.get(2)?,
            attributes: row.get(3)?,
            sender: row.get(4)?,
            trace_header: row.get(5)?,
            dead_letter_source: row.get(6)?,
            sent_at: row.get(7)?,
            first_received_at: row.get(8)?,
            receives: row.get(9)?,
        })
    };
    let mut statement = c.prepare_cached(
        "SELECT id, message_id, body, attributes, sender, trace_header, dead_letter_source, sent_at,
                first_received_at, receives
         FROM messages WHERE queue = ?1 AND visible_at <= ?2 ORDER BY visible_at, receives, id LIMIT ?3",
    )?;
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    let found = statement.query_map(params![queue.id, now, max], read)?.collect::<Result<_, _>>()?;
    Ok(found)
}

impl Stored {
    fn hand_out(
        self,
        c: &Connection,
        now: i64,
        queue: &Queue,
        hide_for: i64,
    ) -> Result<ReceivedMessage, BrokerError> {
        let receives = self.receives + 1;
        let first_received_at = self.first_received_at.unwrap_or(now);
        c.prepare_cached(
            "UPDATE messages SET visible_at = ?2, receives = ?3, first_received_at = ?4 WHERE id = ?1",
        )?
        .execute(params![self.row, now.saturating_add(hide_for), receives, first_received_at])?;
        let message_id: Uuid =
            self.message_id.parse().map_err(|_| BrokerError::Corrupt("a message id".to_owned()))?;
        let receipt = Receipt { queue: queue.id, row: self.row, message_id, receive: receives };
        let always = [
            ("ApproximateReceiveCount", receives.to_string()),
            ("SentTimestamp", self.sent_at.to_string()),
            ("SenderId", self.sender),
            ("ApproximateFirstReceiveTimestamp", first_received_at.to_string()),
        ];
        let sometimes =
            [("AWSTraceHeader", self.trace_header), ("DeadLetterQueueSourceArn", self.dead_letter_source)];
        let attributes: BTreeMap<String, String> = always
            .into_iter()
            .chain(sometimes.into_iter().filter_map(|(name, value)| Some((name, value?))))
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        Ok(ReceivedMessage {
            message_id: self.message_id,
            receipt_handle: receipt.encode(),
            md5_of_body: md5_hex(self.body.as_bytes()),
            body: self.body,
            attributes,
            message_attributes: self.attributes.as_deref().map(from_json).transpose()?.unwrap_or_default(),
        })
    }
}

/// Into the dead-letter queue, keeping id and time of sending, so that retention counts from there as in SQS.
fn move_aside(c: &Connection, now: i64, from: &Queue, to: &Queue, row: i64) -> Result<(), BrokerError> {
    c.prepare_cached(
        "UPDATE messages SET queue = ?2, dead_letter_source = ?3, visible_at = ?4, receives = 0,
                             first_received_at = NULL
         WHERE id = ?1",
    )?
    .execute(params![row, to.id, from.arn(), now])?;
    Ok(())
}

/// Deletes the message of a receipt. A message that is gone is no error, and an older receipt of the message serves as
/// well, as it mostly does in a standard queue: whoever holds it did process the message.
pub(crate) fn delete(c: &Connection, queue: &Queue, receipt: &Receipt) -> Result<(), BrokerError> {
    if receipt.queue == queue.id {
        c.prepare_cached("DELETE FROM messages WHERE id = ?1 AND queue = ?2 AND message_id = ?3")?
            .execute(params![receipt.row, queue.id, receipt.message_id.to_string()])?;
    }
    Ok(())
}

/// Hides the message of a receipt for that many milliseconds from now. Only the latest receipt may: an older one would
/// take the message out of the hands of whoever has it now.
pub(crate) fn change_visibility(
    c: &Connection,
    now: i64,
    queue: &Queue,
    receipt: &Receipt,
    hide_for: i64,
) -> Result<(), BrokerError> {
    let found: Option<(i64, i64)> = c
        .prepare_cached(
            "SELECT visible_at, receives FROM messages WHERE id = ?1 AND queue = ?2 AND message_id = ?3",
        )?
        .query_row(params![receipt.row, queue.id, receipt.message_id.to_string()], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    match found {
        Some((visible_at, receives)) if receives == receipt.receive && visible_at > now => {
            c.prepare_cached("UPDATE messages SET visible_at = ?2 WHERE id = ?1")?
                .execute(params![receipt.row, now.saturating_add(hide_for)])?;
            Ok(())
        }
        Some(_) => Err(BrokerError::refused(
            ErrorCode::MessageNotInflight,
            "The message referred to is not in flight under this receipt handle.",
        )),
        None => Err(BrokerError::refused(
            ErrorCode::InvalidParameterValue,
            "Value for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for visibility timeout change.",
        )),
    }
}

/// Undoes the receive that a receipt is of, unless the message went on since.
pub(crate) fn give_back(c: &Connection, now: i64, receipt: &Receipt) -> Result<(), BrokerError> {
    c.prepare_cached(
        "UPDATE messages SET visible_at = ?5, receives = receives - 1,
                             first_received_at = iif(receives = 1, NULL, first_received_at)
         WHERE id = ?1 AND queue = ?2 AND message_id = ?3 AND receives = ?4",
    )?
    .execute(params![
        receipt.row,
        receipt.queue,
        receipt.message_id.to_string(),
        receipt.receive,
        now
    ])?;
    Ok(())
}

/// Deletes every message of a queue.
pub(crate) fn purge(c: &Connection, queue: &Queue) -> Result<(), BrokerError> {
    c.prepare_cached("DELETE FROM messages WHERE queue = ?1")?.execute([queue.id])?;
    Ok(())
}

/// Deletes what is older than the queue keeps it, in flight or not, as SQS does.
pub(crate) fn expire(c: &Connection, now: i64, queue: &Queue) -> Result<(), BrokerError> {
    let oldest = now.saturating_sub(queue.number(queue::RETENTION).saturating_mul(1000));
    c.prepare_cached("DELETE FROM messages WHERE queue = ?1 AND sent_at <= ?2")?
        .execute(params![queue.id, oldest])?;
    Ok(())
}

/// Makes everything visible that was received and not deleted; returns how many messages that were.
pub(crate) fn release_in_flight(c: &Connection, now: i64) -> Result<usize, BrokerError> {
    let released = c
        .prepare_cached("UPDATE messages SET visible_at = ?1 WHERE visible_at > ?1 AND receives > 0")?
        .execute([now])?;
    Ok(released)
}
