//! The path that is handed out with what a CA issues: its certificate and those above it. What no verifier would accept
//! below it is not issued (RFC 5280 §6.1), be it by constraints that this instance set or by those of a root elsewhere.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use der::asn1::{AnyRef, BitStringRef, ObjectIdentifier};
use der::{Decode, Encode, Sequence};
use spki::AlgorithmIdentifierOwned;
use x509_cert::ext::pkix::constraints::name::NameConstraints;
use x509_cert::ext::pkix::{KeyUsage, KeyUsages};

use crate::authority::accounts::AccountDraft;
use crate::signed::certificate::{EndEntity, Facts};
use crate::clock::Timestamp;
use crate::error::{Denial, Error, Result};
use crate::founding::generation;
use crate::key::signature_algorithm;
use crate::record::line::issuing_now;
use crate::path::{Certificate, PathError, PathSettings, check};
use crate::profile::Profiles;
use crate::record::{Account, CaRecord, Incarnation, Label, Serial};
use crate::profile::subject::{self, Names};

/// What IKE daemons look for in an extended key usage: ipsecIKE, iKEIntermediate, serverAuth, clientAuth.
const IKE_PURPOSES: [&str; 4] =
    ["1.3.6.1.5.5.7.3.17", "1.3.6.1.5.5.8.2.2", "1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"];

/// The certificates above what a CA issues, its own first; the last one is the anchor.
#[derive(Debug, Clone)]
pub struct HandedOut {
    /// From the CA up, without the anchor.
    between: Vec<Arc<Certificate>>,
    anchor: Arc<Certificate>,
    /// Whether one of them constrains names.
    constrains_names: bool,
}

/// ```text
/// Certificate  ::=  SEQUENCE  {
///      tbsCertificate       TBSCertificate,
///      signatureAlgorithm   AlgorithmIdentifier,
///      signatureValue       BIT STRING  }
/// ```
/// RFC 5280 §4.1, before its signature is made.
#[derive(Sequence)]
struct Unsigned<'a> {
    tbs: AnyRef<'a>,
    algorithm: AlgorithmIdentifierOwned,
    signature: BitStringRef<'a>,
}

impl HandedOut {
    /// Of a CA's certificate and those above it, root last; certificates that lead to another key of the root may stand between.
    ///
    /// # Errors
    /// [`Error::Malformed`] when one cannot be read.
    pub fn of(chain: &[Vec<u8>]) -> Result<Self> {
        let read = |der: &Vec<u8>| Certificate::from_der(der.clone()).map(Arc::new);
        let mut left =
            chain.iter().map(read).collect::<Result<Vec<_>, PathError>>().map_err(unread)?;
        if left.is_empty() {
            return Err(Error::malformed("expected a CA's certificate, found none"));
        }
        let mut anchor = left.remove(0);
        let mut between = Vec::new();
        while !anchor.is_self_issued() {
            // The root itself comes before another certificate for its key.
            let Some(above) = left.iter().rposition(|above| anchor.is_signed_by(above)) else {
                break;
            };
            between.push(std::mem::replace(&mut anchor, left.remove(above)));
        }
        // What cannot be read may constrain.
        let constrains_names = chain.iter().any(|der| {
            x509_cert::Certificate::from_der(der)
                .and_then(|read| Ok(read.tbs_certificate.get::<NameConstraints>()?.is_some()))
                .unwrap_or(true)
        });
        Ok(Self { between, anchor, constrains_names })
    }

    /// Whether a verifier that trusts the anchor accepts a TBSCertificate below it, once it is signed.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Template`] that says what of the path forbids it.
    pub fn check(
        &self,
        tbs: &[u8],
        algorithm: &AlgorithmIdentifierOwned,
        now: Timestamp,
    ) -> Result<()> {
        self.check_for(tbs, algorithm, now, &PathSettings::default())
    }

    fn check_for(
        &self,
        tbs: &[u8],
        algorithm: &AlgorithmIdentifierOwned,
        now: Timestamp,
        settings: &PathSettings,
    ) -> Result<()> {
        let unsigned = Unsigned {
            tbs: AnyRef::from_der(tbs).map_err(Error::internal)?,
            algorithm: algorithm.clone(),
            signature: BitStringRef::from_bytes(&[0]).map_err(Error::internal)?,
        };
        let der = unsigned.to_der().map_err(Error::internal)?;
        let leaf = Arc::new(Certificate::from_der(der).map_err(unread)?);
        // It may be for later.
        let at = now.max(leaf.not_before);
        let path: Vec<_> =
            std::iter::once(leaf).chain(self.between.iter().map(Arc::clone)).collect();
        check(&path, &self.anchor, settings, at).map_err(|why| {
            Error::denied(
                Denial::Template,
                format!(
                    "no verifier would accept the certificate below `{}`: {why}",
                    self.issuer().shown()
                ),
            )
        })
    }

