//! The expected behaviour of the platform: plain maps, independent of the implementation.
//!
//! The model receives every commit as facts (actor, entity, new state) and checks whether it is allowed. A
//! change happens at its commit, so the model changes then. Responses are checked afterwards: the response to
//! a change must describe its effect; a rejection or a read must agree with a state between request and
//! response.
//!
//! ```text
//! request     the requests of clients
//! state       the entities, and their representation in responses
//! timeline    the states of an entity over time
//! commit      checks commits
//! effects     checks commits of contacts, items and stock
//! accounts    checks commits of users and password resets
//! orders      checks commits of orders and of the stock that they change
//! responses   checks responses
//! rejections  the rejections that are possible
//! ```

mod accounts;
mod commit;
mod effects;
mod orders;
mod rejections;
pub mod request;
mod responses;
pub mod state;
pub mod timeline;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use erp_domain::PartyKind;
use uuid::Uuid;

use request::{ClientRequest, Scope};
use state::{Allocation, Item, Order, Party, Stock, StoredResponse, User};
use timeline::Timeline;

/// Sales or purchase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderKind {
    /// An order of a customer.
    Sales,
    /// An order to a vendor.
    Purchase,
}

impl OrderKind {
    /// Returns the word in paths, tables and event types.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sales => "sales",
            Self::Purchase => "purchase",
        }
    }

    /// Returns the kind of contact that an order names.
    pub const fn party(self) -> PartyKind {
        match self {
            Self::Sales => PartyKind::Customer,
            Self::Purchase => PartyKind::Vendor,
        }
    }
}

/// The author of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A client attempt.
    Client(u64),
    /// `inventory-worker`, which started after this commit.
    Inventory(usize),
    /// `sales-worker`, which writes inventory's decisions into sales orders.
    Decisions,
    /// The relay or the sweep.
    Relay,
    /// A function that must not write, or the test harness.
    Unexpected(String),
}

/// The change of an entity.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each is an entity with its id and new state")]
pub enum Fact {
    Party(PartyKind, Uuid, Option<Party>),
    Item(Uuid, Option<Item>),
    Stock(Uuid, Option<Stock>),
    /// The lower bound of the quantities that waiting orders need of an item.
    Bound(Uuid, i64),
    /// A movement of an item: its id, and the signed change.
    Movement(Uuid, Uuid, i64),
    Order(OrderKind, Uuid, Order),
    Allocation(Uuid, Allocation),
    /// Without the password, which no row contains.
    User {
        id: Uuid,
        email: String,
        role: erp_domain::identity::Role,
        times: state::Times,
        new: bool,
    },
    /// A reset token, by its hash; it cannot be used if there is no such user.
    ResetRequested {
        email: String,
        hash: String,
        until: i64,
        user_exists: bool,
    },
    /// A used reset token.
    ResetUsed {
        hash: String,
    },
    /// A response stored under an idempotency key.
    StoredResponse {
        status: u16,
        body: String,
        until: i64,
    },
    /// An event to publish: id, type, entity.
    Event {
        id: String,
        kind: String,
        subject: String,
    },
    /// An event in the history of an order.
    History(OrderKind, Uuid, String),
    /// Other rows: guards, login attempts, back-order queue, marks of the relay.
    Other,
}

/// A request in flight.
#[derive(Debug, Clone)]
struct Attempt {
    request: Arc<ClientRequest>,
    /// The last commit before it was sent.
    from: usize,
    /// The committed effect.
    effect: Option<Effect>,
}

/// The expected response to a committed effect.
#[derive(Debug, Clone)]
struct Effect {
    status: u16,
    data: serde_json::Value,
    version: Option<u64>,
}

