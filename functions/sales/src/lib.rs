//! Sales orders: what customers buy.
//!
//! ```text
//! api     routes and handlers
//! worker  what inventory decided, from the queue into the orders
//! config  settings and wiring
//! ```
//!
//! Two Lambdas: `sales-api` behind API Gateway, and `sales-worker` behind the order-status queue. Use cases and
//! store are `erp_orders`, shared with purchase orders.

pub mod api;
pub mod config;
pub mod worker;
