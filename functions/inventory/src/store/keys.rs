//! Every key of the inventory table. The test at the end prints them beside what they are for; it is their
//! documentation.

use erp_aws::Key;
use erp_domain::item::Item;
use erp_domain::order::Order;
use erp_domain::{Id, Sku, Timestamp};
use uuid::Uuid;

/// What sort keys of movements start with.
pub(super) const MOVEMENT_PREFIX: &str = "MOVEMENT#";
/// What sort keys of places in line start with.
pub(super) const WAITING_PREFIX: &str = "WAITING#";
/// The list of items, in the index `list`.
pub(super) const ITEMS: &str = "ITEMS";

/// The partition of an item: the item, its stock, its movements, its line and its events.
pub(super) fn partition(id: Id<Item>) -> String {
    format!("ITEM#{id}")
}

/// An item.
pub(super) fn item(id: Id<Item>) -> Key {
    Key::new(partition(id), "ITEM")
}

/// How many of it there are: a row of its own, so that selling does not meet renaming.
pub(super) fn stock(id: Id<Item>) -> Key {
    Key::new(partition(id), "STOCK")
}

/// A change of its stock.
pub(super) fn movement(id: Id<Item>, movement: Uuid) -> Key {
    Key::new(partition(id), format!("{MOVEMENT_PREFIX}{movement}"))
}

/// An order's place in the line for it.
pub(super) fn waiting(id: Id<Item>, since: Timestamp, order_id: Id<Order>) -> Key {
    Key::new(partition(id), format!("{WAITING_PREFIX}{since}#{order_id}"))
}

/// Holds a SKU for one item.
pub(super) fn sku(sku: &Sku) -> Key {
    Key::new(format!("SKU#{sku}"), "GUARD")
}

/// What inventory decided about an order; carries its own events.
pub(super) fn allocation(order_id: Id<Order>) -> Key {
    Key::new(format!("ORDER#{order_id}"), "ALLOCATION")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_patterns() {
        let id: Uuid = "01890000-0000-7000-8000-000000000005".parse().unwrap();
        let since = Timestamp::from_millis(0);
        let rows = [
            ("an item", item(Id::new(id))),
            ("items, newest first (index list)", Key::new(erp_aws::list::shard(ITEMS, id), id.to_string())),
            ("whether a SKU is taken", sku(&Sku::parse("lap 1").unwrap())),
            ("how many of an item", stock(Id::new(id))),
            ("movements of an item, newest first", movement(Id::new(id), id)),
            ("who waits for an item, oldest first", waiting(Id::new(id), since, Id::new(id))),
            ("what an order holds", allocation(Id::new(id))),
        ];
        let table = rows.map(|(purpose, key)| format!("{purpose}: {} / {}\n", key.pk, key.sk)).concat();
        assert_eq!(
            table.replace(&id.to_string(), "…"),
            "an item: ITEM#… / ITEM\n\
             items, newest first (index list): ITEMS#1 / …\n\
             whether a SKU is taken: SKU#LAP 1 / GUARD\n\
             how many of an item: ITEM#… / STOCK\n\
             movements of an item, newest first: ITEM#… / MOVEMENT#…\n\
             who waits for an item, oldest first: ITEM#… / WAITING#1970-01-01T00:00:00.000Z#…\n\
             what an order holds: ORDER#… / ALLOCATION\n"
        );
    }
}
