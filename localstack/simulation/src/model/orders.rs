//! Checks commits of orders and of the stock that they change.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::effects::expect_version;
use super::request::{ClientRequest, Command, LineForm, Transition};
use super::state::{Allocation, Order, Stock, Times};
use super::{Effect, Fact, Model, OrderKind};

/// Returns the status after a transition; `None` if it is illegal. Independent of the implementation.
pub(super) fn next(kind: OrderKind, from: &str, transition: Transition) -> Option<&'static str> {
    match (kind, from, transition) {
        (OrderKind::Sales, "draft", Transition::Confirm) => Some("confirmed"),
        (OrderKind::Sales, "confirmed", Transition::Pay) => Some("paid"),
        (OrderKind::Purchase, "draft", Transition::Receive) => Some("received"),
        (OrderKind::Purchase, "received", Transition::Pay) => Some("paid"),
        (_, "draft", Transition::Cancel) => Some("cancelled"),
        (OrderKind::Sales, "confirmed", Transition::Cancel) => Some("cancelled"),
        _ => None,
    }
}

impl Model {
    /// Checks the creation, update or transition of an order.
    pub(super) fn order_effect(
        &mut self,
        moment: usize,
        from: usize,
        request: &ClientRequest,
        facts: &[Fact],
    ) -> Result<Effect, String> {
        let changed = facts.iter().find_map(|fact| match fact {
            Fact::Order(kind, id, order) => Some((*kind, *id, order.clone())),
            _ => None,
        });
        let Some((kind, id, new)) = changed else { return Err("no order changed".to_owned()) };
        let old = self.orders.get(&(kind.as_str(), id)).and_then(|order| order.now()).cloned();
        let status = match (&request.command, old) {
            (Command::CreateOrder(of, party, lines), None) if *of == kind => {
                self.check_party_and_lines((from, moment), kind, *party, lines, &new)?;
                let stock_status = (kind == OrderKind::Sales).then_some("none");
                if new.version != 1 || new.status != "draft" || new.stock_status.as_deref() != stock_status {
                    return Err("a new order is not a draft".to_owned());
                }
                201
            }
            (Command::UpdateOrder(of, target, party, lines), Some(old)) if *of == kind && *target == id => {
                expect_version(request, old.version)?;
                self.check_party_and_lines((from, moment), kind, *party, lines, &new)?;
                if old.status != "draft" || new.status != "draft" {
                    return Err(format!("an order was changed whose status is {}", old.status));
                }
                if new.version != old.version + 1 || new.stock_status != old.stock_status {
                    return Err("an order changed by more than the request".to_owned());
                }
                200
            }
            (Command::Advance(of, target, transition, _), Some(old)) if *of == kind && *target == id => {
                expect_version(request, old.version)?;
                self.check_transition((from, moment), kind, *transition, &old, &new)?;
                self.require_event(facts, &format!("{}.order.{}", kind.as_str(), new.status), id);
                match transition {
                    Transition::Confirm => self.confirmed.insert(id),
                    Transition::Receive => self.received.insert(id),
                    Transition::Cancel => self.cancelled.insert(id),
                    Transition::Pay => true,
                };
                200
            }
            _ => return Err("another order changed than that of the request".to_owned()),
        };
        self.accept(moment, facts);
        Ok(Effect { status, data: new.show(kind, id), version: Some(new.version) })
    }

    fn check_transition(
        &self,
        (from, to): (usize, usize),
        kind: OrderKind,
        transition: Transition,
        old: &Order,
        new: &Order,
    ) -> Result<(), String> {
        let Some(status) = next(kind, &old.status, transition) else {
            return Err(format!("{} from {}", transition.as_str(), old.status));
        };
        let needs_party = matches!(transition, Transition::Confirm | Transition::Receive);
        if needs_party && !self.party_existed(kind, old.party, from, to) {
            return Err(format!("{} of an order whose party is deleted", transition.as_str()));
        }
        let is_confirmation = transition == Transition::Confirm;
        let expected = Order {
            status: status.to_owned(),
            stock_status: if is_confirmation { Some("pending".to_owned()) } else { old.stock_status.clone() },
            version: old.version + 1,
            times: Times { updated_at: new.times.updated_at.clone(), ..old.times.clone() },
            ..old.clone()
        };
        if *new == expected {
            return Ok(());
        }
        Err(format!("{} of {old:?} has another result", transition.as_str()))
    }

