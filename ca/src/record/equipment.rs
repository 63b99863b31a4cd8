//! Equipment that leaves its factory with a certificate of its vendor, and enrols with it for the first time (3GPP TS 33.310 §9,
//! RFC 9483 §4.1.1): which vendors are trusted, and what in a vendor's certificate names the equipment.
//!
//! That a certificate is a vendor's, and valid, is decided in `authority/equipment.rs`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use der::oid::ObjectIdentifier;
use der::{Tag, Tagged};
use serde::{Deserialize, Serialize};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use crate::clock::Timestamp;
use crate::error::{Denial, Error, Result};
use crate::name::{Identity, distinguished_name, refuse_misleading};
use crate::oid;
use crate::path::{Certificate, PathError, same_name};
use crate::key::public::SubjectPublicKey;
use crate::record::{Label, OWN_ACCOUNT_PREFIX};
use crate::authority::request::VendorSigned;
use crate::store::Store;

/// The most vendors that are trusted at once.
pub const MAX_VENDORS: usize = 64;
/// The most certificates that are recorded of one vendor.
pub const MAX_CERTIFICATES: usize = 16;
/// The most CRL files of one vendor.
pub const MAX_CRLS: usize = 16;
/// The longest name of equipment, in bytes.
pub const MAX_VALUE: usize = 256;

/// A vendor whose certificates first enrolments may be signed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vendor {
    /// Its name here.
    pub name: Label,
    /// What in a certificate names the equipment.
    pub mapping: Mapping,
    /// Its root certificates, DER; at least one.
    pub roots: Vec<Vec<u8>>,
    /// Certificates of CAs below them, DER, for equipment that does not send them.
    pub intermediates: Vec<Vec<u8>>,
    /// The only profile that its equipment is enrolled for, if not any.
    pub profile: Option<Label>,
    /// Files with its CRLs, looked at in each enrolment. If there is one, every certificate of a path needs a current CRL.
    pub crls: Vec<String>,
    /// When it was recorded.
    pub created: Timestamp,
}

/// Which equipment an account is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Equipment {
    /// Its vendor.
    pub vendor: Label,
    /// What the vendor's mapping takes out of its certificate. Unique for the vendor.
    pub value: String,
    /// How many certificates it may still enrol for by the vendor's certificate.
    pub uses_left: u32,
    /// When an administrator allowed these uses.
    pub allowed: Timestamp,
}

impl Equipment {
    /// Whether this vendor's certificate is its.
    pub fn is(&self, signed: &VendorSigned) -> bool {
        self.vendor == signed.vendor && self.value == signed.value
    }
}

/// `VENDOR:VALUE`.
impl fmt::Display for Equipment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.vendor, self.value)
    }
}

/// Equipment as an administrator names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EquipmentDraft {
    /// Its vendor.
    pub vendor: Label,
    /// What names it.
    pub value: String,
    /// For how many certificates the vendor's certificate is good; at least 1.
    pub uses: u32,
}

/// What in a vendor's certificate names the equipment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mapping {
    /// The serialNumber in the subject (X.520 §6.2.9), as in an IDevID of IEEE 802.1AR.
    #[serde(rename = "serialNumber")]
    SerialNumber,
    /// The commonName in the subject.
    #[serde(rename = "commonName")]
    CommonName,
    /// The whole subject, in the string form of RFC 4514.
    #[serde(rename = "subject")]
    Subject,
    /// The one dNSName among the alternative names.
    #[serde(rename = "fqdn")]
    Fqdn,
    /// The one rfc822Name among the alternative names.
    #[serde(rename = "email")]
    Email,
}

impl Mapping {
    /// Each mapping with its name.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::SerialNumber, "serialNumber"),
        (Self::CommonName, "commonName"),
        (Self::Subject, "subject"),
        (Self::Fqdn, "fqdn"),
        (Self::Email, "email"),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(mapping, _)| *mapping == self).map_or("", |(_, name)| name)
    }

    /// What names the equipment in a certificate. There must be exactly one such name: of two, a vendor's CA that checks one and
    /// copies the other would let equipment choose.
    ///
    /// # Errors
    /// `Denied` with [`Denial::NotAuthorized`] that says what was expected and found.
    pub fn value_in(self, certificate: &Certificate) -> Result<String> {
        let subject = &certificate.subject_name;
        match self {
            Self::SerialNumber => attribute(subject, oid::SERIAL_NUMBER, self.name()),
            Self::CommonName => attribute(subject, oid::COMMON_NAME, self.name()),
            Self::Subject if subject.0.is_empty() => {
                Err(unnamed("the subject of the vendor's certificate is empty".into()))
            }
            Self::Subject => checked(subject.to_string()).map_err(|e| unnamed(e.to_string())),
            Self::Fqdn | Self::Email => self.alt_name(&certificate.alt_names),
        }
    }

    /// The same name as an administrator writes it, in the form that [`Self::value_in`] gives.
    ///
    /// # Errors
    /// [`Error::Malformed`] when no certificate has such a name.
    pub fn normal(self, value: &str) -> Result<String> {
        let text = match self {
            Self::SerialNumber | Self::CommonName => value.to_owned(),
            Self::Subject => distinguished_name(value)?.to_string(),
            Self::Fqdn => identity_text(&format!("fqdn:{value}").parse()?)?,
            Self::Email => identity_text(&format!("email:{value}").parse()?)?,
        };
        checked(text)
    }

    fn alt_name(self, names: &[GeneralName]) -> Result<String> {
        let is_meant = |name: &&GeneralName| match name {
            GeneralName::DnsName(_) => self == Self::Fqdn,
            GeneralName::Rfc822Name(_) => self == Self::Email,
            _ => false,
        };
        let found: Vec<&GeneralName> = names.iter().filter(is_meant).collect();
        let [name] = found.as_slice() else { return Err(not_one(self.name(), found.len())) };
        let text = Identity::from_general_name(name).and_then(|identity| identity_text(&identity));
        text.and_then(checked).map_err(|e| unnamed(e.to_string()))
    }
}

