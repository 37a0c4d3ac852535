//! The final state as text without ids and times, so that it is equal for runs with and without a crash.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::model::Model;

/// Returns the final state, sorted.
pub(super) fn of(model: &Model) -> Vec<String> {
    let item = |id: &Uuid| {
        let known = model.items.get(id).and_then(|item| item.during(0, usize::MAX).flatten().last());
        known.map_or_else(|| id.to_string(), |item| item.form.sku.clone())
    };
    let mut lines = Vec::new();
    for ((kind, _), party) in &model.parties {
        let party = party.now().map(|party| (&party.form, party.version));
        lines.push(format!("{kind} {party:?}"));
    }
    for (id, stock) in &model.stock {
        let details = model.items.get(id).and_then(|item| item.now()).map(|item| (&item.form, item.version));
        let stock = stock.now().map(|stock| (stock.quantity, stock.sequence));
        let movements = model.written.iter().filter(|((of, _), _)| of == id).map(|(_, (_, by))| *by);
        let mut movements: Vec<i64> = movements.collect();
        movements.sort_unstable();
        lines.push(format!("item {details:?}: {stock:?} by {movements:?}"));
    }
    for ((kind, id), order) in &model.orders {
        let Some(order) = order.now() else { continue };
        let of: Vec<_> =
            order.lines.iter().map(|line| (item(&line.item), line.quantity, line.unit_price)).collect();
        let allocation =
            model.allocations.get(id).and_then(|allocation| allocation.now()).map(|allocation| {
                let demand: BTreeMap<_, _> =
                    allocation.demand.iter().map(|(id, quantity)| (item(id), *quantity)).collect();
                let signs: Vec<i64> = allocation.changes.iter().map(|(_, sign)| *sign).collect();
                format!(
                    "{} {demand:?}, sequence {}, changes {signs:?}",
                    allocation.state, allocation.sequence
                )
            });
        let history = model.history.get(&(*kind, *id)).into_iter().flatten();
        let mut history: Vec<_> = history.map(|(_, event)| model.events.get(event)).collect();
        history.sort_unstable();
        let (status, stock, version) = (&order.status, &order.stock_status, order.version);
        lines.push(format!(
            "{kind} {status}, stock {stock:?}, version {version}, {of:?}, {allocation:?}, {history:?}"
        ));
    }
    for (email, user) in &model.users {
        let user = user.now().map(|user| (user.role.as_str(), &user.password));
        lines.push(format!("user {email} {user:?}"));
    }
    let mut events: BTreeMap<&str, usize> = BTreeMap::new();
    for kind in model.events.values() {
        *events.entry(kind).or_default() += 1;
    }
    // Requested without a key, so a retry is another request.
    events.remove("auth.password.reset_requested");
    // A message that is delivered again has less left to do.
    events.remove("inventory.backorders.remaining");
    lines.push(format!("events {events:?}"));
    let mut stored: BTreeMap<(&str, u16), usize> = BTreeMap::new();
    for (scope, response) in &model.stored_responses {
        *stored.entry((scope.method, response.now().map_or(0, |stored| stored.status))).or_default() += 1;
    }
    lines.push(format!("stored responses {stored:?}"));
    lines.sort_unstable();
    lines
}
