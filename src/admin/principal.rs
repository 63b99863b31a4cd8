//! Administrators from other machines: what each may do, and to whom.
//!
//! A request passes three questions: does one of the grants have the verb at all; does such a grant cover every account and CA that the
//! request is about; and is the request about the administrator's own account. Requests on the admin socket are not asked these
//! questions.

use std::fmt;
use std::net::IpAddr;

use actix_web::http::Uri;
use countersign_ca::record::{
    Account, CaRecord, CertificateRecord, Grant, Label, OWN_ACCOUNT_PREFIX, OidcUser,
    is_administrators_profile, no_account, no_administrator,
};
use countersign_ca::{Identity, Store};
use serde_json::Value;

use super::handler::handle;
use super::request::{Existing, Request, RequestedPeer, ShownBy};
use super::{administrators, certificates, crls, issuing, requests};
use crate::config::ServerCertificate;
use crate::exit::Failure;
use crate::instance::Instance;
use crate::roles::{Effect, Roles, Verb};

/// The most rows of one page of a list.
const MAX_PAGE: usize = 1000;

/// An administrator who was authenticated on a connection from another machine.
#[derive(Debug, Clone)]
pub struct Principal {
    /// Who the administrator is.
    pub name: Person,
    /// How the administrator was authenticated.
    pub proof: Proof,
    /// The address of the client.
    pub address: IpAddr,
    /// What the administrator may do, by this proof.
    pub grants: Vec<Grant>,
}

/// Who an administrator is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Person {
    /// A recorded administrator, by name, which is that of the account, too.
    Administrator(Label),
    /// A user of the OpenID provider whose groups have grants, and who is no recorded administrator.
    User(OidcUser),
}

impl Person {
    /// Whether this is the administrator of that name.
    fn is(&self, name: &Label) -> bool {
        matches!(self, Self::Administrator(own) if own == name)
    }
}

/// One word that stands for one person. No administrator has the name of a user: a name has no colon.
impl fmt::Display for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Administrator(name) => write!(f, "{name}"),
            Self::User(user) => write!(f, "oidc:{user}"),
        }
    }
}

/// How an administrator was authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// The administrator has the private key of the client certificate with this serial number.
    Certificate(String),
    /// The administrator has the token of this name.
    Token(Label),
    /// By a session, which began when the OpenID provider said that this user logged in.
    Oidc(OidcUser),
}

/// Why a request was not carried out.
#[derive(Debug)]
pub struct Unfulfilled {
    /// The message and the exit code.
    pub failure: Failure,
    /// The kind of obstacle.
    pub obstacle: Obstacle,
}

/// The obstacle to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// The object that the request is about does not exist.
    Missing,
    /// The object was changed since the version that the request is based on.
    Changed,
    /// Any other obstacle: the exit code says more.
    Other,
}

impl Unfulfilled {
    /// Wraps the failure to find an object of the request.
    fn of_target(failure: Failure) -> Self {
        let obstacle = if failure.code == 3 { Obstacle::Missing } else { Obstacle::Other };
        Self { failure, obstacle }
    }
}

impl From<Failure> for Unfulfilled {
    fn from(failure: Failure) -> Self {
        Self { failure, obstacle: Obstacle::Other }
    }
}

/// Writes the administrator as the journal names one: who, by which proof, and from where.
impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, proof, address, .. } = self;
        match proof {
            Proof::Certificate(serial) => {
                write!(f, "{name} (certificate {serial}, from {address})")
            }
            Proof::Token(token) => write!(f, "{name} (token {token}, from {address})"),
            Proof::Oidc(user) => match name {
                Person::Administrator(name) => write!(f, "{name} (oidc {user}, from {address})"),
                Person::User(_) => write!(f, "{name} (oidc, from {address})"),
            },
        }
    }
}

/// An account that a request is about, and the CA that issues or issued for it.
struct Affected {
    account: Label,
    ca: Label,
    /// The standing of the account, which bounds who may change it.
    standing: Standing,
}

