//! Short names of CAs, accounts, profiles and vendors.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The name of a CA, an account, a profile or a vendor: 1 to 64 characters out of `a-z A-Z 0-9 . _ -`, not beginning
/// with a dot or a hyphen. It is safe in a path, a URL, a log line and a DN.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Label(String);

impl Label {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Label {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if (1..=64).contains(&text.len())
            && text.bytes().all(allowed)
            && !text.starts_with(['.', '-'])
        {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::malformed(format!(
                "expected a name of 1 to 64 letters, digits, `.`, `_` or `-`, found `{}`",
                text.escape_debug()
            )))
        }
    }
}

impl TryFrom<String> for Label {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Label> for String {
    fn from(label: Label) -> Self {
        label.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
