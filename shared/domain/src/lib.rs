//! Value types that every context speaks. No AWS, no HTTP, no `async`.
//!
//! ```text
//! id        typed UUIDs: an `ItemId` cannot be passed where an `OrderId` is expected
//! money     exact amounts in minor units
//! quantity  positive quantities, stock levels, changes of stock
//! text      normalised text: e-mail addresses, SKUs, bounded lines
//! identity  roles and callers
//! party     customers and vendors, as an order names them
//! time      timestamps; the ports for clock and ids
//! settings  configuration values read by name
//! ```
//!
//! A value that exists is valid: constructors normalise the input and return a [`ValidationError`] that is shown to
//! the client.

pub mod id;
pub mod identity;
pub mod money;
pub mod party;
pub mod quantity;
pub mod settings;
pub mod text;
pub mod time;

pub use id::{Id, ItemId, LineId, OrderId, PartyId, UserId};
pub use money::{Money, minor_units};
pub use party::PartyKind;
pub use quantity::{Demand, Quantity, StockChange, StockLevel};
pub use settings::{SettingError, Settings};
pub use text::{EmailAddress, Sku};
pub use time::{Clock, Ids, Timestamp};

/// The reason why a value is invalid, as a predicate without a subject: "must be at least 1".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ValidationError(String);

impl ValidationError {
    /// Creates an error from its reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}
