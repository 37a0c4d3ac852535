//! Every key of the inventory table. The test lists them by access pattern.

use erp_aws::Key;
use erp_domain::{ItemId, OrderId, Sku, Timestamp};
use uuid::Uuid;

/// Prefix of the sort keys of movements.
pub(crate) const MOVEMENT_PREFIX: &str = "MOVEMENT#";
/// Prefix of the sort keys of back-orders.
pub(crate) const BACKORDER_PREFIX: &str = "WAITING#";
/// The list of items, in the index `list`.
pub(crate) const ITEMS: &str = "ITEMS";

/// The partition of an item: the item, its stock, its movements, its back-order queue and its events.
pub(crate) fn partition(id: ItemId) -> String {
    format!("ITEM#{id}")
}

/// An item.
pub(crate) fn item(id: ItemId) -> Key {
    Key::new(partition(id), "ITEM")
}

/// The stock of an item: a row of its own, so that allocations and updates of the item do not conflict.
pub(crate) fn stock(id: ItemId) -> Key {
    Key::new(partition(id), "STOCK")
}

/// A movement of an item.
pub(crate) fn movement(id: ItemId, movement: Uuid) -> Key {
    Key::new(partition(id), format!("{MOVEMENT_PREFIX}{movement}"))
}

/// An order in the back-order queue of an item.
pub(crate) fn backorder(id: ItemId, since: Timestamp, order_id: OrderId) -> Key {
    Key::new(partition(id), format!("{BACKORDER_PREFIX}{since}#{order_id}"))
}

/// A walk through the back-order queue of an item that is continued by message, by the change of stock that started it.
pub(crate) fn walk(id: ItemId, change: Uuid) -> Key {
    Key::new(partition(id), format!("WALK#{change}"))
}

/// Reserves a SKU for one item.
pub(crate) fn sku(sku: &Sku) -> Key {
    Key::new(format!("SKU#{sku}"), "GUARD")
}

/// The allocation of an order; contains its own events.
pub(crate) fn allocation(order_id: OrderId) -> Key {
    Key::new(format!("ORDER#{order_id}"), "ALLOCATION")
}

#[cfg(test)]
mod tests {
    use erp_domain::Id;

    use super::*;

    #[test]
    fn access_patterns() {
        let id: Uuid = "01890000-0000-7000-8000-000000000005".parse().unwrap();
        let since = Timestamp::from_millis(0);
        let rows = [
            ("item", item(Id::new(id))),
            ("items, newest first (index list)", Key::new(erp_aws::list::shard(ITEMS, id), id.to_string())),
            ("uniqueness of a SKU", sku(&Sku::parse("lap 1").unwrap())),
            ("stock of an item", stock(Id::new(id))),
            ("movements of an item, newest first", movement(Id::new(id), id)),
            ("back-order queue of an item, oldest first", backorder(Id::new(id), since, Id::new(id))),
            ("walk through a back-order queue", walk(Id::new(id), id)),
            ("allocation of an order", allocation(Id::new(id))),
        ];
        let table = rows.map(|(purpose, key)| format!("{purpose}: {} / {}\n", key.pk, key.sk)).concat();
        insta::assert_snapshot!(table.replace(&id.to_string(), "…"), @r"
        item: ITEM#… / ITEM
        items, newest first (index list): ITEMS#1 / …
        uniqueness of a SKU: SKU#LAP 1 / GUARD
        stock of an item: ITEM#… / STOCK
        movements of an item, newest first: ITEM#… / MOVEMENT#…
        back-order queue of an item, oldest first: ITEM#… / WAITING#1970-01-01T00:00:00.000Z#…
        walk through a back-order queue: ITEM#… / WALK#…
        allocation of an order: ORDER#… / ALLOCATION
        ");
    }
}
