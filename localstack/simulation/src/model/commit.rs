//! Checks commits, and updates the model.

use erp_domain::identity::Role;

use super::request::{Adjust, ClientRequest, Caller, Command};
use super::state::{StoredResponse, User};
use super::{Actor, Fact, Model};

impl Model {
    /// Applies the facts of a commit.
    pub fn committed(&mut self, moment: usize, actor: &Actor, facts: &[Fact]) {
        self.always(moment, facts);
        match actor {
            Actor::Client(attempt) => self.by_client(moment, *attempt, facts),
            Actor::Inventory(since) => self.by_inventory(moment, *since, facts),
            Actor::Decisions => self.by_decisions(moment, facts),
            Actor::Relay | Actor::Stranger(_) => {
                let only_marks = facts.iter().all(|fact| *fact == Fact::Other);
                self.check("P4", only_marks, || format!("{actor:?} changed something: {facts:?}"));
            }
        }
    }

    /// Checks the invariants of every commit.
    fn always(&mut self, moment: usize, facts: &[Fact]) {
        for fact in facts {
            match fact {
                Fact::Stock(item, stock) => {
                    self.check("P1", stock.quantity >= 0, || {
                        format!("stock of {item} is {}", stock.quantity)
                    });
                    let before = self.stock.get(item).and_then(|stock| stock.now());
                    let grows = before.is_none_or(|before| stock.sequence > before.sequence);
                    self.check("P4", grows, || format!("stock of {item} goes back to {}", stock.sequence));
                }
                Fact::Event { id, kind, .. } => {
                    let known = self.events.insert(id.clone(), kind.clone());
                    self.check("P2", known.is_none(), || format!("the event {id} is written twice"));
                }
                Fact::History(kind, order, event) => {
                    let history = self.history.entry((kind.as_str(), *order)).or_default();
                    let twice = history.iter().any(|(_, known)| known == event);
                    history.push((moment, event.clone()));
                    self.check("P2", !twice, || format!("{event} stands twice in the history of {order}"));
                }
                _ => {}
            }
        }
    }

    fn by_client(&mut self, moment: usize, number: u64, facts: &[Fact]) {
        let Some(attempt) = self.attempts.get(&number).cloned() else {
            return self
                .check("P6", false, || format!("an attempt {number} that nobody made committed {facts:?}"));
        };
        let (ask, from) = (attempt.ask, attempt.from);
        let effects: Vec<&Fact> =
            facts.iter().filter(|fact| !matches!(fact, Fact::Other | Fact::StoredResponse { .. })).collect();
        if effects.is_empty() && !facts.iter().any(|fact| matches!(fact, Fact::StoredResponse { .. })) {
            return;
        }
        self.check("P6", ask.is_allowed(), || format!("{:?} may not {:?}", ask.caller, ask.what));
        self.keep(moment, &ask, facts, !effects.is_empty());
        if effects.is_empty() {
            return;
        }
        self.check("P5", attempt.effect.is_none(), || format!("one request changed things twice: {ask:?}"));
        let effect = self.effect(moment, from, &ask, facts);
        match effect {
            Ok(effect) => {
                self.kept_is_what_was_done(moment, from, &ask, facts, &effect);
                if let Some(attempt) = self.attempts.get_mut(&number) {
                    attempt.effect = Some(effect);
                }
            }
            Err(reason) => {
                self.check("P4", false, || format!("{reason}; {:?} committed {facts:?}", ask.what));
                // The model accepts the state after one report.
                self.accept(moment, facts);
            }
        }
    }

    /// Checks and records the stored response of a commit.
    fn keep(&mut self, moment: usize, ask: &ClientRequest, facts: &[Fact], has_effect: bool) {
        let kept = facts.iter().find_map(|fact| match fact {
            Fact::StoredResponse { status, body, until } => Some((*status, body.clone(), *until)),
            _ => None,
        });
        let scope = ask.scope();
        let named = || format!("key {:?}, {:?}", ask.key, ask.what);
        let matches = kept.is_some() == scope.is_some() || !has_effect;
        self.check("P5", matches, || format!("the answer is not kept with its effect: {}", named()));
        let (Some((status, body, until)), Some(scope)) = (kept, scope) else { return };
        // Only a committed effect binds a key; setting stock to what it is has none and succeeds.
        let committed = status < 400 && (has_effect || matches!(ask.what, Command::AdjustStock(..)));
        self.check("P5", committed, || format!("a {status} is stored with effect: {has_effect}: {}", named()));
        let known = self.answers.entry(scope).or_default();
        // A key can be used again after a day.
        let taken = known.now().is_some_and(|before| before.until > until - 86_400);
        known.set(moment, Some(StoredResponse { fingerprint: ask.fingerprint(), status, body, until }));
        self.check("P5", !taken, || format!("a second answer is kept: {}", named()));
    }

