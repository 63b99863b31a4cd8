//! Characters that mislead a reader.

use crate::error::{Error, Result};

/// Refuses control characters and bidirectional or invisible formatting characters, because names reach terminals, logs
/// and web pages.
///
/// # Errors
/// [`Error::Malformed`] that names the first such character.
pub fn refuse_misleading(text: &str) -> Result<()> {
    let misleading = |c: &char| {
        c.is_control()
            || matches!(*c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    match text.chars().find(misleading) {
        None => Ok(()),
        Some(c) => Err(Error::malformed(format!(
            "the character U+{:04X} is not allowed in a name: it is invisible and misleads a reader",
            u32::from(c)
        ))),
    }
}
