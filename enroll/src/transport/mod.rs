//! What every enrolment protocol over HTTP shares: how a request waits for its turn and its thread, and what one sender may take.

pub mod share;
pub mod turn;
pub mod workers;
