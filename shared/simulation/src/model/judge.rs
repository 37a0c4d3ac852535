//! Whether an answer may be.

use std::collections::BTreeSet;

use erp_testkit::ApiAnswer;
use serde_json::Value;
use uuid::Uuid;

use super::ask::{Access, Adjust, Ask, Caller, LineForm, What};
use super::commit::{hash_of, show_user};
use super::orders::next;
use super::state::{Kept, Order};
use super::{Attempt, Model};

/// A refusal: status and code.
type Refusal = (u16, &'static str);

/// Whose secret is being guessed.
pub(super) fn guessed(what: &What) -> Option<String> {
    match what {
        What::Login { email, .. } => Some(email.clone()),
        What::ServiceToken { .. } => Some("the service".to_owned()),
        _ => None,
    }
}

impl Model {
    /// Judges the answer to an attempt; `to` is the last commit before it came, `now` the seconds since the epoch.
    pub fn answered(&mut self, number: u64, to: usize, now: i64, answer: &ApiAnswer) {
        let Some(attempt) = self.attempts.get(&number).cloned() else { return };
        let ask = attempt.ask.as_ref().clone();
        let told = || format!("{} {} -> {} {}", ask.method, ask.path, answer.status, answer.text);
        if answer.status >= 500 {
            let faults = self.faults;
            return self.check("answers", faults, || format!("nothing is wrong, and yet {}", told()));
        }
        if matches!(ask.what, What::Login { .. } | What::ServiceToken { .. }) && answer.status == 200 {
            self.guesses.remove(&guessed(&ask.what).unwrap_or_default());
        }
        match self.verdict(&ask, &attempt, to, now, answer) {
            Ok(()) => *self.checks.entry("answers").or_default() += 1,
            Err((promise, reason)) => self.check(promise, false, || format!("{reason}: {} {:?}", told(), ask)),
        }
    }

    fn verdict(
        &self,
        ask: &Ask,
        attempt: &Attempt,
        to: usize,
        now: i64,
        answer: &ApiAnswer,
    ) -> Result<(), (&'static str, String)> {
        let from = attempt.from;
        if !ask.is_allowed() {
            let expected = match (&ask.caller, ask.what.access()) {
                (Caller::Nobody, Access::Reader | Access::Manager | Access::Finance) => 401,
                _ => 403,
            };
            let refused = answer.status == expected && attempt.effect.is_none();
            return if refused { Ok(()) } else { Err(("P6", format!("must be a {expected}"))) };
        }
        if let Some(done) = self.replayed(ask, from, to, now, answer) {
            return done.map_err(|reason| ("P5", reason));
        }
        if answer.status >= 400 {
            if attempt.effect.is_some() {
                return Err(("P5", "refused what it did".to_owned()));
            }
            let code = answer.code();
            let possible = self.refusals(ask, from, to, now);
            if possible.iter().any(|(status, word)| *status == answer.status && *word == code) {
                return Ok(());
            }
            return Err(("answers", format!("the model knows only {possible:?}")));
        }
        self.success(ask, attempt, to, answer).map_err(|reason| ("answers", reason))
    }

    /// What the key says: nothing if it was free at some moment.
    fn replayed(
        &self,
        ask: &Ask,
        from: usize,
        to: usize,
        now: i64,
        answer: &ApiAnswer,
    ) -> Option<Result<(), String>> {
        let kept = self.answers.get(&ask.scope()?)?;
        let lives = |kept: &&Kept| kept.until > now;
        let mut free = false;
        for state in kept.during(from, to) {
            let Some(kept) = state.filter(lives) else {
                free = true;
                continue;
            };
            if kept.fingerprint != ask.fingerprint() {
                if answer.status == 422 && answer.code() == "idempotency_key_reused" {
                    return Some(Ok(()));
                }
            } else if kept.status == answer.status && kept.body == answer.text {
                return Some(Ok(()));
            }
        }
        // Whatever was kept before or meanwhile must be what is said, unless there was nothing when it began: then
        // this may be the first answer itself, not kept, or the answer to be kept.
        if free { None } else { Some(Err("the kept answer is another".to_owned())) }
    }

    /// Every refusal that was right at some moment.
    fn refusals(&self, ask: &Ask, from: usize, to: usize, now: i64) -> BTreeSet<Refusal> {
        let mut possible = BTreeSet::new();
        let mut may = |refusal: Refusal| {
            possible.insert(refusal);
        };
        let stale = |version: u64| ask.if_match.is_some_and(|wanted| wanted != version);
        match &ask.what {
            What::Malformed { .. } => {
                may((400, "validation_failed"));
                may((400, "malformed_json"));
            }
            What::CreateParty(kind, form) => {
                if self.email_was_taken(kind.as_str(), &form.email, None, from, to) {
                    may((409, "duplicate_email"));
                }
            }
            What::UpdateParty(kind, id, _) | What::DeleteParty(kind, id) | What::GetParty(kind, id) => {
                let default = super::Timeline::default();
                let party = self.parties.get(&(kind.as_str(), *id)).unwrap_or(&default);
                for state in party.during(from, to) {
                    match state {
                        None => may((404, "not_found")),
                        Some(party) if stale(party.version) => may((412, "version_mismatch")),
                        Some(_) => {}
                    }
                }
                if party.moved(from, to) {
                    may((409, "conflict"));
                }
                if let What::UpdateParty(_, _, form) = &ask.what
                    && self.email_was_taken(kind.as_str(), &form.email, Some(*id), from, to)
                {
                    may((409, "duplicate_email"));
                }
            }
            What::CreateItem(form) => {
                if self.sku_was_taken(&form.sku, None, from, to) {
                    may((409, "duplicate_sku"));
                }
            }
            What::UpdateItem(id, _) | What::DeleteItem(id) | What::GetItem(id) | What::GetStock(id) => {
                let default = super::Timeline::default();
                let item = self.items.get(id).unwrap_or(&default);
                for state in item.during(from, to) {
                    match state {
                        None => may((404, "not_found")),
                        Some(item) if stale(item.version) => may((412, "version_mismatch")),
                        Some(_) => {}
                    }
                }
                if item.moved(from, to) {
                    may((409, "conflict"));
                }
                if let What::UpdateItem(_, form) = &ask.what
                    && self.sku_was_taken(&form.sku, Some(*id), from, to)
                {
                    may((409, "duplicate_sku"));
                }
            }
            What::ListMovements(id, _) => {
                if self.item_was(*id, from, to, false) {
                    may((404, "not_found"));
                }
            }
            What::AdjustStock(id, how) => {
                if self.item_was(*id, from, to, false) {
                    may((404, "not_found"));
                }
                let default = super::Timeline::default();
                let stock = self.stock.get(id).unwrap_or(&default);
                for stock in stock.during(from, to).flatten() {
                    if stale(stock.sequence) {
                        may((412, "version_mismatch"));
                    }
                    match how {
                        Adjust::By(change) if stock.quantity + change < 0 => may((409, "insufficient_stock")),
                        Adjust::To(_, Some(seen)) if *seen != stock.quantity => {
                            may((412, "version_mismatch"));
                        }
                        _ => {}
                    }
                }
                if stock.moved(from, to) {
                    may((409, "conflict"));
                }
            }
            What::CreateOrder(kind, party, lines) => {
                if self.was_impossible(kind.party().as_str(), *party, lines, from, to) {
                    may((400, "validation_failed"));
                }
            }
            What::UpdateOrder(kind, id, ..) | What::Advance(kind, id, ..) | What::GetOrder(kind, id)
            | What::ListEvents(kind, id) => {
                let default = super::Timeline::default();
                let order = self.orders.get(&(kind.as_str(), *id)).unwrap_or(&default);
                for state in order.during(from, to) {
                    match (state, &ask.what) {
                        (None, _) => may((404, "not_found")),
                        (Some(_), What::GetOrder(..) | What::ListEvents(..)) => {}
                        (Some(order), _) if stale(order.version) => may((412, "version_mismatch")),
                        (Some(order), What::UpdateOrder(_, _, party, lines)) => {
                            if order.status != "draft" {
                                may((409, "illegal_transition"));
                            }
                            if self.was_impossible(kind.party().as_str(), *party, lines, from, to) {
                                may((400, "validation_failed"));
                            }
                        }
                        (Some(order), What::Advance(_, _, step, require_stock)) => {
                            if next(*kind, &order.status, *step).is_none() {
                                may((409, "illegal_transition"));
                            } else if *require_stock && self.was_short(order, from, to) {
                                may((409, "insufficient_stock"));
                            }
                        }
                        (Some(_), _) => {}
                    }
                }
                if order.moved(from, to) {
                    may((409, "conflict"));
                }
            }
            What::Register { email, .. } => {
                let default = super::Timeline::default();
                let user = self.users.get(email).unwrap_or(&default);
                if user.during(from, to).any(|user| user.is_some()) {
                    may((409, "duplicate_email"));
                }
                if !self.open_registration {
                    match &ask.caller {
                        Caller::Nobody => may((401, "unauthorized")),
                        Caller::User(_, erp_domain::identity::Role::FinanceManager) => {}
                        Caller::User(..) | Caller::Service(_) => may((403, "forbidden")),
                    }
                }
            }
            What::Login { email, password } => {
                let default = super::Timeline::default();
                let user = self.users.get(email).unwrap_or(&default);
                if user.during(from, to).any(|user| user.is_none_or(|user| user.password != *password)) {
                    may((401, "invalid_credentials"));
                }
                if self.guesses.get(email).is_some_and(|guesses| *guesses > 1) {
                    may((429, "too_many_requests"));
                }
            }
            What::ServiceToken { right } => {
                if !right {
                    may((401, "invalid_credentials"));
                }
                if self.guesses.get("the service").is_some_and(|guesses| *guesses > 1) {
                    may((429, "too_many_requests"));
                }
            }
            What::Reset { token, .. } => {
                let hash = hash_of(token);
                let is_good = |state: Option<&(String, i64)>| {
                    state.is_some_and(|(known, until)| *known == hash && *until > now)
                };
                let throughout = self.resets.iter().any(|(email, good)| {
                    self.users.contains_key(email) && good.during(from, to).all(is_good)
                });
                if !throughout {
                    may((400, "validation_failed"));
                }
            }
            What::Forgot { .. } | What::ListParties(..) | What::ListItems(_) | What::ListOrders { .. } => {}
        }
        possible
    }

    fn success(&self, ask: &Ask, attempt: &Attempt, to: usize, answer: &ApiAnswer) -> Result<(), String> {
        let from = attempt.from;
        let data = answer.data();
        let etag = answer.header("etag").map(|tag| tag.trim_matches('"').parse::<u64>().ok());
        let one_of = |shown: Vec<(Value, u64)>| {
            if shown.iter().any(|(value, version)| *value == data && etag == Some(Some(*version))) {
                Ok(())
            } else {
                Err(format!("it was never that, but {shown:?}"))
            }
        };
        match &ask.what {
            What::GetParty(kind, id) => {
                let party = self.parties.get(&(kind.as_str(), *id)).into_iter();
                let states = party.flat_map(|party| party.during(from, to)).flatten();
                one_of(states.map(|party| (party.show(*id), party.version)).collect())
            }
            What::GetItem(id) => {
                let states = self.items.get(id).into_iter().flat_map(|item| item.during(from, to)).flatten();
                one_of(states.map(|item| (item.show(*id), item.version)).collect())
            }
            What::GetStock(id) => {
                let states = self.stock.get(id).into_iter().flat_map(|stock| stock.during(from, to)).flatten();
                one_of(states.map(|stock| (stock.show(*id), stock.sequence)).collect())
            }
            What::GetOrder(kind, id) => {
                let order = self.orders.get(&(kind.as_str(), *id)).into_iter();
                let states = order.flat_map(|order| order.during(from, to)).flatten();
                one_of(states.map(|order| (order.show(*kind, *id), order.version)).collect())
            }
            What::ListParties(kind, limit) => {
                let of_kind = self.parties.iter().filter(|((of, _), _)| *of == kind.as_str());
                let entries = of_kind.map(|((_, id), party)| {
                    let states = party.during(from, to).map(|party| party.map(|party| party.show(*id)));
                    (*id, states.collect())
                });
                page(&data, *limit, entries)
            }
            What::ListItems(limit) => {
                let entries = self.items.iter().map(|(id, item)| {
                    (*id, item.during(from, to).map(|item| item.map(|item| item.show(*id))).collect())
                });
                page(&data, *limit, entries)
            }
            What::ListOrders { kind, status, party, limit } => {
                let of_kind = self.orders.iter().filter(|((of, _), _)| *of == kind.as_str());
                let fits = |order: &&Order| {
                    status.is_none_or(|status| order.status == status)
                        && party.is_none_or(|party| order.party == party)
                };
                let entries = of_kind.map(|((_, id), order)| {
                    let states = order.during(from, to).map(|order| order.filter(fits));
                    (*id, states.map(|order| order.map(|order| order.show_summary(*kind, *id))).collect())
                });
                page(&data, *limit, entries)
            }
            What::ListMovements(id, limit) => {
                let rows = data.as_array().cloned().unwrap_or_default();
                for row in &rows {
                    let movement: Option<Uuid> = row["id"].as_str().and_then(|text| text.parse().ok());
                    let known = movement.and_then(|movement| self.written.get(&(*id, movement)));
                    if !known.is_some_and(|(moment, by)| *moment <= to && row["change"] == *by) {
                        return Err(format!("no such movement: {row}"));
                    }
                }
                let before = self.written.iter().filter(|((item, _), (at, _))| item == id && *at <= from);
                if rows.len() < before.count().min(*limit) {
                    return Err("movements are missing".to_owned());
                }
                Ok(())
            }
            What::ListEvents(kind, id) => {
                let history = self.history.get(&(kind.as_str(), *id)).cloned().unwrap_or_default();
                let rows = data.as_array().cloned().unwrap_or_default();
                let shown: BTreeSet<&str> = rows.iter().filter_map(|row| row["id"].as_str()).collect();
                let known = |id: &str| history.iter().any(|(moment, known)| *moment <= to && known == id);
                if shown.len() != rows.len() || !shown.iter().all(|id| known(id)) {
                    return Err("events that are none, or twice".to_owned());
                }
                let missing = history.iter().any(|(moment, id)| *moment <= from && !shown.contains(id.as_str()));
                if missing { Err(format!("events are missing: {history:?}")) } else { Ok(()) }
            }
            What::Login { email, password } => {
                let user = self.users.get(email).into_iter();
                let mut states = user.flat_map(|user| user.during(from, to)).flatten();
                let right = states.any(|user| user.password == *password && data["user"]["id"] == user.id.to_string());
                if right { Ok(()) } else { Err("somebody logged in with a wrong password".to_owned()) }
            }
            What::ServiceToken { right } => {
                if *right { Ok(()) } else { Err("a service got a token for a wrong secret".to_owned()) }
            }
            // The token is good for nothing where too much was asked for: nothing is committed then.
            What::Forgot { .. } => Ok(()),
            What::AdjustStock(id, Adjust::To(target, _)) if attempt.effect.is_none() => {
                let states = self.stock.get(id).into_iter().flat_map(|stock| stock.during(from, to)).flatten();
                let same = states.filter(|stock| stock.quantity == *target);
                one_of(same.map(|stock| (stock.show(*id), stock.sequence)).collect())
            }
            _ => match &attempt.effect {
                None => Err("answered as done, and nothing was".to_owned()),
                Some((status, expected, version)) => {
                    if *status == answer.status && *expected == data && etag.flatten() == *version {
                        Ok(())
                    } else {
                        Err(format!("done was {status} {expected} {version:?}"))
                    }
                }
            },
        }
    }

    /// What a user is shown as, for whoever looks at the end.
    pub fn show_user(&self, email: &str) -> Option<Value> {
        self.users.get(email).and_then(|user| user.now()).map(|user| show_user(email, user))
    }

    fn email_was_taken(&self, kind: &str, email: &str, but: Option<Uuid>, from: usize, to: usize) -> bool {
        let others = self.parties.iter().filter(|((of, id), _)| *of == kind && Some(*id) != but);
        others.flat_map(|(_, party)| party.during(from, to)).flatten().any(|party| party.form.email == email)
    }

    fn sku_was_taken(&self, sku: &str, but: Option<Uuid>, from: usize, to: usize) -> bool {
        let others = self.items.iter().filter(|(id, _)| Some(**id) != but);
        others.flat_map(|(_, item)| item.during(from, to)).flatten().any(|item| item.form.sku == sku)
    }

    fn item_was(&self, id: Uuid, from: usize, to: usize, there: bool) -> bool {
        let default = super::Timeline::default();
        self.items.get(&id).unwrap_or(&default).during(from, to).any(|item| item.is_some() == there)
    }

    fn was_impossible(&self, kind: &'static str, party: Uuid, lines: &[LineForm], from: usize, to: usize) -> bool {
        let default = super::Timeline::default();
        let party = self.parties.get(&(kind, party)).unwrap_or(&default);
        party.during(from, to).any(|party| party.is_none())
            || lines.iter().any(|line| self.item_was(line.item, from, to, false))
    }

    fn was_short(&self, order: &Order, from: usize, to: usize) -> bool {
        order.demand().iter().any(|(item, wanted)| {
            let default = super::Timeline::default();
            let stock = self.stock.get(item).unwrap_or(&default);
            // An item that is gone has none left.
            self.item_was(*item, from, to, false)
                || stock.during(from, to).any(|stock| stock.is_none_or(|stock| stock.quantity < *wanted))
        })
    }
}

/// Whether a page shows what was there: newest first, nothing twice, everything as it was at some moment, and nothing
/// left out that was there all the time.
fn page(
    data: &Value,
    limit: usize,
    entries: impl Iterator<Item = (Uuid, Vec<Option<Value>>)>,
) -> Result<(), String> {
    let rows = data.as_array().cloned().unwrap_or_default();
    let ids: Vec<&str> = rows.iter().filter_map(|row| row["id"].as_str()).collect();
    if ids.len() != rows.len() || rows.len() > limit || !ids.is_sorted_by(|newer, older| newer > older) {
        return Err(format!("not newest first, or more than asked for: {ids:?}"));
    }
    let mut shown: BTreeSet<&str> = ids.iter().copied().collect();
    let last = ids.last().filter(|_| rows.len() == limit).map(|id| (*id).to_owned());
    for (id, states) in entries {
        let text = id.to_string();
        match rows.iter().find(|row| row["id"] == text) {
            Some(row) => {
                shown.remove(text.as_str());
                if !states.iter().flatten().any(|state| state == row) {
                    return Err(format!("{row} was never so, but {states:?}"));
                }
            }
            None => {
                let beyond = last.as_ref().is_some_and(|last| text < *last);
                if !beyond && states.iter().all(Option::is_some) {
                    return Err(format!("{text} is missing"));
                }
            }
        }
    }
    if shown.is_empty() { Ok(()) } else { Err(format!("nobody knows {shown:?}")) }
}
