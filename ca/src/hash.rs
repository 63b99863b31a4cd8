//! SHA-256 over octets in memory (FIPS 180-4).

use ring::digest::{SHA256, digest};

/// SHA-256 of these octets.
pub fn sha256(octets: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, octets).as_ref());
    hash
}
