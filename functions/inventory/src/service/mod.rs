//! Use cases: load, decide, save.

mod allocations;
mod items;

pub use allocations::{Allocations, OrderEvent};
pub use items::Items;
