//! Items and stock.
//!
//! ```text
//! api          routes and handlers
//! items        use cases of items and of adjusting stock by hand
//! allocations  use cases of orders: what they take, wait for, bring and give back
//! worker       events from `stock-queue`, each to its use case
//! query        what other services ask
//! ports        what the stores promise
//! audit        what whoever checks the books may read
//! store        the DynamoDB table
//! config       settings and wiring
//! ```
//!
//! Three Lambdas: `inventory-api` behind API Gateway, `inventory-worker` behind `stock-queue`, and
//! `inventory-query`, which other services invoke and which may only read.

pub mod allocations;
pub mod api;
pub mod audit;
pub mod config;
pub mod items;
pub mod ports;
pub mod query;
pub mod store;
pub mod worker;
