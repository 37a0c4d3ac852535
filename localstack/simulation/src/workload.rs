//! The operations of the clients, drawn from a seed.
//!
//! A step contains random numbers instead of ids; its targets are chosen from what exists when the step
//! starts. So any step can be left out of a workload, and the rest stays meaningful: this is what makes
//! shrinking possible.

use fastrand::Rng;

/// The operation of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is a route")]
pub enum Verb {
    Register,
    Login,
    ForgotPassword,
    ResetPassword,
    ServiceToken,
    CreateParty,
    UpdateParty,
    DeleteParty,
    GetParty,
    ListParties,
    CreateItem,
    UpdateItem,
    DeleteItem,
    GetItem,
    ListItems,
    GetStock,
    AdjustStock,
    ListMovements,
    CreateSale,
    CreatePurchase,
    UpdateOrder,
    Confirm,
    Receive,
    Pay,
    Cancel,
    GetOrder,
    ListOrders,
    ListEvents,
    Malformed,
}

/// The operations with their relative frequencies.
const WEIGHTS: [(Verb, u32); 29] = [
    (Verb::Register, 2),
    (Verb::Login, 2),
    (Verb::ForgotPassword, 2),
    (Verb::ResetPassword, 2),
    (Verb::ServiceToken, 2),
    (Verb::CreateParty, 20),
    (Verb::UpdateParty, 14),
    (Verb::DeleteParty, 12),
    (Verb::GetParty, 8),
    (Verb::ListParties, 4),
    (Verb::CreateItem, 16),
    (Verb::UpdateItem, 14),
    (Verb::DeleteItem, 6),
    (Verb::GetItem, 8),
    (Verb::ListItems, 4),
    (Verb::GetStock, 16),
    (Verb::AdjustStock, 40),
    (Verb::ListMovements, 6),
    (Verb::CreateSale, 130),
    (Verb::CreatePurchase, 60),
    (Verb::UpdateOrder, 50),
    (Verb::Confirm, 150),
    (Verb::Receive, 55),
    (Verb::Pay, 60),
    (Verb::Cancel, 75),
    (Verb::GetOrder, 50),
    (Verb::ListOrders, 14),
    (Verb::ListEvents, 12),
    (Verb::Malformed, 6),
];

/// The caller of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallerKind {
    /// A finance manager.
    Finance,
    /// An inventory manager.
    Inventory,
    /// A service.
    Service,
    /// The user who logged in last.
    LoggedIn,
    /// A caller without a token.
    Anonymous,
    /// A caller with a token of an invalid signature.
    Forger,
    /// A caller with an expired token.
    Expired,
}

/// The `Idempotency-Key` of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// No key.
    None,
    /// A new key.
    New,
    /// An earlier request is repeated.
    Repeat,
    /// An earlier key with another body.
    OtherBody,
}

/// One operation of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Number of the client.
    pub client: usize,
    /// Command.
    pub verb: Verb,
    /// The caller.
    pub caller: CallerKind,
    /// The idempotency key.
    pub key: Key,
    /// `If-Match`: none, the current version, or another.
    pub version: Option<bool>,
    /// Bypasses the gateway.
    pub bypass_gateway: bool,
    /// Milliseconds before the request.
    pub pause: u64,
    /// Random numbers that select targets and values.
    pub draws: [u32; 6],
    /// Sends the request twice concurrently.
    pub duplicate: bool,
    /// Concurrent operations of other clients on the same target.
    pub concurrent: Vec<Self>,
}

impl Step {
    /// Returns the step without concurrent operations.
    pub fn alone(&self) -> Self {
        Self { duplicate: false, concurrent: Vec::new(), ..self.clone() }
    }
}

/// Draws a workload.
pub fn draw(random: &mut Rng, steps: usize, clients: usize) -> Vec<Step> {
    let step = |_| {
        let mut step = step(random, clients);
        if random.u32(..100) < 12 {
            step.concurrent = concurrent(random, &step);
        }
        step
    };
    (0..steps).map(step).collect()
}

