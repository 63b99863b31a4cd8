//! Trusted vendors of devices: administrators add them, and the authority reads their certificates.

use std::collections::HashMap;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::error::{Denial, Error, Result};
use crate::key::SubjectPublicKey;
use crate::name::same_name;
use crate::path::{Anchors, Certificate, PathError};
use crate::record::{Label, Mapping, OWN_ACCOUNT_PREFIX, Vendor};
use crate::store::Store;

/// The most vendors that may be trusted.
const MAX_VENDORS: usize = 64;

/// The most certificates of one vendor.
const MAX_CERTIFICATES: usize = 16;

/// The most CRL files of one vendor.
const MAX_CRLS: usize = 16;

/// A vendor that an administrator wants to be trusted.
#[derive(Debug, Clone)]
pub struct VendorDraft {
    /// The vendor's name in this instance.
    pub name: Label,
    /// The field of a certificate that names the device.
    pub mapping: Mapping,
    /// The certificates of roots and of CAs below them, DER, in any order.
    pub certificates: Vec<Vec<u8>>,
    /// The only profile for which the vendor's devices may enrol; `None` permits every profile.
    pub profile: Option<Label>,
    /// The paths of files with the vendor's CRLs. If empty, its certificates are not checked for revocation.
    pub crls: Vec<String>,
}

/// Records that a vendor is trusted, and returns its record.
///
/// # Errors
/// [`Error::Malformed`] for certificates that cannot be those of a vendor's CAs, too many of them or of CRL files, and a name that is
/// the instance's own; `Denied` with [`Denial::Conflict`] for a name or a root that is already trusted, for a CA of this instance, and if
/// too many vendors are trusted.
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

/// Whether a certificate is a root's. A self-issued certificate is one, unless another key of the same name signed it: then it links two
/// keys of a CA. The signature of a root need not be verifiable, because a trust anchor is only a name and a key (RFC 5280 §6.1.1 (d)), and
/// many old roots have a signature with SHA-1. `all` are the vendor's certificates.
fn is_root(ca: &Certificate, all: &[Arc<Certificate>]) -> bool {
    let is_other = |of: &Certificate| of.spki() != ca.spki() && ca.is_signed_by(of);
    ca.is_self_issued()
        && (ca.is_signed_by(ca) || (!ca.names_another_key() && !all.iter().any(|of| is_other(of))))
}

/// Reads a CA's certificate (DER) from an administrator, and checks that it can be used and has not expired at `now`.
fn read_ca(der: Vec<u8>, now: Timestamp) -> Result<Arc<Certificate>> {
    let wrong = |e: PathError| Error::malformed(e.to_string());
    let ca = Certificate::from_der(der).map_err(wrong)?;
    let refused =
        |why: String| Err(Error::malformed(format!("the certificate `{}` {why}", ca.shown())));
    if let Some(defect) = ca.defect() {
        return refused(format!("cannot be used: {defect}"));
    }
    SubjectPublicKey::from_der(ca.spki())?;
    // A root of version 1 has no basicConstraints.
    if !ca.is_ca() && ca.is_version_3() {
        return refused("is not a CA's: trust the CA that issued it".into());
    }
    if ca.not_after < now.whole_seconds() {
        return refused(format!("ended at {}", ca.not_after));
    }
    Ok(Arc::new(ca))
}

/// Refuses a CA of this instance, which cannot be a vendor's, and a root of another vendor, because a device under it could belong to
/// either. It also refuses every CA if [`MAX_VENDORS`] vendors are trusted already.
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

/// The trusted vendors with their parsed certificates.
#[derive(Debug, Default)]
pub struct Vendors {
    pub(super) records: Vec<Vendor>,
    pub(super) anchors: Anchors,
    pub(super) intermediates: Vec<Arc<Certificate>>,
    /// The vendor's index in `records`, by the fingerprint of its root.
    by_root: HashMap<[u8; 32], usize>,
}

impl Vendors {
    /// Parses the certificates of these vendors.
    pub(super) fn new(records: Vec<Vendor>) -> Result<Self> {
        let unreadable = |e: PathError| Error::internal(format!("a vendor's certificate: {e}"));
        let roots = records.iter().flat_map(|vendor| vendor.roots.iter().cloned());
        let anchors = Anchors::new(roots).map_err(unreadable)?;
        let indexes = records.iter().enumerate();
        let by_root = indexes.flat_map(|(index, vendor)| vendor.roots.iter().map(move |_| index));
        let by_root =
            anchors.iter().zip(by_root).map(|(root, index)| (*root.fingerprint(), index)).collect();
        let intermediates = records.iter().flat_map(|vendor| vendor.intermediates.iter().cloned());
        let intermediates = intermediates
            .map(|der| Certificate::from_der(der).map(Arc::new))
            .collect::<Result<Vec<_>, _>>()
            .map_err(unreadable)?;
        Ok(Self { records, anchors, intermediates, by_root })
    }

    /// The vendor that has this root; [`Error::Internal`] if none has.
    pub(super) fn of_root(&self, root: &Certificate) -> Result<&Vendor> {
        let index = self.by_root.get(root.fingerprint());
        index
            .and_then(|index| self.records.get(*index))
            .ok_or_else(|| Error::internal("a root of no vendor"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::x509::{Facts, read_all};

    #[test]
    fn the_roots_that_debian_ships_are_taken() {
        let folder = "/usr/share/ca-certificates/mozilla";
        let files = std::fs::read_dir(folder)
            .expect("this test needs the package `ca-certificates`: run `make deps`");
        let (mut taken, mut refused) = (0, Vec::new());
        for file in files {
            let path = file.unwrap().path();
            let read = read_all(&std::fs::read(&path).unwrap());
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
