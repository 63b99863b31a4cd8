//! Connections to directories of others, as a client.

mod connection;
mod frames;

pub use connection::{Connection, Security, address, platform_tls};
pub use frames::{Bounds, Frames, REFERENCES};
