//! Gives a CA its next key (`countersign ca roll`). The next key is a CA of its own, with its own name and subject, so
//! that the certificates and CRLs of both keys stay apart (`ca_subject.rs`). The record says which CA it succeeds.
//!
//! For a root, two link certificates connect the keys, so that a peer that trusts one key can verify what the other one
//! signed (RFC 9810 §4.4). An issuing CA needs none, because the root certifies both of its keys.

use std::time::Duration;

use der::{Decode, Encode};
use spki::SubjectPublicKeyInfoOwned;
use x509_cert::Certificate;
use x509_cert::certificate::{TbsCertificate, Version};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{BasicConstraints, SubjectKeyIdentifier};
use x509_cert::serial_number::SerialNumber;
use x509_cert::time::Validity;

use super::ca_certificate::{self, CaOptions};
use super::ca_subject;
use super::foundation::Foundation;
use crate::clock::{BACKDATING, Timestamp};
use crate::error::{Denial, Error, Result};
use crate::key::{FileKey, KeyAlgorithm, SubjectPublicKey};
use crate::lint::Purpose;
use crate::name::Name;
use crate::oid;
use crate::profile::{DefaultUrls, filled_url};
use crate::record::line;
use crate::record::{CaRecord, Label, Links, Serial, Succession};
use crate::signed::{Gate, Object};
use crate::x509::Criticality::NonCritical;
use crate::x509::{
    Facts, authority_info_access, authority_key_identifier, distribution_points, extension, octets,
    time, to_pem,
};

/// Options for the next key of a CA.
#[derive(Debug, Clone)]
pub struct RollOptions {
    /// The kind of the key; `None` for that of the previous key.
    pub algorithm: Option<KeyAlgorithm>,
    /// The subject; `None` for the previous subject with a number.
    pub subject: Option<Name>,
    /// Whether the CA with the previous key continues to issue until an administrator activates this key. That leaves time
    /// to distribute the new certificate and CRL. Until then, a root with the previous key certifies the next keys of issuing CAs.
    pub waits: bool,
    /// How long the certificate is valid; `None` for as long as the previous one.
    pub validity: Option<Duration>,
    /// The URL templates of CRLs, OCSP responders and CA certificates, with `{ca}`.
    pub urls: DefaultUrls,
}

/// A new certificate of a CA, modelled on an existing one.
struct Renewal<'a> {
    model: &'a TbsCertificate,
    subject: &'a Name,
    key: &'a SubjectPublicKey,
    /// The issuer; `None` for a self-signed certificate.
    issuer: Option<Issuer<'a>>,
    signer: &'a FileKey,
    serial: Serial,
    not_before: Timestamp,
    not_after: Timestamp,
}

/// The CA that issues a certificate.
#[derive(Clone, Copy)]
struct Issuer<'a> {
    subject: &'a Name,
    /// The CA's name in this instance, which is put into the URLs.
    name: &'a Label,
}

/// A CA (`old`) that gets a next key.
struct Roll<'a> {
    old: &'a CaRecord,
    /// The name of the CA with the next key.
    next: Label,
}

/// The next key of a CA, for which certificates are made.
struct NextKey<'a> {
    name: Label,
    subject: Name,
    key: &'a FileKey,
    /// The notAfter of the certificates for this key. A certificate whose issuer has an earlier notAfter gets that one instead.
    until: Timestamp,
    urls: &'a DefaultUrls,
}

impl Foundation {
    /// Makes the next key of a CA and its certificate, and for a root the two link certificates. The next key is recorded as a CA of its
    /// own. From the next start on, new certificates are signed with it, unless [`RollOptions::waits`] is set; the old CA continues to sign
    /// CRLs until it ends. If an earlier call was interrupted after the record, this one writes the missing files.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Conflict`] if there is no such CA, it already has a next key, the subject is taken, or a key is kept
    /// elsewhere; with [`Denial::Template`] if the lint finds an error, the subject cannot be numbered, or the root has expired.
    pub fn roll(&self, name: &Label, options: &RollOptions) -> Result<CaRecord> {
        // 1. Find the CA, and the name of the next one.
        let cas = self.store.cas()?;
        if let Some(next) = successor(&cas, name) {
            return self.finish(next);
        }
        let Roll { old, next } = self.next(&cas, name)?;
        if !self.keys.contains(name.as_str()) {
            return Err(conflict(format!(
                "the key of `{name}` is not here; roll it where it is kept"
            )));
        }
        let root = if old.is_root { None } else { Some(self.root_above(old)?) };
        // 2. Make the next key. If a later step is interrupted, the next attempt finds this key and uses it.
        let facts = Facts::of(&old.certificate)?;
        let subject = self.next_subject(&facts.subject, options.subject.as_ref(), &cas)?;
        let key = self.next_key(&next, options.algorithm, &facts)?;
        // 3. Make the certificates.
        let lasts = facts.not_after.since(facts.not_before);
        let until = self.clock.now().plus(options.validity.unwrap_or(lasts));
        let next = NextKey { name: next, subject, key: &key, until, urls: &options.urls };
        let mut record = match root {
            None => self.next_root(old, &facts, next)?,
            Some(root) => self.next_issuing(root, old, next)?,
        };
        if let Some(succession) = &mut record.succeeds {
            succession.waits = options.waits;
        }
        // 4. Record all of them in one entry, and write their files.
        let record = self.record(record)?;
        self.publish_links(&record)?;
        Ok(record)
    }

