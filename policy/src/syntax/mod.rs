//! The syntax of RFC 2704: parses bytes into assertions.

pub mod assertion;
mod binding;
pub mod fields;
pub mod lexer;
pub mod parser;
pub mod print;
pub mod tree;
mod typing;

pub use assertion::{Assertion, MAX_ASSERTION, parse_file};
pub use fields::split;
pub use tree::{Field, Tree};
