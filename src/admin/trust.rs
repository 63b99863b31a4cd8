//! Vendors whose certificates first enrolments may be signed with, as administrators trust and see them.

use std::path::{Path, PathBuf};

use countersign_ca::authority::read_crl_file;
use countersign_ca::certificate::Facts;
use countersign_ca::equipment::{self, Mapping, Vendor, VendorDraft};
use countersign_ca::record::Label;
use countersign_ca::{Store, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::exit::Failure;
use crate::instance::Instance;

/// A vendor as it is asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustDraft {
    /// Its name.
    pub name: Label,
    /// What in a certificate names the equipment.
    pub map: Mapping,
    /// Roots and CAs below them, DER in base64.
    pub certificates: Vec<String>,
    /// The only profile that its equipment is enrolled for.
    pub profile: Option<Label>,
    /// Files with its CRLs, as absolute paths on the server's machine.
    pub crls: Vec<PathBuf>,
}

/// Trusts a vendor. Its CRLs must be there and current: without them no equipment of it could enrol.
pub fn add(instance: &Instance, draft: TrustDraft) -> Result<Value, Failure> {
    if let Some(profile) =
        draft.profile.as_ref().filter(|name| instance.profiles().named(name).is_none())
    {
        return Err(Failure::input(format!("there is no profile `{profile}`")));
    }
    let now = instance.now();
    let crls = draft.crls.iter().map(|file| crl_file(file, now)).collect::<Result<_, _>>()?;
    let decode = |text: &String| {
        let der = data_encoding::BASE64.decode(text.as_bytes());
        der.map_err(|e| Failure::input(format!("expected certificates in base64: {e}")))
    };
    let certificates = draft.certificates.iter().map(decode).collect::<Result<_, _>>()?;
    let draft = VendorDraft {
        name: draft.name,
        mapping: draft.map,
        certificates,
        profile: draft.profile,
        crls,
    };
    Ok(line(&equipment::trust(instance.store.as_ref(), instance.now(), draft)?))
}

/// Every vendor.
pub fn list(instance: &Instance) -> Result<Value, Failure> {
    Ok(instance.store.vendors()?.iter().map(line).collect())
}

/// One vendor with its certificates.
pub fn show(instance: &Instance, name: &Label) -> Result<Value, Failure> {
    let vendors = instance.store.vendors()?;
    let vendor = vendors.iter().find(|vendor| vendor.name == *name);
    let vendor = vendor.ok_or_else(|| equipment::no_vendor(name))?;
    let mut value = line(vendor);
    if let Some(fields) = value.as_object_mut() {
        fields.insert("created".into(), json!(vendor.created.whole_seconds().to_string()));
        let all = |ders: &[Vec<u8>]| {
            ders.iter().map(|der| certificate(der)).collect::<Result<Value, _>>()
        };
        fields.insert("roots".into(), all(&vendor.roots)?);
        fields.insert("intermediates".into(), all(&vendor.intermediates)?);
    }
    Ok(value)
}

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

fn line(vendor: &Vendor) -> Value {
    let subject = |der: &Vec<u8>| {
        Facts::of(der).map_or_else(|_| "?".to_owned(), |facts| facts.subject.to_string())
    };
    json!({
        "name": vendor.name,
        "map": vendor.mapping,
        "profile": vendor.profile,
        "roots": vendor.roots.iter().map(subject).collect::<Vec<_>>(),
        "intermediates": vendor.intermediates.len(),
        "crls": vendor.crls,
    })
}

fn certificate(der: &[u8]) -> Result<Value, Failure> {
    let facts = Facts::of(der)?;
    Ok(json!({
        "subject": facts.subject.to_string(),
        "key": facts.key.kind().to_string(),
        "not_after": facts.not_after.to_string(),
        "sha256": data_encoding::HEXLOWER.encode(ring::digest::digest(&ring::digest::SHA256, der).as_ref()),
    }))
}
