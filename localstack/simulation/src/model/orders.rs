//! Checks of orders and of the stock that they move.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::OrderKind;
use super::request::{ClientRequest, LineForm, Step, Command};
use super::state::{Allocation, Order, Stock};
use super::{Fact, Model};

/// The state machine of orders, independent of the implementation.
pub(super) fn next(kind: OrderKind, from: &str, step: Step) -> Option<&'static str> {
    match (kind, from, step) {
        (OrderKind::Sales, "draft", Step::Confirm) => Some("confirmed"),
        (OrderKind::Sales, "confirmed", Step::Pay) | (OrderKind::Purchase, "received", Step::Pay) => {
            Some("paid")
        }
        (OrderKind::Purchase, "draft", Step::Receive) => Some("received"),
        (_, "draft", Step::Cancel) | (OrderKind::Sales, "confirmed", Step::Cancel) => Some("cancelled"),
        _ => None,
    }
}

impl Model {
    pub(super) fn order_effect(
        &mut self,
        moment: usize,
        from: usize,
        ask: &ClientRequest,
        facts: &[Fact],
    ) -> Result<(u16, serde_json::Value, Option<u64>), String> {
        let found = facts.iter().find_map(|fact| match fact {
            Fact::Order(kind, id, order) => Some((*kind, *id, order.clone())),
            _ => None,
        });
        let Some((kind, id, new)) = found else { return Err("no order changed".to_owned()) };
        let old = self.orders.get(&(kind.as_str(), id)).and_then(|order| order.now()).cloned();
        let expect_version = |version: u64| match ask.if_match {
            Some(wanted) if wanted != version => Err(format!("If-Match {wanted} changed version {version}")),
            _ => Ok(()),
        };
        let status = match (&ask.what, old) {
            (Command::CreateOrder(wanted, party, lines), None) if *wanted == kind => {
                self.lines_are_possible(from, moment, kind, *party, lines, &new)?;
                if new.version != 1 || new.status != "draft" || new.stock_status != "none" {
                    return Err("a new order is no draft".to_owned());
                }
                201
            }
            (Command::UpdateOrder(wanted, which, party, lines), Some(old))
                if *wanted == kind && *which == id =>
            {
                expect_version(old.version)?;
                self.lines_are_possible(from, moment, kind, *party, lines, &new)?;
                if old.status != "draft" || new.status != "draft" {
                    return Err(format!("an order that is {} was changed", old.status));
                }
                if new.version != old.version + 1 || new.stock_status != old.stock_status {
                    return Err("an order changed by more than was asked".to_owned());
                }
                200
            }
            (Command::Advance(wanted, which, step, _), Some(old)) if *wanted == kind && *which == id => {
                expect_version(old.version)?;
                let Some(status) = next(kind, &old.status, *step) else {
                    return Err(format!("{} from {}", step.word(), old.status));
                };
                let stock_status = if *step == Step::Confirm { "pending" } else { &old.stock_status };
                let times =
                    super::state::Times { updated_at: new.times.updated_at.clone(), ..old.times.clone() };
                let expected = Order {
                    status: status.to_owned(),
                    stock_status: stock_status.to_owned(),
                    version: old.version + 1,
                    times,
                    ..old.clone()
                };
                if new != expected {
                    return Err(format!("the order is not what {} makes of {old:?}", step.word()));
                }
                self.require_event(facts, &format!("{}.order.{status}", kind.as_str()), id)?;
                match step {
                    Step::Confirm => self.confirmed.insert(id),
                    Step::Receive => self.received.insert(id),
                    Step::Cancel => self.cancelled.insert(id),
                    Step::Pay => true,
                };
                200
            }
            _ => return Err("another order changed than was asked".to_owned()),
        };
        self.accept(moment, facts);
        Ok((status, new.show(kind, id), Some(new.version)))
    }

    fn lines_are_possible(
        &self,
        from: usize,
        to: usize,
        kind: OrderKind,
        party: Uuid,
        lines: &[LineForm],
        new: &Order,
    ) -> Result<(), String> {
        let known = self.parties.get(&(kind.party().as_str(), party));
        let there = known.is_some_and(|known| known.during(from, to).any(|state| state.is_some()));
        if !there || new.party != party {
            return Err("the order is for nobody, or for somebody else".to_owned());
        }
        if new.lines.len() != lines.len() {
            return Err("the order has other lines than were asked for".to_owned());
        }
        for (wanted, line) in lines.iter().zip(&new.lines) {
            let known = self.items.get(&wanted.item);
            let prices = known.into_iter().flat_map(|item| item.during(from, to).flatten());
            let prices: Vec<i64> = prices.map(|item| item.form.unit_price).collect();
            let right = match wanted.unit_price {
                Some(price) => line.unit_price == price && !prices.is_empty(),
                None => prices.contains(&line.unit_price),
            };
            if !right || line.item != wanted.item || line.quantity != wanted.quantity {
                return Err(format!("the line {line:?} is not {wanted:?}; prices {prices:?}"));
            }
        }
        Ok(())
    }

