//! Batches in flight and progress of the stream readers, so that a test can wait until all mappings are idle.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::watch;

/// The progress of a stream reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamStatus {
    /// Logical id of the function, a dot, and name of its event.
    pub trigger: String,
    /// Physical name of the table.
    pub table: String,
    /// Number of records that were read and not yet processed.
    pub pending: usize,
    /// `true` if the reader has reached the end of the stream since the last write.
    pub caught_up: bool,
}

/// Counts batches in flight.
#[derive(Debug, Clone, Default)]
pub(super) struct InFlight(Arc<AtomicUsize>);

impl InFlight {
    /// Counts one batch until the guard is dropped.
    pub(super) fn begin(&self) -> InFlightGuard {
        self.0.fetch_add(1, Ordering::SeqCst);
        InFlightGuard(Arc::clone(&self.0))
    }

    /// The number of batches in flight.
    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// A batch in flight.
pub(super) struct InFlightGuard(Arc<AtomicUsize>);

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Counts the writes to all tables and notifies the stream readers.
#[derive(Debug, Clone)]
pub(super) struct Writes(watch::Sender<u64>);

impl Writes {
    pub(super) fn new() -> Self {
        // Starts at one, so that a reader before its first read is behind.
        Self(watch::Sender::new(1))
    }

    /// Counts a write.
    pub(super) fn record(&self) {
        self.0.send_modify(|count| *count = count.wrapping_add(1));
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }

    fn count(&self) -> u64 {
        *self.0.borrow()
    }
}

/// Progress, updated by the reader.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pending: AtomicUsize,
    /// The count of writes before the last read without records.
    read: AtomicU64,
}

impl Progress {
    /// Sets the number of records that were read and not yet processed.
    pub(super) fn pending(&self, records: usize) {
        self.pending.store(records, Ordering::SeqCst);
    }

    /// Records that the stream was read to its end after this number of writes.
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
