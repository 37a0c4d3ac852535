//! Checks commits of contacts, items and stock.

use serde_json::Value;
use uuid::Uuid;

use super::request::{Adjust, ClientRequest, Command};
use super::state::{Item, Party};
use super::{Effect, Fact, Model};

impl Model {
    /// Checks the effect of a request; returns the expected response.
    pub(super) fn effect(
        &mut self,
        moment: usize,
        from: usize,
        request: &ClientRequest,
        facts: &[Fact],
    ) -> Result<Effect, String> {
        let done = |status: u16, data: Value, version: u64| Effect { status, data, version: Some(version) };
        let effect = match &request.command {
            Command::CreateParty(kind, form) => {
                let Some((id, Some(new))) = party_of(facts) else { return wrong("no contact was created") };
                self.require_event(facts, &format!("contact.{}.created", kind.as_str()), id);
                self.email_is_unique(kind.as_str(), &form.email, id)?;
                if new.form != *form || new.version != 1 {
                    return wrong("the contact differs from the request");
                }
                done(201, new.show(id), 1)
            }
            Command::UpdateParty(kind, id, form) => {
                let old = self.parties.get(&(kind.as_str(), *id)).and_then(|party| party.now()).cloned();
                let Some(old) = old else { return wrong("a contact changed that does not exist") };
                expect_version(request, old.version)?;
                let Some((changed, Some(new))) = party_of(facts) else { return wrong("no contact changed") };
                self.require_event(facts, &format!("contact.{}.updated", kind.as_str()), *id);
                self.email_is_unique(kind.as_str(), &form.email, *id)?;
                if changed != *id || new.form != *form || new.version != old.version + 1 {
                    return wrong("the contact differs from the request");
                }
                done(200, new.show(*id), new.version)
            }
            Command::DeleteParty(kind, id) => {
                let old = self.parties.get(&(kind.as_str(), *id)).and_then(|party| party.now()).cloned();
                let Some(old) = old else { return wrong("a contact was deleted that does not exist") };
                expect_version(request, old.version)?;
                self.require_event(facts, &format!("contact.{}.deleted", kind.as_str()), *id);
                if !matches!(party_of(facts), Some((deleted, None)) if deleted == *id) {
                    return wrong("another contact was deleted");
                }
                done(200, old.show(*id), old.version)
            }
            Command::CreateItem(form) => {
                let Some((id, Some(new))) = item_of(facts) else { return wrong("no item was created") };
                self.require_event(facts, "inventory.item.created", id);
                self.sku_is_unique(&form.sku, id)?;
                let is_empty = |fact: &Fact| {
                    matches!(fact, Fact::Stock(of, Some(stock))
                        if *of == id && stock.quantity == 0 && stock.sequence == 0)
                };
                if new.form != *form || new.version != 1 || !facts.iter().any(is_empty) {
                    return wrong("the item differs from the request");
                }
                done(201, new.show(id), 1)
            }
            Command::UpdateItem(id, form) => {
                let old = self.items.get(id).and_then(|item| item.now()).cloned();
                let Some(old) = old else { return wrong("an item changed that does not exist") };
                expect_version(request, old.version)?;
                let Some((changed, Some(new))) = item_of(facts) else { return wrong("no item changed") };
                self.require_event(facts, "inventory.item.updated", *id);
                self.sku_is_unique(&form.sku, *id)?;
                if changed != *id || new.form != *form || new.version != old.version + 1 {
                    return wrong("the item differs from the request");
                }
                done(200, new.show(*id), new.version)
            }
            Command::DeleteItem(id) => {
                let old = self.deletion_of_item(*id, request, facts)?;
                done(200, old.show(*id), old.version)
            }
            Command::AdjustStock(id, adjust) => return self.adjustment(moment, *id, *adjust, request, facts),
            Command::CreateOrder(..) | Command::UpdateOrder(..) | Command::Advance(..) => {
                return self.order_effect(moment, from, request, facts);
            }
            Command::Register { email, password, role } => {
                return self.registration(moment, request, (email, password, *role), facts);
            }
            Command::ForgotPassword { email } => return self.reset_request(moment, email, facts),
            Command::ResetPassword { token, password } => {
                return self.password_reset(moment, (token, password), facts);
            }
            other => return Err(format!("{} must not change anything", other.as_str())),
        };
        self.accept(moment, facts);
        Ok(effect)
    }

