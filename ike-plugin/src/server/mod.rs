//! The authorizer's Unix socket: daemons ask and operators control over it.

mod client;
mod control;
mod lines;
mod socket;

pub use client::{ask, control};
pub use control::{Control, STEPS, state};
pub use socket::{AuthorizerServer, SocketSettings};
