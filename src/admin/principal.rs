//! Administrators from other machines: what each may do, and to whom.
//!
//! A request passes three questions: does one of the grants have the verb at all; does such a grant cover every account and CA that the
//! request is about; and is the request about the administrator's own account. Whoever sits at the admin socket is asked none of them.

use std::fmt;
use std::net::IpAddr;

use countersign_ca::Store;
use countersign_ca::authority::administrators::is_administrators_profile;
use countersign_ca::record::{CaRecord, Grant, Label};
use serde_json::Value;

use super::handler::handle;
use super::request::Request;
use super::{certificates, requests};
use crate::exit::Failure;
use crate::instance::Instance;
use crate::roles::{Effect, Roles, Verb};

/// An administrator who was authenticated on a connection from another machine.
#[derive(Debug, Clone)]
pub struct Principal {
    /// The administrator's name, which is that of the account, too.
    pub name: Label,
    /// How the administrator was authenticated.
    pub proof: Proof,
    /// The address of the client.
    pub address: IpAddr,
    /// What the administrator may do, by this proof.
    pub grants: Vec<Grant>,
}

/// How an administrator was authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// By a client certificate with this serial number.
    Certificate(String),
    /// By the token of this name.
    Token(Label),
}

/// Why a request was not carried out.
#[derive(Debug)]
pub struct Unfulfilled {
    /// The message and the exit code.
    pub failure: Failure,
    /// Whether the object that the request is about does not exist.
    pub is_missing: bool,
}

impl Unfulfilled {
    /// The failure to find what a request is about.
    fn of_target(failure: Failure) -> Self {
        Self { is_missing: failure.code == 3, failure }
    }
}

impl From<Failure> for Unfulfilled {
    fn from(failure: Failure) -> Self {
        Self { failure, is_missing: false }
    }
}

/// As the journal names the administrator: who, by which proof, and from where.
impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, proof, address, .. } = self;
        match proof {
            Proof::Certificate(serial) => {
                write!(f, "{name} (certificate {serial}, from {address})")
            }
            Proof::Token(token) => write!(f, "{name} (token {token}, from {address})"),
        }
    }
}

/// An account that a request is about, and the CA that issues or issued for it.
struct Affected {
    account: Label,
    ca: Label,
    /// Whether the account is an administrator's. Only those who may change administrators may touch it.
    is_administrators: bool,
}

/// What a request is about.
enum Reach {
    /// The instance as a whole: the grant must be unbounded.
    Instance,
    /// A list, of which the administrator sees what the grants cover; or what everybody may see.
    Listed,
    /// A CA: the grant may name CAs, but no accounts.
    Ca(Label),
    /// These accounts.
    Accounts(Vec<Affected>),
}

impl Principal {
    /// Whether one of the grants has the verb, for whatever account.
    pub fn has(&self, roles: &Roles, verb: Verb) -> bool {
        self.grants.iter().any(|grant| roles.permits(&grant.role, verb))
    }

    /// Refuses a verb that none of the grants has. The caller may so refuse before it reads the rest of a request.
    ///
    /// # Errors
    /// A message that says what the administrator may not do.
    pub fn require(&self, roles: &Roles, verb: Verb) -> Result<(), Failure> {
        match self.has(roles, verb) {
            true => Ok(()),
            false => Err(self.refused(verb, "no grant has it")),
        }
    }

