//! Messages: send, receive, hide, delete, expire, and move to the dead-letter queue.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use uuid::Uuid;

use super::{from_json, queues, to_json};
use crate::broker::error::{BrokerError, ErrorCode};
use crate::broker::message::{NewMessage, Receipt, ReceivedMessage, md5_hex};
use crate::broker::queue::{self, Queue};

/// The result of one receive.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// The messages, now hidden from other receivers.
    pub(crate) messages: Vec<ReceivedMessage>,
    /// The dead-letter queue, if messages moved there.
    pub(crate) moved_to: Option<String>,
    /// The time at which the next message becomes visible, in milliseconds since the Unix epoch; `None` for
    /// an empty queue.
    pub(crate) next_visible_at: Option<i64>,
}

/// Inserts a validated message into a queue and returns its id.
pub(crate) fn insert(
    c: &Connection,
    now: i64,
    queue: &Queue,
    message: &NewMessage,
) -> Result<String, BrokerError> {
    let message_id = Uuid::new_v4().to_string();
    let attributes = if message.attributes.is_empty() { None } else { Some(to_json(&message.attributes)?) };
    let delay = match message.delay {
        Some(seconds) => seconds,
        None => queue.number(queue::DELAY)?,
    };
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

/// Receives up to `max` visible messages and hides them for `visibility_ms` milliseconds, by default the
/// queue's timeout. A message at the redrive policy's maximum of receives moves to the dead-letter queue in
/// the same transaction.
pub(crate) fn receive(
    c: &Connection,
    now: i64,
    queue: &Queue,
    max: usize,
    visibility_ms: Option<i64>,
) -> Result<Received, BrokerError> {
    expire(c, now, queue)?;
    let visibility_ms = match visibility_ms {
        Some(visibility_ms) => visibility_ms,
        None => queue.number(queue::VISIBILITY_TIMEOUT)?.saturating_mul(1000),
    };
    let dead_letter_queue = match queue.redrive()? {
        // Without the dead-letter queue the messages stay.
        Some(redrive) => queues::find(c, &redrive.target)?.map(|target| (target, redrive.max_receives)),
        None => None,
    };
    let mut received = Received::default();
    loop {
        let found = visible(c, now, queue, max)?;
        let mut moved = 0;
        let all = found.len();
        for stored in found {
            match &dead_letter_queue {
                Some((target, max_receives)) if stored.receives >= *max_receives => {
                    move_to_dead_letter_queue(c, now, queue, target, stored.row)?;
                    received.moved_to = Some(target.name.clone());
                    moved += 1;
                }
                Some(_) | None => received.messages.push(stored.receive(c, now, queue, visibility_ms)?),
            }
        }
        // A page of dead letters only may have other messages behind it.
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

/// A row of the table `messages`.
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
    /// Hides the message and counts the receive.
    fn receive(
        self,
        c: &Connection,
        now: i64,
        queue: &Queue,
        visibility_ms: i64,
    ) -> Result<ReceivedMessage, BrokerError> {
        let (receives, visible_at) = (self.receives + 1, now.saturating_add(visibility_ms));
        let first_received_at = self.first_received_at.unwrap_or(now);
        c.prepare_cached(
            "UPDATE messages SET visible_at = ?2, receives = ?3, first_received_at = ?4 WHERE id = ?1",
        )?
        .execute(params![self.row, visible_at, receives, first_received_at])?;
        let message_id: Uuid = self
            .message_id
            .parse()
            .map_err(|_| BrokerError::Corrupt(format!("message id {}", self.message_id)))?;
        let receipt = Receipt { queue: queue.id, row: self.row, message_id, receive: receives };
        let required = [
            ("ApproximateReceiveCount", receives.to_string()),
            ("SentTimestamp", self.sent_at.to_string()),
            ("SenderId", self.sender),
            ("ApproximateFirstReceiveTimestamp", first_received_at.to_string()),
        ];
        let optional =
            [("AWSTraceHeader", self.trace_header), ("DeadLetterQueueSourceArn", self.dead_letter_source)];
        let attributes: BTreeMap<String, String> = required
            .into_iter()
            .chain(optional.into_iter().filter_map(|(name, value)| Some((name, value?))))
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        Ok(ReceivedMessage {
            message_id: self.message_id,
            receipt_handle: receipt.encode(),
            visible_at,
            md5_of_body: md5_hex(self.body.as_bytes()),
            body: self.body,
            attributes,
            message_attributes: self.attributes.as_deref().map(from_json).transpose()?.unwrap_or_default(),
        })
    }
}

/// Keeps the id and the time of sending, from which the retention period counts, as in SQS.
fn move_to_dead_letter_queue(
    c: &Connection,
    now: i64,
    from: &Queue,
    to: &Queue,
    row: i64,
) -> Result<(), BrokerError> {
    c.prepare_cached(
        "UPDATE messages SET queue = ?2, dead_letter_source = ?3, visible_at = ?4, receives = 0,
                             first_received_at = NULL
         WHERE id = ?1",
    )?
    .execute(params![row, to.id, from.arn(), now])?;
    Ok(())
}

/// Deletes the message of a receipt. A deleted message is no error, and an older receipt of the message also
/// deletes it, as in a standard queue: its holder has processed the message.
pub(crate) fn delete(c: &Connection, queue: &Queue, receipt: &Receipt) -> Result<(), BrokerError> {
    if receipt.queue == queue.id {
        c.prepare_cached("DELETE FROM messages WHERE id = ?1 AND queue = ?2 AND message_id = ?3")?
            .execute(params![receipt.row, queue.id, receipt.message_id.to_string()])?;
    }
    Ok(())
}

/// Hides the message of a receipt for `visibility_ms` milliseconds from now. Only the latest receipt is
/// valid: an older one would change the timeout of the current receiver.
pub(crate) fn change_visibility(
    c: &Connection,
    now: i64,
    queue: &Queue,
    receipt: &Receipt,
    visibility_ms: i64,
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
                .execute(params![receipt.row, now.saturating_add(visibility_ms)])?;
            Ok(())
        }
        Some(_) => Err(BrokerError::rejected(
            ErrorCode::MessageNotInflight,
            "The message referred to is not in flight under this receipt handle.",
        )),
        None => Err(BrokerError::rejected(
            ErrorCode::InvalidParameterValue,
            "Value for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for visibility timeout change.",
        )),
    }
}

