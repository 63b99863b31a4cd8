//! The extensions that a request asks for, and its subjectAltName among them.

use countersign_ca::{Denial, Error, oid as ca};
use der::asn1::OctetString;
use der::{Decode, Encode};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::malformed;

/// How the subjectAltName of a request is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AltNames {
    /// The subjectAltName is read as it was sent.
    AsSent,
    /// The subjectAltName is first repaired by [`with_one_alt_name`].
    Repaired,
}

/// The extensions of a request: the names of the subjectAltName, and all other extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeparateExtensions {
    /// The names in the subjectAltName; empty without one.
    pub alt_names: Vec<GeneralName>,
    /// Every other extension, in the order of the request.
    pub others: Vec<Extension>,
}

/// Takes the subjectAltName out of the extensions of a request.
///
/// # Errors
/// `Denied` with [`Denial::Template`] if an extension is there twice, [`Error::Malformed`] for a subjectAltName that cannot be decoded.
pub fn separate_alt_names(extensions: Vec<Extension>) -> Result<SeparateExtensions, Error> {
    let mut alt_names = Vec::new();
    let mut others: Vec<Extension> = Vec::new();
    let mut seen = Vec::new();
    for extension in extensions {
        if seen.contains(&extension.extn_id) {
            return Err(Error::denied(
                Denial::Template,
                format!("the extension `{}` stands twice; leave one out", extension.extn_id),
            ));
        }
        seen.push(extension.extn_id);
        if extension.extn_id == ca::SUBJECT_ALT_NAME {
            let decoded = SubjectAltName::from_der(extension.extn_value.as_bytes());
            alt_names = decoded.map_err(malformed("a subjectAltName"))?.0;
        } else {
            others.push(extension);
        }
    }
    Ok(SeparateExtensions { alt_names, others })
}

/// Merges all subjectAltNames among the extensions into one. The merged one has each of their names once, and stands at the position of
/// the first of them.
///
/// OpenSSL's client sends the subjectAltName of a CSR and that of the old certificate. Siemens' component wraps it into a second OCTET
/// STRING, which is removed. If one of them cannot be read, the extensions stay as they are.
pub fn with_one_alt_name(extensions: Vec<Extension>) -> Vec<Extension> {
    let is_alt_name = |extension: &&Extension| extension.extn_id == ca::SUBJECT_ALT_NAME;
    let read = extensions.iter().filter(is_alt_name).map(|found| alt_names(&found.extn_value));
    let Some(all) = read.collect::<Option<Vec<_>>>() else { return extensions };
    let mut names = Vec::new();
    for name in all.into_iter().flatten() {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let encoded = SubjectAltName(names).to_der().and_then(OctetString::new);
    let Ok(encoded) = encoded else { return extensions };
    let (mut repaired, mut is_first) = (Vec::with_capacity(extensions.len()), true);
    for mut extension in extensions {
        if extension.extn_id == ca::SUBJECT_ALT_NAME {
            if !std::mem::take(&mut is_first) {
                continue;
            }
            extension.extn_value = encoded.clone();
        }
        repaired.push(extension);
    }
    repaired
}

/// The names in the value of a subjectAltName, be it wrapped into a second OCTET STRING; `None` if it cannot be read.
fn alt_names(value: &OctetString) -> Option<Vec<GeneralName>> {
    let wrapped = OctetString::from_der(value.as_bytes()).ok();
    let inner = wrapped.as_ref().map_or(value.as_bytes(), OctetString::as_bytes);
    SubjectAltName::from_der(inner).ok().map(|names| names.0)
}
