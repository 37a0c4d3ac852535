//! The questions to contact and inventory, by Lambda invocation.

use std::collections::BTreeSet;

use async_trait::async_trait;
use erp_aws::ask::Asker;
use erp_contracts::question::{ContactAnswer, ContactQuestion, ItemsAnswer, ItemsQuestion};
use erp_domain::Id;
use erp_domain::contact::{ContactKind, Party};
use erp_domain::item::Item;

use crate::ports::{Items, Parties, Unanswered};
use crate::pricing::Facts;

/// The function that knows customers and vendors.
pub struct ContactFunction(pub Asker);

/// The function that knows items and stock.
pub struct InventoryFunction(pub Asker);

#[async_trait]
impl Parties for ContactFunction {
    async fn exists(&self, kind: ContactKind, id: Id<Party>) -> Result<bool, Unanswered> {
        let answer: Result<ContactAnswer, _> = self.0.ask(&ContactQuestion { kind, id }).await;
        answer.map(|answer| answer.exists).map_err(|error| Unanswered(error.into()))
    }
}

#[async_trait]
impl Items for InventoryFunction {
    async fn facts(&self, items: BTreeSet<Id<Item>>) -> Result<Facts, Unanswered> {
        let question = ItemsQuestion { items: items.into_iter().collect() };
        let answer: ItemsAnswer = self.0.ask(&question).await.map_err(|error| Unanswered(error.into()))?;
        Ok(answer.items.into_iter().map(|item| (item.id, item)).collect())
    }
}
