//! The revocation status of a certification path.

use countersign_ca::Timestamp;
use serde::{Deserialize, Serialize};

/// The revocation status of the certificates of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// No certificate is revoked. The result may be used until the given time.
    Good(Timestamp),
    /// Not every status is known, and the settings accept that. The result may be used until the given time.
    Passed(Timestamp, Lack),
    /// A certificate is revoked; the text says which one, why and since when.
    Revoked(String),
    /// A status is not known, and the settings do not accept that; the text gives the reason.
    Unknown(String),
}

/// Why a status is not known that the settings accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lack {
    /// Neither a CRL nor a responder gives the status of every certificate, and the setting `if-present` accepts that.
    NotKnown,
    /// The setting `off` asks for no status.
    NotAsked,
}
