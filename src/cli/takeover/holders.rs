//! The accounts of the certificates of a CA that is taken over: those that hold their names, or new ones.

use std::collections::{BTreeMap, BTreeSet};

use countersign_ca::authority::accounts::AccountDraft;
use countersign_ca::founding::{FormerAccount, FormerCertificate};
use countersign_ca::profile::Profiles;
use countersign_ca::record::{Account, Label, Remarks, Serial, is_administrators_profile};
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
    /// For which certificate each of them was drafted.
    firsts: Vec<First>,
    /// The drafts that hold an identity.
    by_identity: BTreeMap<String, Vec<usize>>,
    names: BTreeSet<Label>,
    /// The number of the last name with this stem.
    numbers: BTreeMap<String, usize>,
    warnings: Vec<String>,
}

/// The certificate for which an account was drafted.
struct First {
    serial: Serial,
    /// Its names, as [`key`] writes them.
    names: BTreeSet<String>,
    /// Its names, to be told.
    shown: String,
}

/// The accounts that exist and hold all names of a certificate.
#[derive(Default)]
struct Existing {
    /// Those that may have it; if several hold its names, and one of them no further ones, that one alone.
    accounts: Vec<Account>,
    /// An administrator's. Whoever had the CA before could otherwise have made an administrator.
    administrator: Option<Label>,
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
        let (numbers, firsts, warnings) = (BTreeMap::new(), Vec::new(), Vec::new());
        Self {
            store,
            profiles,
            profile,
            ca,
            missing,
            drafts,
            firsts,
            by_identity,
            names,
            numbers,
            warnings,
        }
    }

    /// The new accounts.
    pub fn drafts(&self) -> &[AccountDraft] {
        &self.drafts
    }

    /// What the operator should know, each as a sentence.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
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
        let Existing { accounts, administrator } = self.existing(certificate)?;
        match accounts.as_slice() {
            [] => {}
            [one] => return Ok(usable(one)),
            several => {
                let names: Vec<String> =
                    several.iter().map(|account| format!("`{}`", account.name)).collect();
                return Ok(Err(format!(
                    "several accounts hold {words}: {}; take it from all but one with `countersign peer edit`",
                    names.join(", ")
                )));
            }
        }
        if let Some(name) = administrator {
            let serial = certificate.serial;
            if self.missing != Some(Missing::None) {
                return Ok(Err(format!(
                    "{words} is what the administrator `{name}` holds, and no certificate of before proves an administrator: take the file \
                     out, and import it alone with `--accounts none`; its holder needs an account with other names"
                )));
            }
            self.warnings.push(format!(
                "{serial} has the names of the administrator `{name}`, {words}: it is recorded without an account, and proves no administrator"
            ));
            return Ok(Ok(Holder::Nobody));
        }
        match self.missing {
            Some(Missing::Create) => match self.drafted(certificate) {
                Ok(Some(draft)) => Ok(Ok(Holder::New(draft))),
                Ok(None) => self.draft(certificate).map(Ok),
                Err(why) => Ok(Err(why)),
            },
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
        let Existing { accounts, administrator } = self.existing(certificate)?;
        if let [one] = accounts.as_slice() {
            return Ok(usable(one).unwrap_or(Holder::Nobody));
        }
        if administrator.is_some() {
            return Ok(Holder::Nobody);
        }
        if let Ok(Some(same)) = self.drafted(certificate) {
            return Ok(Holder::New(same));
        }
        let holds = |number: &usize| {
            self.drafts.get(*number).is_some_and(|draft| {
                let own = &draft.identities;
                certificate.identities.iter().all(|name| own.iter().any(|one| one.is_same(name)))
            })
        };
        let sharing = self.sharing(&certificate.identities).into_iter();
        Ok(match sharing.filter(holds).collect::<Vec<_>>().as_slice() {
            [one] => Holder::New(*one),
            _ => Holder::Nobody,
        })
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
    fn existing(&self, certificate: &FormerCertificate) -> Result<Existing, Failure> {
        let (Some(store), Some(first)) = (self.store, certificate.identities.first()) else {
            return Ok(Existing::default());
        };
        let mut found = store.holders(first)?;
        found.retain(|account| {
            certificate.identities.iter().all(|identity| account.held(identity).is_some())
        });
        let (administrators, mut accounts): (Vec<Account>, Vec<Account>) =
            found.into_iter().partition(|account| is_administrators_profile(&account.profile));
        // An account that was made here holds the names of its certificate and, besides, subjects.
        let names = keys(&certificate.identities);
        let is_exact = |account: &Account| {
            let further = account.identities.iter().filter(|own| !names.contains(&key(own)));
            further.into_iter().all(|own| matches!(own, Identity::Dn(_)))
        };
        if accounts.iter().filter(|account| is_exact(account)).count() == 1 {
            accounts.retain(is_exact);
        }
        let administrator = administrators.into_iter().next().map(|account| account.name);
        Ok(Existing { accounts, administrator })
    }

    /// The drafts that hold one of these identities.
    fn sharing(&self, identities: &[Identity]) -> BTreeSet<usize> {
        let sharing = identities.iter().filter_map(|identity| self.by_identity.get(&key(identity)));
        sharing.flatten().copied().collect()
    }

    /// The draft for the certificates of the same names. A draft's further identity, the subject, is none of them.
    ///
    /// # Errors
    /// Some of the names, but not all, are those of another certificate: nobody but the operator knows whether both have one holder, and a
    /// renewal in one account gets the names of both.
    fn drafted(&self, certificate: &FormerCertificate) -> Result<Option<usize>, String> {
        let names = keys(&certificate.identities);
        let mut other = None;
        for number in self.sharing(&certificate.identities) {
            let Some(first) = self.firsts.get(number) else { continue };
            if first.names == names {
                return Ok(Some(number));
            }
            if !first.names.is_disjoint(&names) {
                other = other.or(Some(first));
            }
        }
        match other {
            None => Ok(None),
            Some(First { serial, shown: names, .. }) => Err(format!(
                "its names are {}, and some of them are those of the certificate {serial}, {names}: if both have one holder, make an account \
                 with all of these names, and otherwise one for each, with `countersign peer add --no-secret`",
                shown(&certificate.identities)
            )),
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
                self.firsts.push(First {
                    serial: certificate.serial,
                    names: keys(&certificate.identities),
                    shown: shown(&certificate.identities),
                });
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
fn usable(account: &Account) -> Result<Holder, String> {
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

/// A text that is equal for identities that are the same.
fn key(identity: &Identity) -> String {
    identity.to_string().to_lowercase()
}

fn keys(identities: &[Identity]) -> BTreeSet<String> {
    identities.iter().map(key).collect()
}

fn shown(identities: &[Identity]) -> String {
    identities.iter().map(|identity| format!("`{identity}`")).collect::<Vec<_>>().join(", ")
}
