//! Checks commits, and updates the model.

use std::collections::BTreeSet;
use std::fmt::Display;

use serde_json::Value;
use uuid::Uuid;

use super::request::{ClientRequest, Command};
use super::state::StoredResponse;
use super::{Actor, Effect, Fact, Model};

/// Seconds that a response is stored.
const IDEMPOTENCY_SECONDS: i64 = 24 * 60 * 60;

impl Model {
    /// Checks the facts of a commit and applies them.
    pub fn committed(&mut self, moment: usize, actor: &Actor, facts: &[Fact]) {
        self.check_invariants(moment, facts);
        match actor {
            Actor::Client(attempt) => self.by_client(moment, *attempt, facts),
            Actor::Inventory(since) => self.by_inventory(moment, *since, facts),
            Actor::Decisions => self.by_decisions(moment, facts),
            Actor::Relay | Actor::Unexpected(_) => {
                let only_marks = facts.iter().all(|fact| *fact == Fact::Other);
                self.check("P4", only_marks, || format!("unexpected change by {actor:?}: {facts:?}"));
            }
        }
        self.check_bounds(facts);
    }

    /// Checks the lower bounds that a commit may have invalidated: an order that needs less than the bound would not be
    /// found when stock arrives.
    fn check_bounds(&mut self, facts: &[Fact]) {
        let items: BTreeSet<Uuid> = facts
            .iter()
            .flat_map(|fact| match fact {
                Fact::Bound(item, _) => vec![*item],
                Fact::Allocation(_, allocation) => allocation.demand.keys().copied().collect(),
                _ => Vec::new(),
            })
            .collect();
        for item in items {
            let Some(bound) = self.bounds.get(&item).copied() else { continue };
            let allocations = self.allocations.values().filter_map(|allocation| allocation.now());
            let waiting = allocations.filter(|allocation| allocation.state == "backordered");
            let counted = waiting.filter(|allocation| !allocation.missing.contains(&item));
            let smallest = counted.filter_map(|allocation| allocation.demand.get(&item).copied()).min();
            let holds = smallest.is_none_or(|smallest| bound <= smallest);
            self.check("P1", holds, || {
                format!("the smallest back-order of {item} is {smallest:?}, its lower bound {bound}")
            });
        }
    }

    /// Checks the invariants of every commit.
    fn check_invariants(&mut self, moment: usize, facts: &[Fact]) {
        for fact in facts {
            match fact {
                Fact::Stock(item, Some(stock)) => {
                    let &super::Stock { quantity, sequence, .. } = stock;
                    self.check("P1", quantity >= 0, || format!("stock of {item} is {quantity}"));
                    let old = self.stock.get(item).and_then(|stock| stock.now());
                    let increased = old.is_none_or(|old| sequence > old.sequence);
                    self.check("P4", increased, || {
                        format!("the sequence of the stock of {item} decreased to {sequence}")
                    });
                }
                Fact::Event { id, kind, .. } => {
                    let known = self.events.insert(id.clone(), kind.clone());
                    self.check("P2", known.is_none(), || format!("duplicate event {id}"));
                }
                Fact::History(kind, order, event) => {
                    let history = self.history.entry((kind.as_str(), *order)).or_default();
                    let duplicate = history.iter().any(|(_, known)| known == event);
                    history.push((moment, event.clone()));
                    self.check("P2", !duplicate, || {
                        format!("duplicate event {event} in the history of {order}")
                    });
                }
                _ => {}
            }
        }
    }

    fn by_client(&mut self, moment: usize, number: u64, facts: &[Fact]) {
        let Some(attempt) = self.attempts.get(&number).cloned() else {
            return self.check("P6", false, || format!("unknown attempt {number} committed {facts:?}"));
        };
        let (request, from) = (attempt.request, attempt.from);
        let is_effect = |fact: &&Fact| !matches!(fact, Fact::Other | Fact::StoredResponse { .. });
        let has_effect = facts.iter().any(|fact| is_effect(&fact));
        if facts.iter().all(|fact| *fact == Fact::Other) {
            return;
        }
        let allowed = request.is_allowed();
        self.check("P6", allowed, || format!("not allowed for {:?}: {:?}", request.caller, request.command));
        self.store_response(moment, &request, facts, has_effect);
        if !has_effect {
            return;
        }
        let first = attempt.effect.is_none();
        self.check("P5", first, || format!("a second effect of one request: {request:?}"));
        match self.effect(moment, from, &request, facts) {
            Ok(effect) => {
                self.check_stored_response(moment, from, &request, facts, &effect);
                if let Some(attempt) = self.attempts.get_mut(&number) {
                    attempt.effect = Some(effect);
                }
            }
            Err(reason) => {
                self.check("P4", false, || format!("{reason}; {:?} committed {facts:?}", request.command));
                // The model accepts the state after one report.
                self.accept(moment, facts);
            }
        }
    }

