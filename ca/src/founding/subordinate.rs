//! Certifies a subordinate CA whose private key is elsewhere (`countersign ca sign`): what an offline root does for an issuing CA.
//!
//! The certificate is recorded under an account of the instance's own, so that it is listed, revoked and on CRLs like any other.

use std::time::Duration;

use super::ca_certificate::{self, CaOptions, Constraint};
use super::ca_subject;
use super::foundation::Foundation;
use crate::clock::Timestamp;
use crate::error::{Denial, Error, Result};
use crate::key::{KeyKind, ProvenKey};
use crate::name::{Name, same_name};
use crate::record::inventory::{CertificateQuery, ListOrder};
use crate::record::{CaRecord, CertificateId, Issued, Label, Serial};
use crate::x509::{Facts, Policy};

/// The account and the profile under which certificates of subordinate CAs are recorded.
const ACCOUNT: &str = "_ca";

/// The most certificates of subordinate CAs among which one of the same subject is looked for.
const MOST_EARLIER: usize = 1000;

/// What the certificate of a subordinate CA contains besides its subject and key.
#[derive(Debug, Clone)]
pub struct SubordinateOptions {
    /// How long it is valid. It never outlives its issuer.
    pub validity: Duration,
    /// How many CAs may be below it in a path.
    pub path_length: u8,
    /// The names that it may certify; empty for no limit.
    pub permitted: Vec<Constraint>,
    /// The names that it may not certify.
    pub excluded: Vec<Constraint>,
    /// Its certificate policies.
    pub policies: Vec<Policy>,
    /// The URLs of the issuer's CRL.
    pub crl_urls: Vec<String>,
    /// The URLs of the issuer's certificate.
    pub ca_issuers_urls: Vec<String>,
}

/// The certificate of a subordinate CA that can be signed, for a person to look at before.
#[derive(Debug)]
pub struct Subordinate<'a> {
    foundation: &'a Foundation,
    issuer: CaRecord,
    key: ProvenKey,
    options: CaOptions,
    /// The issuer's subject.
    pub issuer_subject: Name,
    /// The kind of the subordinate's key.
    pub kind: KeyKind,
    /// SHA-256 over the SubjectPublicKeyInfo of the request, to compare with what the other machine shows.
    pub key_sha256: [u8; 32],
    /// The end of the certificate's validity.
    pub not_after: Timestamp,
}

impl Foundation {
    /// Prepares the certificate of a subordinate CA with this subject and key, below `ca`, or without that below the root whose key is
    /// here. Nothing is recorded yet.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Conflict`] if there is no such CA, its key is elsewhere, it has ended, or the subject is that of a CA here, or
    /// of one that was certified with another key; with [`Denial::Template`] if no CA may be below it.
    pub fn subordinate(
        &self,
        ca: Option<&Label>,
        subject: Name,
        key: ProvenKey,
        options: SubordinateOptions,
    ) -> Result<Subordinate<'_>> {
        let cas = self.store.cas()?;
        let issuer = match ca {
            None => self.signing_root()?,
            Some(name) => {
                let found = cas.iter().find(|ca| ca.name == *name).cloned();
                let found = found.filter(|_| self.keys.contains(name.as_str()));
                found.ok_or_else(|| {
                    conflict(format!(
                        "there is no CA `{name}` whose key is here; `countersign ca show` lists the CAs"
                    ))
                })?
            }
        };
        ca_subject::refuse_taken(&subject, &cas)?;
        let public = key.key();
        self.refuse_other_key(&issuer.name, &subject, public.der())?;
        let above = Facts::of(&issuer.certificate)?;
        let now = self.clock.now();
        if above.not_after <= now {
            return Err(conflict(format!("the CA `{}` ended on {}", issuer.name, above.not_after)));
        }
        if let Some(allowed) = ca_certificate::path_length(&issuer.certificate)?
            && options.path_length >= allowed
        {
            return Err(Error::denied(
                Denial::Template,
                match allowed {
                    0 => format!(
                        "the CA `{}` may have no CA below it (pathLenConstraint 0)",
                        issuer.name
                    ),
                    _ => format!(
                        "below the CA `{}` (pathLenConstraint {allowed}), expected a path length below {allowed}, found {}",
                        issuer.name, options.path_length
                    ),
                },
            ));
        }
        let hash = ring::digest::digest(&ring::digest::SHA256, public.der());
        Ok(Subordinate {
            kind: public.kind(),
            key_sha256: hash.as_ref().try_into().map_err(Error::internal)?,
            not_after: now.plus(options.validity).min(above.not_after).whole_seconds(),
            issuer_subject: above.subject,
            options: CaOptions {
                subject,
                validity: options.validity,
                path_length: Some(options.path_length),
                permitted: options.permitted,
                excluded: options.excluded,
                policies: options.policies,
                crl_urls: options.crl_urls,
                ocsp_urls: Vec::new(),
                ca_issuers_urls: options.ca_issuers_urls,
            },
            foundation: self,
            issuer,
            key,
        })
    }

    /// Refuses a subject that this CA certified with another key before: the CRLs of both keys would have one name (ADR 15).
    fn refuse_other_key(&self, ca: &Label, subject: &Name, spki: &[u8]) -> Result<()> {
        let query = CertificateQuery {
            ca: Some(ca.clone()),
            account: Some(ACCOUNT.parse()?),
            order: ListOrder::IssuedReversed,
            now: self.clock.now(),
            ..CertificateQuery::default()
        };
        for earlier in self.store.list(&query, None, MOST_EARLIER)?.records {
            let facts = Facts::of(&earlier.certificate)?;
            if same_name(&facts.subject, subject) && facts.key.der() != spki {
                return Err(conflict(format!(
                    "the certificate {} is for the subject `{subject}` and another key; NSS and GnuTLS keep one CRL for each name, so let the \
                     subordinate CA ask with another subject",
                    earlier.serial
                )));
            }
        }
        Ok(())
    }
}

impl Subordinate<'_> {
    /// The CA that signs.
    pub const fn issuer(&self) -> &CaRecord {
        &self.issuer
    }

    /// The content of the certificate.
    pub const fn content(&self) -> &CaOptions {
        &self.options
    }

    /// Signs the certificate and records it. Returns its serial number, and the certificate with those above it, DER, root last.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Template`] that names the lint rule which the certificate would break; [`Error::Malformed`] if the subject
    /// cannot be encoded; the errors of the store and of the key folder.
    pub fn sign(self) -> Result<(Serial, Vec<Vec<u8>>)> {
        let Self { foundation, issuer, key, options, .. } = self;
        let issuer_key = foundation.keys.load(issuer.name.as_str(), &foundation.passphrase)?;
        let serial = foundation.reserve(&issuer.name)?;
        let certificate = ca_certificate::issuing(
            &options,
            key.key(),
            &issuer.certificate,
            &issuer_key,
            serial,
            foundation.clock.now(),
        )?;
        let account: Label = ACCOUNT.parse()?;
        let issued = Issued::unrequested(
            CertificateId::new(issuer.name, serial),
            account.clone(),
            account,
            Facts::of(&certificate)?.not_after,
            certificate.clone(),
        );
        foundation.store.record_issued(foundation.clock.now(), &issued)?;
        let mut chain = vec![certificate, issuer.certificate];
        chain.extend(issuer.chain);
        Ok((serial, chain))
    }
}

fn conflict(why: String) -> Error {
    Error::denied(Denial::Conflict, why)
}
