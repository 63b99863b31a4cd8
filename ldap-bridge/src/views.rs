//! The published data of CAs and peers, independent of the names of entries.

use bytes::Bytes;
use countersign_ca::record::Label;

/// A CA, with its certificate and its current CRLs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaView {
    /// The name of the CA.
    pub name: Label,
    /// Whether the CA signs only other CAs.
    pub is_root: bool,
    /// The certificate of the CA, DER.
    pub certificate: Bytes,
    /// The full CRL of the CA, DER; `None` if it has none.
    pub crl: Option<Bytes>,
    /// The delta CRL of the CA, DER; `None` if it has none.
    pub delta: Option<Bytes>,
    /// The CRLs of the CA's partitions, DER, each with the partition's number.
    pub partitions: Vec<(u16, Bytes)>,
}

/// A peer, with its certificates of one profile that are in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerView {
    /// The name of the peer's account.
    pub account: Label,
    /// The profile of the certificates.
    pub profile: Label,
    /// The first identity of the peer, without the kind; the name of its account if there is none.
    pub id: String,
    /// The certificates of the peer, DER.
    pub certificates: Vec<Bytes>,
}
