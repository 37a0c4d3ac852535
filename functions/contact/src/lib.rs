//! Customers and vendors.
//!
//! ```text
//! domain   the contact and its rules
//! service  use cases: load, decide, return a change
//! store    the DynamoDB table
//! api      routes and handlers
//! query    the query of other contexts: does a contact exist?
//! config   settings and construction
//! ```
//!
//! Two Lambdas over one table: `contact-api` behind API Gateway, and `contact-query`, which `sales-api` and
//! `purchase-api` invoke. The second has permission to read single rows only.

pub mod api;
pub mod config;
pub mod domain;
pub mod query;
pub mod service;
pub mod store;
