//! Purchase orders: what we buy from vendors.
//!
//! ```text
//! api     routes and handlers
//! config  settings and wiring
//! ```
//!
//! One Lambda, `purchase-api`, behind API Gateway. Use cases and store are `erp_orders`, shared with sales orders.

pub mod api;
pub mod config;
