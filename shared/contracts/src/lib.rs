//! The wire between contexts: what one publishes and another consumes. Nothing else is shared between contexts.
//!
//! ```text
//! event  event types and the envelope: CloudEvents 1.0 in JSON
//! data   the payload of each event type
//! query  synchronous queries from one context to another, by Lambda invocation
//! ```

pub mod data;
pub mod event;
pub mod query;

pub use event::{Cause, Event, EventError, EventKind};