/// Draws one to three concurrent operations on the same target.
fn concurrent(random: &mut Rng, step: &Step) -> Vec<Step> {
    let verbs: &[Verb] = match step.verb {
        Verb::Confirm => &[Verb::Confirm, Verb::Cancel, Verb::UpdateOrder],
        Verb::Receive => &[Verb::Receive, Verb::Cancel, Verb::UpdateOrder],
        Verb::UpdateOrder => &[Verb::UpdateOrder, Verb::Confirm, Verb::Receive, Verb::Cancel],
        Verb::Pay => &[Verb::Pay, Verb::Cancel],
        Verb::Cancel => &[Verb::Cancel, Verb::Pay, Verb::Confirm],
        Verb::UpdateParty | Verb::DeleteParty => &[Verb::UpdateParty, Verb::DeleteParty],
        Verb::AdjustStock | Verb::UpdateItem | Verb::DeleteItem => {
            &[Verb::AdjustStock, Verb::UpdateItem, Verb::DeleteItem]
        }
        Verb::CreateParty => &[Verb::CreateParty],
        Verb::CreateItem => &[Verb::CreateItem],
        Verb::Register => &[Verb::Register],
        Verb::ResetPassword => &[Verb::ResetPassword],
        _ => return Vec::new(),
    };
    let count = random.usize(1..=3);
    let other = |_| {
        let mut other = self::step(random, 1);
        other.verb = verbs[random.usize(..verbs.len())];
        // The first numbers select the target.
        other.draws[..2].copy_from_slice(&step.draws[..2]);
        if other.verb == Verb::Cancel {
            // An odd third number selects a draft.
            other.draws[2] = match step.verb {
                Verb::Cancel => step.draws[2],
                Verb::Pay => 0,
                _ => 1,
            };
        }
        other
    };
    (0..count).map(other).collect()
}

fn step(random: &mut Rng, clients: usize) -> Step {
    let total: u32 = WEIGHTS.iter().map(|(_, weight)| weight).sum();
    let mut left = random.u32(..total);
    let verb = WEIGHTS.iter().find(|(_, weight)| {
        let found = left < *weight;
        left = left.saturating_sub(*weight);
        found
    });
    let verb = verb.map_or(Verb::GetOrder, |(verb, _)| *verb);
    let caller = match random.u32(..100) {
        0..55 => CallerKind::Finance,
        55..84 => CallerKind::Inventory,
        84..90 => CallerKind::LoggedIn,
        90..94 => CallerKind::Service,
        94..96 => CallerKind::Anonymous,
        96..98 => CallerKind::Forger,
        _ => CallerKind::Expired,
    };
    let key = match random.u32(..100) {
        0..15 => Key::None,
        15..85 => Key::New,
        85..96 => Key::Repeat,
        _ => Key::OtherBody,
    };
    let version = match random.u32(..100) {
        0..70 => None,
        70..92 => Some(true),
        _ => Some(false),
    };
    Step {
        client: random.usize(..clients),
        verb,
        caller,
        key,
        version,
        bypass_gateway: random.u32(..100) < 60,
        pause: if random.u32(..10) == 0 { random.u64(..2_000) } else { random.u64(..40) },
        draws: std::array::from_fn(|_| random.u32(..)),
        duplicate: random.u32(..100) < 6,
        concurrent: Vec::new(),
    }
}

/// Draws the initial steps: contacts, items and stock.
pub fn opening(random: &mut Rng) -> Vec<Step> {
    let plain = |random: &mut Rng, verb| Step {
        client: 0,
        verb,
        caller: CallerKind::Finance,
        key: Key::New,
        version: None,
        bypass_gateway: false,
        pause: 0,
        draws: std::array::from_fn(|_| random.u32(..)),
        duplicate: false,
        concurrent: Vec::new(),
    };
    let verbs =
        [(Verb::CreateParty, 8), (Verb::CreateItem, 6), (Verb::CreatePurchase, 4), (Verb::Receive, 4)];
    verbs.into_iter().flat_map(|(verb, times)| vec![verb; times]).map(|verb| plain(random, verb)).collect()
}
