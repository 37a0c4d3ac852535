//! Customers and vendors: who orders name.
//!
//! ```text
//! api      routes and handlers
//! service  use cases: load, decide, save
//! ports    what a store promises
//! store    the DynamoDB table
//! config   settings and wiring
//! ```
//!
//! Two Lambdas: `contact-api` behind API Gateway, and `contact-query`, which other services invoke to ask whether
//! somebody is there. The second may only read one row.

pub mod api;
pub mod config;
pub mod ports;
pub mod query;
pub mod service;
pub mod store;
