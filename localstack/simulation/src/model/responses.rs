//! Checks responses.

use std::collections::BTreeSet;

use erp_testkit::ApiResponse;
use serde_json::Value;
use uuid::Uuid;

use super::request::{Access, Adjust, ClientRequest, Caller, Command};
use super::commit::show_user;
use super::state::{StoredResponse, Order};
use super::{Attempt, Model};

/// Returns the target of a guessing attempt.
pub(super) fn guessed(what: &Command) -> Option<String> {
    match what {
        Command::Login { email, .. } => Some(email.clone()),
        Command::ServiceToken { .. } => Some("the service".to_owned()),
        _ => None,
    }
}

impl Model {
    /// Checks the response to an attempt; `to` is the last commit before it arrived, `now` in seconds since the epoch.
    pub fn answered(&mut self, number: u64, to: usize, now: i64, answer: &ApiResponse) {
        let Some(attempt) = self.attempts.get(&number).cloned() else { return };
        let ask = attempt.ask.as_ref().clone();
        let told = || format!("{} {} -> {} {}", ask.method, ask.path, answer.status, answer.text);
        if answer.status >= 500 {
            let faults = self.faults;
            return self.check("answers", faults, || format!("nothing is wrong, and yet {}", told()));
        }
        if matches!(ask.what, Command::Login { .. } | Command::ServiceToken { .. }) && answer.status == 200 {
            self.guesses.remove(&guessed(&ask.what).unwrap_or_default());
        }
        match self.verdict(&ask, &attempt, to, now, answer) {
            Ok(()) => *self.checks.entry("answers").or_default() += 1,
            Err((promise, reason)) => {
                self.check(promise, false, || format!("{reason}: {} {:?}", told(), ask))
            }
        }
    }

