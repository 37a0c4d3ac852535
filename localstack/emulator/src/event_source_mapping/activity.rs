//! What is in flight, and how far behind the streams are; so that a test can wait until nothing happens any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::watch;

/// How far a stream's reader is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamStatus {
    /// Logical id of the function and name of its event, with a point between them.
    pub trigger: String,
    /// Physical name of the table.
    pub table: String,
    /// Records that were read and are not done.
    pub pending: usize,
    /// Whether it has read to the end since the last write.
    pub caught_up: bool,
}

/// Counts batches in flight.
#[derive(Debug, Clone, Default)]
pub(super) struct InFlight(Arc<AtomicUsize>);

impl InFlight {
    /// Counts one batch until the guard is dropped.
    pub(super) fn begin(&self) -> Busy {
        self.0.fetch_add(1, Ordering::SeqCst);
        Busy(Arc::clone(&self.0))
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// A batch in flight.
pub(super) struct Busy(Arc<AtomicUsize>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Counts the writes to all tables, and wakes whoever waits for the next one.
#[derive(Debug, Clone)]
pub(super) struct Writes(watch::Sender<u64>);

impl Writes {
    pub(super) fn new() -> Self {
        // From one, so that a reader that never read is behind.
        Self(watch::Sender::new(1))
    }

    /// Something was written.
    pub(super) fn happened(&self) {
        self.0.send_modify(|count| *count = count.wrapping_add(1));
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }

    fn count(&self) -> u64 {
        *self.0.borrow()
    }
}

/// How far a reader is, told by the reader.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pending: AtomicUsize,
    /// The count of writes before the last read that found nothing.
    read: AtomicU64,
}

impl Progress {
    /// So many records were read and are not done.
    pub(super) fn pending(&self, records: usize) {
        self.pending.store(records, Ordering::SeqCst);
    }

    /// There was nothing left to read when there had been so many writes.
    pub(super) fn caught_up(&self, writes: u64) {
        self.pending.store(0, Ordering::SeqCst);
        self.read.store(writes, Ordering::SeqCst);
    }

    pub(super) fn status(&self, trigger: &str, table: &str, writes: &Writes) -> StreamStatus {
        StreamStatus {
            trigger: trigger.to_owned(),
            table: table.to_owned(),
            pending: self.pending.load(Ordering::SeqCst),
            caught_up: self.read.load(Ordering::SeqCst) == writes.count(),
        }
    }
}