/// The kind of an account, which bounds who may change it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// A peer.
    Peer,
    /// A registration authority, which acts for all accounts of its CA: a grant for some accounts does not cover it.
    Registrar,
    /// An administrator, or the instance itself: only those who may change administrators may touch it.
    Administrator,
}

/// The objects that a request is about.
#[derive(Default)]
struct Target {
    reach: Reach,
    /// Accounts whose identities the request gives to another one.
    shared: Vec<Affected>,
    /// Verbs that the request needs in addition to its own.
    besides: Vec<Verb>,
    /// The accounts for which the request decides whether a certificate is issued. No administrator may decide that for the
    /// administrator's own account.
    decided: Vec<Label>,
}

/// The kind of object that a request is about.
#[derive(Default)]
enum Reach {
    /// The instance as a whole: the grant must be unbounded.
    Instance,
    #[default]
    /// A list, of which the administrator sees the part that the grants cover; or something that everybody may see.
    Listed,
    /// A CA: the grant may name CAs, but no accounts.
    Ca(Label),
    /// The request is about these accounts.
    Accounts(Vec<Affected>),
}

impl Principal {
    /// Whether one of the grants has the verb, for whichever account.
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
    /// Exit code 4 if the administrator may not; the errors of the request.
    pub fn carry_out(
        &self,
        instance: &Instance,
        mut request: Request,
    ) -> Result<Value, Unfulfilled> {
        // What is decided here about the records must still hold when the change is recorded.
        let _change = instance.change(request.verb());
        self.check(instance, &mut request)?;
        let verb = request.verb();
        let mut answer = handle(instance, &self.to_string(), request, &mut |_, _| {})?;
        self.withhold(instance, verb, &mut answer)?;
        Ok(answer)
    }

    /// Refuses a request that the administrator may not make. Abbreviations in it become whole names, so that the request that is carried
    /// out is the one that was judged.
    ///
    /// # Errors
    /// Exit code 4 if the administrator may not; there is no such object.
    pub fn check(&self, instance: &Instance, request: &mut Request) -> Result<(), Unfulfilled> {
        let roles = &instance.config.admin.roles;
        let verb = request.verb();
        self.require(roles, verb)?;
        let cas = instance.store.cas().map_err(Failure::from)?;
        let Target { reach, shared, besides, decided } =
            target(instance, request).map_err(Unfulfilled::of_target)?;
        for verb in [verb].into_iter().chain(besides) {
            self.require_reach(roles, verb, &reach, &cas)?;
        }
        for affected in &shared {
            self.require_covered(roles, verb, affected, &cas)?;
        }
        self.refuse_powers(roles, request)?;
        if decided.iter().any(|account| self.name.is(account)) {
            let why = match verb {
                Verb::CertIssue => {
                    "it is the administrator's own certificate; renew it, or have another one issue it"
                }
                _ => "the request is the administrator's own",
            };
            return Err(self.refused(verb, why).into());
        }
        if let Request::AdminGrant { name, expected, .. } = request {
            administrators::require_version(instance, name, expected.as_deref())
                .map_err(|failure| Unfulfilled { failure, obstacle: Obstacle::Changed })?;
        }
        Ok(())
    }

    /// Refuses a verb if no grant covers the objects of the request.
    fn require_reach(
        &self,
        roles: &Roles,
        verb: Verb,
        reach: &Reach,
        cas: &[CaRecord],
    ) -> Result<(), Failure> {
        match reach {
            Reach::Listed => self.require(roles, verb),
            Reach::Instance if self.usable(roles, verb).any(Grant::is_unbounded) => Ok(()),
            Reach::Instance => Err(self.refused(verb, "it needs a grant for all CAs and accounts")),
            Reach::Ca(ca) => match self.covers_all_of(roles, verb, ca, cas) {
                true => Ok(()),
                false => Err(self.refused(verb, &format!("no grant covers the CA `{ca}`"))),
            },
            Reach::Accounts(affected) => {
                affected.iter().try_for_each(|one| self.require_covered(roles, verb, one, cas))
            }
        }
    }