    /// Makes the next key of an issuing CA whose root is kept elsewhere, and returns a PKCS #10 request (PEM) to that root. A
    /// repeated call makes the request again, for the same key. `algorithm` and `subject` are as in [`RollOptions`].
    ///
    /// # Errors
    /// `Denied` with [`Denial::Conflict`] if there is no such issuing CA, it already has a next key, or the subject is taken; with
    /// [`Denial::Template`] if the subject cannot be numbered.
    pub fn roll_request(
        &self,
        name: &Label,
        algorithm: Option<KeyAlgorithm>,
        subject: Option<&Name>,
    ) -> Result<String> {
        let cas = self.store.cas()?;
        let Roll { old, next } = self.next_issuing_name(&cas, name)?;
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
        to_pem("CERTIFICATE REQUEST", &ca_certificate::request(&options, &key)?)
    }

    /// Installs the certificate that a root elsewhere issued for the next key of the CA `name`, with all certificates above it (DER, root
    /// last). The root may have changed the subject, but not to that of another CA. `waits` is as in [`RollOptions`].
    ///
    /// # Errors
    /// As [`Self::roll_request`] and [`Self::install_issuing`].
    pub fn roll_installed(&self, name: &Label, chain: &[Vec<u8>], waits: bool) -> Result<CaRecord> {
        let cas = self.store.cas()?;
        let Roll { old, next } = self.next_issuing_name(&cas, name)?;
        let succeeds = Succession { predecessor: old.name.clone(), links: None, waits };
        self.install(&next, chain, Some(succeeds))
    }

    /// The root that signs the certificates of new issuing CAs: the one whose private key is here and that has no active next key.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Conflict`] if there is none.
    pub fn signing_root(&self) -> Result<CaRecord> {
        let cas = self.store.cas()?;
        let is_last = |ca: &&CaRecord| {
            ca.is_root
                && !ca.succeeds.as_ref().is_some_and(|succession| succession.waits)
                && self.keys.contains(ca.name.as_str())
                && line::successor(cas.iter(), *ca).is_none()
        };
        cas.iter().find(is_last).cloned().ok_or_else(|| {
            Error::denied(
                Denial::Conflict,
                "the root's key is not here; make a request for it with `--root-csr FILE`",
            )
        })
    }

    /// The subject of the next key: `wanted`, if no CA has it; without `wanted`, the previous subject with a number.
    fn next_subject(&self, old: &Name, wanted: Option<&Name>, cas: &[CaRecord]) -> Result<Name> {
        match wanted {
            Some(wanted) => ca_subject::refuse_taken(wanted, cas).map(|()| wanted.clone()),
            None => ca_subject::next_subject(old, cas),
        }
    }

    /// The next key, in the file `name`. It is generated unless an interrupted attempt left it. `old` is the certificate of the previous
    /// key.
    fn next_key(
        &self,
        name: &Label,
        algorithm: Option<KeyAlgorithm>,
        old: &Facts,
    ) -> Result<FileKey> {
        self.ca_key(name, algorithm.unwrap_or_else(|| KeyAlgorithm::of(old.key.kind())))
    }

