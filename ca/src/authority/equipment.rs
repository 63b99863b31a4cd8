//! Authenticates devices by a certificate of their vendor, for a first enrolment (3GPP TS 33.310 §9, RFC 9483 §4.1.1).
//!
//! The order of the steps bounds the cost of a message from an unauthenticated client: one signature, then a path search within the bounds
//! of `path/budget.rs`, and CRLs only for a device that has an account and may enrol. Parsed CRL files are cached
//! (`vendor_crls.rs`).

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
    /// Whether no CA of this instance has the subject `issuer`, so that a certificate of this issuer may be a vendor's.
    pub fn is_foreign(&self, issuer: &Name) -> bool {
        !self.cas.values().any(|ca| same_name(&ca.facts().subject, issuer))
    }

    /// Authenticates a device by a certificate of a trusted vendor, the first of `certificates`. The others, in any
    /// order, may complete the path to the vendor's root. The vendor's mapping names the field of the certificate that contains the
    /// device's name, and that name finds the account. `verify` checks a signature with the certificate's key. `admit` may refuse the
    /// requester before the vendor's CRLs are read, which can be large.
    ///
    /// # Errors
    /// `Denied` with [`Denial::SignerNotTrusted`] if no valid path leads to a vendor, with [`Denial::AlreadyRevoked`]
    /// if a certificate of the path is revoked, with [`Denial::NotAuthorized`] if no account is for this device;
    /// [`Error::Unavailable`] if the vendor's CRLs do not tell the status. Otherwise the errors of `verify` and
    /// `admit`.
    pub fn authenticate_equipment(
        &self,
        certificates: &[Vec<u8>],
        verify: &mut dyn FnMut(&SubjectPublicKey) -> Result<()>,
        admit: &mut dyn FnMut(&Requester) -> Result<()>,
    ) -> Result<Requester> {
        // 1. Stop early if no vendor is trusted.
        let vendors = self.vendors()?;
        let (signer, others) =
            certificates.split_first().ok_or_else(|| untrusted("it is missing"))?;
        let signer = Certificate::from_der(signer.clone()).map_err(untrusted)?;
        if vendors.records.is_empty() {
            return Err(untrusted(format!("`{}` was not issued here", signer.shown())));
        }
        // 2. Verify the signature, also that of a signer that will turn out to be unknown.
        verify(&SubjectPublicKey::from_der(signer.spki())?)?;
        // 3. Find a path to a vendor's root. Other certificates that cannot be read are ignored.
        check_signer(&signer)?;
        let chain: Vec<Arc<Certificate>> = std::iter::once(Ok(signer))
            .chain(others.iter().map(|der| Certificate::from_der(der.clone())))
            .filter_map(|read| read.ok().map(Arc::new))
            .collect();
        let now = self.now();
        let settings = PathSettings::default();
        let path = validate(&vendors.anchors, &settings, &chain, &vendors.intermediates, now)
            .map_err(untrusted)?;
        let vendor = vendors.of_root(&path.anchor)?;
        // 4. Find the account of the device.
        let leaf = path.certificates.first().ok_or_else(|| Error::internal("a path of nothing"))?;
        let value = vendor.mapping.value_in(leaf).inspect_err(|error| {
            tracing::warn!(target: REFUSED, vendor = %vendor.name, %error, "equipment without a name");
        })?;
        let account = self.account_for(vendor, &value)?;
        account.require_enabled()?;
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
        // 5. Check the vendor's CRLs.
        self.check_status(vendor, &path, now)?;
        let account = &requester.account().name;
        tracing::info!(%account, vendor = %vendor.name, "equipment with its vendor's certificate");
        Ok(requester)
    }

    /// Checks that the requester may still enrol with its vendor's certificate. A requester with any other credential passes.
    ///
    /// # Errors
    /// `Denied` with [`Denial::NotAuthorized`] if no use of the vendor's certificate is left.
    pub fn check_vendors_uses(&self, requester: &Requester) -> Result<()> {
        match requester.credential() {
            Credential::Vendor(vendor) => check_equipment(requester.account(), vendor),
            _ => Ok(()),
        }
    }

    /// Checks that the vendor's CRLs list no certificate of the path as revoked, and that they cover each of them. A vendor without CRL
    /// files passes.
    fn check_status(&self, vendor: &Vendor, path: &ValidPath, now: Timestamp) -> Result<()> {
        if vendor.crls.is_empty() {
            return Ok(());
        }
        let crls = self.vendor_crls.in_files(&vendor.crls)?;
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

    /// The account of the device that the vendor names by `value`. An account with another profile than the vendor's, if the vendor is
    /// trusted for one profile only, is refused.
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

    /// The trusted vendors by the records. Their certificates are parsed again only after a record changed.
    fn vendors(&self) -> Result<Arc<Vendors>> {
        let records = self.store().vendors()?;
        let mut cached = self.vendors.lock().unwrap_or_else(PoisonError::into_inner);
        if cached.records != records {
            *cached = Arc::new(Vendors::new(records)?);
        }
        Ok(Arc::clone(&cached))
    }
}

/// Checks that the account may enrol with its vendor's certificate once more. The administrator limits the number of uses, so that a
/// thief of the device's key cannot enrol again unnoticed.
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

/// Removes from a request the subject and the alternative names that only repeat those of the vendor's certificate, unless they are
/// identities of the account. Clients such as OpenSSL's copy these names if the user gives none, so they do not express a wish. A sentence
/// in `changes` says that they were left out.
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

/// Checks that the signer is an end entity whose key may sign (RFC 9483 §3.2).
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
