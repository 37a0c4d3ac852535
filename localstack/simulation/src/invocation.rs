//! One invocation of a function: its purpose, its end, its crash.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::Notify;

/// The functions of the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Function {
    /// `auth-api`.
    AuthApi,
    /// `contact-api`.
    ContactApi,
    /// `contact-query`.
    ContactQuery,
    /// `inventory-api`.
    InventoryApi,
    /// `inventory-query`.
    InventoryQuery,
    /// `inventory-worker`.
    InventoryWorker,
    /// `sales-api`.
    SalesApi,
    /// `sales-worker`.
    SalesWorker,
    /// `purchase-api`.
    PurchaseApi,
    /// `relay`.
    Relay,
    /// `relay-sweep`.
    RelaySweep,
}

impl Function {
    /// All functions.
    pub const ALL: [Self; 11] = [
        Self::AuthApi,
        Self::ContactApi,
        Self::ContactQuery,
        Self::InventoryApi,
        Self::InventoryQuery,
        Self::InventoryWorker,
        Self::SalesApi,
        Self::SalesWorker,
        Self::PurchaseApi,
        Self::Relay,
        Self::RelaySweep,
    ];

    /// Returns the name of the binary in `template.yaml`.
    pub const fn binary(self) -> &'static str {
        match self {
            Self::AuthApi => "auth-api",
            Self::ContactApi => "contact-api",
            Self::ContactQuery => "contact-query",
            Self::InventoryApi => "inventory-api",
            Self::InventoryQuery => "inventory-query",
            Self::InventoryWorker => "inventory-worker",
            Self::SalesApi => "sales-api",
            Self::SalesWorker => "sales-worker",
            Self::PurchaseApi => "purchase-api",
            Self::Relay => "relay",
            Self::RelaySweep => "relay-sweep",
        }
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.binary())
    }
}

/// An invocation.
#[derive(Debug)]
pub struct Invocation {
    /// Number of the invocation.
    pub id: u64,
    /// The function.
    pub function: Function,
    /// The client attempt that it serves, if any.
    pub attempt: Option<u64>,
    /// Number of the last commit before it started.
    pub since: usize,
    ios: AtomicU32,
    pub(crate) crash: Notify,
}

impl Invocation {
    pub(crate) fn new(id: u64, function: Function, attempt: Option<u64>, since: usize) -> Arc<Self> {
        Arc::new(Self { id, function, attempt, since, ios: AtomicU32::new(0), crash: Notify::new() })
    }

    /// Counts a call to AWS and returns its number, from 1.
    pub(crate) fn next_io(&self) -> u32 {
        self.ios.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Returns the number of calls to AWS so far.
    pub fn ios(&self) -> u32 {
        self.ios.load(Ordering::Relaxed)
    }
}

tokio::task_local! {
    /// The invocation of the current task.
    pub(crate) static CURRENT: Arc<Invocation>;
}

/// The end of an invocation.
#[derive(Debug, Clone, PartialEq)]
pub enum Ended<T> {
    /// It returned a result.
    Done(T),
    /// It crashed.
    Crashed,
    /// It exceeded the time-out of the function.
    TimedOut,
}

impl<T> Ended<T> {
    /// Returns the result, if there is one.
    pub fn done(self) -> Option<T> {
        match self {
            Self::Done(result) => Some(result),
            Self::Crashed | Self::TimedOut => None,
        }
    }
}
