//! OpenBSD's isakmpd: what it can do, and what is written for it.

mod abilities;
mod export;
mod policy;

pub use abilities::ABILITIES;
pub(super) use export::WRITER;
