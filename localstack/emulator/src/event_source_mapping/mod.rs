//! What drives functions besides the API: queues, streams and schedules.
//!
//! ```text
//! mappings     starts and stops all of it, and says whether anything is going on
//! queue        a queue's messages in batches to a function
//! queue_event  the event it sends
//! stream       a table's stream to a function, in order, from a durable checkpoint
//! stream_batch what becomes of a batch: retry, split, give up; no I/O
//! stream_event the event it sends, and which records pass the filters
//! checkpoint   how far a stream was read, in a file
//! schedule     a function every so often
//! failures     which items of a batch a function says it could not do
//! backoff      how long to wait before the next attempt
//! activity     what is in flight, and how far behind the streams are
//! ```
//!
//! The rule that is not obvious: everything here is delivered at least once. A message is deleted, and a stream's
//! checkpoint is moved, only after the function succeeded.

mod activity;
mod backoff;
mod checkpoint;
mod failures;
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
