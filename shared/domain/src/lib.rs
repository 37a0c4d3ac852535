//! The rules of the business, and nothing else: no AWS, no HTTP, no clock, no `async`.
//!
//! ```text
//! id        typed UUIDs, so that a customer's id is not taken for an item's
//! money     exact amounts in minor units
//! quantity  whole numbers of things: on an order line, in stock, and changes between
//! text      e-mail, SKU and bounded text
//! identity  who acts: roles and callers
//! contact   customers and vendors
//! item      what is bought, kept and sold
//! order     lines, totals and the lifecycle that sales and purchase orders share
//! stock     allocation: what an order takes, waits for and gives back
//! ports     time, ids and randomness, as they come in
//! ```
//!
//! A value that exists is valid: types are made by `parse`-like constructors that say what is wrong in the words
//! the client reads ([`Invalid`]).

pub mod contact;
pub mod id;
pub mod identity;
pub mod item;
pub mod money;
pub mod order;
pub mod ports;
pub mod quantity;
pub mod stock;
pub mod text;

pub use id::Id;
pub use money::Money;
pub use ports::{Clock, Ids, Timestamp};
pub use quantity::{LineQuantity, StockChange, StockLevel};
pub use text::{Email, Sku};

/// Why a value was refused, as a sentence without a subject: "must be at least 1".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(String);

impl Invalid {
    /// A refusal with its reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}
