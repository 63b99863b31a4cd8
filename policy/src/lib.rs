//! KeyNote (RFC 2704, RFC 2792): answers which actions a policy allows to which requesters, and explains each answer.
//!
//! Assertions are parsed and their signatures verified once; the resulting set answers any number of questions. The crate reads no file,
//! no clock and no network, and does not panic on any input.

#![doc = include_str!("../README.md")]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "a test that panics is a test that fails"
    )
)]

pub mod attributes;
mod evaluation;
pub mod exercise;
pub mod explain;
pub mod ipsec;
pub mod key;
pub mod layout;
pub mod lint;
pub mod principal;
pub mod regex;
pub mod requesters;
pub mod set;
pub mod signature;
pub mod source;
pub mod syntax;
pub mod values;

pub use attributes::AttributeSet;
pub use evaluation::Fault;
pub use explain::Trace;
pub use principal::Principal;
pub use requesters::Requesters;
pub use set::{Answer, DropReason, Dropped, PolicySet, PolicySetBuilder, Question};
pub use signature::LegacySignatures;
pub use source::{Finding, Severity, Source, Span};
pub use syntax::Assertion;
pub use values::ComplianceValues;
