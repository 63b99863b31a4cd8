//! A CRL, parsed once. Its entries are parsed when they are used first.

use std::ops::Range;
use std::sync::{Mutex, OnceLock, PoisonError};

use der::asn1::{Any, AnyRef, BitStringRef, Uint};
use der::oid::AssociatedOid;
use der::{Decode, Encode, Reader, SliceReader, Tag, TagNumber, Tagged};
use sha2::{Digest, Sha256};
use spki::AlgorithmIdentifierOwned;
use x509_cert::ext::pkix::crl::dp::IssuingDistributionPoint;
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, CrlNumber, FreshestCrl};
use x509_cert::name::Name;

use super::entries::{Entries, Entry};
use crate::clock::Timestamp;
use crate::name::same_name;
use crate::oid;
use crate::path::certificate::{Certificate, SignedParts, any_moment, signed_parts, verify};
use crate::path::extension::Extension;
use crate::path::legible::legible;
use crate::sets;

/// The reason why a CRL cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a CRL in DER: {0}")]
pub struct CrlError(String);

impl From<der::Error> for CrlError {
    fn from(error: der::Error) -> Self {
        Self(error.to_string())
    }
}

/// The most keys for which the outcome of verifying a CRL's signature is cached.
const MAX_CHECKED: usize = 32;

/// SHA-256 of a SubjectPublicKeyInfo, and whether the signature verifies with that key.
type Checked = ([u8; 32], Result<(), String>);

/// A CRL. Its signature is not verified by reading it.
#[derive(Debug)]
pub struct Crl {
    signed: Vec<u8>,
    pub(super) algorithm: AlgorithmIdentifierOwned,
    signature: Vec<u8>,
    pub(super) issuer: Name,
    /// thisUpdate.
    pub this_update: Timestamp,
    /// nextUpdate; `None` if there is none.
    pub next_update: Option<Timestamp>,
    pub(super) number: Option<Vec<u8>>,
    pub(super) base: Option<Vec<u8>>,
    pub(super) scope: IssuingDistributionPoint,
    pub(super) authority_key: Option<Vec<u8>>,
    /// The position of the content of revokedCertificates in `signed`.
    place: Range<usize>,
    entries: OnceLock<Entries>,
    /// The reason why the CRL must not be used at all.
    unusable: Option<String>,
    /// The reason why the CRL does not show that a certificate is good. The certificates that it lists are nevertheless
    /// revoked.
    flaw: Option<String>,
    /// The cached outcomes of verifying the signature.
    checked: Mutex<Vec<Checked>>,
}

impl Crl {
    /// Reads a CRL, DER.
    ///
    /// ```text
    /// TBSCertList  ::=  SEQUENCE  {
    ///      version                 Version OPTIONAL, -- if present, MUST be v2
    ///      signature               AlgorithmIdentifier,
    ///      issuer                  Name,
    ///      thisUpdate              Time,
    ///      nextUpdate              Time OPTIONAL,
    ///      revokedCertificates     SEQUENCE OF SEQUENCE  { … }  OPTIONAL,
    ///      crlExtensions           [0]  EXPLICIT Extensions OPTIONAL }
    /// ```
    /// RFC 5280 §5.1.
    ///
    /// # Errors
    /// The octets are not a CRL, or a set in it has too many elements.
    pub fn from_der(der: &[u8]) -> Result<Self, CrlError> {
        let SignedParts { signed, algorithm, signature } = signed_parts(der)?;
        let outer = AnyRef::from_der(signed)?;
        outer.tag().assert_eq(Tag::Sequence)?;
        let content = signed.len().saturating_sub(outer.value().len());
        let mut reader = SliceReader::new(outer.value())?;
        let version = match reader.peek_tag()? {
            Tag::Integer => Some(u8::decode(&mut reader)?),
            _ => None,
        };
        let named = AlgorithmIdentifierOwned::decode(&mut reader)?;
        let issuer = reader.tlv_bytes()?;
        if !sets::are_small(issuer) {
            return Err(too_large());
        }
        let issuer = Name::from_der(&legible(issuer))?;
        let this_update = AnyRef::decode(&mut reader)?;
        let next = next_tag(&reader)?;
        let next_update = match next {
            Some(Tag::UtcTime | Tag::GeneralizedTime) => Some(AnyRef::decode(&mut reader)?),
            _ => None,
        };
        let mut place = 0..0;
        if next_tag(&reader)? == Some(Tag::Sequence) {
            let entries = AnyRef::decode(&mut reader)?.value();
            let end = content.saturating_add(usize::try_from(reader.position())?);
            place = end.saturating_sub(entries.len())..end;
        }
        let extensions = match next_tag(&reader)? {
            Some(Tag::ContextSpecific { constructed: true, number: TagNumber::N0 }) => {
                Some(AnyRef::decode(&mut reader)?.value())
            }
            _ => None,
        };
        reader.finish(())?;
        let mut crl = Self {
            issuer,
            this_update: any_moment(this_update.tag(), this_update.value())?,
            next_update: next_update.map(|at| any_moment(at.tag(), at.value())).transpose()?,
            number: None,
            base: None,
            scope: everything(),
            authority_key: None,
            place,
            entries: OnceLock::new(),
            unusable: None,
            flaw: None,
            checked: Mutex::default(),
            signed: signed.to_vec(),
            algorithm,
            signature,
        };
        if named != crl.algorithm {
            crl.unusable =
                Some("the two names of its signature algorithm differ (§5.1.1.2)".into());
        }
        match (version, extensions) {
            (Some(1), _) | (None, None) => {}
            (None, Some(_)) => {
                crl.flaw = Some("it has extensions, and is not of version 2 (§5.1.2.1)".into());
            }
            (Some(other), _) => {
                crl.flaw = Some(format!("its version is {other}, where only 1 exists (§5.1.2.1)"));
            }
        }
        if let Some(extensions) = extensions {
            crl.extensions(extensions)?;
        }
        Ok(crl)
    }

