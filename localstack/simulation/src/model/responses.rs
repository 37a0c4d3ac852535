//! Checks responses.

use std::collections::BTreeSet;

use erp_testkit::ApiResponse;
use serde_json::Value;
use uuid::Uuid;

use super::request::{Access, Adjust, Caller, ClientRequest, Command};
use super::state::{Order, StoredResponse};
use super::{Attempt, Effect, Model};

/// Returns the account or service whose secret a request tries.
pub(super) fn secret_target(command: &Command) -> Option<String> {
    match command {
        Command::Login { email, .. } => Some(email.clone()),
        Command::ServiceToken { .. } => Some("service-token".to_owned()),
        _ => None,
    }
}

impl Model {
    /// Checks the response to an attempt; `to` is the last commit before it arrived, `now` in seconds since
    /// the epoch.
    pub fn response_received(&mut self, number: u64, to: usize, now: i64, response: &ApiResponse) {
        let Some(attempt) = self.attempts.get(&number).cloned() else { return };
        let request = attempt.request.as_ref().clone();
        let described =
            || format!("{} {} -> {} {}", request.method, request.path, response.status, response.text);
        if response.status >= 500 {
            let faults = self.faults;
            return self.check("responses", faults, || format!("failed without a fault: {}", described()));
        }
        if matches!(request.command, Command::Login { .. } | Command::ServiceToken { .. })
            && response.status == 200
        {
            self.secret_attempts.remove(&secret_target(&request.command).unwrap_or_default());
        }
        match self.check_response(&request, &attempt, to, now, response) {
            Ok(()) => *self.checks.entry("responses").or_default() += 1,
            Err((promise, reason)) => {
                self.check(promise, false, || format!("{reason}: {} {:?}", described(), request))
            }
        }
    }

    fn check_response(
        &self,
        request: &ClientRequest,
        attempt: &Attempt,
        to: usize,
        now: i64,
        response: &ApiResponse,
    ) -> Result<(), (&'static str, String)> {
        let from = attempt.from;
        if !request.is_allowed() {
            let expected = match (&request.caller, request.command.access()) {
                (Caller::Anonymous, Access::Reader | Access::Manager | Access::Finance) => 401,
                _ => 403,
            };
            let rejected = response.status == expected && attempt.effect.is_none();
            return if rejected { Ok(()) } else { Err(("P6", format!("expected status {expected}"))) };
        }
        if let Some(replay) = self.check_replay(request, from, to, now, response) {
            return replay.map_err(|reason| ("P5", reason));
        }
        if response.status >= 400 {
            if attempt.effect.is_some() {
                return Err(("P5", "rejected after its effect was committed".to_owned()));
            }
            let code = response.code();
            let possible = self.rejections(request, from, to, now);
            if possible.contains(&(response.status, code.as_str())) {
                return Ok(());
            }
            return Err(("responses", format!("expected one of {possible:?}")));
        }
        self.check_success(request, attempt, to, response).map_err(|reason| ("responses", reason))
    }

    /// Checks a replay: `None` if the key was unbound at some moment.
    fn check_replay(
        &self,
        request: &ClientRequest,
        from: usize,
        to: usize,
        now: i64,
        response: &ApiResponse,
    ) -> Option<Result<(), String>> {
        let responses = self.stored_responses.get(&request.scope()?)?;
        let is_bound = |stored: &&StoredResponse| stored.until > now;
        let mut was_unbound = false;
        for state in responses.during(from, to) {
            let Some(stored) = state.filter(is_bound) else {
                was_unbound = true;
                continue;
            };
            if stored.fingerprint != request.fingerprint() {
                if response.status == 422 && response.code() == "idempotency_key_reused" {
                    return Some(Ok(()));
                }
            } else if stored.status == response.status && stored.body == response.text {
                return Some(Ok(()));
            }
        }
        // A response stored before the request must be replayed. If the key was unbound when the request
        // started, this may be the first response.
        if was_unbound { None } else { Some(Err("differs from the stored response".to_owned())) }
    }

