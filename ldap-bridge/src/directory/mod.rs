//! A built-in, read-only LDAPv3 directory (RFC 4511), so that a small site needs no other one. It knows anonymous clients only, and bounds
//! what each may cost. A client that cannot be served is told so at once, or with LDAPS is disconnected at once, because some IKE daemons
//! block entirely while a directory does not answer.

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
