//! Warns the author of a well-formed assertion that may allow more, or less, than intended.
//!
//! | code | finding |
//! | --- | --- |
//! | `allow-all` | no licensees field, which allows all principals, or no conditions field, which allows all actions |
//! | `undefined-attribute` | a name that is neither in the vocabulary nor a local constant |
//! | `impossible-value` | a literal that the attribute's format never equals |
//! | `numeric-strings` | numbers ordered as strings, where `10` comes before `9` |
//! | `never-true` | a clause whose test is never true, or whose braces hold no clause |
//! | `always-true` | a test that is always true, or a clause that makes a later one pointless |
//! | `invalid-regex` | a pattern that is not a regular expression, so that its test is false |
//! | `unknown-value` | a compliance value that is not in the order, so that it counts as the lowest |
//! | `nobody` | a licensee that can neither be a requester nor make assertions here, or is not spelled as IKE daemons spell it |
//! | `unpadded-address` | an address that is ordered as a string, but not written with the fixed width of the attribute |
//! | `unknown-key-algorithm` | a principal that looks like a key, but is compared as plain text |
//! | `weak-signature` | a signature with MD5, SHA-1 or DSA |
//! | `weak-key` | a principal that is an RSA key below 2048 bits, or a DSA key |
//! | `malformed-key` | a principal that begins with a known key algorithm but is no such key, so that the assertion counts for nothing |
//! | `unused-constant` | a local constant that nothing refers to |
//! | `keyword` | an attribute named `true` or `false` |
//! | `reserved-name` | a name that begins with `_`, but is not defined by the evaluator |
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
