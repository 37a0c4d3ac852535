//! Customers and vendors, as orders and events refer to them.

use serde::{Deserialize, Serialize};

/// The kind of a contact: customers and vendors have separate e-mail namespaces.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, strum::Display, strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum PartyKind {
    /// Buys from us.
    Customer,
    /// Sells to us.
    Vendor,
}

impl PartyKind {
    /// Returns the lower-case name: in event types, keys and messages.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Returns the name with a capital letter, for the start of a message.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Customer => "Customer",
            Self::Vendor => "Vendor",
        }
    }
}