    /// Checks and records the stored response of a commit.
    fn store_response(&mut self, moment: usize, request: &ClientRequest, facts: &[Fact], has_effect: bool) {
        let stored = facts.iter().find_map(|fact| match fact {
            Fact::StoredResponse { status, body, until } => Some((*status, body.clone(), *until)),
            _ => None,
        });
        let scope = request.scope();
        let described = || format!("key {:?}, {:?}", request.key, request.command);
        let together = stored.is_some() == scope.is_some() || !has_effect;
        self.check("P5", together, || {
            format!("response and effect are not stored together: {}", described())
        });
        let (Some((status, body, until)), Some(scope)) = (stored, scope) else { return };
        // Only a committed effect binds a key. Setting stock to its current level has no effect and succeeds.
        let committed = status < 400 && (has_effect || matches!(request.command, Command::AdjustStock(..)));
        self.check("P5", committed, || format!("a {status} is stored, effect {has_effect}: {}", described()));
        let responses = self.stored_responses.entry(scope).or_default();
        let bound = responses.now().is_some_and(|old| old.until > until - IDEMPOTENCY_SECONDS);
        responses
            .set(moment, Some(StoredResponse { fingerprint: request.fingerprint(), status, body, until }));
        self.check("P5", !bound, || format!("a second response is stored: {}", described()));
    }

    /// Checks that the stored response describes the effect.
    fn check_stored_response(
        &mut self,
        moment: usize,
        from: usize,
        request: &ClientRequest,
        facts: &[Fact],
        Effect { status, data, .. }: &Effect,
    ) {
        for fact in facts {
            let Fact::StoredResponse { status: stored_status, body, .. } = fact else { continue };
            let body: Value = serde_json::from_str(body).unwrap();
            let equal = *stored_status == *status
                && (body["data"] == *data
                    || self.shows_earlier_stock_status(&request.command, data, &body["data"], from, moment));
            self.check("responses", equal, || {
                format!("stored response {stored_status} {body}, expected {status} {data}")
            });
        }
    }

    /// Checks that the commit contains the event: no change without its event.
    pub(super) fn require_event(&mut self, facts: &[Fact], expected: &str, entity: impl Display) {
        let entity = entity.to_string();
        let is_expected = |fact: &Fact| matches!(fact, Fact::Event { kind, subject, .. } if kind == expected && *subject == entity);
        let contains = facts.iter().any(is_expected);
        self.check("P2", contains, || format!("{entity} changed without the event {expected}"));
    }

    /// Updates the model.
    pub(super) fn accept(&mut self, moment: usize, facts: &[Fact]) {
        for fact in facts {
            match fact.clone() {
                Fact::Party(kind, id, party) => {
                    self.parties.entry((kind.as_str(), id)).or_default().set(moment, party);
                }
                Fact::Item(id, item) => self.items.entry(id).or_default().set(moment, item),
                Fact::Stock(id, stock) => self.stock.entry(id).or_default().set(moment, stock),
                Fact::Bound(item, bound) => {
                    self.bounds.insert(item, bound);
                }
                Fact::Movement(item, id, by) => {
                    self.written.insert((item, id), (moment, by));
                }
                Fact::Order(kind, id, order) => {
                    self.orders.entry((kind.as_str(), id)).or_default().set(moment, Some(order));
                }
                Fact::Allocation(id, allocation) => {
                    self.allocations.entry(id).or_default().set(moment, Some(allocation));
                }
                Fact::ResetRequested { email, hash, until, user_exists } => {
                    let valid = user_exists.then_some((hash, until));
                    self.resets.entry(email).or_default().set(moment, valid);
                }
                Fact::User { .. }
                | Fact::ResetUsed { .. }
                | Fact::StoredResponse { .. }
                | Fact::Event { .. }
                | Fact::History(..)
                | Fact::Other => {}
            }
        }
    }
}
