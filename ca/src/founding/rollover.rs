//! Gives a CA its next key: `countersign ca roll`. The next key is a CA of its own, with a name and a subject of its own, so
//! that certificates and CRLs of both stay apart (`generation.rs`); that one follows the other is recorded with it.
//!
//! Two certificates connect the keys of a root, so that who trusts either can verify what the other signed (RFC 9810
//! §4.4). Those of an issuing CA need none: the root certifies both.

use std::time::Duration;

use der::{Decode, Encode};
use spki::SubjectPublicKeyInfoOwned;
use x509_cert::certificate::{TbsCertificate, Version};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{BasicConstraints, SubjectKeyIdentifier};
use x509_cert::serial_number::SerialNumber;
use x509_cert::time::Validity;
use x509_cert::{Certificate, name::Name};

use crate::signed::certificate::{
    Facts, authority_info_access, authority_key_identifier, distribution_points, extension, octets,
    time, to_pem,
};
use crate::clock::Timestamp;
use crate::error::{Denial, Error, Result};
use crate::founding::foundation::Foundation;
use crate::founding::{self, BACKDATING, CaOptions};
use crate::signed::gate::{Gate, Object};
use crate::founding::generation;
use crate::key::{FileKey, KeyAlgorithm};
use crate::lint::Purpose;
use crate::oid;
use crate::profile::{DefaultUrls, filled_url};
use crate::key::public::SubjectPublicKey;
use crate::record::{CaRecord, Label, Links, Serial, Succession};

/// id-ce-freshestCRL, RFC 5280 §4.2.1.15.
const FRESHEST_CRL: der::oid::ObjectIdentifier =
    der::oid::ObjectIdentifier::new_unwrap("2.5.29.46");

/// What the next key shall be.
#[derive(Debug, Clone)]
pub struct RollOptions {
    /// Its kind; `None` means that of the key before.
    pub algorithm: Option<KeyAlgorithm>,
    /// Its subject; `None` means that of the one before with a number.
    pub subject: Option<Name>,
    /// Whether the CA before goes on issuing, until an administrator has this one issue: its certificate and CRL are everywhere
    /// by then.
    pub waits: bool,
    /// How long its certificate is valid; `None` means as long as the one before.
    pub validity: Option<Duration>,
    /// Where CRLs, OCSP responders and certificates of CAs are, with `{ca}`.
    pub urls: DefaultUrls,
}

/// One certificate of a CA, modelled on another.
struct Renewal<'a> {
    model: &'a TbsCertificate,
    subject: &'a Name,
    key: &'a SubjectPublicKey,
    /// Who signs: its subject, its key and its name in URLs; `None` for the key itself.
    issuer: Option<(&'a Name, &'a Label)>,
    signer: &'a FileKey,
    serial: Serial,
    not_before: Timestamp,
    not_after: Timestamp,
}

impl Foundation {
    /// Makes the next key of a CA, its certificate, and for a root those that connect both keys. New certificates are
    /// signed with it from the next start; CRLs of the CA before go on until it ends.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Conflict`] when there is no such CA, it was rolled already, or a key is kept elsewhere;
    /// with [`Denial::Template`] when the lint finds an error, or the subject cannot be numbered.
    pub fn roll(&self, name: &Label, options: &RollOptions) -> Result<CaRecord> {
        // 1. The CA that is rolled, and the name of the next one.
        let cas = self.store.cas()?;
        if let Some(next) = successor(&cas, name) {
            return self.finish(next);
        }
        let (old, next) = self.next(&cas, name)?;
        if !self.keys.contains(name.as_str()) {
            return Err(conflict(format!(
                "the key of `{name}` is not here; roll it where it is kept"
            )));
        }
        let root = if old.is_root { None } else { Some(self.root_above(old)?) };
        // 2. The next key, which an interruption leaves behind for the next try.
        let facts = Facts::of(&old.certificate)?;
        let subject = self.next_subject(&facts.subject, options.subject.as_ref(), &cas)?;
        let key = self.next_key(&next, options.algorithm, &facts)?;
        // 3. The certificates.
        let lasts = facts.not_after.since(facts.not_before);
        let until = self.clock.now().plus(options.validity.unwrap_or(lasts));
        let record = match root {
            None => self.next_root(old, &facts, (next, subject), &key, until, &options.urls)?,
            Some(root) => {
                let mut record =
                    self.next_issuing(root, old, (next, subject), &key, until, &options.urls)?;
                if let Some(succession) = &mut record.succeeds {
                    succession.waits = options.waits;
                }
                record
            }
        };
        // 4. One record with all of them, and the files.
        let record = self.record(record)?;
        self.publish_links(&record)?;
        Ok(record)
    }

