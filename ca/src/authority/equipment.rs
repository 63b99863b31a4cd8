//! Who asks, by a certificate of an equipment vendor: a first enrolment (3GPP TS 33.310 §9, RFC 9483 §4.1.1).
//!
//! The order bounds what a stranger costs: one signature, then a path within the bounds of `path/build.rs`, and CRLs only for
//! equipment that has an account and may go on. Files of CRLs are kept parsed (`equipment/crls.rs`).

use std::sync::{Arc, PoisonError};

use x509_cert::ext::pkix::KeyUsages;
use x509_cert::ext::pkix::name::GeneralName;

use super::request::{CertificateRequest, Credential, Requester, VendorSigned};
use super::state::Authority;
use super::vendors::Vendors;
use crate::REFUSED;
use crate::clock::Timestamp;
use crate::error::{Denial, Error, Result};
use crate::key::SubjectPublicKey;
use crate::name::{Identity, Name, same_name};
use crate::path::crl::{CrlStatus, status_by_crls};
use crate::path::{Anchors, Certificate, PathSettings, ValidPath, validate};
use crate::record::{Account, Vendor};

impl Authority {
    /// Whether a certificate of this issuer is not ours, and may be a vendor's.
    pub fn is_foreign(&self, issuer: &Name) -> bool {
        !self.cas.values().any(|ca| same_name(&ca.facts().subject, issuer))
    }

    /// Takes a certificate of a trusted vendor, the first of `certificates`; the others, in any order, may lead to the vendor's root.
    /// `verify` checks a signature with its key. Which account it stands for, the vendor's mapping says. `admit` may refuse it before
    /// the vendor's CRLs are read, which can be large.
    ///
    /// # Errors
    /// `Denied` with [`Denial::SignerNotTrusted`] when no valid path leads to a vendor, with [`Denial::AlreadyRevoked`] when a certificate
    /// of the path is revoked, with [`Denial::NotAuthorized`] when no account is for this equipment; [`Error::Unavailable`] when the
    /// vendor's CRLs do not tell; whatever `verify` and `admit` say.
    pub fn authenticate_equipment(
        &self,
        certificates: &[Vec<u8>],
        verify: &mut dyn FnMut(&SubjectPublicKey) -> Result<()>,
        admit: &mut dyn FnMut(&Requester) -> Result<()>,
    ) -> Result<Requester> {
        // 1. Anything to do at all?
        let vendors = self.vendors()?;
        let (signer, others) =
            certificates.split_first().ok_or_else(|| untrusted("it is missing"))?;
        let signer = Certificate::from_der(signer.clone()).map_err(untrusted)?;
        if vendors.records.is_empty() {
            return Err(untrusted(format!("`{}` was not issued here", signer.shown())));
        }
        // 2. The signature, by whoever it is.
        verify(&SubjectPublicKey::from_der(signer.spki())?)?;
        // 3. The path to a vendor's root. What cannot be read among the others leads nowhere.
        check_signer(&signer)?;
        let chain: Vec<Arc<Certificate>> = std::iter::once(Ok(signer))
            .chain(others.iter().map(|der| Certificate::from_der(der.clone())))
            .filter_map(|read| read.ok().map(Arc::new))
            .collect();
        let now = self.now();
        let settings = PathSettings::default();
        let path = validate(&vendors.anchors, &settings, &chain, &vendors.intermediates, now)
            .map_err(untrusted)?;
        let vendor = vendors.of(&path.anchor)?;
        // 4. The account of the equipment.
        let leaf = path.certificates.first().ok_or_else(|| Error::internal("a path of nothing"))?;
        let value = vendor.mapping.value_in(leaf).inspect_err(|error| {
            tracing::warn!(target: REFUSED, vendor = %vendor.name, %error, "equipment without a name");
        })?;
        let account = self.account_for(vendor, &value)?;
        let credential = VendorSigned {
            vendor: vendor.name.clone(),
            value,
            certificate: *leaf.fingerprint(),
            issuer: leaf.issuer_name.clone(),
            subject: leaf.subject_name.clone(),
            alt_names: leaf.alt_names.clone(),
        };
        let requester = Requester::new(account, Credential::Vendor(Box::new(credential)));
        admit(&requester)?;
        // 5. The vendor's CRLs.
        self.check_status(vendor, &path, now)?;
        let account = &requester.account().name;
        tracing::info!(%account, vendor = %vendor.name, "equipment with its vendor's certificate");
        Ok(requester)
    }

    /// Whether this equipment may still enrol by its vendor's certificate; who proved itself otherwise may.
    ///
    /// # Errors
    /// `Denied` with [`Denial::NotAuthorized`] when it did already.
    pub fn check_vendors_uses(&self, requester: &Requester) -> Result<()> {
        match requester.credential() {
            Credential::Vendor(vendor) => check_equipment(requester.account(), vendor),
            _ => Ok(()),
        }
    }

