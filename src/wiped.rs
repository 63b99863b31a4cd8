//! Values that may hold a secret which is shown once. They are wiped from memory when they are dropped.

use std::io::{self, Write};
use std::ops::{Deref, DerefMut};

use serde_json::Value;
use zeroize::{Zeroize, Zeroizing};

/// A JSON value whose strings, but not the keys of its objects, are wiped when it is dropped.
#[derive(Debug, Default)]
pub struct Wiped(Value);

impl From<Value> for Wiped {
    fn from(value: Value) -> Self {
        Self(value)
    }
}

impl Deref for Wiped {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.0
    }
}

impl DerefMut for Wiped {
    fn deref_mut(&mut self) -> &mut Value {
        &mut self.0
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(fields) => fields.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Octets that are wiped when they are dropped, and when they move to a larger buffer.
#[derive(Default)]
pub struct WipedOctets(Zeroizing<Vec<u8>>);

impl WipedOctets {
    /// A value as JSON, without a newline.
    pub fn json(value: &Value) -> io::Result<Self> {
        let mut octets = Self::default();
        serde_json::to_writer(&mut octets, value)?;
        Ok(octets)
    }
}

impl Deref for WipedOctets {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Write for WipedOctets {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        let needed = self.0.len().saturating_add(more.len());
        if needed > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(needed.saturating_mul(2)));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_wiped() {
        let mut value = serde_json::json!({"a": ["x", {"b": "y"}], "c": "z", "n": 1});
        wipe(&mut value);
        assert_eq!(value, serde_json::json!({"a": ["", {"b": ""}], "c": "", "n": 1}));
    }

    #[test]
    fn octets_grow_and_keep_what_they_have() {
        let value = serde_json::json!({"long": "x".repeat(5_000), "short": "y"});
        assert_eq!(&*WipedOctets::json(&value).unwrap(), value.to_string().as_bytes());
    }
}
