//! The authorizer's Unix socket: daemons ask and operators control over it.

mod lines;
mod socket;

pub use socket::{AuthorizerServer, Control, STEPS, SocketSettings, ask, control, state};
