//! The rules of accounts, without `async`, clock or store.

mod attempts;
pub mod common_passwords;
mod network;
mod registration;
mod reset;
mod secret;
mod user;

pub use attempts::{Admission, Attempts, KNOWN_NETWORK_SECONDS, Limits, WINDOW_SECONDS};
pub use network::SourceNetwork;
pub use registration::{BootstrapSecret, Registration};
pub use reset::{Allowance, RESET_SECONDS, RESETS_PER_ADDRESS, RESETS_PER_NETWORK};
pub use secret::{MIN_CONFIGURED_BYTES, NewPassword, PASSWORD_CHARACTERS, Pseudonyms, Secret, TokenHash};
pub use user::{Account, NewUser, User};

/// A rejection of a use case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthError {
    /// Another user has the e-mail address.
    EmailTaken,
    /// Registration is closed, and the caller is unknown.
    NotLoggedIn,
    /// Registration is closed to the caller's role.
    NotAllowed,
    /// No such user, or a wrong password: the response does not reveal which.
    WrongPassword,
    /// No such service, or a wrong secret: the response does not reveal which.
    WrongServiceSecret,
    /// The first user needs the bootstrap secret, and it is missing or wrong.
    BootstrapSecret,
    /// Too many attempts; the next one is admitted after this number of seconds.
    TooManyAttempts(i64),
    /// The reset token is invalid, has expired or was used.
    ResetToken,
}
