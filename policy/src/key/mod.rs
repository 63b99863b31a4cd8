//! Public keys and their spellings.

mod encoding;
mod public;

pub use encoding::Encoding;
pub(crate) use public::{DsaDer, P256, P384, RsaDer};
pub use public::{DsaKey, PublicKey, RsaKey};
