//! The authorizer as a process runs it: its trust anchors and CRLs, and its socket.

mod running;
mod trust;

pub use running::{AuthorizerConfig, AuthorizerFile, Running, certificates};
