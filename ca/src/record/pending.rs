//! Requests for certificates that wait for an administrator, as the store keeps them, and what was decided about them.
//!
//! What is kept is the request in the domain's terms, whatever protocol it came in: a key whose possession was proven,
//! and what was asked for. Nothing is signed before it was approved, and it is authorized anew then.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use der::{Decode, Encode};
use ring::digest;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::path::same_name;
use crate::key::public::ProvenKey;
use crate::record::{Incarnation, Label, Serial, Transaction};
use crate::authority::request::CertificateRequest;

/// The most requests that wait at once, of all accounts: those that are neither rejected nor withdrawn.
pub const MAX_PENDING: usize = 4096;

/// The most requests of one account that wait at once.
pub const MAX_PENDING_OF_ACCOUNT: usize = 8;

/// The most transactions that ask for one request again.
pub const MAX_JOINED: u16 = 4096;

/// The longest words of an administrator, in characters.
pub const MAX_WORDS: usize = 300;

/// The fewest digits that name a request.
const MIN_DIGITS: usize = 6;

/// The name of a request: the first half of SHA-256 over its transaction's identifier, which strangers choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId([u8; 16]);

impl RequestId {
    /// Of the transaction with this identifier.
    pub fn of(transaction: &[u8]) -> Self {
        let hash = digest::digest(&digest::SHA256, transaction);
        Self(hash.as_ref().first_chunk().copied().unwrap_or_default())
    }

    /// From its 16 octets.
    pub const fn new(octets: [u8; 16]) -> Self {
        Self(octets)
    }

    /// Its 16 octets.
    pub const fn octets(&self) -> &[u8; 16] {
        &self.0
    }
}

/// 32 lower-case hexadecimal digits.
impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

/// The beginning of a request's name, as an administrator types it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestPrefix(String);

impl RequestPrefix {
    /// Whether a request's name begins so.
    pub fn matches(&self, id: &RequestId) -> bool {
        id.to_string().starts_with(&self.0)
    }
}

impl fmt::Display for RequestPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// 6 to 32 hexadecimal digits, in upper or lower case.
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

/// What a request asked for. Names and extensions are DER.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedRequest {
    /// The SubjectPublicKeyInfo of a key whose possession was proven.
    pub key: Vec<u8>,
    /// The subject asked for.
    pub subject: Option<Vec<u8>>,
    /// The subjectAltName asked for.
    pub alt_names: Vec<Vec<u8>>,
    /// Every other extension asked for.
    pub extensions: Vec<Vec<u8>>,
    /// The notBefore asked for.
    pub not_before: Option<Timestamp>,
    /// The notAfter asked for.
    pub not_after: Option<Timestamp>,
    /// The profile that it was authorized under; another one of the account means another request.
    pub profile: Label,
    /// The CA that it was authorized for.
    pub ca: Label,
    /// The certificate that the new one replaces.
    pub updates: Option<Serial>,
    /// Whether it is to be found in directories, if that is said.
    pub published: Option<bool>,
}

impl RecordedRequest {
    /// A request as it is recorded, with the profile and the CA that were decided for it.
    ///
    /// # Errors
    /// [`Error::Internal`] when it cannot be encoded.
    pub fn of(request: &CertificateRequest, profile: &Label, ca: &Label) -> Result<Self> {
        fn all(values: &[impl Encode]) -> Result<Vec<Vec<u8>>> {
            values.iter().map(|value| value.to_der().map_err(Error::internal)).collect()
        }
        Ok(Self {
            key: request.key.key().der().to_vec(),
            subject: request
                .subject
                .as_ref()
                .map(Name::to_der)
                .transpose()
                .map_err(Error::internal)?,
            alt_names: all(&request.alt_names)?,
            extensions: all(&request.extensions)?,
            not_before: request.not_before,
            not_after: request.not_after,
            profile: profile.clone(),
            ca: ca.clone(),
            updates: request.updates,
            published: request.published,
        })
    }

    /// Whether another one asks for the same, but for the validity, which a client counts from when it asks, and the CA: by which of
    /// its keys it issues at a time, the authority knows.
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

    /// The request again. The proof of possession was verified before it was recorded.
    pub(crate) fn request(&self) -> Result<CertificateRequest> {
        fn all<T: for<'a> Decode<'a>>(values: &[Vec<u8>]) -> Result<Vec<T>> {
            values.iter().map(|der| T::from_der(der).map_err(Error::internal)).collect()
        }
        Ok(CertificateRequest {
            key: ProvenKey::recorded(&self.key)?,
            subject: self.subject(),
            alt_names: all(&self.alt_names)?,
            not_before: self.not_before,
            not_after: self.not_after,
            extensions: all::<Extension>(&self.extensions)?,
            profile: Some(self.profile.clone()),
            ca: Some(self.ca.clone()),
            updates: self.updates,
            published: self.published,
        })
    }

    /// The subject asked for.
    pub fn subject(&self) -> Option<Name> {
        self.subject.as_deref().and_then(|der| Name::from_der(der).ok())
    }

    /// The subjectAltName asked for.
    pub fn alt_names(&self) -> Vec<GeneralName> {
        self.alt_names.iter().filter_map(|der| GeneralName::from_der(der).ok()).collect()
    }
}

/// A request with the transaction that it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingRequest {
    /// The transaction. Until it expires, the request waits.
    pub transaction: Transaction,
    /// Which account of that name was authorized: it must be the present one when this is recorded. `None` asks for none.
    pub incarnation: Option<Incarnation>,
    /// What is asked for.
    pub request: RecordedRequest,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Verdict {
    /// An administrator approved it: the peer gets its certificate when it asks next.
    Approved = 1,
    /// An administrator rejected it.
    Rejected = 2,
    /// The peer gave it up.
    Withdrawn = 3,
}

impl Verdict {
    /// The verdict with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Approved, Self::Rejected, Self::Withdrawn]
            .into_iter()
            .find(|verdict| *verdict as u8 == number)
    }

    /// Its name.
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

/// A decision about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What was decided.
    pub verdict: Verdict,
    /// Who: a user of the operating system, or the account itself that withdraws.
    pub actor: String,
    /// The administrator's words, which the peer reads.
    pub words: Option<String>,
}

/// A request that waits, and what is decided about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingRequest {
    /// Its name.
    pub id: RequestId,
    /// When it came.
    pub received: Timestamp,
    /// The request.
    pub pending: PendingRequest,
    /// What was decided and when; `None` while nothing is.
    pub decision: Option<(Timestamp, Decision)>,
}

impl WaitingRequest {
    /// Whether it was approved or rejected.
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