    /// Refuses a request that would give the sender, or somebody whom the sender chooses, more than the sender has; and one that works on
    /// files of the server's machine.
    fn refuse_powers(&self, roles: &Roles, request: &Request) -> Result<(), Failure> {
        let verb = request.verb();
        match request {
            // Each of these is worth as much as all rights of the administrators.
            Request::AdminAdd { .. }
            | Request::AdminBind { .. }
            | Request::AdminGrant { .. }
            | Request::AdminRemove { .. }
                if !self.may_change_administrators(roles) =>
            {
                Err(self.refused(verb, "it needs `admin-grant` for everything"))
            }
            // It would outlive the session or the token, also of those who may change administrators.
            Request::AdminTokenAdd { name, .. } | Request::PeerResetSecret { name, .. }
                if self.name.is(name) && !self.is_certified_as(name) =>
            {
                let why = "for oneself, only by certificate, or at the server";
                Err(self.refused(verb, why))
            }
            Request::AdminTokenAdd { name, .. } | Request::AdminTokenRemove { name, .. }
                if !self.may_change_administrators(roles) && !self.is_certified_as(name) =>
            {
                let why =
                    "without `admin-grant` for everything, only by certificate, and for oneself";
                Err(self.refused(verb, why))
            }
            Request::Backup { .. } => Err(here("backup")),
            Request::CaMark { by: ShownBy::Export, .. } => Err(here("export")),
            Request::TrustAdd { vendor } if !vendor.crls.is_empty() => Err(here("trust add --crl")),
            _ => Ok(()),
        }
    }

    /// Whether the sender is the administrator of that name, by a certificate. What lasts longer than a session or a token needs one.
    fn is_certified_as(&self, name: &Label) -> bool {
        self.name.is(name) && matches!(self.proof, Proof::Certificate(_))
    }

    fn may_change_administrators(&self, roles: &Roles) -> bool {
        self.usable(roles, Verb::AdminGrant).any(Grant::is_unbounded)
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
        let Affected { account, ca, standing } = affected;
        if !self.covers(roles, verb, account, ca, cas) {
            let why = format!("no grant covers the account `{account}` of the CA `{ca}`");
            return Err(self.refused(verb, &why));
        }
        if verb.effect() == Effect::Reads {
            return Ok(());
        }
        match standing {
            Standing::Registrar if !self.covers_all_of(roles, verb, ca, cas) => {
                let why = format!(
                    "`{account}` is a registration authority, which acts for all accounts of its CA; no grant is for them"
                );
                Err(self.refused(verb, &why))
            }
            // Otherwise somebody who may give accounts secrets could become an administrator.
            Standing::Administrator if !self.may_change_administrators(roles) => {
                let why = format!(
                    "`{account}` is an administrator's account or has the server's own name, for which that needs `admin-grant`"
                );
                Err(self.refused(verb, &why))
            }
            _ => Ok(()),
        }
    }

    /// Whether a grant has the verb for all accounts of a CA.
    fn covers_all_of(&self, roles: &Roles, verb: Verb, ca: &Label, cas: &[CaRecord]) -> bool {
        self.usable(roles, verb).any(|grant| {
            grant.accounts.is_empty()
                && (grant.cas.is_empty() || lines(cas, ca).any(|of| grant.cas.contains(of)))
        })
    }

    /// Takes out of a list the rows that no grant covers. So a page of a list may have fewer rows than other pages.
    fn withhold(&self, instance: &Instance, verb: Verb, answer: &mut Value) -> Result<(), Failure> {
        let roles = &instance.config.admin.roles;
        if self.usable(roles, verb).any(Grant::is_unbounded) {
            return Ok(());
        }
        let (rows, account) = match verb {
            Verb::PeerList => (answer.get_mut("items"), "name"),
            Verb::CertList => (answer.get_mut("items"), "account"),
            Verb::PendingList => (Some(answer), "account"),
            _ => return Ok(()),
        };
        let (cas, default) = (instance.store.cas()?, instance.default_ca()?);
        let Some(Value::Array(rows)) = rows else { return Ok(()) };
        rows.retain(|row| {
            let label = |key: &str| -> Option<Label> { row.get(key)?.as_str()?.parse().ok() };
            match (label(account), label("ca").or_else(|| default.clone())) {
                (Some(account), Some(ca)) => self.covers(roles, verb, &account, &ca, &cas),
                _ => false,
            }
        });
        Ok(())
    }

