//! The published data of CAs and peers, independent of the names of entries.

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
    /// Its full CRL, DER; `None` if it has none.
    pub crl: Option<Bytes>,
    /// Its delta CRL, DER; `None` if it has none.
    pub delta: Option<Bytes>,
    /// The CRLs of its partitions, DER, each with the partition's number.
    pub partitions: Vec<(u16, Bytes)>,
}

/// A peer, with its certificates of one profile that are in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerView {
    /// The name of its account.
    pub account: Label,
    /// The profile of its certificates.
    pub profile: Label,
    /// Its first identity, without the kind; or the name of its account if there is none.
    pub id: String,
    /// Its certificates, DER.
    pub certificates: Vec<Bytes>,
}
