//! Whom to trust: the certification path of a peer, the status of each certificate on it, and where a certificate is looked up that
//! the daemon did not send.

pub mod certificate_store;
mod configured;

pub use configured::{Standing, Trust};
// The other crates know them by this path.
pub use crate::status::{Lack, Status};