    fn verdict(
        &self,
        ask: &ClientRequest,
        attempt: &Attempt,
        to: usize,
        now: i64,
        answer: &ApiResponse,
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
            let possible = self.rejections(ask, from, to, now);
            if possible.iter().any(|(status, word)| *status == answer.status && *word == code) {
                return Ok(());
            }
            return Err(("answers", format!("the model knows only {possible:?}")));
        }
        self.success(ask, attempt, to, answer).map_err(|reason| ("answers", reason))
    }

    /// Checks a replay: `None` if the key was unbound at some moment.
    fn replayed(
        &self,
        ask: &ClientRequest,
        from: usize,
        to: usize,
        now: i64,
        answer: &ApiResponse,
    ) -> Option<Result<(), String>> {
        let kept = self.answers.get(&ask.scope()?)?;
        let lives = |kept: &&StoredResponse| kept.until > now;
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
        // A response stored before the request must be replayed. If the key was unbound when the request started, the response
        // may be the first one itself.
        if free { None } else { Some(Err("the kept answer is another".to_owned())) }
    }

    fn success(&self, ask: &ClientRequest, attempt: &Attempt, to: usize, answer: &ApiResponse) -> Result<(), String> {
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
            Command::GetParty(kind, id) => {
                let party = self.parties.get(&(kind.as_str(), *id)).into_iter();
                let states = party.flat_map(|party| party.during(from, to)).flatten();
                one_of(states.map(|party| (party.show(*id), party.version)).collect())
            }
            Command::GetItem(id) => {
                let states = self.items.get(id).into_iter().flat_map(|item| item.during(from, to)).flatten();
                one_of(states.map(|item| (item.show(*id), item.version)).collect())
            }
            Command::GetStock(id) => {
                let states =
                    self.stock.get(id).into_iter().flat_map(|stock| stock.during(from, to)).flatten();
                one_of(states.map(|stock| (stock.show(*id), stock.sequence)).collect())
            }
            Command::GetOrder(kind, id) => {
                let order = self.orders.get(&(kind.as_str(), *id)).into_iter();
                let states = order.flat_map(|order| order.during(from, to)).flatten();
                one_of(states.map(|order| (order.show(*kind, *id), order.version)).collect())
            }
            Command::ListParties(kind, limit) => {
                let of_kind = self.parties.iter().filter(|((of, _), _)| *of == kind.as_str());
                let entries = of_kind.map(|((_, id), party)| {
                    let states = party.during(from, to).map(|party| party.map(|party| party.show(*id)));
                    (*id, states.collect())
                });
                page(&data, *limit, entries)
            }
            Command::ListItems(limit) => {
                let entries = self.items.iter().map(|(id, item)| {
                    (*id, item.during(from, to).map(|item| item.map(|item| item.show(*id))).collect())
                });
                page(&data, *limit, entries)
            }
            Command::ListOrders { kind, status, party, limit } => {
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
            Command::ListMovements(id, limit) => {
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
            Command::ListEvents(kind, id) => {
                let history = self.history.get(&(kind.as_str(), *id)).cloned().unwrap_or_default();
                let rows = data.as_array().cloned().unwrap_or_default();
                let shown: BTreeSet<&str> = rows.iter().filter_map(|row| row["id"].as_str()).collect();
                let known = |id: &str| history.iter().any(|(moment, known)| *moment <= to && known == id);
                if shown.len() != rows.len() || !shown.iter().all(|id| known(id)) {
                    return Err("events that are none, or twice".to_owned());
                }
                let missing =
                    history.iter().any(|(moment, id)| *moment <= from && !shown.contains(id.as_str()));
                if missing { Err(format!("events are missing: {history:?}")) } else { Ok(()) }
            }
            Command::Login { email, password } => {
                let user = self.users.get(email).into_iter();
                let mut states = user.flat_map(|user| user.during(from, to)).flatten();
                let right = states
                    .any(|user| user.password == *password && data["user"]["id"] == user.id.to_string());
                if right { Ok(()) } else { Err("somebody logged in with a wrong password".to_owned()) }
            }
            Command::ServiceToken { right } => {
                if *right {
                    Ok(())
                } else {
                    Err("a service got a token for a wrong secret".to_owned())
                }
            }
            // Above the allowance of reset requests nothing is committed, and the response is the same.
            Command::Forgot { .. } => Ok(()),
            Command::AdjustStock(id, Adjust::To(target, _)) if attempt.effect.is_none() => {
                let states =
                    self.stock.get(id).into_iter().flat_map(|stock| stock.during(from, to)).flatten();
                let same = states.filter(|stock| stock.quantity == *target);
                one_of(same.map(|stock| (stock.show(*id), stock.sequence)).collect())
            }
            _ => match &attempt.effect {
                None => Err("answered as done, and nothing was".to_owned()),
                Some((status, expected, version)) => {
                    let same =
                        *expected == data || self.showed_earlier_news(&ask.what, expected, &data, from, to);
                    if *status == answer.status && same && etag.flatten() == *version {
                        Ok(())
                    } else {
                        Err(format!("done was {status} {expected} {version:?}"))
                    }
                }
            },
        }
    }

    /// Whether the response to a change of an order differs from the expected one only in `stock_status`: a decision of
    /// inventory may be committed between the read and the commit of the change.
    pub(super) fn showed_earlier_news(
        &self,
        what: &Command,
        expected: &Value,
        data: &Value,
        from: usize,
        to: usize,
    ) -> bool {
        let (Command::UpdateOrder(kind, id, ..) | Command::Advance(kind, id, ..)) = what else { return false };
        let said = &data["order"]["stock_status"];
        let states =
            self.orders.get(&(kind.as_str(), *id)).into_iter().flat_map(|order| order.during(from, to));
        let was_so = states.flatten().any(|order| *said == order.stock_status);
        let mut with_news = data.clone();
        with_news["order"]["stock_status"] = expected["order"]["stock_status"].clone();
        was_so && with_news == *expected
    }

    /// Returns the response data of a user.
    pub fn show_user(&self, email: &str) -> Option<Value> {
        self.users.get(email).and_then(|user| user.now()).map(|user| show_user(email, user))
    }
}

/// Checks a page: newest first, no duplicates, every row in a state that it had, and no row missing that existed all the
/// time.
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
