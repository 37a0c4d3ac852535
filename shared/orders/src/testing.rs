//! Customers, vendors and items that tests invent, in the place of contact and inventory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use erp_contracts::question::ItemFacts;
use erp_domain::contact::{ContactKind, Party};
use erp_domain::item::Item;
use erp_domain::{Id, Money};

use crate::ports::{Items, Parties, Unanswered};
use crate::pricing::Facts;

/// What there is.
#[derive(Debug, Default)]
pub struct World(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    parties: BTreeSet<(&'static str, Id<Party>)>,
    items: BTreeMap<Id<Item>, ItemFacts>,
    down: bool,
    asked: usize,
}

impl World {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is such a customer or vendor.
    pub fn add_party(&self, kind: ContactKind, id: Id<Party>) {
        self.state().parties.insert((kind.as_str(), id));
    }

    /// There is such an item, at this price, and so many of it.
    pub fn add_item(&self, id: Id<Item>, unit_price: Money, quantity: i64) {
        self.state().items.insert(id, ItemFacts { id, unit_price, quantity });
    }

    /// Nobody answers from now on, or everybody does again.
    pub fn set_down(&self, down: bool) {
        self.state().down = down;
    }

    /// How many questions were asked so far, of either service.
    pub fn asked(&self) -> usize {
        self.state().asked
    }

    fn ask<T>(&self, answer: impl FnOnce(&State) -> T) -> Result<T, Unanswered> {
        let mut state = self.state();
        state.asked += 1;
        if state.down { Err(Unanswered("the function is down".into())) } else { Ok(answer(&state)) }
    }
}

#[async_trait]
impl Parties for World {
    async fn exists(&self, kind: ContactKind, id: Id<Party>) -> Result<bool, Unanswered> {
        self.ask(|state| state.parties.contains(&(kind.as_str(), id)))
    }
}

#[async_trait]
impl Items for World {
    async fn facts(&self, items: BTreeSet<Id<Item>>) -> Result<Facts, Unanswered> {
        self.ask(|state| {
            let there = state.items.iter().filter(|(id, _)| items.contains(id));
            there.map(|(id, facts)| (*id, facts.clone())).collect()
        })
    }
}
