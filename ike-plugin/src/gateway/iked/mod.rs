//! OpenIKED's iked: what it can do, and what is written for it.

mod abilities;
mod export;
mod proposal;

pub use abilities::ABILITIES;
pub(super) use export::WRITER;