    /// Carries out a request, if the administrator may.
    ///
    /// # Errors
    /// Exit code 4 if the administrator may not; those of the request.
    pub fn carry_out(&self, instance: &Instance, request: Request) -> Result<Value, Unfulfilled> {
        let roles = &instance.config.admin.roles;
        let verb = request.verb();
        self.require(roles, verb)?;
        let cas = instance.store.cas().map_err(Failure::from)?;
        match reach(instance, &request).map_err(Unfulfilled::of_target)? {
            Reach::Listed => {}
            Reach::Instance => {
                if !self.usable(roles, verb).any(Grant::is_unbounded) {
                    return Err(self.refused(verb, "it needs a grant for all CAs and accounts").into());
                }
            }
            Reach::Ca(ca) => {
                let covers = |grant: &Grant| {
                    grant.accounts.is_empty()
                        && (grant.cas.is_empty() || lines(&cas, &ca).any(|of| grant.cas.contains(of)))
                };
                if !self.usable(roles, verb).any(covers) {
                    return Err(self.refused(verb, &format!("no grant covers the CA `{ca}`")).into());
                }
            }
            Reach::Accounts(affected) => {
                for one in &affected {
                    self.require_covered(roles, verb, one, &cas)?;
                }
            }
        }
        if let Request::PendingDecide { id, .. } = &request {
            self.refuse_own(instance, id)?;
        }
        let mut answer = handle(instance, &self.to_string(), request, &mut |_, _| {})?;
        self.withhold(roles, verb, &mut answer, &cas);
        Ok(answer)
    }

    /// The grants that have the verb.
    fn usable<'a>(&'a self, roles: &'a Roles, verb: Verb) -> impl Iterator<Item = &'a Grant> {
        self.grants.iter().filter(move |grant| roles.permits(&grant.role, verb))
    }

    fn covers(
        &self,
        roles: &Roles,
        verb: Verb,
        account: &Label,
        ca: &Label,
        cas: &[CaRecord],
    ) -> bool {
        self.usable(roles, verb).any(|grant| lines(cas, ca).any(|of| grant.covers(account, of)))
    }

    fn require_covered(
        &self,
        roles: &Roles,
        verb: Verb,
        affected: &Affected,
        cas: &[CaRecord],
    ) -> Result<(), Failure> {
        let Affected { account, ca, is_administrators } = affected;
        if !self.covers(roles, verb, account, ca, cas) {
            let why = format!("no grant covers the account `{account}` of the CA `{ca}`");
            return Err(self.refused(verb, &why));
        }
        // Otherwise somebody who may give accounts secrets could become an administrator.
        let may_change_administrators =
            || self.usable(roles, Verb::AdminGrant).any(Grant::is_unbounded);
        if *is_administrators
            && verb.effect() == Effect::Changes
            && !may_change_administrators()
        {
            let why = format!("`{account}` is an administrator's account, for which that needs `admin-grant`");
            return Err(self.refused(verb, &why));
        }
        Ok(())
    }

    /// Nobody decides a request of the own account.
    fn refuse_own(&self, instance: &Instance, id: &str) -> Result<(), Failure> {
        let waiting = requests::find(instance, id)?;
        let transaction = &waiting.pending.transaction;
        let is_own = transaction.account == self.name
            || transaction.registrar.as_ref().is_some_and(|registrar| *registrar == self.name);
        match is_own {
            true => Err(self.refused(Verb::PendingDecide, "the request is the administrator's own")),
            false => Ok(()),
        }
    }

    /// Takes the rows out of a list that no grant covers. A page of a list may so have fewer rows than others.
    fn withhold(&self, roles: &Roles, verb: Verb, answer: &mut Value, cas: &[CaRecord]) {
        if self.usable(roles, verb).any(Grant::is_unbounded) {
            return;
        }
        let (rows, account, ca) = match verb {
            Verb::PeerList => (Some(answer), "name", "ca"),
            Verb::CertList => (answer.get_mut("items"), "account", "ca"),
            Verb::PendingList => (Some(answer), "account", "ca"),
            _ => return,
        };
        let default = cas.iter().find(|ca| !ca.is_root).map(|ca| &ca.name);
        let Some(Value::Array(rows)) = rows else { return };
        rows.retain(|row| {
            let label = |key: &str| -> Option<Label> { row.get(key)?.as_str()?.parse().ok() };
            match (label(account), label(ca).or_else(|| default.cloned())) {
                (Some(account), Some(ca)) => self.covers(roles, verb, &account, &ca, cas),
                _ => false,
            }
        });
    }

    fn refused(&self, verb: Verb, why: &str) -> Failure {
        tracing::warn!(target: crate::logging::REFUSED, administrator = %self, %verb, "refused: {why}");
        Failure { code: 4, message: format!("`{}` may not `{verb}`: {why}", self.name) }
    }
}

