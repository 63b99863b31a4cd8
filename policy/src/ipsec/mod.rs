//! The IPsec vocabulary of isakmpd.policy(5): attribute names and formats, questions built from typed facts, requesters.
//!
//! Nobody outside spells an attribute name: [`Phase1`] and [`Phase2`] write them all, and [`vocabulary`] tells a linter
//! which exist and what they can hold. Where isakmpd's values are wrong or missing, the type concerned says what we do.

pub mod address;
pub mod algorithm;
pub mod asks;
pub mod certificate;
pub mod format;
pub mod name;
pub mod question;
pub mod requesters;
pub mod vocabulary;

pub use address::{AddressError, AddressRange, CivilTime, Subnet};
pub use algorithm::{
    Aead, AhHash, Cipher, Compression, Encapsulation, EspAlgorithms, Exchange, Integrity,
};
pub use certificate::{CertificateError, delegations};
pub use format::Format;
pub use name::{DistinguishedName, NameError};
pub use question::{Ah, Comp, Esp, Identity, Moment, Phase1, Phase2, Proposal, Selector, Terms};
pub use requesters::{PassphraseError, distinguished_name, passphrase};
pub use vocabulary::{Attribute, Scope, attribute, names};

/// The compliance values isakmpd asks with, ascending.
pub const COMPLIANCE_VALUES: [&str; 2] = ["false", "true"];