impl fmt::Display for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Mapping {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|(_, name)| name.eq_ignore_ascii_case(text));
        found.map(|(mapping, _)| mapping).ok_or_else(|| {
            let names = Self::ALL.map(|(_, name)| name).join(", ");
            Error::malformed(format!("expected one of {names}, found `{}`", text.escape_debug()))
        })
    }
}

/// A vendor as an administrator asks for it to be trusted.
#[derive(Debug, Clone)]
pub struct VendorDraft {
    /// Its name here.
    pub name: Label,
    /// What in a certificate names the equipment.
    pub mapping: Mapping,
    /// Roots and CAs below them, DER, in any order.
    pub certificates: Vec<Vec<u8>>,
    /// The only profile that its equipment is enrolled for.
    pub profile: Option<Label>,
    /// Files with its CRLs.
    pub crls: Vec<String>,
}

/// Records that a vendor is trusted.
///
/// # Errors
/// [`Error::Malformed`] for certificates that cannot be a vendor's CAs, `Denied` with [`Denial::Conflict`] for a name or a root that
/// is trusted already, or a CA of this instance.
pub fn trust(store: &dyn Store, now: Timestamp, draft: VendorDraft) -> Result<Vendor> {
    if draft.name.as_str().starts_with(OWN_ACCOUNT_PREFIX) {
        return Err(Error::malformed(format!(
            "a name that begins with `{OWN_ACCOUNT_PREFIX}` is the instance's own"
        )));
    }
    if draft.certificates.len() > MAX_CERTIFICATES || draft.crls.len() > MAX_CRLS {
        return Err(Error::malformed(format!(
            "expected at most {MAX_CERTIFICATES} certificates and {MAX_CRLS} CRL files, found {} and {}",
            draft.certificates.len(),
            draft.crls.len()
        )));
    }
    let read = draft.certificates.into_iter().map(|der| read_ca(der, now));
    let cas = read.collect::<Result<Vec<_>>>()?;
    let (roots, intermediates): (Vec<_>, Vec<_>) =
        cas.iter().cloned().partition(|ca| is_root(ca, &cas));
    if roots.is_empty() {
        return Err(Error::malformed(
            "expected the vendor's root among the certificates: one that names itself as its issuer; found none",
        ));
    }
    for ca in roots.iter().chain(&intermediates) {
        refuse_known(store, ca)?;
    }
    let der = |all: Vec<Arc<Certificate>>| all.iter().map(|ca| ca.der().to_vec()).collect();
    let vendor = Vendor {
        name: draft.name,
        mapping: draft.mapping,
        roots: der(roots),
        intermediates: der(intermediates),
        profile: draft.profile,
        crls: draft.crls,
        created: now,
    };
    store.record_vendor(now, &vendor)?;
    Ok(vendor)
}

/// Whether a certificate is a root: a name and a key. The signature on it is of no account (RFC 5280 §6.1.1 (d)), and many an old root
/// has one of SHA-1. One that another key of the same name signed leads from that key to this one, and is no root.
fn is_root(ca: &Certificate, all: &[Arc<Certificate>]) -> bool {
    let is_other = |of: &Certificate| of.spki() != ca.spki() && ca.is_signed_by(of);
    ca.is_self_issued()
        && (ca.is_signed_by(ca) || (!ca.names_another_key() && !all.iter().any(|of| is_other(of))))
}

/// There is no vendor of this name.
pub fn no_vendor(name: &Label) -> Error {
    Error::denied(
        Denial::Conflict,
        format!("no vendor `{name}` is trusted; `countersign trust list` shows them"),
    )
}

