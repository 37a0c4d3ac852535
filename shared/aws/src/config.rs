//! Settings from the environment.

use std::str::FromStr;

/// A setting that is missing or makes no sense. Says which and not what it holds: it may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not set, or empty.
    #[error("the environment variable {0} must be set")]
    Missing(&'static str),
    /// Set to something it cannot be.
    #[error("the environment variable {name} {reason}")]
    Invalid {
        /// Which.
        name: &'static str,
        /// Why.
        reason: String,
    },
}

/// The text of a variable that must be set.
///
/// # Errors
/// When it is not set, or empty.
pub fn required(name: &'static str) -> Result<String, ConfigError> {
    std::env::var(name).ok().filter(|value| !value.is_empty()).ok_or(ConfigError::Missing(name))
}

/// A variable that must be set, read as a `T`.
///
/// # Errors
/// When it is not set, or is no `T`.
pub fn parsed<T: FromStr<Err: std::fmt::Display>>(name: &'static str) -> Result<T, ConfigError> {
    required(name)?.parse().map_err(|error: T::Err| ConfigError::Invalid { name, reason: error.to_string() })
}
