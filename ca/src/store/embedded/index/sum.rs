//! A sum over an index.

use std::fmt;

use ring::digest;

/// A sum over every key and value of an index, in any order. Equal indexes have equal sums.
///
/// Each pair counts with 128 bits of SHA-256; their sum is updated with each change. It detects loss and damage;
/// somebody who can write the index can forge it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IndexSum(pub(super) u128);

impl IndexSum {
    /// Adds a pair.
    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) {
        self.0 = self.0.wrapping_add(fingerprint(key, value));
    }

    /// Subtracts a pair that was added before.
    pub(super) fn subtract(&mut self, key: &[u8], value: &[u8]) {
        self.0 = self.0.wrapping_sub(fingerprint(key, value));
    }
}

/// Writes 32 hexadecimal digits.
impl fmt::Display for IndexSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The first 128 bits of SHA-256 over the key's length, the key and the value.
fn fingerprint(key: &[u8], value: &[u8]) -> u128 {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&(key.len() as u64).to_le_bytes());
    context.update(key);
    context.update(value);
    let hash = context.finish();
    hash.as_ref().first_chunk().map_or(0, |first| u128::from_le_bytes(*first))
}
