//! Who may do what: tokens, the access rules, and how the authorizer's answer travels to a service.
//!
//! ```text
//! keyring  the keys that sign and verify, with their ids, so that a key can be rotated
//! rotation the steps of that
//! token    claims; sign and verify (JWT, HS256)
//! access   every route of the API and who may call it: the one table
//! context  the caller as API Gateway carries it from the authorizer to a service
//! policy   the policy that the authorizer answers with
//! ```
//!
//! Only the `auth` function and the authorizer hold the keys. Services trust the context that API Gateway adds,
//! and nothing else: a request without one has no caller.

pub mod access;
pub mod context;
pub mod keyring;
pub mod policy;
pub mod rotation;
pub mod token;

pub use access::Access;
pub use keyring::Keyring;
pub use token::{TokenError, Tokens, Verified};
