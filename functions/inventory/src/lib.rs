//! Items and stock.
//!
//! ```text
//! domain   items, stock, allocations: types, state machine, decisions
//! service  use cases: items and adjustments of stock; allocations of orders
//! store    the DynamoDB table
//! ledger   read-only access to every row, for reconciliation
//! api      routes and handlers
//! worker   events from `stock-queue`
//! query    synchronous queries of other contexts
//! config   settings and dependencies
//! ```
//!
//! Three Lambdas: `inventory-api` behind API Gateway, `inventory-worker` behind `stock-queue`, and `inventory-query`,
//! which other services invoke and which only reads.

pub mod api;
pub mod config;
pub mod domain;
pub mod ledger;
pub mod query;
pub mod service;
pub mod store;
pub mod worker;
