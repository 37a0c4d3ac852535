//! Use cases: load, decide, save.

mod allocations;
mod backorders;
mod items;

pub use allocations::{Allocations, OrderEvent};
pub use backorders::BACKORDER_CALLS;
pub use items::Items;