    /// Checks a commit of `inventory-worker`.
    pub(super) fn by_inventory(&mut self, moment: usize, since: usize, facts: &[Fact]) {
        let mut stocks: BTreeMap<Uuid, Stock> = BTreeMap::new();
        let mut decided = None;
        for fact in facts {
            match fact {
                Fact::Stock(item, stock) => {
                    stocks.insert(*item, stock.clone());
                }
                Fact::Allocation(order, allocation) => decided = Some((*order, allocation.clone())),
                Fact::Movement(item, id, by) => {
                    let expected = self.movements.get(&(*item, *id)).copied();
                    let right = expected == Some(*by);
                    self.check("P3", right, || {
                        format!("movement {id} of {item} by {by}, expected {expected:?}")
                    });
                }
                Fact::Other | Fact::Event { .. } => {}
                other => self.check("P4", false, || format!("inventory's worker wrote {other:?}")),
            }
        }
        match decided {
            Some((order, new)) => {
                if let Err(reason) = self.decided(moment, since, order, &new, &stocks, facts) {
                    self.check("P2", false, || format!("order {order}: {reason}; {facts:?}"));
                }
            }
            None => self.check("P1", stocks.is_empty(), || format!("stock moved for no order: {facts:?}")),
        }
        self.accept(moment, facts);
    }

    fn decided(
        &mut self,
        moment: usize,
        since: usize,
        order: Uuid,
        new: &Allocation,
        stocks: &BTreeMap<Uuid, Stock>,
        facts: &[Fact],
    ) -> Result<(), String> {
        *self.checks.entry("P2").or_default() += 1;
        let old = self.allocations.get(&order).and_then(|allocation| allocation.now()).cloned();
        let from = old.as_ref().map(|old| old.state.as_str());
        let (sign, entitled) = match (from, new.state.as_str()) {
            (None | Some("backordered"), "allocated") => (-1, self.confirmed.contains(&order)),
            (None, "backordered") => (0, self.confirmed.contains(&order)),
            (None | Some("backordered"), "released") => (0, self.cancelled.contains(&order)),
            (Some("allocated"), "released") => (1, self.cancelled.contains(&order)),
            (None, "received") => (1, self.received.contains(&order)),
            (from, to) => return Err(format!("went from {from:?} to {to}")),
        };
        if !entitled {
            return Err(format!("became {} though no client asked for it", new.state));
        }
        if new.sequence != old.as_ref().map_or(0, |old| old.sequence) + 1 {
            return Err(format!("has the sequence {}", new.sequence));
        }
        let kind = if new.state == "received" { "purchase" } else { "sales" };
        let cancelled_purchase = self.orders.contains_key(&("purchase", order));
        let kind = if cancelled_purchase { "purchase" } else { kind };
        let demand = self.orders.get(&(kind, order)).and_then(|order| order.now()).map(Order::demand);
        if demand.as_ref() != Some(&new.demand) {
            return Err(format!("wants {:?}, not {demand:?}", new.demand));
        }
        if new.state != "received" {
            self.require_event(facts, &format!("inventory.order.{}", new.state), order)?;
        }
        if new.state == "backordered" {
            let short = new.demand.iter().any(|(item, wanted)| {
                let stock = self.stock.get(item);
                stock.is_none_or(|stock| {
                    stock
                        .during(since, moment)
                        .any(|stock| stock.is_none_or(|stock| stock.quantity < *wanted))
                })
            });
            if !short {
                return Err("waits for what is there".to_owned());
            }
        }
        let mut moves = old.map(|old| old.moves).unwrap_or_default();
        if sign == 0 {
            if !stocks.is_empty() || new.moves != moves {
                return Err("moved stock".to_owned());
            }
            return Ok(());
        }
        let Some(&(id, moved)) = new.moves.last() else { return Err("moved nothing".to_owned()) };
        moves.push((id, moved));
        if moved != sign || moves != new.moves {
            return Err(format!("has the moves {:?}", new.moves));
        }
        if !stocks.keys().eq(new.demand.keys()) {
            return Err("moved other items than it wants".to_owned());
        }
        for (item, quantity) in &new.demand {
            let before = self.stock.get(item).and_then(|stock| stock.now());
            let Some(before) = before else { return Err(format!("moved {item}, of which there is nothing")) };
            let after = &stocks[item];
            if after.quantity != before.quantity + sign * quantity || after.sequence != before.sequence + 1 {
                return Err(format!("moved {item} from {before:?} to {after:?}, not by {}", sign * quantity));
            }
            self.movements.insert((*item, id), sign * quantity);
        }
        Ok(())
    }

    /// Checks a commit of `sales-worker`: it writes only decisions of inventory, and never an older one over a newer one.
    pub(super) fn by_decisions(&mut self, moment: usize, facts: &[Fact]) {
        for fact in facts {
            match fact {
                Fact::Order(OrderKind::Sales, id, new) => {
                    let old = self.orders.get(&("sales", *id)).and_then(|order| order.now()).cloned();
                    let Some(old) = old else {
                        self.check("P2", false, || format!("an order {id} that nobody made"));
                        continue;
                    };
                    let same = Order { stock_status: old.stock_status.clone(), ..new.clone() } == old;
                    self.check("P4", same, || format!("a decision changed more of {id}: {old:?} to {new:?}"));
                    let said = self.allocations.get(id);
                    let states: Vec<String> = said.map_or(Vec::new(), |said| {
                        said.during(0, moment).flatten().map(|allocation| allocation.state.clone()).collect()
                    });
                    let place = |word: &str| states.iter().position(|state| state == word);
                    let newer = place(&new.stock_status) > place(&old.stock_status);
                    self.check("P2", newer, || {
                        format!(
                            "{id} went from {} to {}, inventory said {states:?}",
                            old.stock_status, new.stock_status
                        )
                    });
                }
                Fact::History(..) | Fact::Other => {}
                other => self.check("P4", false, || format!("sales' worker wrote {other:?}")),
            }
        }
        self.accept(moment, facts);
    }
}
