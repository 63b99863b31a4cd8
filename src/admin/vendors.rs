//! Vendors whose certificates may sign first enrolments, as administrators trust and see them.

use std::path::Path;

use countersign_ca::authority::read_crl_file;
use countersign_ca::authority::vendors::{self, VendorDraft};
use countersign_ca::record::Label;
use countersign_ca::record::{Vendor, no_vendor};
use countersign_ca::x509::Facts;
use countersign_ca::{Store, Timestamp};
use data_encoding::{BASE64, HEXLOWER};
use ring::digest::{SHA256, digest};

use super::answer::{Removed, VendorCertificate, VendorInFull, VendorLine};
use super::recorded::record;
use super::request::RequestedVendor;
use crate::exit::Failure;
use crate::instance::Instance;

/// Trusts a vendor's certificates for first enrolments. The files of its CRLs must be there and current, or no device of the vendor could
/// enrol.
pub fn add(
    instance: &Instance,
    actor: &str,
    vendor: RequestedVendor,
) -> Result<VendorLine, Failure> {
    if let Some(profile) =
        vendor.profile.as_ref().filter(|name| instance.profiles().named(name).is_none())
    {
        return Err(Failure::input(format!("there is no profile `{profile}`")));
    }
    let now = instance.now();
    let crls = vendor.crls.iter().map(|file| crl_file(file, now)).collect::<Result<_, _>>()?;
    let decode = |text: &String| {
        let der = BASE64.decode(text.as_bytes());
        der.map_err(|e| Failure::input(format!("expected certificates in base64: {e}")))
    };
    let certificates = vendor.certificates.iter().map(decode).collect::<Result<_, _>>()?;
    let draft = VendorDraft {
        name: vendor.name,
        mapping: vendor.map,
        certificates,
        profile: vendor.profile,
        crls,
    };
    let trusted = vendors::trust(instance.store.as_ref(), instance.now(), draft)?;
    record(instance, actor, "trust add", &trusted.name)?;
    Ok(line(&trusted))
}

/// Checks a file of CRLs, each of which must have a nextUpdate that is not over. Returns its path, which must be absolute.
fn crl_file(file: &Path, now: Timestamp) -> Result<String, Failure> {
    let name = file.to_str().filter(|_| file.is_absolute()).ok_or_else(|| {
        Failure::input(format!("expected an absolute path in UTF-8, found `{}`", file.display()))
    })?;
    for crl in read_crl_file(name)? {
        if crl.next_update.is_none_or(|next| next < now) {
            let until = crl.next_update.map_or_else(|| "no day".into(), |next| next.to_string());
            return Err(Failure::input(format!(
                "the CRL of `{}` in `{name}` is good until {until}; put a current one there",
                crl.issuer()
            )));
        }
    }
    Ok(name.to_owned())
}

/// Every vendor, sorted by name.
pub fn list(instance: &Instance) -> Result<Vec<VendorLine>, Failure> {
    Ok(instance.store.vendors()?.iter().map(line).collect())
}

fn line(vendor: &Vendor) -> VendorLine {
    let subject = |der: &Vec<u8>| {
        Facts::of(der).map_or_else(|_| "?".to_owned(), |facts| facts.subject.to_string())
    };
    VendorLine {
        name: vendor.name.clone(),
        map: vendor.mapping,
        profile: vendor.profile.clone(),
        roots: vendor.roots.iter().map(subject).collect(),
        intermediates: vendor.intermediates.len(),
        crls: vendor.crls.clone(),
    }
}

/// Shows one vendor with its certificates.
pub fn show(instance: &Instance, name: &Label) -> Result<VendorInFull, Failure> {
    let vendors = instance.store.vendors()?;
    let vendor = vendors.into_iter().find(|vendor| vendor.name == *name);
    let vendor = vendor.ok_or_else(|| no_vendor(name))?;
    Ok(VendorInFull {
        map: vendor.mapping,
        roots: all(&vendor.roots)?,
        intermediates: all(&vendor.intermediates)?,
        created: vendor.created.whole_seconds().to_string(),
        name: vendor.name,
        profile: vendor.profile,
        crls: vendor.crls,
    })
}

fn all(certificates: &[Vec<u8>]) -> Result<Vec<VendorCertificate>, Failure> {
    certificates.iter().map(|der| certificate(der)).collect()
}

fn certificate(der: &[u8]) -> Result<VendorCertificate, Failure> {
    let facts = Facts::of(der)?;
    Ok(VendorCertificate {
        subject: facts.subject.to_string(),
        key: facts.key.kind().to_string(),
        not_after: facts.not_after.to_string(),
        sha256: HEXLOWER.encode(digest(&SHA256, der).as_ref()),
    })
}

/// Ends the trust in a vendor. Certificates that its devices enrolled for stay valid.
pub fn remove(instance: &Instance, actor: &str, name: Label) -> Result<Removed, Failure> {
    instance.store.record_vendor_removed(instance.now(), &name)?;
    record(instance, actor, "trust remove", &name)?;
    Ok(Removed { removed: name })
}