    fn refused(&self, verb: Verb, why: &str) -> Failure {
        tracing::warn!(target: crate::logging::REFUSED, client = %self.address, administrator = %self, %verb, "refused: {why}");
        Failure { code: 4, message: format!("`{}` may not `{verb}`: {why}", self.name) }
    }
}

/// A CA and the CAs with its earlier keys: a grant for a CA still holds when the CA gets its next key.
fn lines<'a>(cas: &'a [CaRecord], ca: &'a Label) -> impl Iterator<Item = &'a Label> {
    let before = move |name: &&'a Label| {
        let record = cas.iter().find(|ca| ca.name == **name)?;
        record.succeeds.as_ref().map(|succession| &succession.predecessor)
    };
    std::iter::successors(Some(ca), before).take(cas.len().saturating_add(1))
}

/// The refusal of a request that works on files of the server's machine.
fn here(command: &str) -> Failure {
    Failure::input(format!(
        "`{command}` works on files of the server: run it there, without `--server`"
    ))
}

/// The objects that a request is about. Abbreviations in it become whole names.
fn target(instance: &Instance, request: &mut Request) -> Result<Target, Failure> {
    let about = |reach| Ok(Target { reach, ..Target::default() });
    match request {
        Request::PeerAdd { peers } => of_peers(instance, peers, Existing::Refuse),
        Request::PeerImport { peers, columns, existing, .. } => {
            let mut target = of_peers(instance, peers, *existing)?;
            // An import may withdraw permissions, too.
            if columns.contains("allow") && !target.besides.contains(&Verb::PeerPermit) {
                target.besides.push(Verb::PeerPermit);
            }
            if columns.contains("equipment") && *existing == Existing::Update {
                target.besides.push(Verb::PeerSetEquipment);
            }
            Ok(target)
        }
        Request::PeerEdit { name, edit } => {
            let account = instance.store.account(name)?.ok_or_else(|| no_account(name))?;
            let besides = escaped_approval(instance, &account.profile, edit.profile.as_ref());
            let mut present = affected_by(instance, name.clone(), Some(account))?;
            let mut shared = Vec::new();
            let named = identities(instance, &servers(instance), &edit.add_ids, &mut shared)?;
            let next = match &edit.profile {
                Some(profile) => standing(instance, Some(profile), name)?,
                None => present.standing,
            };
            present.standing = present.standing.max(named).max(next);
            let standing = present.standing;
            let mut affected = vec![present];
            // An account that is given to another CA is one of both.
            if let Some(ca) = &edit.ca {
                // An empty text stands for the default CA.
                let ca = if ca.is_empty() { Some(default_ca(instance)?) } else { ca.parse().ok() };
                affected.extend(ca.map(|ca| Affected { account: name.clone(), ca, standing }));
            }
            Ok(Target { reach: Reach::Accounts(affected), shared, besides, ..Target::default() })
        }
        Request::PeerRename { name, to } => {
            let account = instance.store.account(name)?.ok_or_else(|| no_account(name))?;
            let profile = account.profile.clone();
            let present = affected_by(instance, name.clone(), Some(account))?;
            let standing = standing(instance, Some(&profile), to)?.max(present.standing);
            let next = Affected { account: to.clone(), ca: present.ca.clone(), standing };
            about(Reach::Accounts(vec![present, next]))
        }
        Request::CertIssue { account: name, ca, .. } => {
            let account = instance.store.account(name)?.ok_or_else(|| no_account(name))?;
            let besides = needed_approval(instance, &account.profile);
            let present = affected_by(instance, name.clone(), Some(account))?;
            let standing = present.standing;
            let mut affected = vec![present];
            affected.extend(ca.clone().map(|ca| Affected { account: name.clone(), ca, standing }));
            Ok(Target {
                reach: Reach::Accounts(affected),
                besides,
                decided: vec![name.clone()],
                ..Target::default()
            })
        }
        Request::PeerAddByCsr { peer, csr } => {
            // What is judged is what is carried out.
            if peer.ids.is_empty() {
                peer.ids = issuing::names_in_request(csr)?;
            }
            let mut target = of_peers(instance, std::slice::from_ref(&**peer), Existing::Refuse)?;
            target.besides.extend(needed_approval(instance, &peer.profile));
            target.besides.push(Verb::CertIssue);
            Ok(target)
        }
        Request::CertRevokeAll { account: name, remove, .. } => {
            let besides = if *remove { vec![Verb::PeerRemove] } else { Vec::new() };
            let reach = Reach::Accounts(with_certificates(instance, name)?);
            Ok(Target { reach, besides, ..Target::default() })
        }
        Request::CertRevokeMany { certificates, .. } => {
            let mut affected = Vec::with_capacity(certificates.len().min(1024));
            for one in certificates {
                // A certificate that is not known is refused by the handler, with its line.
                let Ok(record) = certificates::find(instance, &one.serial, one.ca.as_ref()) else {
                    continue;
                };
                one.ca = Some(record.ca.clone());
                affected.push(of_certificate(instance, record)?);
            }
            about(Reach::Accounts(affected))
        }
        Request::PeerList { limit, .. } | Request::CertList { limit, .. } => {
            *limit = (*limit).clamp(1, MAX_PAGE);
            about(Reach::Listed)
        }
        Request::PeerRemove { name, revoke: Some(_) } => {
            about(Reach::Accounts(with_certificates(instance, name)?))
        }
        Request::PeerRemove { name, revoke: None } => {
            // An account that is gone, or was never there, is judged by its name alone.
            let account = instance.store.account(name)?;
            about(Reach::Accounts(vec![affected_by(instance, name.clone(), account)?]))
        }
        Request::CaPlan { limit, .. } => {
            *limit = (*limit).min(MAX_PAGE);
            about(Reach::Instance)
        }
        Request::AuditReport { limit, .. } => {
            *limit = (*limit).clamp(1, MAX_PAGE);
            about(Reach::Instance)
        }
        Request::CaMark { account: name, .. }
        | Request::PeerShow { name }
        | Request::PeerDisable { name, .. }
        | Request::PeerResetSecret { name, .. }
        | Request::PeerSetEquipment { name, .. }
        | Request::PeerPermit { name, .. } => {
            let account = instance.store.account(name)?.ok_or_else(|| no_account(name))?;
            about(Reach::Accounts(vec![affected_by(instance, name.clone(), Some(account))?]))
        }
        Request::CertShow { serial, ca }
        | Request::CertRelease { serial, ca }
        | Request::CertRevoke { serial, ca, .. } => {
            let record = certificates::find(instance, serial, ca.as_ref())?;
            *ca = Some(record.ca.clone());
            about(Reach::Accounts(vec![of_certificate(instance, record)?]))
        }
        Request::PendingShow { id } => Ok(of_waiting(instance, id)?.0),
        Request::PendingDecide { id, .. } => {
            let (target, decided) = of_waiting(instance, id)?;
            Ok(Target { decided, ..target })
        }
        Request::CrlPublish { ca: Some(ca) } => about(Reach::Ca(ca.clone())),
        Request::CrlImport { crl, ca } => {
            let ca = match ca {
                Some(ca) => ca,
                None => ca.insert(crls::signer_of(instance, crl)?),
            };
            about(Reach::Ca(ca.clone()))
        }
        Request::AdminShow { name } => {
            require_administrator(instance, name)?;
            about(Reach::Listed)
        }
        Request::AdminGrant { name, .. }
        | Request::AdminBind { name, .. }
        | Request::AdminRemove { name } => {
            require_administrator(instance, name)?;
            about(Reach::Instance)
        }
        Request::AdminTokenAdd { name, .. } | Request::AdminTokenRemove { name, .. } => {
            require_administrator(instance, name)?;
            about(Reach::Listed)
        }
        Request::PendingList
        | Request::CaShow
        | Request::CrlShow
        | Request::TrustList
        | Request::TrustShow { .. }
        | Request::PublishStatus
        | Request::NotifyShow
        | Request::StoreStatus
        | Request::AdminRoles
        | Request::AdminList => about(Reach::Listed),
        Request::CrlPublish { ca: None }
        | Request::TrustAdd { .. }
        | Request::TrustRemove { .. }
        | Request::CertImport { .. }
        | Request::CaAssign { .. }
        | Request::PublishRun { .. }
        | Request::NotifyTest { .. }
        | Request::Backup { .. }
        | Request::Status
        | Request::DocsCps
        | Request::AdminAdd { .. } => about(Reach::Instance),
    }
}

