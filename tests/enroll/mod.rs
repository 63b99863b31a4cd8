//! A gateway that enrols with `countersign enroll` over CMP, OpenSSL's mock server, and an attacker between client and server.

mod breaks;
mod liar;
mod lies;
mod mock;
mod strangers;

pub use crate::common::gateway::{Gateway, Run, eventually, issue, pair, private, stranger};
