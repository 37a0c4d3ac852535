//! Purchase orders: orders to vendors.
//!
//! ```text
//! domain   the aggregate and its lifecycle
//! service  use cases
//! store    the purchase table
//! api      routes and handlers
//! ledger   the read model of the reconciliation
//! config   settings and construction
//! ```
//!
//! One function, `purchase-api`, behind API Gateway.

pub mod api;
pub mod config;
pub mod domain;
pub mod ledger;
pub mod service;
pub mod store;
