//! Direct questions from one service to another, by Lambda invocation. One question each, however many lines.

use erp_domain::contact::{ContactKind, Party};
use erp_domain::item::Item;
use erp_domain::{Id, Money};
use serde::{Deserialize, Serialize};

/// To contact: is this customer or vendor there?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContactQuestion {
    /// Which book to look in.
    #[serde(with = "kind")]
    pub kind: ContactKind,
    /// Whom to look for.
    pub id: Id<Party>,
}

/// From contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactAnswer {
    /// Whether it is there.
    pub exists: bool,
}

/// To inventory: which of these items are there, at what price, and how many?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemsQuestion {
    /// The items, at most [`erp_domain::order::MAX_LINES`].
    pub items: Vec<Id<Item>>,
}

/// From inventory: those that are there, each once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemsAnswer {
    /// What is known of each.
    pub items: Vec<ItemFacts>,
}

/// What a sales or purchase order needs to know of an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemFacts {
    /// The item.
    pub id: Id<Item>,
    /// What a sale charges when it says nothing else.
    pub unit_price: Money,
    /// How many are in stock at this moment.
    pub quantity: i64,
}

mod kind {
    use erp_domain::contact::ContactKind;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(kind: &ContactKind, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(kind.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ContactKind, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "customer" => Ok(ContactKind::Customer),
            "vendor" => Ok(ContactKind::Vendor),
            other => Err(serde::de::Error::custom(format!("no kind of contact: {other}"))),
        }
    }
}