    /// The CA `name`, which must not have a next key yet, and the name of its next key.
    fn next<'a>(&self, cas: &'a [CaRecord], name: &Label) -> Result<Roll<'a>> {
        let old = cas.iter().find(|ca| ca.name == *name).ok_or_else(|| {
            conflict(format!("there is no CA `{name}`; `countersign ca show` lists them"))
        })?;
        if let Some(next) = successor(cas, name) {
            return Err(rolled(next));
        }
        if self.store.retired_cas()?.contains(name) {
            return Err(conflict(format!(
                "the CA `{name}` is retired: `countersign ca retire {name} --undo` first"
            )));
        }
        let next = next_name(name)?;
        self.refuse_existing(&next)?;
        Ok(Roll { old, next })
    }

    /// Like [`Self::next`], for an issuing CA only.
    fn next_issuing_name<'a>(&self, cas: &'a [CaRecord], name: &Label) -> Result<Roll<'a>> {
        let roll = self.next(cas, name)?;
        match roll.old.is_root {
            true => {
                Err(conflict(format!("`{name}` is a root; no other one certifies its next key")))
            }
            false => Ok(roll),
        }
    }

    /// Makes the certificates of a root's next key, without recording them: its own, and the two links between the keys.
    fn next_root(&self, old: &CaRecord, facts: &Facts, next: NextKey<'_>) -> Result<CaRecord> {
        let NextKey { name, subject, key, until, urls } = next;
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
        // The link from the old key is needed only as long as peers have the old root, so it ends with the old root.
        let new_with_old = Renewal {
            issuer: Some(Issuer { subject: &facts.subject, name: &old.name }),
            signer: &old_key,
            serial: self.reserve(&old.name)?,
            not_after: until.min(facts.not_after),
            ..new_with_new
        };
        let old_with_new = Renewal {
            subject: &facts.subject,
            key: old_key.public(),
            issuer: Some(Issuer { subject: &subject, name: &name }),
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

    /// The root that signs new issuing CAs, if it or a CA with an earlier key of it certified this issuing CA; [`Denial::Conflict`]
    /// otherwise.
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

    /// Makes the certificate of an issuing CA's next key, signed by the root, without recording it.
    fn next_issuing(&self, root: CaRecord, old: &CaRecord, next: NextKey<'_>) -> Result<CaRecord> {
        let NextKey { name, subject, key, until, urls } = next;
        let root_key = self.keys.load(root.name.as_str(), &self.passphrase)?;
        let above = Facts::of(&root.certificate)?;
        let now = self.clock.now();
        let renewal = Renewal {
            model: &tbs_of(&old.certificate)?,
            subject: &subject,
            key: key.public(),
            issuer: Some(Issuer { subject: &above.subject, name: &root.name }),
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

    /// Writes the files of a next key that was recorded before the interruption of an earlier call. If none is missing, the error says that
    /// the CA already has a next key.
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

    /// Writes the link certificates of a root's key, if it has them, to files beside the keys.
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
    /// Encodes, lints and signs the certificate, and returns it in DER.
    fn sign(&self, purpose: Purpose, urls: &DefaultUrls) -> Result<Vec<u8>> {
        let tbs = TbsCertificate {
            version: Version::V3,
            serial_number: SerialNumber::new(self.serial.octets()).map_err(Error::internal)?,
            signature: self.signer.signature_algorithm(),
            issuer: self.issuer.map_or(self.subject, |issuer| issuer.subject).clone(),
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

    /// The extensions of the model certificate. Those that name a key or the URLs of the issuer are made anew.
    fn extensions(&self, urls: &DefaultUrls) -> Result<Vec<Extension>> {
        let own = [
            oid::SUBJECT_KEY_IDENTIFIER,
            oid::AUTHORITY_KEY_IDENTIFIER,
            oid::CRL_DISTRIBUTION_POINTS,
            oid::AUTHORITY_INFO_ACCESS,
            oid::FRESHEST_CRL,
        ];
        let kept = self.model.extensions.iter().flatten();
        let mut extensions: Vec<Extension> =
            kept.filter(|kept| !own.contains(&kept.extn_id)).cloned().collect();
        let identifier = SubjectKeyIdentifier(octets(&self.key.key_identifier())?);
        extensions.push(extension(NonCritical, &identifier)?);
        let Some(Issuer { name: issuer, .. }) = self.issuer else { return Ok(extensions) };
        let above = authority_key_identifier(&self.signer.public().key_identifier())?;
        extensions.push(extension(NonCritical, &above)?);
        let at = |templates: &[String]| -> Vec<String> {
            templates.iter().filter_map(|url| filled_url(url, issuer, None)).collect()
        };
        let (crl, ocsp, issuers) = (at(&urls.crl), at(&urls.ocsp), at(&urls.ca_issuers));
        if !crl.is_empty() {
            extensions.push(extension(NonCritical, &distribution_points(&crl)?)?);
        }
        if !ocsp.is_empty() || !issuers.is_empty() {
            extensions.push(extension(NonCritical, &authority_info_access(&ocsp, &issuers)?)?);
        }
        Ok(extensions)
    }
}

/// The CA with the next key of the CA of this name, also if it is not active yet.
fn successor<'a>(cas: &'a [CaRecord], name: &Label) -> Option<&'a CaRecord> {
    cas.iter().find(|ca| ca.succeeds.as_ref().is_some_and(|of| of.predecessor == *name))
}

/// Whether `name` is the CA `from` or a CA with a later key of it.
fn is_followed(cas: &[CaRecord], from: &CaRecord, name: &Label) -> bool {
    let mut at = Some(from);
    // A CA has at most one successor and is recorded after its predecessor, so there are no more steps than CAs.
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

/// The name of the CA with the next key: `root.2` for `root`, `root.3` for `root.2`.
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
