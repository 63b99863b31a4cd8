//! Requests that an administrator brings for an account, such as the CSR of an appliance. The names and extensions of such a request only
//! propose. Where the account or the profile differs from the request, the answer lists the difference, and the request is not refused.

use super::authorize::{Authorized, check_extensions, check_use, validity};
use super::request::CertificateRequest;
use super::state::Authority;
use crate::error::{Error, Result};
use crate::key::KeyKind;
use crate::name::Identity;
use crate::profile::{Names, Profile, subject};
use crate::record::Account;
use x509_cert::ext::pkix::KeyUsage;
use x509_cert::ext::pkix::name::GeneralName;

impl Authority {
    /// Decides about a request that an administrator brings. A CA that the request names issues instead of the account's. The
    /// administrator has approved the request, and the request consumes no use of the account's secret or equipment.
    ///
    /// # Errors
    /// `Denied` if the account is disabled, if the profile does not take the key, or if no verifier would accept the names below the CA;
    /// [`Error::Unavailable`] if there is no such issuing CA or it ends within 5 minutes; [`Error::Internal`] if the account's profile is
    /// not configured.
    pub fn authorize_attended(
        &self,
        account: &Account,
        request: CertificateRequest,
    ) -> Result<Authorized> {
        account.require_enabled()?;
        let profile = self.profile_for(account, request.profile.as_ref())?;
        let ca = match &request.ca {
            Some(named) => self.latest(self.issuing_ca(Some(named))?),
            None => self.ca_for(account, None)?,
        };
        ca.require_active()?;
        let kind = request.key.key().kind();
        profile.check_key(kind)?;
        check_use(&profile, kind)?;
        self.refuse_own_keys(&request.key)?;
        let mut changes = Vec::new();
        let names = fitting_names(account, &profile, &request, &mut changes)?;
        let key_usage = fitting_usage(&profile, kind, &request, &mut changes)?;
        let now = self.now();
        let (not_before, not_after) = validity(&profile, ca, &request, now, &mut changes)?;
        ca.handed_out().permits(ca.facts(), names.clone(), now)?;
        Ok(Authorized {
            account: account.clone(),
            ca: ca.info().name.clone(),
            profile,
            key: request.key,
            key_usage,
            names,
            not_before,
            not_after,
            consumes_secret: false,
            consumes_equipment: false,
            replaces: None,
            unpublished: request.published == Some(false),
            retires: None,
            changes,
            to_approve: None,
            serial: None,
        })
    }
}

/// The requested names that the account has; if it has none of them, all names of the account.
fn fitting_names(
    account: &Account,
    profile: &Profile,
    request: &CertificateRequest,
    changes: &mut Vec<String>,
) -> Result<Names> {
    let mut wanted: Vec<GeneralName> = Vec::new();
    for name in &request.alt_names {
        let only = std::slice::from_ref(name);
        match subject::decide(account, profile, None, Some(only), &mut Vec::new()) {
            Ok(_) => wanted.push(name.clone()),
            Err(Error::Denied { why, .. } | Error::Malformed(why)) => {
                let shown = Identity::from_general_name(name);
                let shown = shown.map_or_else(|_| "a name".into(), |name| format!("`{name}`"));
                changes.push(format!("{shown} was left out: {why}"));
            }
            Err(other) => return Err(other),
        }
    }
    let wanted = Some(wanted.as_slice()).filter(|wanted| !wanted.is_empty());
    if wanted.is_none() && !request.alt_names.is_empty() {
        changes.push("the alternative names are all that the account has".into());
    }
    let mut as_asked = Vec::new();
    match subject::decide(account, profile, request.subject.as_ref(), wanted, &mut as_asked) {
        Ok(names) => {
            changes.extend(as_asked);
            Ok(names)
        }
        Err(Error::Denied { .. }) if request.subject.is_some() => {
            let names = subject::decide(account, profile, None, wanted, &mut Vec::new())?;
            changes.push(subject::replacement_notice(&names.subject));
            Ok(names)
        }
        Err(other) => Err(other),
    }
}

/// The key usage, and a check of the extensions. An extension that a peer's own request may not have is left out.
fn fitting_usage(
    profile: &Profile,
    kind: KeyKind,
    request: &CertificateRequest,
    changes: &mut Vec<String>,
) -> Result<KeyUsage> {
    let mut wanted = Vec::new();
    for extension in &request.extensions {
        let only = std::slice::from_ref(extension);
        match check_extensions(profile, kind, only, &mut Vec::new()) {
            Ok(_) => wanted.push(extension.clone()),
            Err(Error::Denied { why, .. } | Error::Malformed(why)) => {
                changes.push(format!("the extension `{}` was left out: {why}", extension.extn_id));
            }
            Err(other) => return Err(other),
        }
    }
    check_extensions(profile, kind, &wanted, changes)
}
