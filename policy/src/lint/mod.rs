//! What an author should hear about an assertion that is well formed: it may say more, or less, than was meant.
//!
//! | code | what is found |
//! | --- | --- |
//! | `allow-all` | no licensees field: everybody; no conditions field: everything |
//! | `undefined-attribute` | a name that is neither in the vocabulary nor a local constant |
//! | `impossible-value` | a literal that the attribute's format never equals |
//! | `numeric-strings` | numbers ordered as strings, where `10` comes before `9` |
//! | `never-true` | a clause that cannot fire |
//! | `always-true` | a test that cannot fail, or a clause that makes a later one pointless |
//! | `invalid-regex` | a pattern that is no regular expression: its test is false |
//! | `unknown-value` | a compliance value that is not in the order: it counts as the lowest |
//! | `nobody` | a licensee that can neither ask nor make assertions here, or that nobody asks as in this spelling |
//! | `unpadded-address` | an address ordered as a string that is not written as the attribute writes it |
//! | `unknown-key-algorithm` | a principal that looks like a key and is compared as plain text |
//! | `weak-signature` | a signature by MD5, SHA-1 or DSA |
//! | `weak-key` | an RSA key below 2048 bits, or a DSA key |
//! | `unused-constant` | a local constant that nothing refers to |
//! | `keyword` | an attribute named `true` or `false` |
//! | `reserved-name` | a name that begins with `_` and is not the evaluator's |
//! | `blank-line` | a line of white space, which does not end an assertion |
//! | `text-after-signature` | text that is not part of the assertion |

mod conditions;
mod fields;
mod linter;
mod names;
mod principals;
mod rules;
mod truth;

pub use linter::Options;
pub use rules::{errors, lint};
