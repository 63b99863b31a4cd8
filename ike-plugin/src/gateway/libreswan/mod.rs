//! libreswan's pluto: what is written for it.

mod export;

pub use export::{credentials, files, is_bound_to_issuer, warnings};
