//! The context of a transaction: the facts about its first messages against which the next one is checked, in the form in which the
//! journal records them.

use countersign_ca::Timestamp;
use countersign_ca::record::{Label, Serial};
use der::asn1::{Int, OctetString};
use der::oid::ObjectIdentifier;
use der::{Decode, Encode, Sequence};
use ring::digest;

use crate::cmp::wire::refusal::{Failure, Refusal};

/// How a message is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, der::Enumerated)]
#[repr(u8)]
pub enum Protection {
    /// The message has a MAC under a shared secret.
    Mac = 0,
    /// The message has a signature.
    Signature = 1,
}

/// How the peer confirms a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmation {
    /// The peer sends no confirmation: implicit confirmation is granted (RFC 9810 §5.1.1.1).
    Implicit,
    /// The peer sends a certConf, which is awaited until this time (RFC 9810 §5.1.1.2).
    AwaitedUntil(Timestamp),
}

impl Confirmation {
    /// The time until which a certConf is awaited; `None` if none is.
    pub const fn until(self) -> Option<Timestamp> {
        match self {
            Self::Implicit => None,
            Self::AwaitedUntil(until) => Some(until),
        }
    }
}

/// The context of a transaction, a type of this program's own.
///
/// ```text
/// Context ::= SEQUENCE {
///     version      INTEGER,
///     certReqId    INTEGER,
///     nonce        OCTET STRING,   -- the senderNonce of our answer, which the next message must repeat
///     protection   ENUMERATED,
///     peerNonce    [0] OCTET STRING OPTIONAL, -- the senderNonce of the request, which no later message may repeat
///     credential   [1] OCTET STRING OPTIONAL, -- a hash of the credential's name
///     answer       [2] INTEGER OPTIONAL,      -- the body that answers a request which awaits approval
///     implicit     [3] BOOLEAN OPTIONAL }     -- whether its certificate needs no confirmation
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct Context {
    version: u8,
    /// The certReqId of the request.
    pub cert_req_id: Int,
    /// The senderNonce of the server's answer, which the next message must repeat as its recipNonce.
    pub nonce: OctetString,
    /// How the transaction's messages are protected.
    pub protection: Protection,
    /// The senderNonce of the request, which no later message of the transaction may repeat.
    #[asn1(context_specific = "0", optional = "true")]
    pub peer_nonce: Option<OctetString>,
    /// The hash of the name of the credential that protected the request ([`credential_hash`]). The next messages of the transaction need
    /// the same credential.
    #[asn1(context_specific = "1", optional = "true")]
    pub credential: Option<OctetString>,
    /// For a request that awaits or awaited approval: the kind of body that answers it.
    #[asn1(context_specific = "2", optional = "true")]
    pub answer: Option<u8>,
    /// For a request that awaits or awaited approval: whether implicit confirmation is granted.
    #[asn1(context_specific = "3", optional = "true")]
    pub implicit: Option<bool>,
}

impl Context {
    /// The context of a request that is answered with this nonce.
    pub fn new(cert_req_id: Int, nonce: &[u8; 16], protection: Protection) -> der::Result<Self> {
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

    /// Adds the fields that bind the peer's next messages to its request.
    #[must_use]
    pub fn bound(self, peer_nonce: Option<OctetString>, credential: OctetString) -> Self {
        Self { peer_nonce, credential: Some(credential), ..self }
    }

    /// Adds the fields for a request that awaits approval.
    #[must_use]
    pub fn awaiting_approval(self, answer: u8, confirmation: Confirmation) -> Self {
        let implicit = confirmation == Confirmation::Implicit;
        Self { answer: Some(answer), implicit: Some(implicit), ..self }
    }

    /// How a certificate that is issued after approval is confirmed: implicitly if that was granted to the request, otherwise by a certConf
    /// that is awaited until `until`.
    pub fn confirmation(&self, until: Timestamp) -> Confirmation {
        match self.implicit.unwrap_or(false) {
            true => Confirmation::Implicit,
            false => Confirmation::AwaitedUntil(until),
        }
    }

    /// The DER to record.
    pub fn encode(&self) -> der::Result<Vec<u8>> {
        self.to_der()
    }

    /// Reads the DER that [`Self::encode`] gave.
    ///
    /// # Errors
    /// `systemFailure` for anything else, which is logged as well.
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

/// The name of a certificate that this authority issued, for [`credential_hash`].
pub fn certificate_name(ca: &Label, serial: &Serial) -> String {
    format!("{ca}/{serial}")
}

/// The name of a secret together with the kind of MAC, for [`credential_hash`]: the protectionAlg and the reference.
pub fn secret_name(algorithm: Option<ObjectIdentifier>, reference: &str) -> String {
    format!("{}/{reference}", algorithm.map(|algorithm| algorithm.to_string()).unwrap_or_default())
}

/// The hash of a credential's name that is recorded with a transaction: the first half of its SHA-256.
pub fn credential_hash(name: &str) -> der::Result<OctetString> {
    let hash = digest::digest(&digest::SHA256, name.as_bytes());
    OctetString::new(hash.as_ref().get(..16).unwrap_or_default())
}