/// The certificate of a CA that an administrator hands in.
fn read_ca(der: Vec<u8>, now: Timestamp) -> Result<Arc<Certificate>> {
    let wrong = |e: PathError| Error::malformed(e.to_string());
    let ca = Certificate::from_der(der).map_err(wrong)?;
    let refused =
        |why: String| Err(Error::malformed(format!("the certificate `{}` {why}", ca.shown())));
    if let Some(defect) = ca.defect() {
        return refused(format!("cannot be used: {defect}"));
    }
    SubjectPublicKey::from_der(ca.spki())?;
    // A root of version 1 has no extensions to say so.
    if !ca.is_ca() && ca.is_version_3() {
        return refused("is not a CA's: trust the CA that issued it".into());
    }
    if ca.not_after < now.whole_seconds() {
        return refused(format!("ended at {}", ca.not_after));
    }
    Ok(Arc::new(ca))
}

/// Of two vendors with one root nobody could say which one made the equipment; and our own certificates are no vendor's.
fn refuse_known(store: &dyn Store, ca: &Certificate) -> Result<()> {
    let conflict = |why: String| Err(Error::denied(Denial::Conflict, why));
    for own in store.cas()? {
        let own_certificate = Certificate::from_der(own.certificate)
            .map_err(|e| Error::internal(format!("the CA `{}`: {e}", own.name)))?;
        if same_name(&own_certificate.subject_name, &ca.subject_name)
            || own_certificate.spki() == ca.spki()
        {
            return conflict(format!(
                "`{}` has the name or the key of `{}`, a CA of this instance",
                ca.shown(),
                own.name
            ));
        }
    }
    let vendors = store.vendors()?;
    if vendors.len() >= MAX_VENDORS {
        return conflict(format!("{MAX_VENDORS} vendors are trusted, and there can be no more"));
    }
    for vendor in vendors {
        if vendor.roots.iter().any(|root| root == ca.der()) {
            return conflict(format!(
                "`{}` is trusted already, as a root of `{}`",
                ca.shown(),
                vendor.name
            ));
        }
    }
    Ok(())
}

/// The text of the only attribute of a type in a subject, alone in its RDN.
fn attribute(subject: &Name, kind: ObjectIdentifier, name: &str) -> Result<String> {
    let all = subject.0.iter().flat_map(|rdn| rdn.0.iter().map(move |one| (rdn.0.len(), one)));
    let found: Vec<_> = all.filter(|(_, attribute)| attribute.oid == kind).collect();
    let [(width, attribute)] = found.as_slice() else { return Err(not_one(name, found.len())) };
    if *width != 1 {
        return Err(unnamed(format!(
            "the {name} in the subject of the vendor's certificate shares its RDN with another attribute"
        )));
    }
    let is_text =
        matches!(attribute.value.tag(), Tag::Utf8String | Tag::PrintableString | Tag::Ia5String);
    let text = std::str::from_utf8(attribute.value.value()).ok().filter(|_| is_text);
    let text = text.ok_or_else(|| {
        unnamed(format!("the {name} in the subject of the vendor's certificate is no text"))
    })?;
    checked(text.to_owned()).map_err(|e| unnamed(e.to_string()))
}

fn identity_text(identity: &Identity) -> Result<String> {
    match identity {
        Identity::Fqdn(text) | Identity::Email(text) => Ok(text.clone()),
        other => Err(Error::malformed(format!("`{other}` does not name equipment"))),
    }
}

fn checked(text: String) -> Result<String> {
    refuse_misleading(&text)?;
    match text.len() {
        1..=MAX_VALUE => Ok(text),
        length => Err(Error::malformed(format!(
            "the name of equipment has 1 to {MAX_VALUE} bytes, found {length}"
        ))),
    }
}

fn not_one(name: &str, found: usize) -> Error {
    unnamed(format!("expected one {name} in the vendor's certificate, found {found}"))
}

fn unnamed(why: String) -> Error {
    Error::denied(Denial::NotAuthorized, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signed::certificate::Facts;

    #[test]
    fn the_roots_that_debian_ships_are_taken() {
        let folder = "/usr/share/ca-certificates/mozilla";
        let files = std::fs::read_dir(folder)
            .expect("this test needs the package `ca-certificates`: run `make deps`");
        let (mut taken, mut refused) = (0, Vec::new());
        for file in files {
            let path = file.unwrap().path();
            let read = crate::signed::certificate::read_all(&std::fs::read(&path).unwrap());
            let found = read.and_then(|all| {
                let ca = read_ca(
                    all.into_iter().next().unwrap(),
                    Timestamp::from_seconds(1_640_995_200),
                )?;
                Facts::of(ca.der())?;
                Ok(is_root(&ca, &[Arc::clone(&ca)]))
            });
            match found {
                Ok(true) => taken += 1,
                other => refused.push(format!("{}: {other:?}\n", path.display())),
            }
        }
        assert!(taken > 100 && refused.is_empty(), "{taken}\n{}", refused.concat());
    }
}