/// The target of a request that decides about a request for approval, and the accounts that made the latter: its own, and the
/// registration authority's. `id` becomes the whole identifier.
fn of_waiting(instance: &Instance, id: &mut String) -> Result<(Target, Vec<Label>), Failure> {
    let waiting = requests::find(instance, id)?;
    *id = waiting.id.to_string();
    let (transaction, request) = (waiting.pending.transaction, waiting.pending.request);
    let standing = standing(instance, Some(&request.profile), &transaction.account)?;
    let account = transaction.account.clone();
    let affected = Affected { account, ca: request.ca, standing };
    let made_by = std::iter::once(transaction.account).chain(transaction.registrar).collect();
    Ok((Target { reach: Reach::Accounts(vec![affected]), ..Target::default() }, made_by))
}

/// An account, perhaps a removed one, and the valid certificates of every account that has or had its name.
fn with_certificates(instance: &Instance, name: &Label) -> Result<Vec<Affected>, Failure> {
    let account = instance.store.account(name)?;
    let mut affected = vec![affected_by(instance, name.clone(), account)?];
    for record in instance.accounts().valid_certificates(name)? {
        affected.push(of_certificate(instance, record)?);
    }
    Ok(affected)
}

/// The objects of an import: new accounts, and with [`Existing::Update`] those that exist.
fn of_peers(
    instance: &Instance,
    peers: &[RequestedPeer],
    existing: Existing,
) -> Result<Target, Failure> {
    let mut target = Target::default();
    let mut affected = Vec::with_capacity(peers.len());
    let servers = servers(instance);
    for peer in peers {
        let ca = peer.ca.clone().map_or_else(|| default_ca(instance), Ok)?;
        let own = standing(instance, Some(&peer.profile), &peer.name)?;
        let named = identities(instance, &servers, &peer.ids, &mut target.shared)?;
        if !peer.permissions.is_empty() {
            target.besides.push(Verb::PeerPermit);
        }
        affected.push(Affected { account: peer.name.clone(), ca, standing: own.max(named) });
        if existing == Existing::Update
            && let Some(account) = instance.store.account(&peer.name)?
        {
            target.besides.extend(escaped_approval(
                instance,
                &account.profile,
                Some(&peer.profile),
            ));
            affected.push(affected_by(instance, peer.name.clone(), Some(account))?);
        }
    }
    Ok(Target { reach: Reach::Accounts(affected), ..target })
}