    /// Makes the next key of an issuing CA whose root is kept elsewhere, and a PKCS#10 request (PEM) for that root. It may
    /// be asked for again.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Conflict`] when there is no such issuing CA, or it was rolled already.
    pub fn roll_request(
        &self,
        name: &Label,
        algorithm: Option<KeyAlgorithm>,
        subject: Option<&Name>,
    ) -> Result<String> {
        let cas = self.store.cas()?;
        let (old, next) = self.next_issuing_name(&cas, name)?;
        let facts = Facts::of(&old.certificate)?;
        let subject = self.next_subject(&facts.subject, subject, &cas)?;
        let key = self.next_key(&next, algorithm, &facts)?;
        let constraints = tbs_of(&old.certificate)?.get::<BasicConstraints>();
        let constraints = constraints.map_err(Error::internal)?;
        let options = CaOptions {
            subject,
            validity: Duration::ZERO,
            path_length: constraints.and_then(|(_, constraints)| constraints.path_len_constraint),
            permitted: Vec::new(),
            excluded: Vec::new(),
            policies: Vec::new(),
            crl_urls: Vec::new(),
            ocsp_urls: Vec::new(),
            ca_issuers_urls: Vec::new(),
        };
        to_pem("CERTIFICATE REQUEST", &founding::request(&options, &key)?)
    }

    /// Takes the certificate of the next key that a root elsewhere made, with every certificate above it, root last.
    ///
    /// # Errors
    /// As [`Self::roll_request`] and [`Self::install_issuing`]: another subject than that of the request is taken, and one that
    /// another CA has is not.
    pub fn roll_installed(&self, name: &Label, chain: &[Vec<u8>], waits: bool) -> Result<CaRecord> {
        let cas = self.store.cas()?;
        let (old, next) = self.next_issuing_name(&cas, name)?;
        let succeeds = Succession { predecessor: old.name.clone(), links: None, waits };
        self.install(&next, chain, Some(succeeds))
    }

    /// The root that signs new issuing CAs: the last one of its line whose key is here.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Conflict`] when it is kept elsewhere.
    pub fn signing_root(&self) -> Result<CaRecord> {
        let cas = self.store.cas()?;
        let is_last = |ca: &&CaRecord| {
            ca.is_root
                && self.keys.contains(ca.name.as_str())
                && successor(&cas, &ca.name).is_none()
        };
        cas.iter().find(is_last).cloned().ok_or_else(|| {
            Error::denied(
                Denial::Conflict,
                "the root's key is not here; make a request for it with `--root-csr FILE`",
            )
        })
    }

    /// The subject of the next key: the one that was asked for, if nobody has it, or that of the key before with a number.
    fn next_subject(&self, old: &Name, wanted: Option<&Name>, cas: &[CaRecord]) -> Result<Name> {
        match wanted {
            Some(wanted) => generation::refuse_taken(wanted, cas).map(|()| wanted.clone()),
            None => generation::next_subject(old, cas),
        }
    }

    /// The next key, made unless an interrupted roll left it.
    fn next_key(
        &self,
        name: &Label,
        algorithm: Option<KeyAlgorithm>,
        old: &Facts,
    ) -> Result<FileKey> {
        self.ca_key(name, algorithm.unwrap_or_else(|| KeyAlgorithm::of(old.key.kind())))
    }

