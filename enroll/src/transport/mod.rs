//! The parts that all enrolment protocols over HTTP share; no protocol is named in them: reading the body of a request, choosing the thread
//! that works on it, fair shares for senders, and answers in HTTP's own terms.
//!
//! A protocol decides on a `Pool`, hands its request and its work to `Runner::run`, and calls
//! `Pool::require_blocking` before each step that may block.

pub(crate) mod account_slots;
pub(crate) mod body;
pub(crate) mod lock;
pub(crate) mod pool;
pub mod response;
pub(crate) mod runner;
pub(crate) mod share;
pub(crate) mod turn;
pub(crate) mod workers;