    /// Checks that the stored response describes the effect.
    fn kept_is_what_was_done(
        &mut self,
        moment: usize,
        from: usize,
        ask: &ClientRequest,
        facts: &[Fact],
        (status, data, _): &(u16, serde_json::Value, Option<u64>),
    ) {
        for fact in facts {
            let Fact::StoredResponse { status: said, body, .. } = fact else { continue };
            let body: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
            let right = *said == *status
                && (body["data"] == *data
                    || self.showed_earlier_news(&ask.what, data, &body["data"], from, moment));
            self.check("answers", right, || format!("kept is {said} {body}, done was {status} {data}"));
        }
    }

    /// Checks the effect of a request; returns status, data and version of the expected response.
    fn effect(
        &mut self,
        moment: usize,
        from: usize,
        ask: &ClientRequest,
        facts: &[Fact],
    ) -> Result<(u16, serde_json::Value, Option<u64>), String> {
        let wrong = |what: &str| Err(what.to_owned());
        let expect_version = |version: u64| match ask.if_match {
            Some(wanted) if wanted != version => Err(format!("If-Match {wanted} changed version {version}")),
            _ => Ok(()),
        };
        match &ask.what {
            Command::CreateParty(kind, form) => {
                let Some((id, Some(new))) = party_of(facts) else { return wrong("no contact was made") };
                self.require_event(facts, &format!("contact.{}.created", kind.as_str()), id)?;
                self.email_is_free(kind.as_str(), &form.email, id)?;
                if new.form != *form || new.version != 1 {
                    return wrong("the contact is not what was asked for");
                }
                self.accept(moment, facts);
                Ok((201, new.show(id), Some(1)))
            }
            Command::UpdateParty(kind, id, form) => {
                let old = self.parties.get(&(kind.as_str(), *id)).and_then(|party| party.now()).cloned();
                let Some(old) = old else { return wrong("a contact that is not there changed") };
                expect_version(old.version)?;
                let Some((changed, Some(new))) = party_of(facts) else { return wrong("no contact changed") };
                self.require_event(facts, &format!("contact.{}.updated", kind.as_str()), *id)?;
                self.email_is_free(kind.as_str(), &form.email, *id)?;
                if changed != *id || new.form != *form || new.version != old.version + 1 {
                    return wrong("the contact is not what was asked for");
                }
                self.accept(moment, facts);
                Ok((200, new.show(*id), Some(new.version)))
            }
            Command::DeleteParty(kind, id) => {
                let old = self.parties.get(&(kind.as_str(), *id)).and_then(|party| party.now()).cloned();
                let Some(old) = old else { return wrong("a contact that is not there was deleted") };
                expect_version(old.version)?;
                self.require_event(facts, &format!("contact.{}.deleted", kind.as_str()), *id)?;
                if !matches!(party_of(facts), Some((gone, None)) if gone == *id) {
                    return wrong("another contact was deleted");
                }
                self.accept(moment, facts);
                Ok((200, old.show(*id), Some(old.version)))
            }
            Command::CreateItem(form) => {
                let Some((id, Some(new))) = item_of(facts) else { return wrong("no item was made") };
                self.require_event(facts, "inventory.item.created", id)?;
                self.sku_is_free(&form.sku, id)?;
                let empty = facts.iter().any(
                    |fact| matches!(fact, Fact::Stock(of, stock) if *of == id && stock.quantity == 0 && stock.sequence == 0),
                );
                if new.form != *form || new.version != 1 || !empty {
                    return wrong("the item is not what was asked for");
                }
                self.accept(moment, facts);
                Ok((201, new.show(id), Some(1)))
            }
            Command::UpdateItem(id, form) => {
                let old = self.items.get(id).and_then(|item| item.now()).cloned();
                let Some(old) = old else { return wrong("an item that is not there changed") };
                expect_version(old.version)?;
                let Some((changed, Some(new))) = item_of(facts) else { return wrong("no item changed") };
                self.require_event(facts, "inventory.item.updated", *id)?;
                self.sku_is_free(&form.sku, *id)?;
                if changed != *id || new.form != *form || new.version != old.version + 1 {
                    return wrong("the item is not what was asked for");
                }
                self.accept(moment, facts);
                Ok((200, new.show(*id), Some(new.version)))
            }
            Command::DeleteItem(id) => {
                let old = self.items.get(id).and_then(|item| item.now()).cloned();
                let Some(old) = old else { return wrong("an item that is not there was deleted") };
                expect_version(old.version)?;
                self.require_event(facts, "inventory.item.deleted", *id)?;
                if !matches!(item_of(facts), Some((gone, None)) if gone == *id) {
                    return wrong("another item was deleted");
                }
                let stock = self.stock.get(id).and_then(|stock| stock.now());
                let used = self.allocations.values().filter_map(|held| held.now()).any(|held| held.uses(*id));
                if used || stock.is_some_and(|stock| stock.quantity != 0) {
                    return wrong("an item in use was deleted");
                }
                self.accept(moment, facts);
                Ok((200, old.show(*id), Some(old.version)))
            }
            Command::AdjustStock(id, how) => {
                let there = self.items.get(id).is_some_and(|item| item.now().is_some());
                let old = self.stock.get(id).and_then(|stock| stock.now()).cloned();
                let (true, Some(old)) = (there, old) else { return wrong("the stock of no item moved") };
                expect_version(old.sequence)?;
                let change = match how {
                    Adjust::By(change) => *change,
                    Adjust::To(target, None) => target - old.quantity,
                    Adjust::To(target, Some(seen)) if *seen == old.quantity => target - old.quantity,
                    Adjust::To(_, Some(_)) => return wrong("stock moved that was not as it was seen"),
                };
                self.require_event(facts, "inventory.stock.adjusted", *id)?;
                let written = facts.iter().find_map(|fact| match fact {
                    Fact::Movement(item, movement, by) if item == id => Some((*movement, *by)),
                    _ => None,
                });
                let Some((movement, by)) = written else { return wrong("stock moved without a movement") };
                let new = facts.iter().find_map(|fact| match fact {
                    Fact::Stock(item, stock) if item == id => Some(stock.clone()),
                    _ => None,
                });
                let Some(new) = new else { return wrong("a movement without stock") };
                if by != change || new.quantity != old.quantity + change || new.sequence != old.sequence + 1 {
                    return wrong("the stock is not what was asked for");
                }
                self.movements.insert((*id, movement), change);
                self.accept(moment, facts);
                Ok((200, new.show(*id), Some(new.sequence)))
            }
            Command::CreateOrder(..) | Command::UpdateOrder(..) | Command::Advance(..) => {
                self.order_effect(moment, from, ask, facts)
            }
            Command::Register { email, password, role } => {
                let Some(Fact::User { id, email: kept, role: given, times, new: true }) =
                    facts.iter().find(|fact| matches!(fact, Fact::User { .. }))
                else {
                    return wrong("nobody was registered");
                };
                let first = self.users.is_empty();
                let allowed = match (&ask.caller, first) {
                    _ if self.open_registration => *given == *role,
                    (Caller::Nobody, true) => *given == Role::FinanceManager,
                    (Caller::User(_, Role::FinanceManager), _) => *given == *role,
                    _ => false,
                };
                self.check("P6", allowed, || format!("{:?} registered a {given}", ask.caller));
                if self.users.contains_key(email) || kept != email {
                    return wrong("an address was registered twice, or another one");
                }
                self.require_event(facts, "auth.user.registered", *id)?;
                let user = User { id: *id, role: *given, password: password.clone(), times: times.clone() };
                let shown = show_user(email, &user);
                self.users.entry(email.clone()).or_default().set(moment, Some(user));
                self.accept(moment, facts);
                Ok((201, shown, None))
            }
            Command::Forgot { email } => {
                let asked = facts
                    .iter()
                    .any(|fact| matches!(fact, Fact::ResetAsked { email: of, .. } if of == email));
                if !asked {
                    return wrong("no reset was asked for");
                }
                self.accept(moment, facts);
                Ok((200, serde_json::Value::Null, None))
            }
            Command::Reset { token, password } => {
                let hash = hash_of(token);
                let whose =
                    self.resets.iter().find(|(_, good)| good.now().is_some_and(|(known, _)| *known == hash));
                let Some(email) = whose.map(|(email, _)| email.clone()) else {
                    return wrong("a password was reset with a token that is not good");
                };
                let user = self.users.get(&email).and_then(|user| user.now()).cloned();
                let Some(user) = user else { return wrong("the password of nobody was reset") };
                let changed = facts.iter().find_map(|fact| match fact {
                    Fact::User { id, times, new: false, .. } if *id == user.id => Some(times.clone()),
                    _ => None,
                });
                let Some(times) = changed else { return wrong("somebody else's password was reset") };
                let user = User { password: password.clone(), times, ..user };
                self.users.entry(email.clone()).or_default().set(moment, Some(user));
                self.resets.entry(email).or_default().set(moment, None);
                Ok((200, serde_json::json!({}), None))
            }
            other => Err(format!("{} changes nothing", other.word())),
        }
    }

