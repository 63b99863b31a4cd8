//! Publishes the certificates and CRLs of the authority: in directories of others by LDAP, in a built-in read-only directory, and by OCSP.
//! It also has the LDAP client of the authorizer, and the slots that bound the connections of clients.
//!
//! It only reads the authority's records, and decides nothing.

#![doc = include_str!("../README.md")]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "a test that panics is a test that fails"
    )
)]

pub mod catalogue;
pub mod client;
pub mod directory;
pub mod dn;
pub mod entry;
mod error;
pub mod layout;
pub mod ocsp;
mod protocol;
pub mod publisher;
pub mod slots;
pub mod tree;
mod unbroken;
pub mod views;

pub use dn::Dn;
pub use entry::{Attribute, Entry};
pub use error::{Error, Result};
