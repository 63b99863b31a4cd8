//! What every enrolment protocol over HTTP shares, and no protocol is named in: how a request's body arrives, which thread works on
//! the request, how much one sender may take, and how a refusal in HTTP's own terms looks.
//!
//! A protocol decides on a [`pool::Pool`], hands its request and its work to [`runner::Runner::run`], and calls
//! [`pool::Pool::require_blocking`] before each step that may block.

pub mod body;
pub(crate) mod lock;
pub(crate) mod pool;
pub mod response;
pub(crate) mod runner;
pub(crate) mod share;
pub(crate) mod turn;
pub(crate) mod workers;
