//! What the routes of sales and purchase orders are made of.
//!
//! ```text
//! form     request bodies and queries
//! data     what is answered
//! reply    success, with its message
//! problem  refusals
//! ```
//!
//! The routes themselves are in the functions: a route is documented where it is registered, and documentation names
//! concrete types.

mod data;
mod form;
mod problem;
mod reply;

pub use data::{OrderEvent, OrderItem};
pub use form::{ConfirmRequest, Nothing, OrderItemRequest, filter, wanted};
pub use reply::{advancing, created, found, history, listed, updated};

use erp_domain::order::OrderKind;

/// The field that names the customer or vendor, in bodies and queries.
pub const fn party_field(kind: OrderKind) -> &'static str {
    match kind {
        OrderKind::Sales => "customer_id",
        OrderKind::Purchase => "vendor_id",
    }
}
