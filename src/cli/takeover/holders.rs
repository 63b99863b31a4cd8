//! The accounts of the certificates of a CA that is taken over: those that hold their names, or new ones.

use std::collections::{BTreeMap, BTreeSet};

use countersign_ca::authority::accounts::AccountDraft;
use countersign_ca::founding::{FormerAccount, FormerCertificate};
use countersign_ca::profile::Profiles;
use countersign_ca::record::{Account, Label, Remarks, is_administrators_profile};
use countersign_ca::store::EmbeddedStore;
use countersign_ca::{Identity, Store};

use crate::exit::Failure;

/// The longest name that is made of a common name; a number may follow.
const LONGEST_NAME: usize = 56;

/// What becomes of valid certificates whose names no account holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Missing {
    /// An account is made for the certificates of the same names.
    Create,
    /// They are recorded without an account: they can be found and revoked, and not renewed.
    None,
}

/// The account of one certificate.
pub enum Holder {
    /// This account, which exists.
    Existing(FormerAccount),
    /// The new account with this number.
    New(usize),
    /// None.
    Nobody,
}

/// Finds the accounts of certificates, and drafts new ones.
pub struct Holders<'a> {
    store: Option<&'a EmbeddedStore>,
    profiles: &'a Profiles,
    profile: &'a Label,
    ca: &'a Label,
    missing: Option<Missing>,
    drafts: Vec<AccountDraft>,
    /// The drafts that hold an identity.
    by_identity: BTreeMap<String, Vec<usize>>,
    names: BTreeSet<Label>,
    /// The number of the last name with this stem.
    numbers: BTreeMap<String, usize>,
}

impl<'a> Holders<'a> {
    /// No certificate was seen yet. `store` has the accounts that exist; without one there are none.
    pub fn new(
        store: Option<&'a EmbeddedStore>,
        profiles: &'a Profiles,
        profile: &'a Label,
        ca: &'a Label,
        missing: Option<Missing>,
    ) -> Self {
        let (drafts, by_identity, names) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
        let numbers = BTreeMap::new();
        Self { store, profiles, profile, ca, missing, drafts, by_identity, names, numbers }
    }

    /// The new accounts.
    pub fn drafts(&self) -> &[AccountDraft] {
        &self.drafts
    }

    /// The account of a certificate that is valid. If there is none, one is drafted as the operator wants it.
    ///
    /// # Errors
    /// Outside, those of the store; inside, what is wrong with this certificate.
    pub fn of_valid(
        &mut self,
        certificate: &FormerCertificate,
    ) -> Result<Result<Holder, String>, Failure> {
        if certificate.is_ca || certificate.identities.is_empty() {
            return Ok(Ok(Holder::Nobody));
        }
        let words = shown(&certificate.identities);
        match self.existing(certificate)?.as_slice() {
            [] => {}
            [one] => return Ok(usable(one, certificate)),
            several => {
                let names: Vec<String> =
                    several.iter().map(|account| format!("`{}`", account.name)).collect();
                return Ok(Err(format!(
                    "several accounts hold {words}: {}; take it from all but one with `countersign peer edit`",
                    names.join(", ")
                )));
            }
        }
        if let Some(draft) = self.drafted(&certificate.identities) {
            self.extend(draft, &certificate.identities);
            return Ok(Ok(Holder::New(draft)));
        }
        match self.missing {
            Some(Missing::Create) => self.draft(certificate).map(Ok),
            Some(Missing::None) => Ok(Ok(Holder::Nobody)),
            None => Ok(Err(format!(
                "no account holds {words}: `--accounts create` makes one, `--accounts none` records the certificate without"
            ))),
        }
    }

    /// The account of a certificate that is expired or revoked: nobody, unless exactly one holds its names. To be called when all valid
    /// certificates were seen.
    ///
    /// # Errors
    /// Those of the store.
    pub fn of_ended(&self, certificate: &FormerCertificate) -> Result<Holder, Failure> {
        if certificate.is_ca || certificate.identities.is_empty() {
            return Ok(Holder::Nobody);
        }
        if let [one] = self.existing(certificate)?.as_slice() {
            return Ok(usable(one, certificate).unwrap_or(Holder::Nobody));
        }
        let draft = self.drafted(&certificate.identities);
        Ok(draft.map_or(Holder::Nobody, Holder::New))
    }

    /// The account as it is recorded with a certificate.
    ///
    /// # Errors
    /// A fault of this program.
    pub fn account(&self, holder: Holder) -> Result<FormerAccount, Failure> {
        match holder {
            Holder::Existing(account) => Ok(account),
            Holder::Nobody => Ok(FormerAccount::none()?),
            Holder::New(number) => {
                let draft = self.drafts.get(number);
                let draft = draft.ok_or_else(|| Failure::found("a drafted account is missing"))?;
                Ok(FormerAccount { name: draft.name.clone(), profile: draft.profile.clone() })
            }
        }
    }

    /// The accounts that exist and hold all identities of a certificate.
    fn existing(&self, certificate: &FormerCertificate) -> Result<Vec<Account>, Failure> {
        let (Some(store), Some(first)) = (self.store, certificate.identities.first()) else {
            return Ok(Vec::new());
        };
        let mut found = store.holders(first)?;
        found.retain(|account| {
            certificate.identities.iter().all(|identity| account.held(identity).is_some())
        });
        Ok(found)
    }