    fn check_success(
        &self,
        request: &ClientRequest,
        attempt: &Attempt,
        to: usize,
        response: &ApiResponse,
    ) -> Result<(), String> {
        let from = attempt.from;
        let data = response.data();
        let etag = response.header("etag").map(|tag| tag.trim_matches('"').parse::<u64>().ok());
        let one_of = |states: Vec<(Value, u64)>| {
            if states.iter().any(|(value, version)| *value == data && etag == Some(Some(*version))) {
                Ok(())
            } else {
                Err(format!("expected one of {states:?}"))
            }
        };
        match &request.command {
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
                        return Err(format!("unknown movement {row}"));
                    }
                }
                let earlier = self.written.iter().filter(|((item, _), (at, _))| item == id && *at <= from);
                if rows.len() < earlier.count().min(*limit) {
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
                    return Err("unknown or duplicate events".to_owned());
                }
                let missing =
                    history.iter().any(|(moment, id)| *moment <= from && !shown.contains(id.as_str()));
                if missing { Err(format!("events are missing: {history:?}")) } else { Ok(()) }
            }
            Command::Login { email, password } => {
                let user = self.users.get(email).into_iter();
                let mut states = user.flat_map(|user| user.during(from, to)).flatten();
                let valid = states
                    .any(|user| user.password == *password && data["user"]["id"] == user.id.to_string());
                if valid { Ok(()) } else { Err("login with a wrong password".to_owned()) }
            }
            Command::ServiceToken { valid } => {
                if *valid {
                    Ok(())
                } else {
                    Err("service token for a wrong secret".to_owned())
                }
            }
            // Above the allowance of reset requests nothing is committed, and the response is the same.
            Command::ForgotPassword { .. } => Ok(()),
            Command::AdjustStock(id, Adjust::To(target, _)) if attempt.effect.is_none() => {
                let states =
                    self.stock.get(id).into_iter().flat_map(|stock| stock.during(from, to)).flatten();
                let same = states.filter(|stock| stock.quantity == *target);
                one_of(same.map(|stock| (stock.show(*id), stock.sequence)).collect())
            }
            _ => match &attempt.effect {
                None => Err("success without an effect".to_owned()),
                Some(Effect { status, data: expected, version }) => {
                    let same = *expected == data
                        || self.shows_earlier_stock_status(&request.command, expected, &data, from, to);
                    if *status == response.status && same && etag.flatten() == *version {
                        Ok(())
                    } else {
                        Err(format!("expected {status} {expected} {version:?}"))
                    }
                }
            },
        }
    }

    /// Returns whether the response to a change of an order differs from the expected one only in
    /// `stock_status`: a decision of inventory may be committed between the read and the commit of the
    /// change.
    pub(super) fn shows_earlier_stock_status(
        &self,
        command: &Command,
        expected: &Value,
        data: &Value,
        from: usize,
        to: usize,
    ) -> bool {
        let (Command::UpdateOrder(kind, id, ..) | Command::Advance(kind, id, ..)) = command else {
            return false;
        };
        let shown = &data["order"]["stock_status"];
        let states =
            self.orders.get(&(kind.as_str(), *id)).into_iter().flat_map(|order| order.during(from, to));
        let was_current = states.flatten().any(|order| shown.as_str() == order.stock_status.as_deref());
        let mut with_current_status = data.clone();
        with_current_status["order"]["stock_status"] = expected["order"]["stock_status"].clone();
        was_current && with_current_status == *expected
    }
}

/// Checks a page: newest first, no duplicates, every row in a state that it had, and no row missing that
/// existed all the time.
fn page(
    data: &Value,
    limit: usize,
    entries: impl Iterator<Item = (Uuid, Vec<Option<Value>>)>,
) -> Result<(), String> {
    let rows = data.as_array().cloned().unwrap_or_default();
    let ids: Vec<&str> = rows.iter().filter_map(|row| row["id"].as_str()).collect();
    if ids.len() != rows.len() || rows.len() > limit || !ids.is_sorted_by(|newer, older| newer > older) {
        return Err(format!("not newest first, or more than the limit: {ids:?}"));
    }
    let mut shown: BTreeSet<&str> = ids.iter().copied().collect();
    let last = ids.last().filter(|_| rows.len() == limit).map(|id| (*id).to_owned());
    for (id, states) in entries {
        let text = id.to_string();
        match rows.iter().find(|row| row["id"] == text) {
            Some(row) => {
                shown.remove(text.as_str());
                if !states.iter().flatten().any(|state| state == row) {
                    return Err(format!("{row}, expected one of {states:?}"));
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
    if shown.is_empty() { Ok(()) } else { Err(format!("unknown rows {shown:?}")) }
}