    /// A CA that was not rolled yet, and the name of its next key.
    fn next<'a>(&self, cas: &'a [CaRecord], name: &Label) -> Result<(&'a CaRecord, Label)> {
        let old = cas.iter().find(|ca| ca.name == *name).ok_or_else(|| {
            conflict(format!("there is no CA `{name}`; `countersign ca show` lists them"))
        })?;
        if let Some(next) = successor(cas, name) {
            return Err(rolled(next));
        }
        let next = next_name(name)?;
        self.refuse_existing(&next)?;
        Ok((old, next))
    }

    fn next_issuing_name<'a>(
        &self,
        cas: &'a [CaRecord],
        name: &Label,
    ) -> Result<(&'a CaRecord, Label)> {
        let (old, next) = self.next(cas, name)?;
        match old.is_root {
            true => {
                Err(conflict(format!("`{name}` is a root; no other one certifies its next key")))
            }
            false => Ok((old, next)),
        }
    }

    fn next_root(
        &self,
        old: &CaRecord,
        facts: &Facts,
        (name, subject): (Label, Name),
        key: &FileKey,
        until: Timestamp,
        urls: &DefaultUrls,
    ) -> Result<CaRecord> {
        let old_key = self.keys.load(old.name.as_str(), &self.passphrase)?;
        let model = tbs_of(&old.certificate)?;
        let from = self.clock.now().minus(BACKDATING);
        let new_with_new = Renewal {
            model: &model,
            subject: &subject,
            key: key.public(),
            issuer: None,
            signer: key,
            serial: self.reserve(&name)?,
            not_before: from,
            not_after: until,
        };
        // It is of use until nobody has the old key any more.
        let new_with_old = Renewal {
            issuer: Some((&facts.subject, &old.name)),
            signer: &old_key,
            serial: self.reserve(&old.name)?,
            not_after: until.min(facts.not_after),
            ..new_with_new
        };
        let old_with_new = Renewal {
            subject: &facts.subject,
            key: old_key.public(),
            issuer: Some((&subject, &name)),
            serial: self.reserve(&name)?,
            not_before: facts.not_before,
            not_after: facts.not_after,
            ..new_with_new
        };
        let links = Links {
            new_with_old: new_with_old.sign(Purpose::IssuingCa, urls)?,
            old_with_new: old_with_new.sign(Purpose::IssuingCa, urls)?,
        };
        let certificate = new_with_new.sign(Purpose::Root, urls)?;
        let predecessor = old.name.clone();
        let succeeds = Some(Succession { predecessor, links: Some(links), waits: false });
        Ok(CaRecord { name, is_root: true, certificate, chain: Vec::new(), succeeds })
    }

    /// The root here, if it is the one above an issuing CA.
    fn root_above(&self, old: &CaRecord) -> Result<CaRecord> {
        let root = self.signing_root()?;
        let cas = self.store.cas()?;
        let above = cas.iter().find(|ca| old.chain == [ca.certificate.as_slice()]);
        if !above.is_some_and(|above| is_followed(&cas, above, &root.name)) {
            return Err(conflict(format!(
                "`{}` is certified by another root than `{}`, the one here; make a request for it with `--root-csr FILE`",
                old.name, root.name
            )));
        }
        Ok(root)
    }

    fn next_issuing(
        &self,
        root: CaRecord,
        old: &CaRecord,
        (name, subject): (Label, Name),
        key: &FileKey,
        until: Timestamp,
        urls: &DefaultUrls,
    ) -> Result<CaRecord> {
        let root_key = self.keys.load(root.name.as_str(), &self.passphrase)?;
        let above = Facts::of(&root.certificate)?;
        let now = self.clock.now();
        let renewal = Renewal {
            model: &tbs_of(&old.certificate)?,
            subject: &subject,
            key: key.public(),
            issuer: Some((&above.subject, &root.name)),
            signer: &root_key,
            serial: self.reserve(&root.name)?,
            not_before: now.minus(BACKDATING).max(above.not_before),
            not_after: until.min(above.not_after),
        };
        if renewal.not_after <= now {
            return Err(Error::denied(
                Denial::Template,
                format!("the root `{}` ended on {}; roll it first", root.name, above.not_after),
            ));
        }
        let certificate = renewal.sign(Purpose::IssuingCa, urls)?;
        let predecessor = old.name.clone();
        let succeeds = Some(Succession { predecessor, links: None, waits: false });
        Ok(CaRecord { name, is_root: false, certificate, chain: vec![root.certificate], succeeds })
    }

    /// What a roll that was interrupted behind its record left undone.
    fn finish(&self, next: &CaRecord) -> Result<CaRecord> {
        let last = match next.succeeds.as_ref().and_then(|succession| succession.links.as_ref()) {
            Some(_) => format!("{}.old-with-new.crt", next.name),
            None => format!("{}.crt", next.name),
        };
        if self.keys.file(&last).exists() {
            return Err(rolled(next));
        }
        self.publish(&format!("{}.crt", next.name), "CERTIFICATE", &next.certificate)?;
        self.publish_links(next)?;
        Ok(next.clone())
    }

    fn publish_links(&self, ca: &CaRecord) -> Result<()> {
        let Some(links) = ca.succeeds.as_ref().and_then(|s| s.links.as_ref()) else {
            return Ok(());
        };
        let file = |which: &str| format!("{}.{which}.crt", ca.name);
        self.publish(&file("new-with-old"), "CERTIFICATE", &links.new_with_old)?;
        self.publish(&file("old-with-new"), "CERTIFICATE", &links.old_with_new)
    }
}

