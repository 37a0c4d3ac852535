//! What the platform promises to answer and to end up with: plain maps, and nothing of how it is done.
//!
//! The model is told every commit as facts (who, what became of which thing) and says whether that may be: a
//! commit is the moment at which a change happens, so the model changes then too. Answers it judges afterwards: a
//! change is answered with what it made; a rejection or a read with what was so at some moment between question and
//! answer.
//!
//! ```text
//! ask       what a client asks
//! state     what things are, and how they are shown
//! timeline  what something was, and from which moment on
//! commit    whether what was committed may be
//! orders    the same of orders and stock
//! judge     whether an answer may be
//! rejections  every rejection that was right at some moment
//! ```

pub mod request;
mod commit;
mod responses;
mod orders;
mod rejections;
pub mod state;
pub mod timeline;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use erp_domain::PartyKind;
use uuid::Uuid;

use request::{ClientRequest, Scope};
use state::{Allocation, Item, StoredResponse, Order, Party, Stock, User};
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

/// Who changed something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A client, by its attempt.
    Client(u64),
    /// Inventory's worker, which began at this moment.
    Inventory(usize),
    /// The worker that writes inventory's decisions into sales orders.
    Decisions,
    /// The relay or the sweep.
    Relay,
    /// Nobody who may change anything.
    Stranger(String),
}

/// What became of a thing.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields are the thing's, in its own words")]
pub enum Fact {
    Party(PartyKind, Uuid, Option<Party>),
    Item(Uuid, Option<Item>),
    Stock(Uuid, Stock),
    /// A movement of an item that is written down: its id, and by how many.
    Movement(Uuid, Uuid, i64),
    Order(OrderKind, Uuid, Order),
    Allocation(Uuid, Allocation),
    /// Without the password, which no row shows.
    User {
        id: Uuid,
        email: String,
        role: erp_domain::identity::Role,
        times: state::Times,
        new: bool,
    },
    /// A reset token that is good from now on, by its hash; good for nothing if it is for nobody.
    ResetAsked {
        email: String,
        hash: String,
        until: i64,
        for_somebody: bool,
    },
    /// It is used up.
    ResetUsed {
        hash: String,
    },
    /// StoredResponse for whoever asks with the same key again.
    StoredResponse {
        status: u16,
        body: String,
        until: i64,
    },
    /// An event to be published: its id, its kind, the order whose history it stands in, if any.
    Event {
        id: String,
        kind: String,
        subject: String,
    },
    /// An event in the history of an order.
    History(OrderKind, Uuid, String),
    /// Whatever else there is to write: guards, attempts, places in line, marks of the relay.
    Other,
}

/// A question on its way.
#[derive(Debug, Clone)]
struct Attempt {
    ask: Arc<ClientRequest>,
    /// The last commit before it was sent.
    from: usize,
    /// What it committed: status and data of the answer that follows, and the version in its `ETag`.
    effect: Option<(u16, serde_json::Value, Option<u64>)>,
}

/// Everything there is.
#[derive(Default)]
pub struct Model {
    /// Whether anyone may register.
    pub open_registration: bool,
    /// Whether calls go wrong on purpose: only then may an answer be a 5xx.
    pub faults: bool,
    /// What was not as promised.
    pub violations: Vec<String>,
    /// How often something was compared, by promise.
    pub checks: BTreeMap<&'static str, u64>,
    /// Customers and vendors.
    pub parties: BTreeMap<(ContactWord, Uuid), Timeline<Party>>,
    /// Items.
    pub items: BTreeMap<Uuid, Timeline<Item>>,
    /// Their stock.
    pub stock: BTreeMap<Uuid, Timeline<Stock>>,
    /// Movements that must be written down sooner or later: item, id, by how many.
    pub movements: BTreeMap<(Uuid, Uuid), i64>,
    /// Those that are, with the moment at which each was.
    pub written: BTreeMap<(Uuid, Uuid), (usize, i64)>,
    /// Orders.
    pub orders: BTreeMap<(OrderWord, Uuid), Timeline<Order>>,
    /// What inventory holds for them.
    pub allocations: BTreeMap<Uuid, Timeline<Allocation>>,
    /// Users by their address.
    pub users: BTreeMap<String, Timeline<User>>,
    /// The good reset token of an address: its hash, and until when.
    pub resets: BTreeMap<String, Timeline<(String, i64)>>,
    /// Answers that are kept.
    pub answers: BTreeMap<Scope, Timeline<StoredResponse>>,
    /// Events to be published, with their kinds.
    pub events: BTreeMap<String, String>,
    /// The events in the history of an order, with the moment of each.
    pub history: BTreeMap<(OrderWord, Uuid), Vec<(usize, String)>>,
    /// Failed or unfinished attempts to log in, by address or service.
    guesses: BTreeMap<String, u32>,
    confirmed: BTreeSet<Uuid>,
    cancelled: BTreeSet<Uuid>,
    received: BTreeSet<Uuid>,
    attempts: BTreeMap<u64, Attempt>,
}

/// `customer` or `vendor`: the domain's own kind has no order to sort by.
pub type ContactWord = &'static str;
/// `sales` or `purchase`.
pub type OrderWord = &'static str;

impl Model {
    /// A client is about to send something.
    pub fn asked(&mut self, attempt: u64, ask: &Arc<ClientRequest>, from: usize) {
        if let Some(whose) = responses::guessed(&ask.what) {
            *self.guesses.entry(whose).or_default() += 1;
        }
        self.attempts.insert(attempt, Attempt { ask: Arc::clone(ask), from, effect: None });
    }

    fn check(&mut self, promise: &'static str, holds: bool, what: impl FnOnce() -> String) {
        *self.checks.entry(promise).or_default() += 1;
        if !holds {
            self.violations.push(format!("{promise}: {}", what()));
        }
    }

    /// What was asked, counted: each request once, however often it was sent.
    pub fn asked_by_kind(&self) -> BTreeMap<&'static str, u64> {
        let mut counts = BTreeMap::new();
        for ask in self.requests() {
            *counts.entry(ask.what.word()).or_default() += 1;
        }
        counts
    }

    /// How many of them were about orders.
    pub fn order_operations(&self) -> u64 {
        self.requests().filter(|ask| ask.what.is_of_orders()).count() as u64
    }

    fn requests(&self) -> impl Iterator<Item = &ClientRequest> {
        let mut seen = BTreeSet::new();
        let attempts = self.attempts.values().map(|attempt| &attempt.ask);
        attempts.filter(move |ask| seen.insert(Arc::as_ptr(ask))).map(AsRef::as_ref)
    }

    /// The status of every scope, item and order in a few words, for whoever reads a report.
    pub fn summary(&self) -> String {
        let count = |n: usize, what: &str| format!("{n} {what}");
        [
            count(self.parties.len(), "contacts"),
            count(self.items.len(), "items"),
            count(self.orders.len(), "orders"),
            count(self.allocations.len(), "allocations"),
            count(self.users.len(), "users"),
            count(self.events.len(), "events"),
            count(self.answers.len(), "kept answers"),
        ]
        .join(", ")
    }
}