/// Changes the time at which the message of a receipt becomes visible, unless it is not `from` any more.
pub(crate) fn release(
    c: &Connection,
    queue: &Queue,
    receipt: &Receipt,
    from: i64,
    to: i64,
) -> Result<(), BrokerError> {
    c.prepare_cached(
        "UPDATE messages SET visible_at = ?6
         WHERE id = ?1 AND queue = ?2 AND message_id = ?3 AND receives = ?4 AND visible_at = ?5",
    )?
    .execute(params![
        receipt.row,
        queue.id,
        receipt.message_id.to_string(),
        receipt.receive,
        from,
        to
    ])?;
    Ok(())
}

/// Undoes the receive of a receipt, unless the message was received again since.
pub(crate) fn undo_receive(c: &Connection, now: i64, receipt: &Receipt) -> Result<(), BrokerError> {
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

/// Deletes messages older than the retention period, in flight or not, as SQS does.
pub(crate) fn expire(c: &Connection, now: i64, queue: &Queue) -> Result<(), BrokerError> {
    let oldest = now.saturating_sub(queue.number(queue::RETENTION)?.saturating_mul(1000));
    c.prepare_cached("DELETE FROM messages WHERE queue = ?1 AND sent_at <= ?2")?
        .execute(params![queue.id, oldest])?;
    Ok(())
}

/// Makes all messages in flight visible and returns their number.
pub(crate) fn release_in_flight(c: &Connection, now: i64) -> Result<usize, BrokerError> {
    let released = c
        .prepare_cached("UPDATE messages SET visible_at = ?1 WHERE visible_at > ?1 AND receives > 0")?
        .execute([now])?;
    Ok(released)
}