/// A CA and those with its earlier keys: a grant for a CA stays good when the CA gets its next key.
fn lines<'a>(cas: &'a [CaRecord], ca: &'a Label) -> impl Iterator<Item = &'a Label> {
    let before = move |name: &&'a Label| {
        let record = cas.iter().find(|ca| ca.name == **name)?;
        record.succeeds.as_ref().map(|succession| &succession.predecessor)
    };
    std::iter::successors(Some(ca), before).take(cas.len().saturating_add(1))
}

/// What a request is about.
fn reach(instance: &Instance, request: &Request) -> Result<Reach, Failure> {
    let default = || -> Result<Label, Failure> {
        let ca = instance.default_ca()?;
        ca.ok_or_else(|| Failure::unavailable("there is no issuing CA"))
    };
    // An account that is gone, or was never there, is judged by its name alone.
    let named = |name: &Label| -> Result<Reach, Failure> {
        let account = instance.store.account(name)?;
        let administrator = instance.store.administrator(name)?;
        let ca = match account.as_ref().and_then(|account| account.ca.clone()) {
            Some(ca) => ca,
            None => default()?,
        };
        let is_administrators = administrator.is_some()
            || account.is_some_and(|account| is_administrators_profile(&account.profile));
        Ok(Reach::Accounts(vec![Affected { account: name.clone(), ca, is_administrators }]))
    };
    let certificate = |serial: &str, ca: Option<&Label>| -> Result<Reach, Failure> {
        let record = certificates::find(instance, serial, ca)?;
        let is_administrators = is_administrators_profile(&record.profile);
        let (account, ca) = (record.account, record.ca);
        Ok(Reach::Accounts(vec![Affected { account, ca, is_administrators }]))
    };
    match request {
        Request::PeerAdd { peers } => {
            let affected = peers.iter().map(|peer| {
                let ca = peer.ca.clone().map_or_else(default, Ok)?;
                let is_administrators = is_administrators_profile(&peer.profile)
                    || instance.store.administrator(&peer.name)?.is_some();
                Ok(Affected { account: peer.name.clone(), ca, is_administrators })
            });
            Ok(Reach::Accounts(affected.collect::<Result<_, Failure>>()?))
        }
        Request::PeerShow { name }
        | Request::PeerRemove { name, .. }
        | Request::PeerResetSecret { name, .. }
        | Request::PeerSetEquipment { name, .. }
        | Request::PeerPermit { name, .. } => named(name),
        Request::CertShow { serial, ca } | Request::CertRelease { serial, ca } => {
            certificate(serial, ca.as_ref())
        }
        Request::CertRevoke { serial, ca, .. } => certificate(serial, ca.as_ref()),
        Request::PendingShow { id } | Request::PendingDecide { id, .. } => {
            let waiting = requests::find(instance, id)?;
            let request = &waiting.pending.request;
            Ok(Reach::Accounts(vec![Affected {
                account: waiting.pending.transaction.account.clone(),
                ca: request.ca.clone(),
                is_administrators: is_administrators_profile(&request.profile),
            }]))
        }
        Request::CrlPublish { ca: Some(ca) } => Ok(Reach::Ca(ca.clone())),
        Request::PeerList
        | Request::CertList { .. }
        | Request::PendingList
        | Request::CaShow
        | Request::CrlShow
        | Request::TrustList
        | Request::TrustShow { .. }
        | Request::PublishStatus
        | Request::StoreStatus
        | Request::AdminRoles
        | Request::AdminList
        | Request::AdminShow { .. } => Ok(Reach::Listed),
        Request::CrlPublish { ca: None }
        | Request::TrustAdd { .. }
        | Request::TrustRemove { .. }
        | Request::CertImport { .. }
        | Request::CaAssign { .. }
        | Request::PublishRun { .. }
        | Request::Backup { .. }
        | Request::AdminAdd { .. }
        | Request::AdminGrant { .. }
        | Request::AdminRemove { .. }
        | Request::AdminTokenAdd { .. }
        | Request::AdminTokenRemove { .. } => Ok(Reach::Instance),
    }
}
