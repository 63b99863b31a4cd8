//! Drafts: accounts that an administrator wants to add. They are checked here.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::lint::{self, Severity};
use crate::name::{Identity, Name};
use crate::profile::{Profile, Profiles, subject};
use crate::record::{
    Account, Device, DeviceDraft, Incarnation, Label, OWN_ACCOUNT_PREFIX, Permission, Remarks,
    Vendor, no_vendor,
};

/// The most identities of one account.
const MAX_IDENTITIES: usize = 64;

/// An account that an administrator wants to add.
#[derive(Debug, Clone)]
pub struct AccountDraft {
    /// The account's name.
    pub name: Label,
    /// The identities that the account's certificates may contain.
    pub identities: Vec<Identity>,
    /// The account's profile.
    pub profile: Label,
    /// The issuing CA; `None` for the default CA.
    pub ca: Option<Label>,
    /// The device that may enrol with its vendor's certificate, if there is one.
    pub equipment: Option<DeviceDraft>,
    /// The lifetime and uses of the shared secret to generate; `None` for an account without a secret.
    pub secret: Option<SecretPolicy>,
    /// What the account may do besides asking for certificates for its own keys.
    pub permissions: BTreeSet<Permission>,
    /// What administrators note about the account.
    pub remarks: Remarks,
    /// The line of the imported file, counted from 1, for messages; `None` if the draft is not from a file.
    pub line: Option<u64>,
}

/// The lifetime and the uses of a shared secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretPolicy {
    /// The time from the secret's generation until it expires; more than zero.
    pub lifetime: Duration,
    /// The number of certificates that the secret may be used for, not counting those that the peer did not accept; at least 1.
    pub uses: u32,
}

impl From<&Account> for AccountDraft {
    /// The draft of an account as it is, without a new secret.
    fn from(account: &Account) -> Self {
        Self {
            name: account.name.clone(),
            identities: account.identities.clone(),
            profile: account.profile.clone(),
            ca: account.ca.clone(),
            equipment: None,
            secret: None,
            permissions: account.permissions.clone(),
            remarks: account.remarks.clone(),
            line: None,
        }
    }
}

impl AccountDraft {
    /// Checks that a certificate of the draft's profile can contain its identities.
    ///
    /// # Errors
    /// [`Error::Malformed`] if there is no such profile, or the subject or a DN identity breaks the lint; `Denied` if the profile permits
    /// none of the identities.
    pub fn check_names(&self, profiles: &Profiles) -> Result<()> {
        let profile = profiles
            .named(&self.profile)
            .ok_or_else(|| Error::malformed(format!("there is no profile `{}`", self.profile)))?;
        check_account(&self.account(), profile)
    }

    /// The account, without its secret and device, and with a creation time of 1970.
    pub(super) fn account(&self) -> Account {
        Account {
            name: self.name.clone(),
            identities: self.identities.clone(),
            profile: self.profile.clone(),
            ca: self.ca.clone(),
            secret: None,
            equipment: None,
            created: Timestamp::default(),
            permissions: self.permissions.clone(),
            remarks: self.remarks.clone(),
            is_disabled: false,
            incarnation: Incarnation::NONE,
        }
    }

    /// The draft's line and account name, for messages.
    pub(super) fn place(&self) -> String {
        match self.line {
            Some(line) => format!("line {line}, account `{}`", self.name),
            None => format!("account `{}`", self.name),
        }
    }
}

/// The device of a draft, with its name in the normal form of the vendor's mapping. An unknown vendor, a name that the mapping does not
/// permit, and zero uses are refused.
pub(super) fn equipment_of(
    vendors: &[Vendor],
    draft: &DeviceDraft,
    now: Timestamp,
) -> Result<Device> {
    let vendor = vendors.iter().find(|vendor| vendor.name == draft.vendor);
    let vendor = vendor.ok_or_else(|| no_vendor(&draft.vendor))?;
    if draft.uses == 0 {
        return Err(Error::malformed("a vendor's certificate is good for at least one use"));
    }
    Ok(Device {
        vendor: vendor.name.clone(),
        value: vendor.mapping.normal(&draft.value)?,
        uses_left: draft.uses,
        allowed: now,
    })
}

