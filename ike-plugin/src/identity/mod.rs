//! Who a peer says it is (its ID payload), and whom its certificate names.

mod peer_id;

pub(crate) use peer_id::prefix_length;
pub use peer_id::{IdError, Mapping, Names, PeerId};
