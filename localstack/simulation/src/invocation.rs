//! One run of a function: what it is for, how it ends, how it dies.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::Notify;

/// The functions that a simulation runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Function {
    /// Users.
    AuthApi,
    /// Customers and vendors.
    ContactApi,
    /// Whether they are there.
    ContactQuery,
    /// Items and stock.
    InventoryApi,
    /// Which are there.
    InventoryQuery,
    /// Orders' stock.
    InventoryWorker,
    /// Sales orders.
    SalesApi,
    /// What inventory decided about them.
    SalesWorker,
    /// Purchase orders.
    PurchaseApi,
    /// Streams to topics.
    Relay,
    /// What the streams did not bring.
    RelaySweep,
}

impl Function {
    /// All of them.
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

    /// Its binary in `template.yaml`.
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

/// A run of a function.
#[derive(Debug)]
pub struct Invocation {
    /// Counts the invocations of a simulation.
    pub id: u64,
    /// Which function runs.
    pub function: Function,
    /// The client's attempt that it serves, if it is for one.
    pub attempt: Option<u64>,
    /// How many commits there were when it began.
    pub since: usize,
    ios: AtomicU32,
    pub(crate) dies: Notify,
}

impl Invocation {
    pub(crate) fn new(id: u64, function: Function, attempt: Option<u64>, since: usize) -> Arc<Self> {
        Arc::new(Self { id, function, attempt, since, ios: AtomicU32::new(0), dies: Notify::new() })
    }

    /// Counts its calls to AWS: gives the number of this one, from 1.
    pub(crate) fn next_io(&self) -> u32 {
        self.ios.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// How many calls to AWS it has made.
    pub fn ios(&self) -> u32 {
        self.ios.load(Ordering::Relaxed)
    }
}

tokio::task_local! {
    /// The invocation that the running code belongs to.
    pub(crate) static CURRENT: Arc<Invocation>;
}

/// How an invocation ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ended<T> {
    /// With a result.
    Done(T),
    /// It died in the middle.
    Crashed,
    /// It took longer than its function may.
    TimedOut,
}

impl<T> Ended<T> {
    /// The result, if there is one.
    pub fn done(self) -> Option<T> {
        match self {
            Self::Done(result) => Some(result),
            Self::Crashed | Self::TimedOut => None,
        }
    }
}