    fn party_existed(&self, kind: OrderKind, party: Uuid, from: usize, to: usize) -> bool {
        let party = self.parties.get(&(kind.party().as_str(), party));
        party.is_some_and(|party| party.during(from, to).any(|state| state.is_some()))
    }

    fn check_party_and_lines(
        &self,
        (from, to): (usize, usize),
        kind: OrderKind,
        party: Uuid,
        lines: &[LineForm],
        new: &Order,
    ) -> Result<(), String> {
        if !self.party_existed(kind, party, from, to) || new.party != party {
            return Err("the order has a wrong party, or one that does not exist".to_owned());
        }
        if new.lines.len() != lines.len() {
            return Err("the lines differ from the request".to_owned());
        }
        for (expected, line) in lines.iter().zip(&new.lines) {
            let item = self.items.get(&expected.item);
            let prices = item.into_iter().flat_map(|item| item.during(from, to).flatten());
            let prices: Vec<i64> = prices.map(|item| item.form.unit_price).collect();
            let has_price = match expected.unit_price {
                Some(price) => line.unit_price == price && !prices.is_empty(),
                None => prices.contains(&line.unit_price),
            };
            if !has_price || line.item != expected.item || line.quantity != expected.quantity {
                return Err(format!("the line {line:?} differs from {expected:?}; prices {prices:?}"));
            }
        }
        Ok(())
    }

    /// Checks a commit of `inventory-worker`.
    pub(super) fn by_inventory(&mut self, moment: usize, since: usize, facts: &[Fact]) {
        let mut stocks: BTreeMap<Uuid, Stock> = BTreeMap::new();
        let mut changed = None;
        for fact in facts {
            match fact {
                Fact::Stock(item, Some(stock)) => {
                    stocks.insert(*item, stock.clone());
                }
                Fact::Allocation(order, allocation) => changed = Some((*order, allocation.clone())),
                Fact::Movement(item, id, by) => {
                    let expected = self.movements.get(&(*item, *id)).copied();
                    self.check("P3", expected == Some(*by), || {
                        format!("movement {id} of {item} by {by}, expected {expected:?}")
                    });
                }
                Fact::Other | Fact::Event { .. } | Fact::Bound(..) => {}
                other => {
                    self.check("P4", false, || format!("unexpected change by inventory-worker: {other:?}"));
                }
            }
        }
        match changed {
            Some((order, new)) => {
                let checked = self.check_allocation(since, moment, order, &new, &stocks, facts);
                self.check("P2", checked.is_ok(), || {
                    format!("order {order}: {}; {facts:?}", checked.err().unwrap_or_default())
                });
            }
            None => self
                .check("P1", stocks.is_empty(), || format!("stock changed without an allocation: {facts:?}")),
        }
        self.accept(moment, facts);
    }

    fn check_allocation(
        &mut self,
        since: usize,
        moment: usize,
        order: Uuid,
        new: &Allocation,
        stocks: &BTreeMap<Uuid, Stock>,
        facts: &[Fact],
    ) -> Result<(), String> {
        let old = self.allocations.get(&order).and_then(|allocation| allocation.now()).cloned();
        let from = old.as_ref().map(|old| old.state.as_str());
        let (sign, requested) = match (from, new.state.as_str()) {
            (None | Some("backordered"), "allocated") => (-1, self.confirmed.contains(&order)),
            (None, "backordered") => (0, self.confirmed.contains(&order)),
            (None | Some("backordered"), "released") => (0, self.cancelled.contains(&order)),
            (Some("allocated"), "released") => (1, self.cancelled.contains(&order)),
            (None, "received") => (1, self.received.contains(&order)),
            (from, to) => return Err(format!("illegal transition from {from:?} to {to}")),
        };
        if !requested {
            return Err(format!("became {} without a request", new.state));
        }
        if new.sequence != old.as_ref().map_or(0, |old| old.sequence) + 1 {
            return Err(format!("wrong sequence {}", new.sequence));
        }
        let mut kinds = ["purchase", "sales"].into_iter();
        let demand = kinds.find_map(|kind| self.orders.get(&(kind, order))?.now()).map(Order::demand);
        if demand.as_ref() != Some(&new.demand) {
            return Err(format!("demand {:?}, expected {demand:?}", new.demand));
        }
        let existed = |item: &Uuid| self.stock.get(item).is_some_and(|stock| stock.now().is_some());
        if let Some(item) = new.missing.iter().find(|item| !new.demand.contains_key(item) || existed(item)) {
            return Err(format!("{item} is in `missing`, and not deleted"));
        }
        if new.state != "received" {
            self.require_event(facts, &format!("inventory.order.{}", new.state), order);
        }
        if new.state == "backordered" && !self.was_insufficient(&new.demand, since, moment) {
            return Err("back-ordered although its stock is sufficient".to_owned());
        }
        self.check_stock_changes(order, sign, old.map(|old| old.changes).unwrap_or_default(), new, stocks)
    }