/// The problems of a draft, each with the name of its column in an imported file; none if the account can be added. `cas` are the names of
/// the issuing CAs.
pub(super) fn check(
    draft: &AccountDraft,
    profiles: &Profiles,
    cas: &BTreeSet<Label>,
    vendors: &[Vendor],
) -> Vec<(&'static str, String)> {
    let names = |list: Vec<String>| list.join(", ");
    let mut problems = Vec::new();
    if draft.name.as_str().starts_with(OWN_ACCOUNT_PREFIX) {
        let why = format!("a name that begins with `{OWN_ACCOUNT_PREFIX}` is the instance's own");
        problems.push(("name", why));
    }
    if draft.identities.is_empty() || draft.identities.len() > MAX_IDENTITIES {
        let found = draft.identities.len();
        problems.push(("ids", format!("expected 1 to {MAX_IDENTITIES} identities, found {found}")));
    }
    match profiles.named(&draft.profile) {
        None => {
            let known =
                names(profiles.iter().map(|profile| format!("`{}`", profile.name())).collect());
            let why = format!("there is no profile `{}`; there are {known}", draft.profile);
            problems.push(("profile", why));
        }
        Some(profile) if problems.is_empty() => {
            if let Err(error) = check_account(&draft.account(), profile) {
                problems.push(("ids", error.to_string()));
            }
        }
        Some(_) => {}
    }
    if let Err(error) = draft.remarks.check() {
        problems.push(("labels", error.to_string()));
    }
    if let Some(ca) = draft.ca.as_ref().filter(|ca| !cas.contains(ca)) {
        let known = names(cas.iter().map(|c| format!("`{c}`")).collect());
        problems.push(("ca", format!("there is no issuing CA `{ca}`; there are {known}")));
    }
    if let Some(of) = &draft.equipment
        && let Err(error) = equipment_of(vendors, of, Timestamp::default())
    {
        problems.push(("equipment", error.to_string()));
    }
    problems
}

/// Why an account may not get the CA `ca`: it was retired, and every request of the account would be refused.
pub(super) fn is_retired(ca: &Label) -> (&'static str, String) {
    let why = format!(
        "the CA `{ca}` is retired and issues no more: name another one, or `countersign ca retire {ca} --undo` first"
    );
    ("ca", why)
}

/// Checks that a certificate can be issued to this account. Otherwise each of its requests would be refused later.
///
/// # Errors
/// [`Error::Malformed`] that names the subject, or the DN identity, and the lint rule that it breaks; the errors of [`subject::decide`].
fn check_account(account: &Account, profile: &Profile) -> Result<()> {
    let refused = |name: &Name, why: &str| {
        Error::malformed(format!("no certificate can hold the subject `{name}`: {why}"))
    };
    let names = subject::decide(account, profile, None, None, &mut Vec::new())?;
    for name in std::iter::once(&names.subject).chain(account.distinguished_names()) {
        let findings = lint::name("subject", name)?;
        if let Some(found) = findings.iter().find(|found| found.severity == Severity::Error) {
            return Err(refused(name, &found.message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::profile::DefaultUrls;

    #[test]
    fn an_account_that_no_certificate_fits_is_refused() {
        let profiles = Profiles::new(&BTreeMap::new(), &DefaultUrls::default()).unwrap();
        let check = |profile: &str, ids: &[&str]| {
            let profile = profiles.named(&profile.parse().unwrap()).unwrap();
            check_account(&Account::with_identities(ids), profile)
        };
        let long = format!("dn:CN={},O=Example", "a".repeat(65));
        let organization = format!("dn:CN=gw1,O={}", "a".repeat(65));
        for (profile, ids, expected) in [
            ("gateway", &[&*long][..], "65 characters"),
            ("gateway", &["fqdn:gw1.example.net", &*organization], "65 characters"),
            ("user", &["ip:192.0.2.1"], "no identity"),
        ] {
            let error = check(profile, ids).expect_err(ids[0]).to_string();
            assert!(error.contains(expected), "{ids:?}: {error}");
        }
        check("gateway", &["dn:E=ops@example.net,dnQualifier=a,CN=gw1,C=DE"]).unwrap();
        check("gateway", &[&format!("fqdn:{}.example.net", "a".repeat(60))]).unwrap();
    }
}