    /// Checks that the commit contains the event: no change without its event.
    pub(super) fn require_event(
        &mut self,
        facts: &[Fact],
        wanted: &str,
        about: impl std::fmt::Display,
    ) -> Result<(), String> {
        let about = about.to_string();
        let said = facts.iter().any(
            |fact| matches!(fact, Fact::Event { kind, subject, .. } if kind == wanted && *subject == about),
        );
        self.check("P2", said, || format!("{about} changed without the event {wanted}"));
        Ok(())
    }

    fn email_is_free(&self, kind: &'static str, email: &str, id: uuid::Uuid) -> Result<(), String> {
        let of_kind = self.parties.iter().filter(|((of, other), _)| *of == kind && *other != id);
        let taken = of_kind.filter_map(|(_, party)| party.now()).any(|party| party.form.email == email);
        if taken { Err(format!("two {kind}s have the address {email}")) } else { Ok(()) }
    }

    fn sku_is_free(&self, sku: &str, id: uuid::Uuid) -> Result<(), String> {
        let others = self.items.iter().filter(|(other, _)| **other != id).filter_map(|(_, item)| item.now());
        if others.into_iter().any(|item| item.form.sku == sku) {
            return Err(format!("two items have the SKU {sku}"));
        }
        Ok(())
    }

