//! The port for random bytes: the operating system's in a function, seeded ones in a simulation.

/// A source of unpredictable bytes, for salts and reset tokens.
pub trait Randomness: Send + Sync {
    /// Fills the buffer.
    ///
    /// # Errors
    /// If the source fails. The caller must not continue with a buffer that was not filled.
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomnessError>;
}

/// The source of randomness failed.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the source of randomness failed: {0}")]
pub struct RandomnessError(#[from] getrandom::Error);

/// The operating system's source.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsRandomness;

impl Randomness for OsRandomness {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomnessError> {
        Ok(getrandom::fill(buffer)?)
    }
}
