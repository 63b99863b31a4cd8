//! Characters that mislead a reader.

use std::borrow::Cow;

use crate::error::{Error, Result};

/// Refuses control characters and bidirectional or invisible formatting characters, because names reach terminals, logs
/// and web pages.
///
/// # Errors
/// [`Error::Malformed`] that names the first such character.
pub fn refuse_misleading(text: &str) -> Result<()> {
    match text.chars().find(|c| is_misleading(*c)) {
        None => Ok(()),
        Some(c) => Err(Error::malformed(format!(
            "the character U+{:04X} is not allowed in a name: it is invisible and misleads a reader",
            u32::from(c)
        ))),
    }
}

/// Writes the characters that [`refuse_misleading`] refuses as `\u{…}`, and all others as they are; for names that
/// other parties chose. The control characters U+0080 to U+009F are among the escaped ones: a terminal may take them
/// for commands.
pub fn escape_misleading(text: &str) -> Cow<'_, str> {
    if !text.contains(is_misleading) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match is_misleading(c) {
            true => escaped.extend(c.escape_unicode()),
            false => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}

fn is_misleading(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}
