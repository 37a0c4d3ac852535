//! The platform as a client sees it, at any base URL: on this machine, on an emulator of AWS, on AWS.
//!
//! ```text
//! client  requests and answers
//! walk    the walk through the API: buy, sell, run out, cancel, pay
//! ```

pub mod client;
pub mod walk;

pub use client::{Answer, Client, Error};
pub use walk::{Observer, walk};
