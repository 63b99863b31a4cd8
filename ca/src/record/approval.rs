//! Certificate requests that wait for an administrator's approval, and the decisions about them.
//!
//! A request is recorded independently of the protocol: a key whose possession was proven, and the names and extensions
//! that were asked for. Nothing is signed before the approval, and the request is authorized again at that time.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use der::Decode;
use ring::digest;
use spki::SubjectPublicKeyInfoRef;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use super::account::Incarnation;
use super::label::Label;
use super::serial::Serial;
use super::transaction::Transaction;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::name::same_name;

/// The most open requests of all accounts together. A request is open while it is undecided or approved and has not
/// expired.
pub const MAX_PENDING: usize = 4096;

/// The most open requests of one account.
pub const MAX_PENDING_OF_ACCOUNT: usize = 8;

/// The most transactions that may join one request, that is, ask for the same again.
pub const MAX_JOINED: u16 = 4096;

/// The most people whose approvals a profile can require for one request.
pub const MAX_APPROVERS: usize = 5;

/// The longest comment of an administrator, in characters.
pub const MAX_COMMENT: usize = 300;

/// The fewest digits by which an administrator can name a request.
const MIN_DIGITS: usize = 6;

/// The name of a request: the first 16 octets of SHA-256 over its transaction identifier. The peer chooses the identifier, and it may
/// have any content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId([u8; 16]);

impl RequestId {
    /// The name of the request that came in the transaction with this identifier.
    pub fn of(transaction: &[u8]) -> Self {
        let hash = digest::digest(&digest::SHA256, transaction);
        Self(hash.as_ref().first_chunk().copied().unwrap_or_default())
    }

    /// The name with these octets.
    pub const fn new(octets: [u8; 16]) -> Self {
        Self(octets)
    }

    /// The octets of the name.
    pub const fn octets(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Writes 32 lower-case hexadecimal digits.
impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

/// The first digits of a request's name, as an administrator types them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestPrefix(String);

impl RequestPrefix {
    /// Whether the name of this request begins with these digits.
    pub fn matches(&self, id: &RequestId) -> bool {
        id.to_string().starts_with(&self.0)
    }
}

impl fmt::Display for RequestPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads 6 to 32 hexadecimal digits, in upper or lower case.
impl FromStr for RequestPrefix {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let digits = text.to_ascii_lowercase();
        match (MIN_DIGITS..=32).contains(&digits.len())
            && digits.bytes().all(|b| b.is_ascii_hexdigit())
        {
            true => Ok(Self(digits)),
            false => Err(Error::malformed(format!(
                "expected {MIN_DIGITS} to 32 hexadecimal digits that name a request, found `{}`; `countersign request \
                 list` shows them",
                text.escape_debug()
            ))),
        }
    }
}

/// The content of a request for a certificate. Names and extensions are DER.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedRequest {
    /// The SubjectPublicKeyInfo, DER. Possession of its private key was proven; or it has an algorithm and no key, because the authority
    /// generates the key once the request is approved.
    pub key: Vec<u8>,
    /// The requested subject; `None` if none was requested.
    pub subject: Option<Vec<u8>>,
    /// The names of the requested subjectAltName, one GeneralName each.
    pub alt_names: Vec<Vec<u8>>,
    /// The other requested extensions, one Extension each.
    pub extensions: Vec<Vec<u8>>,
    /// The requested notBefore; `None` if none was requested.
    pub not_before: Option<Timestamp>,
    /// The requested notAfter; `None` if none was requested.
    pub not_after: Option<Timestamp>,
    /// The profile under which the request was authorized. A request under another profile is another request.
    pub profile: Label,
    /// The CA for which the request was authorized.
    pub ca: Label,
    /// The serial number of the certificate that the new one replaces; `None` if it replaces none.
    pub updates: Option<Serial>,
    /// Whether directories may contain the certificate; `None` if the request does not say.
    pub published: Option<bool>,
}