/// The verb that an administrator needs in addition where requests of a profile need approval, because the administrator's request counts
/// as an approval.
fn needed_approval(instance: &Instance, profile: &Label) -> Vec<Verb> {
    match wanted_approvals(instance, profile) {
        0 => Vec::new(),
        _ => vec![Verb::PendingDecide],
    }
}

/// The verb that a change of profile needs in addition, if requests need less approval under the next profile. So no administrator can
/// avoid an approval by a change of profile.
fn escaped_approval(instance: &Instance, present: &Label, next: Option<&Label>) -> Vec<Verb> {
    let wanted = |profile| wanted_approvals(instance, profile);
    match next.is_some_and(|next| wanted(next) < wanted(present)) {
        true => vec![Verb::PendingDecide],
        false => Vec::new(),
    }
}

/// How many people must approve a request under a profile; 0 if nobody must.
fn wanted_approvals(instance: &Instance, profile: &Label) -> u8 {
    let profiles = instance.profiles();
    let profile = profiles.named(profile).filter(|profile| profile.needs_approval());
    profile.map_or(0, |profile| profile.approvals())
}

/// The standing of an account with these identities. The accounts that hold one of them already are added to `shared`; `servers` are the
/// names of [`servers`].
fn identities(
    instance: &Instance,
    servers: &[Identity],
    ids: &[String],
    shared: &mut Vec<Affected>,
) -> Result<Standing, Failure> {
    let mut standing = Standing::Peer;
    for id in ids {
        // A text that is not an identity is refused by the handler.
        let Ok(identity) = id.parse::<Identity>() else { continue };
        if is_servers(servers, &identity) {
            standing = Standing::Administrator;
        }
        for holder in instance.store.holders(&identity)? {
            shared.push(affected_by(instance, holder.name.clone(), Some(holder))?);
        }
    }
    Ok(standing)
}

