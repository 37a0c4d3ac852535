//! What services say to each other, and to a client that asks twice: one wire form for each thing.
//!
//! ```text
//! event     CloudEvents 1.0 in JSON: kinds, envelope
//! data      what each kind of event carries
//! question  direct questions from service to service, by Lambda invocation
//! answer    an HTTP answer as it is kept for a repeated Idempotency-Key
//! store     what every store promises, and how it fails
//! ```

pub mod answer;
pub mod data;
pub mod event;
pub mod question;
pub mod store;

pub use answer::{Along, Answer, IdempotencyKey, IdempotencyRecord, Write};
pub use event::{Cause, Event, EventKind};
pub use store::{AnswerStore, Expect, Page, Place, Rows, StoreError, chain};
