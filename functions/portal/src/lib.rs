//! Health of the platform, its OpenAPI document and Swagger UI. Reads no business data and needs no internet
//! access.
//!
//! ```text
//! api         routes and handlers
//! authorizer  the function that verifies tokens, as a client
//! health      the health report, made from the states of tables and queues
//! probe       the states of tables and queues, read from AWS
//! config      settings
//! ```

pub mod api;
pub mod authorizer;
pub mod config;
pub mod health;
pub mod probe;

#[cfg(test)]
mod tests;
