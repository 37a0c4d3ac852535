//! The door of the platform: is it well, and how is it used?
//!
//! ```text
//! api      routes and handlers
//! health   what the state of the parts says about the whole
//! probe    the state of tables and queues, asked from AWS
//! swagger  Swagger UI, out of this binary
//! config   settings and wiring
//! ```
//!
//! It reads no business data, and needs nothing from the internet.

pub mod api;
pub mod config;
pub mod health;
pub mod probe;
pub mod swagger;

#[cfg(test)]
mod tests;
