//! Public keys, and how they are spelled.

mod encoding;
mod public;

pub use encoding::Encoding;
pub use public::{DsaKey, PublicKey, RsaKey};
pub(crate) use public::{DsaDer, P256, P384, RsaDer};
