//! What sales and purchase orders share, once: `erp_domain::order::OrderKind` tells them apart.
//!
//! ```text
//! pricing  decisions: what an order costs, what is wrong with it, what is short. No `async`
//! service  use cases: load, decide, save
//! ports    what a store promises, and what is asked of contact and inventory
//! audit    what whoever checks the books may read
//! ask      those questions, by Lambda invocation
//! store    the DynamoDB table: orders, their history, what inventory decided
//! api      request forms, answers and problems; the routes are in the functions
//! config   settings and wiring
//! ```
//!
//! A function adds its routes and the names that its clients read (`customer_id`, `vendor_id`), and nothing else.

pub mod api;
pub mod ask;
pub mod audit;
pub mod config;
pub mod ports;
pub mod pricing;
pub mod service;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;

pub use service::{Orders, Refusal};