/// The state of the model.
#[derive(Default)]
pub struct Model {
    /// Set if registration is open.
    pub open_registration: bool,
    /// Set while faults are injected: only then may a response be a 5xx.
    pub faults: bool,
    /// Violations of promises.
    pub violations: Vec<String>,
    /// Number of checks, by promise.
    pub checks: BTreeMap<&'static str, u64>,
    /// Customers and vendors.
    pub parties: BTreeMap<(ContactWord, Uuid), Timeline<Party>>,
    /// Items.
    pub items: BTreeMap<Uuid, Timeline<Item>>,
    /// The stock of items.
    pub stock: BTreeMap<Uuid, Timeline<Stock>>,
    /// Lower bounds of the quantities that waiting orders need, by item.
    pub bounds: BTreeMap<Uuid, i64>,
    /// Movements that must be written eventually: item, id, change.
    pub movements: BTreeMap<(Uuid, Uuid), i64>,
    /// Written movements, with the moment of each.
    pub written: BTreeMap<(Uuid, Uuid), (usize, i64)>,
    /// Orders.
    pub orders: BTreeMap<(OrderWord, Uuid), Timeline<Order>>,
    /// The allocations of orders.
    pub allocations: BTreeMap<Uuid, Timeline<Allocation>>,
    /// Users, by e-mail address.
    pub users: BTreeMap<String, Timeline<User>>,
    /// The valid reset token of an address: its hash and expiry.
    pub resets: BTreeMap<String, Timeline<(String, i64)>>,
    /// Stored responses.
    pub stored_responses: BTreeMap<Scope, Timeline<StoredResponse>>,
    /// Events to publish, with their types.
    pub events: BTreeMap<String, String>,
    /// The events in the history of an order, with the moment of each.
    pub history: BTreeMap<(OrderWord, Uuid), Vec<(usize, String)>>,
    /// Failed or unfinished attempts to log in, by e-mail address; those of services together.
    secret_attempts: BTreeMap<String, u32>,
    confirmed: BTreeSet<Uuid>,
    cancelled: BTreeSet<Uuid>,
    received: BTreeSet<Uuid>,
    attempts: BTreeMap<u64, Attempt>,
}

/// `customer` or `vendor`: a key that can be ordered.
pub type ContactWord = &'static str;
/// `sales` or `purchase`.
pub type OrderWord = &'static str;

impl Model {
    /// Records a request before it is sent.
    pub fn request_sent(&mut self, attempt: u64, request: &Arc<ClientRequest>, from: usize) {
        if let Some(target) = responses::secret_target(&request.command) {
            *self.secret_attempts.entry(target).or_default() += 1;
        }
        self.attempts.insert(attempt, Attempt { request: Arc::clone(request), from, effect: None });
    }

    fn check(&mut self, promise: &'static str, holds: bool, message: impl FnOnce() -> String) {
        *self.checks.entry(promise).or_default() += 1;
        if !holds {
            self.violations.push(format!("{promise}: {}", message()));
        }
    }

    /// Returns the number of requests by operation, retries counted once.
    pub fn requests_by_operation(&self) -> BTreeMap<&'static str, u64> {
        let mut counts = BTreeMap::new();
        for request in self.requests() {
            *counts.entry(request.command.as_str()).or_default() += 1;
        }
        counts
    }

    /// Returns the number of order operations.
    pub fn order_operations(&self) -> u64 {
        self.requests().filter(|request| request.command.is_of_orders()).count() as u64
    }

    fn requests(&self) -> impl Iterator<Item = &ClientRequest> {
        let mut seen = BTreeSet::new();
        let attempts = self.attempts.values().map(|attempt| &attempt.request);
        attempts.filter(move |request| seen.insert(Arc::as_ptr(request))).map(AsRef::as_ref)
    }

    /// Returns the number of entities, for reports.
    pub fn summary(&self) -> String {
        let count = |n: usize, name: &str| format!("{n} {name}");
        [
            count(self.parties.len(), "contacts"),
            count(self.items.len(), "items"),
            count(self.orders.len(), "orders"),
            count(self.allocations.len(), "allocations"),
            count(self.users.len(), "users"),
            count(self.events.len(), "events"),
            count(self.stored_responses.len(), "stored responses"),
        ]
        .join(", ")
    }
}
