//! OpenIKED's iked: what is written for it.

mod export;

pub use export::{credentials, files};
