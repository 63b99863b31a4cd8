//! The IPsec vocabulary of isakmpd.policy(5): attribute names and formats, questions built from typed facts, requesters.
//!
//! Only this module writes attribute names: [`Phase1`] and [`Phase2`] write all of them, [`Delegation`] compares some, and [`vocabulary`]
//! lists them with their formats for the linter. Where isakmpd's values are wrong or missing, the comment of the type says what Countersign
//! does.

pub mod address;
pub mod algorithm;
pub mod certificate;
pub mod format;
pub mod name;
pub mod peer_name;
pub mod question;
pub mod requesters;
pub mod vocabulary;

pub use address::{AddressError, AddressRange, CivilTime, Subnet};
pub use algorithm::{
    Aead, AhHash, Cipher, Compression, Encapsulation, EspAlgorithms, Exchange, Integrity,
};
pub use certificate::{CertificateError, Delegation, Party, delegations};
pub use format::Format;
pub use name::{DistinguishedName, NameError};
pub use question::{Ah, Comp, Esp, Identity, Moment, Phase1, Phase2, Proposal, Selector, Terms};
pub use requesters::{PassphraseError, distinguished_name, passphrase};
pub use vocabulary::{Attribute, Scope, attribute, names};

/// The compliance values that isakmpd uses, in ascending order.
pub const COMPLIANCE_VALUES: [&str; 2] = ["false", "true"];
