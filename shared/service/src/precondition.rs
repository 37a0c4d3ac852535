//! The versions that a client expects (`If-Match`, RFC 9110 section 13.1.1).

/// The versions that a client allows to be changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Precondition {
    /// Any version: there is no `If-Match`, or it is `*`.
    #[default]
    None,
    /// One of these versions.
    OneOf(Vec<u64>),
}

impl Precondition {
    /// Checks the current version; the error is that version, if the client does not expect it.
    pub fn check(&self, version: u64) -> Result<(), u64> {
        match self {
            Self::None => Ok(()),
            Self::OneOf(versions) if versions.contains(&version) => Ok(()),
            Self::OneOf(_) => Err(version),
        }
    }
}
