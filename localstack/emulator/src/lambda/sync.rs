//! A lock without poisoning.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex even after a holder panicked. No critical section here leaves its data inconsistent at a point that
/// can panic.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
