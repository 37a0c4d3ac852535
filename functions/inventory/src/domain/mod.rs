//! Items, stock and allocations. No AWS, no HTTP, no `async`.

mod allocation;
mod item;
mod stock;

pub use allocation::{
    Allocation, AllocationState, ChangeStamp, InsufficientStock, OrderDemand, OrderFact, Step,
    StockChangeSet, StockDelta, decide,
};
pub use item::{Item, ItemData, ItemDetails, ItemError};
pub use stock::{Adjustment, Movement, MovementKind, Stock, StockSnapshot};