impl RecordedRequest {
    /// Whether two requests ask for the same certificate. The validity is ignored, because a client counts it from the moment of asking.
    /// The CA is ignored, because the authority decides with which of the CA's keys it issues.
    pub fn is_alike(&self, other: &Self) -> bool {
        let same_subject = match (self.subject(), other.subject()) {
            (Some(own), Some(other)) => same_name(&own, &other),
            (None, None) => true,
            _ => false,
        };
        let all = |values: &[Vec<u8>]| values.iter().cloned().collect::<BTreeSet<_>>();
        same_subject
            && (&self.key, &self.profile, &self.updates, &self.published)
                == (&other.key, &other.profile, &other.updates, &other.published)
            && all(&self.alt_names) == all(&other.alt_names)
            && all(&self.extensions) == all(&other.extensions)
    }

    /// Whether the authority generates the key once the request is approved.
    pub fn awaits_key(&self) -> bool {
        let key = SubjectPublicKeyInfoRef::from_der(&self.key);
        key.is_ok_and(|key| key.subject_public_key.bit_len() == 0)
    }

    /// The requested subject, decoded; `None` if none was requested, or it cannot be decoded.
    pub fn subject(&self) -> Option<Name> {
        self.subject.as_deref().and_then(|der| Name::from_der(der).ok())
    }

    /// The names of the requested subjectAltName, decoded. Names that cannot be decoded are left out.
    pub fn alt_names(&self) -> Vec<GeneralName> {
        self.alt_names.iter().filter_map(|der| GeneralName::from_der(der).ok()).collect()
    }
}

/// A request that waits for approval, with the transaction in which it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingRequest {
    /// The transaction. The request waits until the transaction expires.
    pub transaction: Transaction,
    /// The incarnation of the account that was authorized. The store refuses the record if another account has the name
    /// by then. `None` skips this check.
    pub incarnation: Option<Incarnation>,
    /// The content of the request.
    pub request: RecordedRequest,
}

/// The decision about a waiting request. The number is the one in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Verdict {
    /// An administrator approved the request. The peer gets its certificate at its next poll.
    Approved = 1,
    /// An administrator rejected the request.
    Rejected = 2,
    /// The peer withdrew the request.
    Withdrawn = 3,
}

impl Verdict {
    /// The verdict with this number; `None` if there is none.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Approved, Self::Rejected, Self::Withdrawn]
            .into_iter()
            .find(|verdict| *verdict as u8 == number)
    }

    /// The verdict's name in commands and records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Withdrawn => "withdrawn",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A decision about a waiting request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The verdict.
    pub verdict: Verdict,
    /// A user of the operating system, such as `uid 0`, who decided; for a withdrawal, the account that made the
    /// request.
    pub actor: String,
    /// The administrator's comment, which the peer can read; at most [`MAX_COMMENT`] characters.
    pub comment: Option<String>,
}

/// One of several approvals that a request needs, because its profile requires more than one person to approve it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartialApproval {
    /// Who approved: the name of an administrator, or a user of the operating system or of the OpenID provider. One person counts once.
    /// After an administrator's name and a blank stands the user of the OpenID provider who the administrator is, if there is one.
    pub person: String,
    /// The person with the proof and the address, as the journal names them.
    pub actor: String,
    /// The administrator's comment; at most [`MAX_COMMENT`] characters.
    pub comment: Option<String>,
}

/// A recorded request that waits for approval, with the decision about it, if there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingRequest {
    /// The request's name.
    pub id: RequestId,
    /// When the request was recorded.
    pub received: Timestamp,
    /// The request.
    pub pending: PendingRequest,
    /// The decision and its time; `None` while the request waits.
    pub decision: Option<(Timestamp, Decision)>,
}

impl WaitingRequest {
    /// The verdict; `None` while the request waits.
    pub fn verdict(&self) -> Option<Verdict> {
        self.decision.as_ref().map(|(_, decision)| decision.verdict)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_named_by_the_beginning_of_its_digits() {
        let id = RequestId::of(b"a transaction");
        let text = id.to_string();
        let prefix = |text: &str| text.parse::<RequestPrefix>();
        assert!(prefix(&text[..6]).unwrap().matches(&id));
        assert!(prefix(&text.to_uppercase()).unwrap().matches(&id));
        assert!(!prefix(&text[..6]).unwrap().matches(&RequestId::of(b"another")));
        for wrong in ["", "12345", "xyzxyz", &format!("{text}0")] {
            assert!(prefix(wrong).is_err(), "{wrong}");
        }
    }
}
