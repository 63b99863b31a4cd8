//! What is published about CAs and peers, independent of a directory.

use bytes::Bytes;
use countersign_ca::record::Label;

/// A CA, with its certificate and its current CRLs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaView {
    /// Its name.
    pub name: Label,
    /// Whether it signs only other CAs.
    pub is_root: bool,
    /// Its certificate, DER.
    pub certificate: Bytes,
    /// Its full CRL.
    pub crl: Option<Bytes>,
    /// Its delta CRL.
    pub delta: Option<Bytes>,
    /// The CRLs of its partitions, by number.
    pub partitions: Vec<(u16, Bytes)>,
}

/// A peer, with its certificates that are in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerView {
    /// Its account.
    pub account: Label,
    /// The profile of its certificates.
    pub profile: Label,
    /// Its first identity, without the kind.
    pub id: String,
    /// Its certificates, DER.
    pub certificates: Vec<Bytes>,
}
