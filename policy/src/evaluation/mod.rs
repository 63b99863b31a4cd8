//! Conditions: local constants are bound when an assertion is loaded, and the conditions are evaluated for each question.

mod bind;
mod conditions;
mod fault;
mod number;

pub(crate) use bind::{Constants, bind, bind_and_compile, number_names};
pub(crate) use conditions::{Evaluation, Observer};
pub use fault::Fault;