impl Renewal<'_> {
    fn sign(&self, purpose: Purpose, urls: &DefaultUrls) -> Result<Vec<u8>> {
        let tbs = TbsCertificate {
            version: Version::V3,
            serial_number: SerialNumber::new(self.serial.octets()).map_err(Error::internal)?,
            signature: self.signer.signature_algorithm(),
            issuer: self.issuer.map_or_else(|| self.subject.clone(), |(name, _)| name.clone()),
            validity: Validity {
                not_before: time(self.not_before.whole_seconds())?,
                not_after: time(self.not_after.whole_seconds())?,
            },
            subject: self.subject.clone(),
            subject_public_key_info: SubjectPublicKeyInfoOwned::from_der(self.key.der())
                .map_err(Error::internal)?,
            issuer_unique_id: None,
            subject_unique_id: None,
            extensions: Some(self.extensions(urls)?),
        };
        let tbs = tbs.to_der().map_err(Error::internal)?;
        Gate::new(self.signer, Object::Certificate(purpose)).sign_object(&tbs)
    }

    /// Those of the model, but for what names a key or the issuer's services.
    fn extensions(&self, urls: &DefaultUrls) -> Result<Vec<Extension>> {
        let own = [
            oid::SUBJECT_KEY_IDENTIFIER,
            oid::AUTHORITY_KEY_IDENTIFIER,
            oid::CRL_DISTRIBUTION_POINTS,
            oid::AUTHORITY_INFO_ACCESS,
            FRESHEST_CRL,
        ];
        let kept = self.model.extensions.iter().flatten();
        let mut extensions: Vec<Extension> =
            kept.filter(|kept| !own.contains(&kept.extn_id)).cloned().collect();
        let identifier = SubjectKeyIdentifier(octets(&self.key.key_identifier())?);
        extensions.push(extension(false, &identifier)?);
        let Some((_, issuer)) = self.issuer else { return Ok(extensions) };
        let above = authority_key_identifier(&self.signer.public().key_identifier())?;
        extensions.push(extension(false, &above)?);
        let at = |templates: &[String]| -> Vec<String> {
            templates.iter().filter_map(|url| filled_url(url, issuer, None)).collect()
        };
        let (crl, ocsp, issuers) = (at(&urls.crl), at(&urls.ocsp), at(&urls.ca_issuers));
        if !crl.is_empty() {
            extensions.push(extension(false, &distribution_points(&crl)?)?);
        }
        if !ocsp.is_empty() || !issuers.is_empty() {
            extensions.push(extension(false, &authority_info_access(&ocsp, &issuers)?)?);
        }
        Ok(extensions)
    }
}

/// The CA whose key follows this one's.
fn successor<'a>(cas: &'a [CaRecord], name: &Label) -> Option<&'a CaRecord> {
    cas.iter().find(|ca| ca.succeeds.as_ref().is_some_and(|of| of.predecessor == *name))
}

/// Whether the key of this name is a CA's own, or came after it.
fn is_followed(cas: &[CaRecord], from: &CaRecord, name: &Label) -> bool {
    let mut at = Some(from);
    // Each has one successor at most, and is made after what it succeeds: there are no more steps than CAs.
    for _ in 0..=cas.len() {
        match at {
            Some(ca) if ca.name == *name => return true,
            Some(ca) => at = successor(cas, &ca.name),
            None => break,
        }
    }
    false
}

fn rolled(next: &CaRecord) -> Error {
    conflict(format!(
        "its next key is `{0}` already; to roll that one, name it: `ca roll {0}`",
        next.name
    ))
}

fn conflict(why: String) -> Error {
    Error::denied(Denial::Conflict, why)
}

/// `root`, `root.2`, `root.3`.
fn next_name(name: &Label) -> Result<Label> {
    let numbered = name.as_str().rsplit_once('.').and_then(|(stem, digits)| {
        digits.parse::<u32>().ok().filter(|number| *number >= 2).map(|number| (stem, number))
    });
    let (stem, number) = numbered.unwrap_or((name.as_str(), 1));
    format!("{stem}.{}", number.saturating_add(1)).parse()
}

fn tbs_of(certificate: &[u8]) -> Result<TbsCertificate> {
    let wrong = |e: der::Error| Error::malformed(format!("expected a certificate: {e}"));
    Ok(Certificate::from_der(certificate).map_err(wrong)?.tbs_certificate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_are_counted() {
        for (name, next) in [
            ("root", "root.2"),
            ("root.2", "root.3"),
            ("root.9", "root.10"),
            ("a.b", "a.b.2"),
            ("a.1", "a.1.2"),
        ] {
            assert_eq!(next_name(&name.parse().unwrap()).unwrap().as_str(), next);
        }
    }
}
