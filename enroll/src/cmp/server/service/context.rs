//! What a transaction must remember between its messages, as it is recorded in the journal.

use der::asn1::{Int, OctetString};
use der::{Decode, Encode, Sequence};

use crate::cmp::wire::refusal::{Failure, Refusal};

/// How a message was protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, der::Enumerated)]
#[repr(u8)]
pub enum Kind {
    /// By a shared secret.
    Mac = 0,
    /// By a signature.
    Signature = 1,
}

/// ```text
/// Context ::= SEQUENCE {
///     version      INTEGER,
///     certReqId    INTEGER,
///     nonce        OCTET STRING,   -- ours, which the next message must repeat
///     protection   ENUMERATED,
///     peerNonce    [0] OCTET STRING OPTIONAL, -- that of the request, which no later message may repeat
///     credential   [1] OCTET STRING OPTIONAL, -- a hash of what proved the peer
///     answer       [2] INTEGER OPTIONAL,      -- the body that ends a wait: that of the answer to polls
///     implicit     [3] BOOLEAN OPTIONAL }     -- whether its certificate needs no confirmation
/// ```
/// Our own.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct Context {
    version: u8,
    /// That of the request.
    pub cert_req_id: Int,
    /// The senderNonce of our answer.
    pub nonce: OctetString,
    /// How the transaction is protected.
    pub protection: Kind,
    /// The senderNonce of the request.
    #[asn1(context_specific = "0", optional = "true")]
    pub peer_nonce: Option<OctetString>,
    /// With what the peer proved itself; the next messages need the same.
    #[asn1(context_specific = "1", optional = "true")]
    pub credential: Option<OctetString>,
    /// The kind of answer that a request which waits, or waited, gets.
    #[asn1(context_specific = "2", optional = "true")]
    pub answer: Option<u8>,
    /// Whether implicit confirmation is granted to such a request.
    #[asn1(context_specific = "3", optional = "true")]
    pub implicit: Option<bool>,
}

impl Context {
    /// The context of an answer with this nonce.
    pub fn new(cert_req_id: Int, nonce: &[u8; 16], protection: Kind) -> der::Result<Self> {
        Ok(Self {
            version: 1,
            cert_req_id,
            nonce: OctetString::new(nonce.as_slice())?,
            protection,
            peer_nonce: None,
            credential: None,
            answer: None,
            implicit: None,
        })
    }

    /// The same with what binds the peer's next messages to this one.
    #[must_use]
    pub fn bound(self, peer_nonce: Option<OctetString>, credential: OctetString) -> Self {
        Self { peer_nonce, credential: Some(credential), ..self }
    }

    /// The same for a request that waits, or waited.
    #[must_use]
    pub fn held(self, answer: u8, implicit: bool) -> Self {
        Self { answer: Some(answer), implicit: Some(implicit), ..self }
    }

    /// As it is recorded.
    pub fn encode(&self) -> der::Result<Vec<u8>> {
        self.to_der()
    }

    /// As it was recorded.
    pub fn decode(octets: &[u8]) -> Result<Self, Refusal> {
        Self::from_der(octets).ok().filter(|context| context.version == 1).ok_or_else(|| {
            tracing::error!("a transaction's context cannot be read");
            Refusal::new(
                Failure::SystemFailure,
                "this transaction cannot be continued; begin a new one",
            )
        })
    }
}
