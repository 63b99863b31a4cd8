//! The name of a decision in the log.

use std::fmt;

use ring::rand::{SecureRandom, SystemRandom};

/// The name of a decision: 64 random bits, shown in hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trace([u8; 8]);

impl Trace {
    /// Draws a name.
    pub fn draw(random: &SystemRandom) -> Self {
        let mut octets = [0; 8];
        // Without random numbers decisions get the same name, which is a nuisance and not a danger.
        let _ = random.fill(&mut octets);
        Self(octets)
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}