fn require_administrator(instance: &Instance, name: &Label) -> Result<(), Failure> {
    match instance.store.administrator(name)? {
        Some(_) => Ok(()),
        None => Err(no_administrator(name).into()),
    }
}

fn default_ca(instance: &Instance) -> Result<Label, Failure> {
    instance.default_ca()?.ok_or_else(|| Failure::unavailable("there is no issuing CA"))
}

/// The account `name` with the CA that issues for it and its standing. `account` is `None` if there is no such account.
fn affected_by(
    instance: &Instance,
    name: Label,
    account: Option<Account>,
) -> Result<Affected, Failure> {
    let standing = standing(instance, account.as_ref().map(|account| &account.profile), &name)?;
    let ca = match account.and_then(|account| account.ca) {
        Some(ca) => ca,
        None => default_ca(instance)?,
    };
    Ok(Affected { account: name, ca, standing })
}

/// The account of a certificate as a request is about it.
fn of_certificate(instance: &Instance, record: CertificateRecord) -> Result<Affected, Failure> {
    let standing = standing(instance, Some(&record.profile), &record.account)?;
    Ok(Affected { account: record.account, ca: record.ca, standing })
}

/// The standing of an account of this profile and name.
fn standing(
    instance: &Instance,
    profile: Option<&Label>,
    name: &Label,
) -> Result<Standing, Failure> {
    if name.as_str().starts_with(OWN_ACCOUNT_PREFIX)
        || profile.is_some_and(is_administrators_profile)
        || instance.store.administrator(name)?.is_some()
    {
        return Ok(Standing::Administrator);
    }
    let profiles = instance.profiles();
    let profile = profile.and_then(|profile| profiles.named(profile));
    Ok(match profile.is_some_and(|profile| profile.is_for_registrars()) {
        true => Standing::Registrar,
        false => Standing::Peer,
    })
}

/// The names of the instance's own TLS servers. Names in an operator's own certificate are not known here, except for the host of
/// `http.public_url`.
fn servers(instance: &Instance) -> Vec<Identity> {
    let config = &instance.config;
    let listeners = [&config.est.listener, &config.admin.listener].into_iter().flatten();
    let issued = listeners.filter_map(|listener| match &listener.certificate {
        ServerCertificate::Issued(names) => Some(names),
        ServerCertificate::Files { .. } => None,
    });
    let host = config.file.http.public_url.as_deref().and_then(host_of);
    issued.flatten().cloned().chain(host).collect()
}

/// Whether an identity is one of these names of servers, or has one as a common name. With a certificate for it, a peer could pass for the
/// server, and read tokens or secrets.
fn is_servers(servers: &[Identity], identity: &Identity) -> bool {
    let Identity::Dn(subject) = identity else {
        return servers.iter().any(|name| name.is_same(identity));
    };
    // Some clients take a common name for a server's name.
    let subject = subject.to_string().to_ascii_lowercase();
    servers.iter().any(|name| {
        let name = name.to_string().to_ascii_lowercase();
        name.split_once(':').is_some_and(|(_, bare)| subject.contains(&format!("cn={bare}")))
    })
}

/// The host of a URL, as an identity.
fn host_of(url: &str) -> Option<Identity> {
    let host = url.parse::<Uri>().ok()?.host()?.trim_matches(['[', ']']).to_owned();
    let kind = if host.parse::<IpAddr>().is_ok() { "ip" } else { "fqdn" };
    format!("{kind}:{host}").parse().ok()
}
