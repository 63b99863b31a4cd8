//! Explains answers: which assertions took part, how each clause was evaluated, and which principal was missing.
//!
//! The answer is computed in the usual way; the trace is made afterwards, from `POLICY` downward, and only on request.

mod explainer;
mod recorder;
mod show;
mod text;
mod trace;

pub use explainer::MAX_SHOWN;
pub use trace::{
    AssertionTrace, ClauseTrace, ComparisonTrace, DroppedTrace, LicenseesTrace, Trace,
};
