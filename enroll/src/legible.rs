//! Texts that contain a stranger's words, in a form that is safe in a log, on a terminal and in a message.

use countersign_ca::name::escape_misleading;

/// The longest text that [`legible`] returns, in characters and without the `…` that ends a text which was cut off.
pub const MAX_TEXT: usize = 600;

/// The text in a form that is safe in a log, on a terminal and in a message.
///
/// A peer's own words can be part of it. Characters that are invisible, or that change how the rest looks, become escapes; after 600
/// characters the text is cut off.
pub fn legible(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => escape_misleading(text.get(..end).unwrap_or_default()) + "…",
        None => escape_misleading(text),
    }
    .into_owned()
}