    /// Every certificate of the path is good by the vendor's CRLs, if it has any.
    fn check_status(&self, vendor: &Vendor, path: &ValidPath, now: Timestamp) -> Result<()> {
        if vendor.crls.is_empty() {
            return Ok(());
        }
        let crls = self.vendor_crls.of(&vendor.crls)?;
        let vendors = Anchors::only(&path.anchor);
        for (certificate, issuer) in path.pairs() {
            match status_by_crls(&vendors, &[], certificate, issuer, &crls, now) {
                CrlStatus::Good(_) => {}
                CrlStatus::Revoked { at, .. } => {
                    return Err(Error::denied(
                        Denial::AlreadyRevoked,
                        format!(
                            "the vendor's certificate `{}` was revoked on {at}",
                            certificate.shown()
                        ),
                    ));
                }
                CrlStatus::Unknown(why) | CrlStatus::Unsettled(why) => {
                    return Err(Error::unavailable(format!(
                        "the status of `{}` by the CRLs of the vendor `{}` is not known: {why}; put a current CRL there",
                        certificate.shown(),
                        vendor.name
                    )));
                }
            }
        }
        Ok(())
    }

    fn account_for(&self, vendor: &Vendor, value: &str) -> Result<Account> {
        let refused = |why: String| {
            tracing::warn!(target: REFUSED, vendor = %vendor.name, equipment = value, "{why}");
            Err(Error::denied(Denial::NotAuthorized, why))
        };
        let Some(account) = self.store().account_by_equipment(&vendor.name, value)? else {
            return refused(format!(
                "no account is for the equipment whose {} is `{value}`; ask the administrator for one",
                vendor.mapping
            ));
        };
        match &vendor.profile {
            Some(profile) if *profile != account.profile => refused(format!(
                "the vendor `{}` is trusted for the profile `{profile}` only, and the account `{}` has `{}`",
                vendor.name, account.name, account.profile
            )),
            _ => Ok(account),
        }
    }

    /// The vendors as they are now; their certificates are read again only after a change.
    fn vendors(&self) -> Result<Arc<Vendors>> {
        let records = self.store().vendors()?;
        let mut kept = self.vendors.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.records != records {
            *kept = Arc::new(Vendors::new(records)?);
        }
        Ok(Arc::clone(&kept))
    }
}

/// The vendor's certificate is good for as many certificates as the administrator said: whoever gets hold of its key must not
/// enrol again unseen.
pub(super) fn check_equipment(account: &Account, vendor: &VendorSigned) -> Result<()> {
    let equipment = account.equipment.as_ref().filter(|equipment| vendor.is_of(equipment));
    let equipment =
        equipment.ok_or_else(|| Error::internal("a vendor's certificate for other equipment"))?;
    if equipment.uses_left > 0 {
        return Ok(());
    }
    tracing::warn!(target: REFUSED, account = %account.name, %equipment, "a vendor's certificate that is used up asks again");
    Err(Error::not_authorized(format!(
        "the account `{}` was enrolled by the vendor's certificate already; the administrator can allow it again",
        account.name
    )))
}

/// The request without what it repeats of the vendor's certificate, unless the account holds it: a client that is told no names, as
/// OpenSSL's, fills these in. They are no wish; that they are left out is said.
pub fn without_vendors_names(
    requester: &Requester,
    mut request: CertificateRequest,
    changes: &mut Vec<String>,
) -> CertificateRequest {
    let Credential::Vendor(vendor) = requester.credential() else { return request };
    let held = &requester.account().identities;
    let is_held = |name: &GeneralName| {
        Identity::from_general_name(name).is_ok_and(|identity| held.contains(&identity))
    };
    let before = request.alt_names.len();
    request.alt_names.retain(|name| is_held(name) || !vendor.alt_names.contains(name));
    if request.alt_names.len() < before {
        changes.push("the alternative names of the vendor's certificate were left out".into());
    }
    let is_dn = |name: &Name| {
        held.iter().any(|identity| matches!(identity, Identity::Dn(dn) if same_name(dn, name)))
    };
    let repeated = |name: &Name| same_name(name, &vendor.subject) && !is_dn(name);
    if request.subject.as_ref().is_some_and(repeated) {
        request.subject = None;
        changes.push("the subject is the account's, not that of the vendor's certificate".into());
    }
    request
}

/// What signs a message is an end entity's certificate whose key may sign (RFC 9483 §3.2).
fn check_signer(signer: &Certificate) -> Result<()> {
    if signer.is_ca() {
        return Err(untrusted(format!(
            "`{}` is a CA's; sign with the certificate of the equipment",
            signer.shown()
        )));
    }
    let signs =
        signer.key_usage.as_ref().is_none_or(|usage| usage.0.contains(KeyUsages::DigitalSignature));
    match signs {
        true => Ok(()),
        false => Err(untrusted(format!(
            "the keyUsage of `{}` lacks digitalSignature (RFC 9483 §3.2)",
            signer.shown()
        ))),
    }
}

fn untrusted(why: impl std::fmt::Display) -> Error {
    Error::denied(Denial::SignerNotTrusted, format!("the signer's certificate: {why}"))
}
