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

/// Control characters, line and paragraph separators, the frames of interlinear annotations, and all characters that
/// Unicode calls Default_Ignorable_Code_Point, which have no glyph: among them joiners, direction marks, fillers,
/// variation selectors and tags.
fn is_misleading(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}