    /// Checks the deletion of an item with its stock; returns the item.
    fn deletion_of_item(
        &mut self,
        id: Uuid,
        request: &ClientRequest,
        facts: &[Fact],
    ) -> Result<Item, String> {
        let old = self.items.get(&id).and_then(|item| item.now()).cloned();
        let Some(old) = old else { return wrong("an item was deleted that does not exist") };
        expect_version(request, old.version)?;
        self.require_event(facts, "inventory.item.deleted", id);
        let deletes_stock = |fact: &Fact| matches!(fact, Fact::Stock(of, None) if *of == id);
        if !matches!(item_of(facts), Some((deleted, None)) if deleted == id)
            || !facts.iter().any(deletes_stock)
        {
            return wrong("another item was deleted, or its stock was not");
        }
        let stock = self.stock.get(&id).and_then(|stock| stock.now());
        let mut allocations = self.allocations.values().filter_map(|allocation| allocation.now());
        if allocations.any(|allocation| allocation.uses(id)) || stock.is_some_and(|stock| stock.quantity != 0)
        {
            return wrong("an item in use was deleted");
        }
        Ok(old)
    }

    /// Checks an adjustment of stock.
    fn adjustment(
        &mut self,
        moment: usize,
        id: Uuid,
        adjust: Adjust,
        request: &ClientRequest,
        facts: &[Fact],
    ) -> Result<Effect, String> {
        let exists = self.items.get(&id).is_some_and(|item| item.now().is_some());
        let old = self.stock.get(&id).and_then(|stock| stock.now()).cloned();
        let (true, Some(old)) = (exists, old) else {
            return wrong("stock changed of an item that does not exist");
        };
        expect_version(request, old.sequence)?;
        let change = match adjust {
            Adjust::By(change) => change,
            Adjust::To(target, None) => target - old.quantity,
            Adjust::To(target, Some(expected)) if expected == old.quantity => target - old.quantity,
            Adjust::To(_, Some(_)) => return wrong("stock changed that differs from `expected`"),
        };
        self.require_event(facts, "inventory.stock.adjusted", id);
        let movement = facts.iter().find_map(|fact| match fact {
            Fact::Movement(item, movement, by) if *item == id => Some((*movement, *by)),
            _ => None,
        });
        let Some((movement, by)) = movement else { return wrong("stock changed without a movement") };
        let new = facts.iter().find_map(|fact| match fact {
            Fact::Stock(item, Some(stock)) if *item == id => Some(stock.clone()),
            _ => None,
        });
        let Some(new) = new else { return wrong("a movement without a change of stock") };
        if by != change || new.quantity != old.quantity + change || new.sequence != old.sequence + 1 {
            return wrong("the stock differs from the request");
        }
        self.movements.insert((id, movement), change);
        self.accept(moment, facts);
        Ok(Effect { status: 200, data: new.show(id), version: Some(new.sequence) })
    }

    fn email_is_unique(&self, kind: &'static str, email: &str, id: Uuid) -> Result<(), String> {
        let of_kind = self.parties.iter().filter(|((of, other), _)| *of == kind && *other != id);
        let taken = of_kind.filter_map(|(_, party)| party.now()).any(|party| party.form.email == email);
        if taken { Err(format!("two {kind}s have the address {email}")) } else { Ok(()) }
    }

    fn sku_is_unique(&self, sku: &str, id: Uuid) -> Result<(), String> {
        let others = self.items.iter().filter(|(other, _)| **other != id);
        let taken = others.filter_map(|(_, item)| item.now()).any(|item| item.form.sku == sku);
        if taken { Err(format!("two items have the SKU {sku}")) } else { Ok(()) }
    }
}

fn wrong<T>(reason: &str) -> Result<T, String> {
    Err(reason.to_owned())
}

/// Checks that `If-Match` names the version that changed.
pub(super) fn expect_version(request: &ClientRequest, version: u64) -> Result<(), String> {
    match request.if_match {
        Some(expected) if expected != version => {
            Err(format!("If-Match {expected} changed version {version}"))
        }
        _ => Ok(()),
    }
}

fn party_of(facts: &[Fact]) -> Option<(Uuid, Option<Party>)> {
    facts.iter().find_map(|fact| match fact {
        Fact::Party(_, id, party) => Some((*id, party.clone())),
        _ => None,
    })
}

fn item_of(facts: &[Fact]) -> Option<(Uuid, Option<Item>)> {
    facts.iter().find_map(|fact| match fact {
        Fact::Item(id, item) => Some((*id, item.clone())),
        _ => None,
    })
}
