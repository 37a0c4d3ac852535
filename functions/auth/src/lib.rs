//! Users: registration, login, password reset; and tokens for other programs.
//!
//! ```text
//! domain               rules without async: registration, attempts, reset allowances, passwords, secrets
//! service              use cases: load, decide, return a change
//! throttle             attempts to guess a secret, counted before they are made
//! password             hashing with Argon2id
//! service_credentials  names and secrets of other programs
//! registration_auth    the token of a user who registers others, where registration is closed
//! randomness           the port for random bytes
//! store                the DynamoDB table
//! api                  routes and handlers
//! config               settings
//! ```
//!
//! Neither the body, the status nor the duration of a response reveals whether an account exists. Every path does the
//! same work in both cases: it reads absent rows, writes rows of equal size and verifies against a dummy hash.

pub mod api;
pub mod config;
pub mod domain;
pub mod password;
pub mod randomness;
pub mod registration_auth;
pub mod service;
pub mod service_credentials;
pub mod store;
pub mod throttle;
