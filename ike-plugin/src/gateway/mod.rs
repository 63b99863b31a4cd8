//! The files of IKE daemons: `export` writes a folder with configuration, certificate, chain, CRLs and key of a gateway, ready to be used,
//! and `check` tells whether two gateways would connect to each other as they are configured.
//!
//! Each daemon has a folder here, with its `ABILITIES` and its `WRITER`. `daemons` is the only module that knows all of them.

mod abilities;
mod authentication;
mod ca_facts;
mod check;
mod credentials;
mod daemon;
mod daemons;
mod description;
mod error;
mod export;
mod facts;
mod files;
mod hash;
mod iked;
mod isakmpd;
mod key;
mod libreswan;
mod limits;
mod material;
mod network;
mod openbsd;
mod pkcs12;
mod proposal;
mod racoon;
mod requirements;
mod strongswan;
mod text;

pub use abilities::{Abilities, KeyFamily, Library, StatusSource};
pub use authentication::{Authentication, Certified};
pub use ca_facts::{CaFacts, warnings_of_ca};
pub use check::{Obstacle, Resolve, Severity, Side, alone, between, system_addresses, together};
pub use credentials::{Layout, credentials};
pub use daemon::{Daemon, Mode};
pub use description::{Gateway, Revocation, Start};
pub use error::GatewayError;
pub use export::{CredentialPaths, Export};
pub use facts::{AltNames, Facts};
pub use files::{Entry, Files};
pub use hash::{subject_hash, subject_hash_old};
pub use key::PrivateKey;
pub use limits::{Effect, Feature, LIMITS, Limit, Part, Program, limit_of, limits};
pub use material::{IssuedCrl, Material, NamedCa, issued_crl};
pub use network::Network;
pub use proposal::{Classic, Encryption, Group, Hash, Proposal};
