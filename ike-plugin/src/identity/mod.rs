//! The identity that a peer claims (its ID payload), and whether its certificate contains that identity.

pub mod id_type;
mod names;
mod peer_id;

pub use names::{Mapping, Names};
pub(crate) use peer_id::prefix_length;
pub use peer_id::{IdError, PeerId};
