//! A read-only LDAPv3 directory of our own (RFC 4511), so that a small site needs no other: anonymous, bounded, and prompt. An
//! IKE daemon may wait whole for a directory that falls silent, so whoever cannot be served is told so at once.

mod ber;
mod connection;
mod filter;
mod limits;
mod schema;
mod search;
mod server;
mod shared;
mod snapshot;
mod tls;

pub use limits::Limits;
pub use server::{Directory, DirectoryConfig, DirectoryHandle};
pub use shared::Counts;
pub use snapshot::Snapshot;
pub use tls::TlsFiles;
