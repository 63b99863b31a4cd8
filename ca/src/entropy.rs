//! Randomness. It is passed in, so that a test can force two serial numbers to collide.

use ring::rand::{SecureRandom, SystemRandom};

use crate::error::{Error, Result};

/// A source of random bytes that are good enough for keys.
pub trait Entropy: Send + Sync {
    /// Fills `buffer` with random bytes.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the source fails.
    fn fill(&self, buffer: &mut [u8]) -> Result<()>;
}

/// The random number generator of the operating system.
#[derive(Debug, Clone)]
pub struct SystemEntropy(SystemRandom);

impl Default for SystemEntropy {
    fn default() -> Self {
        Self(SystemRandom::new())
    }
}

impl Entropy for SystemEntropy {
    fn fill(&self, buffer: &mut [u8]) -> Result<()> {
        self.0
            .fill(buffer)
            .map_err(|_| Error::unavailable("the operating system gave no random bytes"))
    }
}
