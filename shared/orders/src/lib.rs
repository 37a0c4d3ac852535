//! What sales and purchase orders have in common. Status, transitions and store are in each context.
//!
//! ```text
//! lines     priced lines with their total
//! pricing   decisions: prices, totals, validation against items, shortages
//! upstream  queries to contact and inventory
//! request   a line in a request body
//! row       lines as an attribute of an order's row
//! currency  the deployment's currency
//! ```

mod currency;
pub mod lines;
pub mod pricing;
mod request;
pub mod row;
pub mod upstream;

pub use currency::Currency;
pub use lines::{Line, Lines, LinesError, MAX_LINES, NewLine};
pub use pricing::{InputError, LineInput, OrderInput, Shortage};
pub use request::OrderItemRequest;
pub use upstream::{ItemSnapshots, LambdaUpstreams, Upstreams};
