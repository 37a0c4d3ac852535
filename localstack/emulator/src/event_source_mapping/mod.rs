//! Event source mappings and schedules: invoke functions with messages, stream records and on a schedule.
//!
//! ```text
//! mappings        starts and stops all mappings; reports whether they are idle
//! queue           delivers messages of a queue in batches
//! queue_event     the event of a batch of messages
//! stream          delivers records of a table's stream, in order, from a durable checkpoint
//! stream_batch    decides after each attempt: retry, split or discard; no I/O
//! stream_event    the event of a batch of records, and its filters
//! checkpoint      the position in a stream, in a file
//! schedule        invokes a function at a fixed interval
//! batch_response  the outcome of a batch
//! backoff         delay before the next attempt
//! activity        batches in flight, and progress of the stream readers
//! ```
//!
//! Delivery is at least once: a message is deleted, and a checkpoint moved, only after the function
//! succeeded.

mod activity;
mod backoff;
mod batch_response;
mod checkpoint;
mod mappings;
mod queue;
mod queue_event;
mod schedule;
mod stream;
mod stream_batch;
mod stream_event;

pub use activity::StreamStatus;
pub use backoff::Backoff;
pub use mappings::{Mappings, Settings};

#[cfg(test)]
mod tests;
