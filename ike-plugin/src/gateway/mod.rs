//! What the daemon of a gateway needs in its files: configuration, certificate, chain, CRLs, key. One folder for each kind of daemon,
//! ready to be used; and whether two gateways, as they are configured, would come up.

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
