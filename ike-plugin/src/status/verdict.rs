//! What is known of the revocation of a path's certificates.

use countersign_ca::Timestamp;
use serde::{Deserialize, Serialize};

/// Whether the certificates of a path are revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// None is; true until then.
    Good(Timestamp),
    /// Not all of it is known, and the settings let that pass, until then.
    Passed(Timestamp, Lack),
    /// One is; in words which, why and since when.
    Revoked(String),
    /// It is not known, and must be; in words why.
    Unknown(String),
}

/// What is not known of a status that is let pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lack {
    /// No CRL and no responder says it of every certificate, and `if-present` is content with that.
    NotKnown,
    /// It is not asked: `off`.
    NotAsked,
}
