//! libreswan's pluto: what it can do, and what is written for it.

mod abilities;
mod export;
mod nss;
mod peers;
mod proposal;

pub use abilities::ABILITIES;
pub(super) use export::WRITER;
