//! A client of the API at any base URL: on this machine, on another emulator of AWS, or on AWS.
//!
//! ```text
//! client       requests and responses
//! walkthrough  a scripted tour of the API: purchase, sell, back-order, cancel, pay
//! ```

pub mod client;
pub mod walkthrough;

pub use client::{Client, Error, Response};
pub use walkthrough::{Observer, walkthrough};