    /// Reads the extensions. Problems are recorded in `unusable` or `flaw`.
    fn extensions(&mut self, der: &[u8]) -> Result<(), CrlError> {
        if !sets::are_small(der) {
            return Err(too_large());
        }
        let all = Extension::all(der)?;
        for extension in &all {
            let octets = &*legible(extension.value);
            if extension.is(&CrlNumber::OID) {
                self.number = self.integer(octets, "cRLNumber (§5.2.3)");
                if extension.critical {
                    self.unusable =
                        Some("its cRLNumber is critical, and must not be (§5.2.3)".into());
                }
            } else if extension.is(&oid::DELTA_CRL_INDICATOR) {
                let base = self.integer(octets, "deltaCRLIndicator (§5.2.4)");
                // A base that cannot be read is replaced by an impossible one. The CRL then fits no complete CRL, but
                // still does not count as complete itself.
                self.base = Some(base.unwrap_or_else(|| vec![0xff; 64]));
            } else if extension.is(&oid::ISSUING_DISTRIBUTION_POINT) {
                match IssuingDistributionPoint::from_der(octets) {
                    Ok(scope) => self.scope = scope,
                    Err(_) => {
                        self.unusable =
                            Some("its issuingDistributionPoint cannot be read (§5.2.5)".into());
                    }
                }
            } else if extension.is(&AuthorityKeyIdentifier::OID) {
                match AuthorityKeyIdentifier::from_der(octets) {
                    Ok(of) => {
                        self.authority_key = of.key_identifier.map(|of| of.as_bytes().to_vec());
                    }
                    Err(_) => {
                        self.flaw =
                            Some("its authorityKeyIdentifier cannot be read (§5.2.1)".into());
                    }
                }
            } else if extension.critical
                && !extension.is(&FreshestCrl::OID)
                && !extension.is(&oid::ISSUER_ALT_NAME)
            {
                self.unusable = Some(format!(
                    "its critical extension `{}` is unknown (§5.2)",
                    extension.shown()
                ));
            }
        }
        if let Some(twice) = Extension::twice(&all) {
            self.unusable = Some(format!("it has the extension `{}` twice (§4.2)", twice.shown()));
        }
        Ok(())
    }

    /// Reads a non-negative INTEGER, and returns it without leading zeros. If it cannot be read, records that as a
    /// flaw.
    fn integer(&mut self, der: &[u8], of: &str) -> Option<Vec<u8>> {
        let read = Uint::from_der(der).map(|number| number.as_bytes().to_vec());
        if read.is_err() {
            self.flaw = Some(format!("its {of} cannot be read"));
        }
        read.ok()
    }

    /// The CRL, DER.
    ///
    /// # Errors
    /// The CRL is too long.
    pub fn to_der(&self) -> der::Result<Vec<u8>> {
        let rest = [self.algorithm.to_der()?, BitStringRef::from_bytes(&self.signature)?.to_der()?]
            .concat();
        Any::new(Tag::Sequence, [self.signed.as_slice(), &rest].concat())?.to_der()
    }

    /// The CRL's issuer.
    pub fn issuer(&self) -> &Name {
        &self.issuer
    }

