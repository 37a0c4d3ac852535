//! Users: who they are, how they log in, and how a forgotten password is replaced.
//!
//! ```text
//! api        routes and handlers
//! registrar  who registers somebody else, where registration is closed
//! service    use cases: load, decide, save
//! throttle   attempts against one account, counted before they are made
//! attempts   the rules of that: when an account is locked, and for how long
//! access     the other rules: who may register whom, how often a reset may be asked for
//! password   Argon2id
//! secret     text that is never shown
//! services   names and secrets of other programs
//! user       what is known of a user
//! ports      what a store promises; randomness
//! store      the DynamoDB table
//! config     settings and wiring
//! ```
//!
//! The rule that is not obvious: what an account's owner may know and a stranger may not is told by nothing, not by
//! the body, not by the status, not by the time. So every path does the same work whether or not there is an
//! account, up to reading rows that are not there and hashing against nothing.

pub mod access;
pub mod api;
pub mod attempts;
pub mod config;
pub mod password;
pub mod ports;
pub mod registrar;
pub mod secret;
pub mod service;
pub mod services;
pub mod store;
pub mod throttle;
pub mod user;

#[cfg(test)]
mod tests;
