//! The path that a peer gets with its certificate: the CA's certificate and those above it. The authority issues
//! nothing that no verifier would accept below that path (RFC 5280 §6.1). The constraints may be set by this instance,
//! or by a root elsewhere.

use std::sync::Arc;
use std::time::Duration;

use der::Decode;
use der::asn1::ObjectIdentifier;
use spki::AlgorithmIdentifierOwned;
use x509_cert::TbsCertificate;
use x509_cert::ext::pkix::constraints::name::NameConstraints;
use x509_cert::ext::pkix::{KeyUsage, KeyUsages};

use super::certificate::EndEntity;
use super::object::signed_object;
use crate::clock::Timestamp;
use crate::error::{Denial, Error, Result};
use crate::key::signature_algorithm;
use crate::name::sibling;
use crate::oid;
use crate::path::{Certificate, PathError, PathSettings, check};
use crate::profile::Names;
use crate::record::Serial;
use crate::x509::Facts;

/// The extended key usages that IKE daemons look for.
const IKE_PURPOSES: [ObjectIdentifier; 4] =
    [oid::IPSEC_IKE, oid::IKE_INTERMEDIATE, oid::SERVER_AUTH, oid::CLIENT_AUTH];

/// The path above the certificates that a CA issues, from the CA's own certificate to the trust anchor.
#[derive(Debug, Clone)]
pub struct HandedOut {
    /// The certificates from the CA upwards, without the anchor.
    between: Vec<Arc<Certificate>>,
    anchor: Arc<Certificate>,
    /// Whether the CA's certificate, or one above it, has name constraints or cannot be read.
    constrains_names: bool,
}

impl HandedOut {
    /// Reads a CA's certificate and those above it, DER, root last. Certificates that link to another key of the root may be
    /// between them; they are not on the path.
    ///
    /// # Errors
    /// [`Error::Malformed`] if one cannot be read, or there is none.
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
            // The root stands last in the chain, behind the certificates that link it to other keys. The search from
            // the end finds the root first.
            let Some(above) = left.iter().rposition(|above| anchor.is_signed_by(above)) else {
                break;
            };
            between.push(std::mem::replace(&mut anchor, left.remove(above)));
        }
        // A certificate that cannot be read may have constraints.
        let constrains_names = chain.iter().any(|der| {
            x509_cert::Certificate::from_der(der)
                .and_then(|read| Ok(read.tbs_certificate.get::<NameConstraints>()?.is_some()))
                .unwrap_or(true)
        });
        Ok(Self { between, anchor, constrains_names })
    }

    /// Checks that a verifier that trusts the anchor would accept this TBSCertificate (DER, and as it was decoded), once it is signed with
    /// `algorithm`, at the time `now` or, if that is later, at its notBefore.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Template`] that says what in the path forbids it.
    pub fn check(
        &self,
        tbs: &[u8],
        decoded: TbsCertificate,
        algorithm: &AlgorithmIdentifierOwned,
        now: Timestamp,
    ) -> Result<()> {
        self.check_for(tbs, decoded, algorithm, now, &PathSettings::default())
    }

    /// Like [`Self::check`], with settings of path validation.
    fn check_for(
        &self,
        tbs: &[u8],
        decoded: TbsCertificate,
        algorithm: &AlgorithmIdentifierOwned,
        now: Timestamp,
        settings: &PathSettings,
    ) -> Result<()> {
        // The path is checked before the signature is made, so another octet stands in its place.
        let der = signed_object(tbs, algorithm.clone(), &[0])?;
        let leaf = Arc::new(Certificate::decoded(&der, decoded).map_err(unread)?);
        // The certificate may become valid later.
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

    /// Checks that the CA can issue at least one certificate that a verifier accepts, for the purposes of IKE. The only name in the test
    /// certificate is a subject: the CA's name with another common name.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Template`] that says what in the path forbids it.
    pub fn probe(&self, now: Timestamp) -> Result<()> {
        let issuer = Facts::of(self.issuer().der())?;
        let names = Names { subject: sibling(&issuer.subject, "probe")?, alt_names: Vec::new() };
        let settings =
            PathSettings { key_purposes: IKE_PURPOSES.to_vec(), ..PathSettings::default() };
        self.check_names(&issuer, names, now, &settings)
    }

    /// Checks that the name constraints of the path permit these names, before a certificate is made. A path without name constraints
    /// permits all. `issuer` is the CA's certificate.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Template`] that says what in the path forbids them.
    pub fn permits(&self, issuer: &Facts, names: Names, now: Timestamp) -> Result<()> {
        match self.constrains_names {
            true => self.check_names(issuer, names, now, &PathSettings::default()),
            false => Ok(()),
        }
    }

    /// Makes a test certificate with these names and checks it. It is never signed.
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
            says_no_ca: false,
        }
        .tbs()?;
        let decoded = TbsCertificate::from_der(&tbs).map_err(Error::internal)?;
        self.check_for(&tbs, decoded, &algorithm, now, settings)
    }

    fn issuer(&self) -> &Certificate {
        self.between.first().unwrap_or(&self.anchor)
    }
}

fn unread(e: PathError) -> Error {
    Error::malformed(format!("a certificate of the path that is handed out: {e}"))
}
