//! Whom to trust: the certification path of a peer, the status of each certificate on it, and where a certificate is looked up that
//! the daemon did not send.

pub mod certificate_store;
mod configured;

pub use configured::{Lack, Standing, Status, Trust};
