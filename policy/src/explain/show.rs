//! The form in which a trace shows values, names and positions.

use crate::evaluation::Fault;
use crate::principal::Principal;
use crate::source::{Source, printable};

/// The most bytes of a text that are shown.
const MAX_TEXT: usize = 160;

pub(super) fn outcome(result: Result<bool, Fault>) -> String {
    match result {
        Ok(value) => value.to_string(),
        Err(fault) => format!("false, because of {fault}"),
    }
}

/// The spelling of a principal as a trace shows it: canonical, shortened, and without a passphrase or its hash.
pub(super) fn principal_name(text: &[u8]) -> String {
    Principal::parse(text)
        .map_or_else(|_| shown(text), |principal| shown(principal.to_string().as_bytes()))
}

/// A position as `file:line`.
pub(super) fn place(source: &Source, offset: usize) -> String {
    format!("{}:{}", source.name(), source.position(offset).line)
}

pub(super) fn shown(bytes: &[u8]) -> String {
    match bytes.get(..MAX_TEXT) {
        Some(begin) if bytes.len() > MAX_TEXT => format!("{}…", printable(begin)),
        _ => printable(bytes),
    }
}

/// A part of the source on one line: each run of white space becomes one space.
pub(super) fn squeeze(text: &[u8]) -> Vec<u8> {
    let words = text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(&b' ')
}
