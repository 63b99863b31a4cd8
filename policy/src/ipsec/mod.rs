//! The vocabulary of IPsec policy: the action attributes of `isakmpd.policy(5)`, their formats, and questions of IKE put into
//! them. No caller spells an attribute's name itself.

mod address;
mod question;
mod requesters;
mod vocabulary;

pub use address::{AddressRange, Moment};
pub use question::{
    Authentication, Compression, Encapsulation, Encryption, Exchange, Hash, Identity, Ipcomp,
    Phase1, Phase2, Question, Selector, Transform,
};
pub use requesters::{NameError, distinguished_name, pre_shared_key};
pub use vocabulary::{Attribute, Format, attribute, names};
