//! The rejections that are possible for a request.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::Model;
use super::accounts::hash_of;
use super::orders::next;
use super::request::{Adjust, Caller, ClientRequest, Command, LineForm};

/// A rejection: status and problem code.
type Rejection = (u16, &'static str);

impl Model {
    /// Returns every rejection that agrees with a state between request and response.
    pub(super) fn rejections(
        &self,
        request: &ClientRequest,
        from: usize,
        to: usize,
        now: i64,
    ) -> BTreeSet<Rejection> {
        let mut possible = BTreeSet::new();
        let mut allow = |rejection: Rejection| {
            possible.insert(rejection);
        };
        let stale = |version: u64| request.if_match.is_some_and(|expected| expected != version);
        match &request.command {
            Command::Malformed { .. } => {
                allow((400, "validation_failed"));
                allow((400, "malformed_json"));
            }
            Command::CreateParty(kind, form) => {
                if self.email_was_taken(kind.as_str(), &form.email, None, from, to) {
                    allow((409, "duplicate_email"));
                }
            }
            Command::UpdateParty(kind, id, _)
            | Command::DeleteParty(kind, id)
            | Command::GetParty(kind, id) => {
                let default = super::Timeline::default();
                let party = self.parties.get(&(kind.as_str(), *id)).unwrap_or(&default);
                for state in party.during(from, to) {
                    match state {
                        None => allow((404, "not_found")),
                        Some(party) if stale(party.version) => allow((412, "version_mismatch")),
                        Some(_) => {}
                    }
                }
                if let Command::UpdateParty(_, _, form) = &request.command
                    && self.email_was_taken(kind.as_str(), &form.email, Some(*id), from, to)
                {
                    allow((409, "duplicate_email"));
                }
            }
            Command::CreateItem(form) => {
                if self.sku_was_taken(&form.sku, None, from, to) {
                    allow((409, "duplicate_sku"));
                }
            }
            Command::UpdateItem(id, _)
            | Command::DeleteItem(id)
            | Command::GetItem(id)
            | Command::GetStock(id) => {
                let default = super::Timeline::default();
                let item = self.items.get(id).unwrap_or(&default);
                for state in item.during(from, to) {
                    match state {
                        None => allow((404, "not_found")),
                        Some(item) if stale(item.version) => allow((412, "version_mismatch")),
                        Some(_) => {}
                    }
                }
                if matches!(request.command, Command::DeleteItem(_)) && self.was_in_use(*id, from, to) {
                    allow((409, "in_use"));
                }
                if let Command::UpdateItem(_, form) = &request.command
                    && self.sku_was_taken(&form.sku, Some(*id), from, to)
                {
                    allow((409, "duplicate_sku"));
                }
            }
            Command::ListMovements(id, _) => {
                if self.item_was_missing(*id, from, to) {
                    allow((404, "not_found"));
                }
            }
            Command::AdjustStock(id, how) => {
                if self.item_was_missing(*id, from, to) {
                    allow((404, "not_found"));
                }
                let default = super::Timeline::default();
                let stock = self.stock.get(id).unwrap_or(&default);
                for stock in stock.during(from, to).flatten() {
                    if stale(stock.sequence) {
                        allow((412, "version_mismatch"));
                    }
                    match how {
                        Adjust::By(change) if stock.quantity + change < 0 => {
                            allow((409, "insufficient_stock"))
                        }
                        Adjust::To(_, Some(expected)) if *expected != stock.quantity => {
                            allow((412, "version_mismatch"));
                        }
                        _ => {}
                    }
                }
            }
            Command::CreateOrder(kind, party, lines) => {
                if self.was_invalid(kind.party().as_str(), *party, lines, from, to) {
                    allow((400, "validation_failed"));
                }
            }
            Command::UpdateOrder(kind, id, ..)
            | Command::Advance(kind, id, ..)
            | Command::GetOrder(kind, id)
            | Command::ListEvents(kind, id) => {
                let default = super::Timeline::default();
                let order = self.orders.get(&(kind.as_str(), *id)).unwrap_or(&default);
                for state in order.during(from, to) {
                    match (state, &request.command) {
                        (None, _) => allow((404, "not_found")),
                        (Some(_), Command::GetOrder(..) | Command::ListEvents(..)) => {}
                        (Some(order), _) if stale(order.version) => allow((412, "version_mismatch")),
                        (Some(order), Command::UpdateOrder(_, _, party, lines)) => {
                            if order.status != "draft" {
                                allow((409, "illegal_transition"));
                            }
                            if self.was_invalid(kind.party().as_str(), *party, lines, from, to) {
                                allow((400, "validation_failed"));
                            }
                        }
                        (Some(order), Command::Advance(_, _, transition, require_stock)) => {
                            let next = next(*kind, &order.status, *transition);
                            if next.is_some()
                                && order.status == "draft"
                                && next != Some("cancelled")
                                && self.party_was_missing(kind.party().as_str(), order.party, from, to)
                            {
                                allow((409, "party_gone"));
                            }
                            if next.is_none() {
                                allow((409, "illegal_transition"));
                            } else if *require_stock && self.was_insufficient(&order.demand(), from, to) {
                                allow((409, "insufficient_stock"));
                            }
                        }
                        (Some(_), _) => {}
                    }
                }
            }
            Command::Register { email, .. } => {
                let default = super::Timeline::default();
                let user = self.users.get(email).unwrap_or(&default);
                if user.during(from, to).any(|user| user.is_some()) {
                    allow((409, "duplicate_email"));
                }
                if !self.open_registration {
                    match &request.caller {
                        Caller::Anonymous => allow((401, "unauthorized")),
                        Caller::User(_, erp_domain::identity::Role::FinanceManager) => {}
                        Caller::User(..) | Caller::Service(_) => allow((403, "forbidden")),
                    }
                }
            }
            Command::Login { email, password } => {
                let default = super::Timeline::default();
                let user = self.users.get(email).unwrap_or(&default);
                if user.during(from, to).any(|user| user.is_none_or(|user| user.password != *password)) {
                    allow((401, "invalid_credentials"));
                }
                if self.secret_attempts.get(email).is_some_and(|secret_attempts| *secret_attempts > 1) {
                    allow((429, "too_many_requests"));
                }
            }
            Command::ServiceToken { valid } => {
                if !valid {
                    allow((401, "invalid_credentials"));
                }
                if self
                    .secret_attempts
                    .get("service-token")
                    .is_some_and(|secret_attempts| *secret_attempts > 1)
                {
                    allow((429, "too_many_requests"));
                }
            }
            Command::ResetPassword { token, .. } => {
                let hash = hash_of(token);
                let is_valid = |state: Option<&(String, i64)>| {
                    state.is_some_and(|(known, until)| *known == hash && *until > now)
                };
                let throughout = self.resets.values().any(|reset| reset.during(from, to).all(is_valid));
                if !throughout {
                    allow((400, "validation_failed"));
                }
            }
            Command::ForgotPassword { .. }
            | Command::ListParties(..)
            | Command::ListItems(_)
            | Command::ListOrders { .. } => {}
        }
        possible
    }

    fn email_was_taken(&self, kind: &str, email: &str, but: Option<Uuid>, from: usize, to: usize) -> bool {
        let others = self.parties.iter().filter(|((of, id), _)| *of == kind && Some(*id) != but);
        others.flat_map(|(_, party)| party.during(from, to)).flatten().any(|party| party.form.email == email)
    }

    fn sku_was_taken(&self, sku: &str, but: Option<Uuid>, from: usize, to: usize) -> bool {
        let others = self.items.iter().filter(|(id, _)| Some(**id) != but);
        others.flat_map(|(_, item)| item.during(from, to)).flatten().any(|item| item.form.sku == sku)
    }

    fn item_was_missing(&self, id: Uuid, from: usize, to: usize) -> bool {
        let default = super::Timeline::default();
        self.items.get(&id).unwrap_or(&default).during(from, to).any(|item| item.is_none())
    }

    fn was_invalid(
        &self,
        kind: &'static str,
        party: Uuid,
        lines: &[LineForm],
        from: usize,
        to: usize,
    ) -> bool {
        self.party_was_missing(kind, party, from, to)
            || lines.iter().any(|line| self.item_was_missing(line.item, from, to))
    }

    fn party_was_missing(&self, kind: &'static str, party: Uuid, from: usize, to: usize) -> bool {
        let default = super::Timeline::default();
        let party = self.parties.get(&(kind, party)).unwrap_or(&default);
        party.during(from, to).any(|party| party.is_none())
    }

    /// Returns whether the item had stock, an allocation or a back-order.
    fn was_in_use(&self, item: Uuid, from: usize, to: usize) -> bool {
        let default = super::Timeline::default();
        let mut stock = self.stock.get(&item).unwrap_or(&default).during(from, to).flatten();
        let mut allocations =
            self.allocations.values().flat_map(|allocation| allocation.during(from, to)).flatten();
        stock.any(|stock| stock.quantity > 0) || allocations.any(|allocation| allocation.uses(item))
    }
}
