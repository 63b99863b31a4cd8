//! racoon of the IPsec tools: what it can do, and what is written for it.

mod abilities;
mod export;

pub use abilities::ABILITIES;
pub(super) use export::WRITER;