    /// Whether the CA can issue anything that a verifier accepts, judged by a certificate with no name but one beside the CA's own.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Template`] that says what of the path forbids it.
    pub fn probe(&self, now: Timestamp) -> Result<()> {
        let issuer = Facts::of(self.issuer().der())?;
        let names =
            Names { subject: generation::beside(&issuer.subject, "probe")?, alt_names: Vec::new() };
        let purposes = IKE_PURPOSES.map(ObjectIdentifier::new);
        let key_purposes =
            purposes.into_iter().collect::<Result<Vec<_>, _>>().map_err(Error::internal)?;
        let settings = PathSettings { key_purposes, ..PathSettings::default() };
        self.check_names(&issuer, names, now, &settings)
    }

    /// Whether the path permits these names, before there is anything to sign.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Template`] that says what of the path forbids them.
    pub fn permits(&self, issuer: &Facts, names: Names, now: Timestamp) -> Result<()> {
        match self.constrains_names {
            true => self.check_names(issuer, names, now, &PathSettings::default()),
            false => Ok(()),
        }
    }

    fn check_names(
        &self,
        issuer: &Facts,
        names: Names,
        now: Timestamp,
        settings: &PathSettings,
    ) -> Result<()> {
        let algorithm = signature_algorithm(issuer.key.kind());
        let tbs = EndEntity {
            serial: Serial::new([1; 16])
                .ok_or_else(|| Error::internal("a serial number of ones"))?,
            issuer: &issuer.subject,
            issuer_key_identifier: &issuer.key_identifier,
            signature: algorithm.clone(),
            not_before: now.whole_seconds(),
            not_after: now.plus(Duration::from_secs(60)).whole_seconds(),
            subject: names.subject,
            key: &issuer.key,
            alt_names: names.alt_names,
            key_usage: KeyUsage(KeyUsages::DigitalSignature.into()),
            extended_key_usage: &[],
            policies: &[],
            crl_urls: Vec::new(),
            ocsp_urls: Vec::new(),
            ca_issuers_urls: Vec::new(),
            ocsp_nocheck: false,
        }
        .tbs()?;
        self.check_for(&tbs, &algorithm, now, settings)
    }

    fn issuer(&self) -> &Certificate {
        self.between.first().unwrap_or(&self.anchor)
    }
}

/// Refuses accounts with names that the CA which issues for them may not certify.
///
/// # Errors
/// `Denied` with [`Denial::Template`] that names the first such account, and what of the path forbids it.
pub fn refuse_outside(
    cas: &[CaRecord],
    default: Option<&Label>,
    profiles: &Profiles,
    drafts: &[AccountDraft],
    now: Timestamp,
) -> Result<()> {
    let mut paths: HashMap<&Label, (HandedOut, Facts)> = HashMap::new();
    for draft in drafts {
        // What else is wrong with a draft, is told where it is made an account.
        let named = draft.ca.as_ref().or(default);
        let Some(ca) = named.and_then(|named| issuing_now(cas.iter(), named)) else { continue };
        let Some(profile) = profiles.named(&draft.profile) else { continue };
        let account = Account {
            name: draft.name.clone(),
            identities: draft.identities.clone(),
            profile: draft.profile.clone(),
            ca: draft.ca.clone(),
            secret: None,
            equipment: None,
            created: now,
            permissions: Default::default(),
            incarnation: Incarnation::NONE,
        };
        let names = subject::decide(&account, profile, None, None, &mut Vec::new());
        let Ok(names) = names else { continue };
        if !paths.contains_key(&ca.name) {
            let chain: Vec<Vec<u8>> =
                std::iter::once(&ca.certificate).chain(&ca.chain).cloned().collect();
            paths.insert(&ca.name, (HandedOut::of(&chain)?, Facts::of(&ca.certificate)?));
        }
        if let Some((path, issuer)) = paths.get(&ca.name) {
            // A CA that ended is told by `readyz` and at the enrolment; here names matter.
            let at = now.min(issuer.not_after);
            path.permits(issuer, names, at).map_err(|why| match why {
                Error::Denied { kind, why } => {
                    Error::denied(kind, format!("account `{}`: {why}", draft.name))
                }
                other => other,
            })?;
        }
    }
    Ok(())
}

fn unread(e: PathError) -> Error {
    Error::malformed(format!("a certificate of the path that is handed out: {e}"))
}