    /// The key identifier of the signer, from the authorityKeyIdentifier; `None` if there is none.
    pub fn authority_key(&self) -> Option<&[u8]> {
        self.authority_key.as_deref()
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.entries().len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// SHA-256 over the TBSCertList.
    pub fn signed_sha256(&self) -> [u8; 32] {
        Sha256::digest(&self.signed).into()
    }

    /// The cRLNumber, without leading zeros; `None` if there is none, or it cannot be read.
    pub fn number(&self) -> Option<&[u8]> {
        self.number.as_deref()
    }

    /// Fails with the reason unless this CRL alone shows the status of every certificate of its issuer at `at`: it is complete, has not
    /// ended, and every part of it is understood. Only call this after the signature was verified.
    ///
    /// # Errors
    /// A sentence that says why it does not.
    pub fn tells_of_all(&self, at: Timestamp) -> Result<(), String> {
        self.is_usable()?;
        self.has_usable_entries()?;
        if self.is_delta() {
            return Err("it is a delta CRL (§5.2.4)".into());
        }
        if self.scope != everything() {
            return Err("it is for a part of the certificates only (§5.2.5)".into());
        }
        self.tells_until(at).map(|_| ())
    }

    /// Whether this CRL is older than another one of the same issuer. They are compared by cRLNumber if both have one
    /// and name the same key in authorityKeyIdentifier, and otherwise by thisUpdate.
    pub fn is_older_than(&self, other: &Self) -> bool {
        match (&self.number, &other.number) {
            (Some(own), Some(number)) if self.authority_key == other.authority_key => {
                order(own, number).is_lt()
            }
            _ => self.this_update < other.this_update,
        }
    }

    /// Whether this CRL replaces another one, provided that one key signed both: it is at least as recent, and of the
    /// same scope and kind.
    pub fn replaces(&self, other: &Self) -> bool {
        self.scope == other.scope
            && self.is_delta() == other.is_delta()
            && !self.is_older_than(other)
    }

    /// Whether the two are the same CRL.
    pub fn is_same(&self, other: &Self) -> bool {
        self.signature == other.signature && self.signed == other.signed
    }

    /// Whether this CA is the CRL's issuer by name, and its key verifies the signature.
    pub fn is_signed_by(&self, signer: &Certificate) -> bool {
        same_name(&self.issuer, &signer.subject_name) && self.verify(signer.spki()).is_ok()
    }

    /// Verifies the signature with this SubjectPublicKeyInfo. The outcome is cached, because a CRL can have megabytes
    /// and is consulted often.
    pub(super) fn verify(&self, spki: &[u8]) -> Result<(), String> {
        let key: [u8; 32] = Sha256::digest(spki).into();
        let known = |of: &[Checked]| {
            of.iter().find(|(of, _)| *of == key).map(|(_, verified)| verified.clone())
        };
        if let Some(verified) = known(&self.checked.lock().unwrap_or_else(PoisonError::into_inner))
        {
            return verified;
        }
        // The lock is not held here: a signature over megabytes takes a while, and two threads may both verify it.
        let verified = verify(spki, &self.algorithm, &self.signed, &self.signature);
        let mut checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        if checked.len() < MAX_CHECKED {
            checked.push((key, verified.clone()));
        }
        verified
    }

    /// Whether this is a delta CRL, which complements a complete CRL (§5.2.4).
    pub fn is_delta(&self) -> bool {
        self.base.is_some()
    }

    /// The entries, which are parsed at the first use.
    fn entries(&self) -> &Entries {
        self.entries.get_or_init(|| {
            let (place, at) = (self.place.clone(), self.this_update);
            Entries::read(&self.signed, place, at, &self.scope)
        })
    }

    /// The entry of a certificate; `None` if the CRL has none. Only call this after the signature was verified: parsing
    /// the entries costs time in proportion to their number.
    pub(super) fn entry(&self, certificate: &Certificate) -> Option<Entry> {
        self.entries().of(&self.signed, &self.issuer, certificate)
    }

    /// Fails with the reason if the CRL must not be used at all, as far as its fields other than the entries show.
    pub(super) fn is_usable(&self) -> Result<(), String> {
        self.unusable.clone().map_or(Ok(()), Err)
    }

    /// Like [`Self::is_usable`], for the entries. Only call this after the signature was verified.
    pub(super) fn has_usable_entries(&self) -> Result<(), String> {
        self.entries().unusable.clone().map_or(Ok(()), Err)
    }

    /// The moment until which the CRL shows that unlisted certificates are good, or a sentence that says why it does
    /// not. Only call this after the signature was verified.
    pub(super) fn tells_until(&self, at: Timestamp) -> Result<Timestamp, String> {
        if let Some(flaw) = self.flaw.as_ref().or(self.entries().flaw.as_ref()) {
            return Err(flaw.clone());
        }
        if at < self.this_update {
            return Err(format!("it is of {}, and now is {at}", self.this_update));
        }
        match self.next_update {
            Some(next) if at.whole_seconds() <= next => Ok(next),
            Some(next) => Err(format!("it ended at {next}, and now is {at}")),
            None => Err("it has no nextUpdate (§5.1.2.5)".into()),
        }
    }

    /// Whether nextUpdate has passed at `at`; `false` if there is none.
    pub(super) fn has_ended(&self, at: Timestamp) -> bool {
        self.next_update.is_some_and(|next| at.whole_seconds() > next)
    }
}

/// The tag of the next element; `None` at the end.
fn next_tag(reader: &SliceReader<'_>) -> der::Result<Option<Tag>> {
    if reader.is_finished() { Ok(None) } else { reader.peek_tag().map(Some) }
}

fn too_large() -> CrlError {
    CrlError("a set in it has too many elements".into())
}

/// The scope of a CRL without issuingDistributionPoint.
fn everything() -> IssuingDistributionPoint {
    IssuingDistributionPoint {
        distribution_point: None,
        only_contains_user_certs: false,
        only_contains_ca_certs: false,
        only_some_reasons: None,
        indirect_crl: false,
        only_contains_attribute_certs: false,
    }
}

/// Compares two numbers without leading zeros.
pub(super) fn order(left: &[u8], right: &[u8]) -> std::cmp::Ordering {
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}
