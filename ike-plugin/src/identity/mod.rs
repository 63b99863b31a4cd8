//! Who a peer says it is (its ID payload), and whether its certificate says the same.

pub mod id_type;
mod names;
mod peer_id;

pub use names::{Mapping, Names};
pub(crate) use peer_id::prefix_length;
pub use peer_id::{IdError, PeerId};
