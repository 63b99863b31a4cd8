//! Why a question was answered as it was: which assertions took part, what each clause saw, which principal was missing.
//!
//! The answer is computed as always; the trace is made afterwards, from `POLICY` downward, and only for those who ask.

mod explainer;
mod recorder;
mod show;
mod text;
mod trace;

pub use explainer::MAX_SHOWN;
pub use trace::{
    AssertionTrace, ClauseTrace, ComparisonTrace, DroppedTrace, LicenseesTrace, Trace,
};
