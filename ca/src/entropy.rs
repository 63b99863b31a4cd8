//! Randomness is handed in, so that a test can make a serial number collide.

use ring::rand::{SecureRandom, SystemRandom};

use crate::error::{Error, Result};

/// A source of random bytes fit for keys.
pub trait Entropy: Send + Sync {
    /// Fills `buffer` with random bytes.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the source gives none.
    fn fill(&self, buffer: &mut [u8]) -> Result<()>;
}

/// The operating system's generator.
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
