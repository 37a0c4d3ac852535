//! What sales and purchase orders have in common. Status, transitions and store are in each context.
//!
//! ```text
//! lines     priced lines with their total
//! pricing   decisions: prices, totals, validation against items, shortages
//! upstream  queries to contact and inventory
//! request   a line in a request body, and validation errors as fields of the body
//! item      a line in a response
//! history   the events of an order
//! keys      keys of orders, in the table and its indexes
//! row       rows of orders: keys, lines and index entries
//! ledger    the read model of the reconciliation
//! currency  the deployment's currency
//! name      names of statuses in query strings
//! ```

mod currency;
pub mod history;
mod item;
pub mod keys;
pub mod ledger;
pub mod lines;
mod name;
pub mod pricing;
mod request;
pub mod row;
pub mod upstream;

pub use currency::Currency;
pub use item::OrderItem;
pub use lines::{Line, Lines, LinesError, MAX_LINES, NewLine};
pub use name::parse_name;
pub use pricing::{InputError, OrderInput, Shortage};
pub use request::LineInput;
pub use upstream::{ItemSnapshots, LambdaUpstreams, Upstreams};