    /// Checks that the stock of every item that exists changed by its demand, or no stock if `sign` is 0.
    fn check_stock_changes(
        &mut self,
        order: Uuid,
        sign: i64,
        mut changes: Vec<(Uuid, i64)>,
        new: &Allocation,
        stocks: &BTreeMap<Uuid, Stock>,
    ) -> Result<(), String> {
        if sign == 0 {
            let unchanged = stocks.is_empty() && new.changes == changes;
            return if unchanged { Ok(()) } else { Err(format!("stock of {order} changed")) };
        }
        let Some(&(id, last_sign)) = new.changes.last() else { return Err("no stock changed".to_owned()) };
        changes.push((id, last_sign));
        if last_sign != sign || changes != new.changes {
            return Err(format!("wrong changes of stock {:?}", new.changes));
        }
        let stocked: BTreeSet<&Uuid> = new.demand.keys().filter(|item| !new.missing.contains(item)).collect();
        if !stocks.keys().eq(stocked.iter().copied()) {
            return Err("the stock of other items changed".to_owned());
        }
        for item in stocked {
            let change = sign * new.demand[item];
            let old = self.stock.get(item).and_then(|stock| stock.now());
            let Some(old) = old else {
                return Err(format!("stock changed of {item}, which does not exist"));
            };
            let changed = &stocks[item];
            if changed.quantity != old.quantity + change || changed.sequence != old.sequence + 1 {
                return Err(format!(
                    "stock of {item} changed from {old:?} to {changed:?}, expected a change by {change}"
                ));
            }
            self.movements.insert((*item, id), change);
        }
        Ok(())
    }

    /// Returns whether the stock was less than a demand. A deleted item has no stock.
    pub(crate) fn was_insufficient(&self, demand: &BTreeMap<Uuid, i64>, from: usize, to: usize) -> bool {
        demand.iter().any(|(item, needed)| {
            let default = super::Timeline::default();
            let stock = self.stock.get(item).unwrap_or(&default);
            stock.during(from, to).any(|stock| stock.is_none_or(|stock| stock.quantity < *needed))
        })
    }

    /// Checks a commit of `sales-worker`: it writes only decisions of inventory, and never an older one over
    /// a newer one.
    pub(super) fn by_decisions(&mut self, moment: usize, facts: &[Fact]) {
        for fact in facts {
            match fact {
                Fact::Order(OrderKind::Sales, id, new) => {
                    let Some(old) = self.orders.get(&("sales", *id)).and_then(|order| order.now()).cloned()
                    else {
                        self.check("P2", false, || format!("unknown order {id}"));
                        continue;
                    };
                    let same = Order { stock_status: old.stock_status.clone(), ..new.clone() } == old;
                    self.check("P4", same, || {
                        format!("a decision changed more than the stock status of {id}: {old:?} to {new:?}")
                    });
                    let allocations = self.allocations.get(id).into_iter();
                    let states = allocations.flat_map(|allocation| allocation.during(0, moment).flatten());
                    let states: Vec<String> = states.map(|allocation| allocation.state.clone()).collect();
                    let position = |status: &Option<String>| {
                        states.iter().position(|state| Some(state) == status.as_ref())
                    };
                    let newer = position(&new.stock_status) > position(&old.stock_status);
                    self.check("P2", newer, || {
                        let (old, new) = (&old.stock_status, &new.stock_status);
                        format!("{id} changed from {old:?} to {new:?}, decisions {states:?}")
                    });
                }
                Fact::History(..) | Fact::Other => {}
                other => self.check("P4", false, || format!("unexpected change by sales-worker: {other:?}")),
            }
        }
        self.accept(moment, facts);
    }
}
