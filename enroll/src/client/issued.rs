//! A certificate that was issued to the peer, and the confirmation that the peer still has to send.

/// A certificate that was issued and checked. It may be used once it is confirmed, or at once if the CA wants no confirmation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The certificate, DER.
    pub certificate: Vec<u8>,
    /// The CAs above the certificate, its issuer first and an anchor last, DER.
    pub path: Vec<Vec<u8>>,
    /// The anchors that the peer trusts from now on, DER.
    pub anchors: Vec<Vec<u8>>,
    /// Differences from the request, as texts for people.
    pub changes: Vec<String>,
    /// The confirmation to send; `None` if the CA wants none, and for EST and SCEP, which have none.
    pub confirmation: Option<Confirmation>,
}

/// A transaction of CMP whose certificate awaits its confirmation. [`crate::cmp::client::Client::confirm`] may send it again when it is unknown whether it
/// arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmation {
    /// transactionID.
    pub transaction: Vec<u8>,
    /// The senderNonce of the last answer.
    pub nonce: Vec<u8>,
    /// The certificates that came with the answers, DER.
    pub certificates: Vec<Vec<u8>>,
}