    /// Updates the model.
    pub(super) fn accept(&mut self, moment: usize, facts: &[Fact]) {
        for fact in facts {
            match fact.clone() {
                Fact::Party(kind, id, party) => {
                    self.parties.entry((kind.as_str(), id)).or_default().set(moment, party);
                }
                Fact::Item(id, item) => self.items.entry(id).or_default().set(moment, item),
                Fact::Stock(id, stock) => self.stock.entry(id).or_default().set(moment, Some(stock)),
                Fact::Movement(item, id, by) => {
                    self.written.insert((item, id), (moment, by));
                }
                Fact::Order(kind, id, order) => {
                    self.orders.entry((kind.as_str(), id)).or_default().set(moment, Some(order));
                }
                Fact::Allocation(id, allocation) => {
                    self.allocations.entry(id).or_default().set(moment, Some(allocation));
                }
                Fact::ResetAsked { email, hash, until, for_somebody } => {
                    let good = for_somebody.then_some((hash, until));
                    self.resets.entry(email).or_default().set(moment, good);
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

/// Returns the response data of a user.
pub(super) fn show_user(email: &str, user: &User) -> serde_json::Value {
    serde_json::json!({
        "id": user.id, "email": email, "role": user.role.as_str(),
        "created_at": user.times.created_at, "updated_at": user.times.updated_at,
    })
}

/// Returns the stored hash of a reset token.
pub(super) fn hash_of(token: &str) -> String {
    auth::secret::TokenHash::of(&auth::secret::Secret::new(token)).as_str().to_owned()
}

fn party_of(facts: &[Fact]) -> Option<(uuid::Uuid, Option<super::Party>)> {
    facts.iter().find_map(|fact| match fact {
        Fact::Party(_, id, party) => Some((*id, party.clone())),
        _ => None,
    })
}

fn item_of(facts: &[Fact]) -> Option<(uuid::Uuid, Option<super::Item>)> {
    facts.iter().find_map(|fact| match fact {
        Fact::Item(id, item) => Some((*id, item.clone())),
        _ => None,
    })
}
