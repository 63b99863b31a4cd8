//! What administrators note about an account. None of it is in a certificate.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::name::refuse_misleading;

/// The most labels of one account.
pub const MAX_LABELS: usize = 32;
/// The most characters of a label's value and of an owner.
const MAX_VALUE: usize = 128;
/// The most characters of a note.
const MAX_NOTE: usize = 1000;

/// What administrators note about an account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remarks {
    /// Labels, by which accounts are found: values by keys, such as `berlin` by `site`.
    pub labels: BTreeMap<String, String>,
    /// The person or group that answers for the peer.
    pub owner: Option<String>,
    /// A free-text note.
    pub note: Option<String>,
}

impl Remarks {
    /// Checks the lengths, the characters and the number of labels.
    ///
    /// # Errors
    /// [`Error::Malformed`] that says which part is wrong.
    pub fn check(&self) -> Result<()> {
        if self.labels.len() > MAX_LABELS {
            return Err(Error::malformed(format!(
                "expected at most {MAX_LABELS} labels of an account, found {}",
                self.labels.len()
            )));
        }
        for (key, value) in &self.labels {
            AccountLabel::new(key, value)?;
        }
        words("an owner", self.owner.as_deref(), MAX_VALUE)?;
        words("a note", self.note.as_deref(), MAX_NOTE)
    }
}

/// Refuses a text that is empty or too long, or that contains characters which mislead its readers.
fn words(what: &str, text: Option<&str>, most: usize) -> Result<()> {
    let Some(text) = text else { return Ok(()) };
    let count = text.chars().count();
    if count == 0 || count > most {
        return Err(Error::malformed(format!(
            "expected {what} of 1 to {most} characters, found {count}"
        )));
    }
    refuse_misleading(text)
}

/// One label of an account, written `KEY=VALUE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountLabel {
    /// The key of the label: 1 to 32 characters out of `a-z 0-9 . _ -`.
    pub key: String,
    /// The value of the label: 1 to 128 characters without control characters.
    pub value: String,
}

impl AccountLabel {
    /// A label of these parts.
    ///
    /// # Errors
    /// [`Error::Malformed`] that says which part is wrong.
    pub fn new(key: &str, value: &str) -> Result<Self> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-_".contains(c);
        if !(1..=32).contains(&key.len()) || !key.chars().all(allowed) {
            return Err(Error::malformed(format!(
                "expected the key of a label, 1 to 32 characters out of `a-z 0-9 . _ -`, found `{}`",
                key.escape_debug()
            )));
        }
        words("a label's value", Some(value), MAX_VALUE)?;
        Ok(Self { key: key.to_owned(), value: value.to_owned() })
    }
}

impl fmt::Display for AccountLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key, self.value)
    }
}

impl FromStr for AccountLabel {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts = text.split_once('=').ok_or_else(|| {
            Error::malformed(format!(
                "expected a label as KEY=VALUE, such as `site=berlin`, found `{}`",
                text.escape_debug()
            ))
        })?;
        Self::new(parts.0, parts.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_a_key_and_a_value() {
        let label: AccountLabel = "site=Köln = west".parse().unwrap();
        assert_eq!((label.key.as_str(), label.value.as_str()), ("site", "Köln = west"));
        assert_eq!(label.to_string(), "site=Köln = west");
        for wrong in
            ["site", "=x", "Site=x", "site=", "site=a\nb", &format!("site={}", "x".repeat(129))]
        {
            assert!(wrong.parse::<AccountLabel>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn remarks_are_bounded() {
        let labels = |count: usize| (0..count).map(|n| (format!("k{n}"), "v".to_owned())).collect();
        assert!(Remarks { labels: labels(MAX_LABELS), ..Remarks::default() }.check().is_ok());
        assert!(Remarks { labels: labels(MAX_LABELS + 1), ..Remarks::default() }.check().is_err());
        assert!(Remarks { note: Some("x".repeat(1001)), ..Remarks::default() }.check().is_err());
        assert!(Remarks { owner: Some(String::new()), ..Remarks::default() }.check().is_err());
    }
}
