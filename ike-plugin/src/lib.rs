//! The authorizer: an IKE daemon asks it whether a peer may connect. The certification path, the revocation status, the identity and the
//! KeyNote policy decide, in this order, and the answer gives the reason.
//!
//! `server` takes questions from a Unix socket, in the format of `wire`; `decide` finds the answer with the help of `trust`, `status`,
//! `identity` and `policy`, and `decision_log` records it. `gateway` is independent of these: it writes the configuration files of IKE daemons.

#![doc = include_str!("../README.md")]

pub mod decide;
pub mod decision_log;
pub mod explain;
pub mod gateway;
pub mod identity;
pub mod policy;
pub mod server;
pub mod status;
pub mod trust;
pub mod wire;