    /// The only draft that shares an identity, if all of its identities, or all of these, are the other's.
    fn drafted(&self, identities: &[Identity]) -> Option<usize> {
        let sharing = identities.iter().filter_map(|identity| self.by_identity.get(&key(identity)));
        let sharing: BTreeSet<usize> = sharing.flatten().copied().collect();
        let mut sharing = sharing.into_iter();
        let (number, None) = (sharing.next()?, sharing.next()) else { return None };
        let draft = self.drafts.get(number)?;
        let within = |some: &[Identity], all: &[Identity]| {
            some.iter().all(|one| all.iter().any(|other| one.is_same(other)))
        };
        // A DN identity beside others is only the subject.
        let own: Vec<Identity> = match identities {
            [Identity::Dn(_)] => draft.identities.clone(),
            _ => without_dn(&draft.identities),
        };
        (within(identities, &draft.identities) || within(&own, identities)).then_some(number)
    }

    /// Gives a draft identities that it lacks.
    fn extend(&mut self, number: usize, identities: &[Identity]) {
        let Some(draft) = self.drafts.get_mut(number) else { return };
        for identity in identities {
            if !draft.identities.iter().any(|own| own.is_same(identity)) {
                draft.identities.push(identity.clone());
                self.by_identity.entry(key(identity)).or_default().push(number);
            }
        }
    }

    /// Drafts an account for a certificate, with its subject as an identity beside its other ones, so that a renewal keeps it. Nobody, if no
    /// certificate of the profile can have its names.
    fn draft(&mut self, certificate: &FormerCertificate) -> Result<Holder, Failure> {
        let name = self.free_name(certificate)?;
        let subject = Identity::Dn(certificate.subject.clone());
        let mut with_subject = certificate.identities.clone();
        if !certificate.subject.is_empty() && !with_subject.iter().any(|own| own.is_same(&subject))
        {
            with_subject.push(subject);
        }
        for identities in [with_subject, certificate.identities.clone()] {
            let draft = AccountDraft {
                name: name.clone(),
                identities,
                profile: self.profile.clone(),
                ca: Some(self.ca.clone()),
                equipment: None,
                secret: None,
                permissions: BTreeSet::new(),
                remarks: Remarks::default(),
                line: None,
            };
            if draft.check_names(self.profiles).is_ok() {
                let number = self.drafts.len();
                for identity in &draft.identities {
                    self.by_identity.entry(key(identity)).or_default().push(number);
                }
                self.names.insert(name);
                self.drafts.push(draft);
                return Ok(Holder::New(number));
            }
        }
        Ok(Holder::Nobody)
    }

    /// A name that no account has: of the common name, or else of an identity.
    fn free_name(&mut self, certificate: &FormerCertificate) -> Result<Label, Failure> {
        let subject = certificate.subject.to_string();
        let common = subject.split([',', '+']).find_map(|part| part.strip_prefix("CN="));
        let identity = certificate.identities.first().map(ToString::to_string).unwrap_or_default();
        let text = common.or_else(|| identity.split_once(':').map(|(_, text)| text));
        let stem = label_text(text.unwrap_or("peer"));
        let mut number = self.numbers.get(&stem).map_or(1, |last| last.saturating_add(1));
        loop {
            let text = if number == 1 { stem.clone() } else { format!("{stem}-{number}") };
            let name: Label = text.parse()?;
            let is_taken = match self.store {
                Some(store) => store.incarnation(&name)?.is_some(),
                None => false,
            };
            if !is_taken && !self.names.contains(&name) {
                self.numbers.insert(stem, number);
                return Ok(name);
            }
            number = number.saturating_add(1);
        }
    }
}

/// The account for a certificate whose names it holds, if it may have it.
fn usable(account: &Account, certificate: &FormerCertificate) -> Result<Holder, String> {
    if is_administrators_profile(&account.profile) && !certificate.is_administrators {
        return Err(format!(
            "its names are those of the administrator `{}`, and its key usage is not an administrator's",
            account.name
        ));
    }
    account.require_enabled().map_err(|error| error.to_string())?;
    let (name, profile) = (account.name.clone(), account.profile.clone());
    Ok(Holder::Existing(FormerAccount { name, profile }))
}

/// Text as the name of a CA or an account: characters that no name has become hyphens.
pub fn label_text(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let text: String = text
        .chars()
        .filter(|c| *c != '\\')
        .take(LONGEST_NAME)
        .map(|c| if allowed(c) { c } else { '-' })
        .collect();
    let text = text.trim_matches(['.', '-', '_']);
    if text.is_empty() { "peer".to_owned() } else { text.to_owned() }
}

fn without_dn(identities: &[Identity]) -> Vec<Identity> {
    let others: Vec<Identity> =
        identities.iter().filter(|own| !matches!(own, Identity::Dn(_))).cloned().collect();
    if others.is_empty() { identities.to_vec() } else { others }
}

/// A text that is equal for identities that are the same.
fn key(identity: &Identity) -> String {
    identity.to_string().to_lowercase()
}

fn shown(identities: &[Identity]) -> String {
    identities.iter().map(|identity| format!("`{identity}`")).collect::<Vec<_>>().join(", ")
}
