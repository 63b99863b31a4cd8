//! racoon of the IPsec tools: what is written for it.

mod export;

pub use export::{credentials, files};
