//! A lock whose holder cannot leave it unusable.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, also after a holder panicked: nothing here is left half-changed between two statements that can panic.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
