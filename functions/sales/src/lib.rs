//! Sales orders: orders of customers.
//!
//! ```text
//! domain   the aggregate and its lifecycle
//! service  use cases
//! store    the sales table
//! api      routes and handlers
//! worker   inventory's decisions, from the queue into the orders
//! ledger   the read model of the reconciliation
//! config   settings and construction
//! ```
//!
//! Two functions: `sales-api` behind API Gateway, and `sales-worker` behind the order-status queue.

pub mod api;
pub mod config;
pub mod domain;
pub mod ledger;
pub mod service;
pub mod store;
pub mod worker;
