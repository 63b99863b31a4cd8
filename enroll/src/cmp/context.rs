//! What a transaction must remember between its messages, as it is recorded in the journal.

use der::asn1::{Int, OctetString};
use der::{Decode, Encode, Sequence};

use super::refusal::{Failure, Refusal};

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
///     protection   ENUMERATED }
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
}

impl Context {
    /// The context of an answer with this nonce.
    pub fn new(cert_req_id: Int, nonce: &[u8; 16], protection: Kind) -> der::Result<Self> {
        Ok(Self { version: 1, cert_req_id, nonce: OctetString::new(nonce.as_slice())?, protection })
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
