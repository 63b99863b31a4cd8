//! Devices that leave the factory with a certificate of their vendor (IDevID) and use it for their first enrolment
//! (3GPP TS 33.310 §9, RFC 9483 §4.1.1): the trusted vendors, and the field of a vendor's certificate that names the
//! device.
//!
//! `authority/equipment.rs` verifies such certificates.

use std::fmt;
use std::str::FromStr;

use der::oid::ObjectIdentifier;
use der::{Tag, Tagged};
use serde::{Deserialize, Serialize};
use x509_cert::ext::pkix::name::GeneralName;

use super::label::Label;
use crate::clock::Timestamp;
use crate::error::{Denial, Error, Result};
use crate::name::{Identity, Name, distinguished_name, refuse_misleading};
use crate::oid;
use crate::path::Certificate;

/// The longest name of a device, in bytes.
const MAX_VALUE: usize = 256;

/// A trusted vendor. Its certificates may sign first enrolments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vendor {
    /// The vendor's name in this instance.
    pub name: Label,
    /// The field of a certificate that names the device.
    pub mapping: Mapping,
    /// The vendor's root certificates, DER. There is at least one.
    pub roots: Vec<Vec<u8>>,
    /// The vendor's intermediate CA certificates, DER, for devices that do not send them.
    pub intermediates: Vec<Vec<u8>>,
    /// The only profile for which the vendor's devices may enrol; `None` permits every profile.
    pub profile: Option<Label>,
    /// Paths of files with the vendor's CRLs, which are checked at each enrolment. If there are any, every certificate
    /// of a path must be covered by a current CRL.
    pub crls: Vec<String>,
    /// When the vendor was recorded.
    pub created: Timestamp,
}

/// The device that an account is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The device's vendor.
    pub vendor: Label,
    /// The device's name, as the vendor's mapping extracts it from the certificate. It is unique for the vendor.
    pub value: String,
    /// The number of certificates that the device may still get with the vendor's certificate.
    pub uses_left: u32,
    /// When an administrator last set the number of uses.
    pub allowed: Timestamp,
}

/// Writes `VENDOR:VALUE`.
impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.vendor, self.value)
    }
}

/// The device for an account, as an administrator names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceDraft {
    /// The device's vendor.
    pub vendor: Label,
    /// The device's name.
    pub value: String,
    /// The number of certificates that the device may get with the vendor's certificate; at least 1.
    pub uses: u32,
}

/// The field of a vendor's certificate that names the device.
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
    /// The only dNSName of the subjectAltName.
    #[serde(rename = "fqdn")]
    Fqdn,
    /// The only rfc822Name of the subjectAltName.
    #[serde(rename = "email")]
    Email,
}

impl Mapping {
    /// Every mapping, with its name in commands and records.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::SerialNumber, "serialNumber"),
        (Self::CommonName, "commonName"),
        (Self::Subject, "subject"),
        (Self::Fqdn, "fqdn"),
        (Self::Email, "email"),
    ];

    /// The mapping's name in commands and records.
    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(mapping, _)| *mapping == self).map_or("", |(_, name)| name)
    }

    /// The device's name in a certificate. There must be exactly one such field. Otherwise a vendor's CA that verifies
    /// one and copies another from the request would let a device choose its name.
    ///
    /// # Errors
    /// `Denied` with [`Denial::NotAuthorized`] that says what was expected and what was found.
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

    /// A device's name as an administrator writes it, converted to the form that [`Self::value_in`] returns.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the name does not have the form of the mapping's field, contains a misleading character,
    /// or is not 1 to 256 bytes long.
    pub fn normal(self, value: &str) -> Result<String> {
        let text = match self {
            Self::SerialNumber | Self::CommonName => value.to_owned(),
            Self::Subject => distinguished_name(value)?.to_string(),
            Self::Fqdn => identity_text(&format!("fqdn:{value}").parse()?)?,
            Self::Email => identity_text(&format!("email:{value}").parse()?)?,
        };
        checked(text)
    }

    /// The device's name, if the certificate has exactly one alternative name of the mapping's kind.
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

/// The error that no vendor of this name is trusted.
pub fn no_vendor(name: &Label) -> Error {
    Error::denied(
        Denial::Conflict,
        format!("no vendor `{name}` is trusted; `countersign trust list` shows them"),
    )
}

/// The text of the only attribute of this type in a subject. The attribute must be alone in its RDN.
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

/// The text of a DNS name or a mailbox.
fn identity_text(identity: &Identity) -> Result<String> {
    match identity {
        Identity::Fqdn(text) | Identity::Email(text) => Ok(text.clone()),
        other => Err(Error::malformed(format!("`{other}` does not name equipment"))),
    }
}

/// A device's name, if its length and characters are acceptable.
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
