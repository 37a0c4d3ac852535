//! Authentication and authorisation: tokens, access rules, and the authorizer's response as it reaches a service.
//!
//! ```text
//! keyring   the keys that sign and verify tokens, by key id
//! rotation  key rotation
//! token     claims; signing and verification (JWT, HS256)
//! access    the access rule of every route
//! context   the caller in the authorizer context
//! policy    the policy that the authorizer returns
//! ```
//!
//! Only the `auth` function and the authorizer hold the keys. Services trust the context that API Gateway adds and
//! nothing else: a request without it has no caller.

pub mod access;
pub mod context;
pub mod keyring;
pub mod policy;
pub mod rotation;
pub mod token;

pub use access::Access;
pub use keyring::Keyring;
pub use token::{TokenError, Tokens, Verified};
