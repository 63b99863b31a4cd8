//! Hash tables whose keys are numbers. The numbers are evenly spread already, or no attacker can choose many of them.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A hash table by numbers.
pub type ByNumber<T> = HashMap<u64, T, BuildHasherDefault<Identity>>;

/// A hasher for numbers that need no hashing.
#[derive(Default)]
pub struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, octets: &[u8]) {
        for octet in octets {
            self.0 = self.0.rotate_left(8) ^ u64::from(*octet);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}
