//! OpenBSD's isakmpd: what is written for it.

mod export;

pub use export::{classic_only, credentials, files};
