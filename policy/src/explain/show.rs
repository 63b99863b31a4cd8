//! How a trace shows values, names and positions.

use crate::evaluation::Fault;
use crate::principal::Principal;
use crate::source::{Source, printable};

/// How much of a text is shown, in bytes.
const MAX_TEXT: usize = 160;

pub(super) fn outcome(result: Result<bool, Fault>) -> String {
    match result {
        Ok(value) => value.to_string(),
        Err(fault) => format!("false, because of {fault}"),
    }
}

/// A principal's name, without a passphrase.
pub(super) fn principal_name(text: &[u8]) -> String {
    Principal::parse(text)
        .map_or_else(|_| shown(text), |principal| shown(principal.to_string().as_bytes()))
}

pub(super) fn place(source: &Source, offset: usize) -> String {
    format!("{}:{}", source.name(), source.position(offset).line)
}

pub(super) fn shown(bytes: &[u8]) -> String {
    match bytes.get(..MAX_TEXT) {
        Some(begin) if bytes.len() > MAX_TEXT => format!("{}…", printable(begin)),
        _ => printable(bytes),
    }
}

/// A part of the source on one line.
pub(super) fn squeeze(text: &[u8]) -> Vec<u8> {
    let words = text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(&b' ')
}
