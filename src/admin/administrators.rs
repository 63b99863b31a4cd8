//! Administrators, as administrators see, add and change them.

use std::collections::BTreeSet;
use std::time::Duration;

use countersign_ca::Store;
use countersign_ca::record::{
    ADMINISTRATOR_PROFILE, Administrator, Grant, Label, OidcUser, Token, is_administrators_profile,
    no_administrator,
};
use data_encoding::HEXLOWER;
use ring::digest;

use super::accounts;
use super::answer::{
    AdministratorLine, GrantLine, NewAdministratorLine, NewTokenLine, OidcUserLine,
    RemovedAdministrator, RoleLine, TokenLine,
};
use super::recorded::record;
use super::request::{RequestedGrant, RequestedPeer, RequestedSecret};
use crate::exit::Failure;
use crate::instance::Instance;

/// Every role with its verbs, sorted by name.
pub fn roles(instance: &Instance) -> Vec<RoleLine> {
    let roles = instance.config.admin.roles.iter();
    let lines = roles.map(|(role, verbs, about)| RoleLine {
        role: role.clone(),
        about: about.map(str::to_owned),
        verbs: verbs.iter().map(|verb| verb.name().to_owned()).collect(),
    });
    lines.collect()
}

/// Every administrator, sorted by name.
pub fn list(instance: &Instance) -> Result<Vec<AdministratorLine>, Failure> {
    Ok(instance.store.administrators()?.iter().map(line).collect())
}

/// Shows one administrator. A name that no administrator has is an error.
pub fn show(instance: &Instance, name: &Label) -> Result<AdministratorLine, Failure> {
    let found = instance.store.administrator(name)?.ok_or_else(|| no_administrator(name))?;
    Ok(line(&found))
}

/// Adds an administrator and the account for the administrator's certificate, and returns both with the account's secret.
pub fn add(
    instance: &Instance,
    actor: &str,
    name: Label,
    grants: Vec<RequestedGrant>,
    ids: Vec<String>,
    secret: Option<RequestedSecret>,
    oidc: Option<String>,
) -> Result<NewAdministratorLine, Failure> {
    let grants = checked(instance, grants)?;
    let administrators = instance.administrators();
    let oidc = oidc.map(|subject| user(instance, &subject)).transpose()?;
    administrators.check_new(&name, &grants, oidc.as_ref())?;
    let ids = if ids.is_empty() { vec![format!("dn:CN={name}")] } else { ids };
    let peer = RequestedPeer {
        name: name.clone(),
        ids,
        profile: ADMINISTRATOR_PROFILE.parse()?,
        ca: None,
        device: None,
        secret,
        permissions: BTreeSet::new(),
        labels: Vec::new(),
        owner: None,
        note: None,
        line: None,
    };
    let mut added = accounts::add(instance, actor, vec![peer], &mut |_, _| {})?;
    let mut account = added.pop().ok_or_else(|| Failure::found("no account was added"))?;
    let mut detail = format!("{name}: {}", described(&grants));
    if let Some(user) = &oidc {
        detail = format!("{detail}; is {user}");
    }
    let administrator = match administrators.add(&name, grants, oidc) {
        Ok(administrator) => administrator,
        Err(why) => {
            // The account is of no use alone. If it cannot be removed, the error still says why there is no administrator.
            let _ = instance.accounts().remove(&name);
            return Err(why.into());
        }
    };
    // An error would lose the secret.
    let noted = record(instance, actor, "admin add", &detail);
    account.warnings.extend(noted.err().map(|failure| failure.message));
    Ok(NewAdministratorLine { administrator: line(&administrator), account })
}

/// Gives an administrator these grants in place of the present ones. `expected` is the version of the record that the change is based on, as
/// [`version`] gives it; `None` to change whatever there is.
pub fn grant(
    instance: &Instance,
    actor: &str,
    name: &Label,
    grants: Vec<RequestedGrant>,
    expected: Option<&str>,
) -> Result<AdministratorLine, Failure> {
    let grants = checked(instance, grants)?;
    let detail = format!("{name}: {}", described(&grants));
    require_version(instance, name, expected)?;
    let changed = instance.administrators().set_grants(name, grants)?;
    record(instance, actor, "admin grant", &detail)?;
    Ok(line(&changed))
}

/// Says which user of the OpenID provider an administrator is: whoever logs in as that user then is the administrator. `None` ends that.
pub fn bind(
    instance: &Instance,
    actor: &str,
    name: &Label,
    subject: Option<&str>,
) -> Result<AdministratorLine, Failure> {
    let oidc = subject.map(|subject| user(instance, subject)).transpose()?;
    let detail = match &oidc {
        Some(user) => format!("{name}: is {user}"),
        None => format!("{name}: is no user"),
    };
    let changed = instance.administrators().set_oidc(name, oidc)?;
    record(instance, actor, "admin bind", &detail)?;
    Ok(line(&changed))
}

/// A user of the issuer in the configuration.
fn user(instance: &Instance, subject: &str) -> Result<OidcUser, Failure> {
    let Some(oidc) = &instance.config.admin.oidc else {
        return Err(Failure::input(
            "a user is one of an issuer: set [admin.oidc] in the configuration, then restart the server",
        ));
    };
    Ok(OidcUser::new(&oidc.issuer, subject)?)
}

/// Refuses a change that is based on another version of an administrator's record than the present one. The caller has what
/// [`Instance::change`] gives.
///
/// # Errors
/// Exit code 3 if there is no such administrator, or the record was changed meanwhile.
pub fn require_version(
    instance: &Instance,
    name: &Label,
    expected: Option<&str>,
) -> Result<(), Failure> {
    let present = show(instance, name)?;
    match expected.is_none_or(|expected| version(&present) == expected) {
        true => Ok(()),
        false => Err(Failure::missing(format!(
            "`{name}` was changed meanwhile; look again, and then change it"
        ))),
    }
}

/// Removes an administrator and the account, and revokes the administrator's certificates.
pub fn remove(
    instance: &Instance,
    actor: &str,
    name: &Label,
) -> Result<RemovedAdministrator, Failure> {
    // The rights end first. If a later step fails, the same command goes on with the account.
    let was_removed_before = instance.store.administrator(name)?.is_none()
        && instance
            .store
            .account(name)?
            .is_some_and(|account| is_administrators_profile(&account.profile));
    if !was_removed_before {
        instance.administrators().remove(name)?;
        record(instance, actor, "admin remove", name)?;
    }
    let account = accounts::remove(instance, actor, name, Some("affiliationChanged".to_owned()))?;
    let has_groups =
        instance.config.admin.oidc.as_ref().is_some_and(|oidc| !oidc.grants.is_empty());
    let note = has_groups.then_some(
        "if this person is in a group of admin.oidc.grants, the next login has its grants; have the OpenID provider end that, too",
    );
    Ok(RemovedAdministrator { administrator: name.clone(), account, note })
}

/// Makes a token for a program of an administrator.
pub fn add_token(
    instance: &Instance,
    actor: &str,
    of: &Label,
    token: Label,
    seconds: u64,
    roles: BTreeSet<Label>,
) -> Result<NewTokenLine, Failure> {
    let life = Duration::from_secs(seconds);
    let new = instance.administrators().add_token(of, token, life, roles)?;
    let noted = record(instance, actor, "admin token add", &format!("{of}:{}", new.token.name));
    Ok(NewTokenLine {
        administrator: of.clone(),
        line: token_line(&new.token),
        token: new.text,
        warnings: noted.err().map(|failure| failure.message).into_iter().collect(),
    })
}

/// Ends a token.
pub fn remove_token(
    instance: &Instance,
    actor: &str,
    of: &Label,
    token: &Label,
) -> Result<AdministratorLine, Failure> {
    instance.administrators().remove_token(of, token)?;
    record(instance, actor, "admin token remove", &format!("{of}:{token}"))?;
    show(instance, of)
}

/// The version of an administrator's record. It differs when the record does.
pub fn version(line: &AdministratorLine) -> String {
    let json = serde_json::to_vec(line).unwrap_or_default();
    let hash = digest::digest(&digest::SHA256, &json);
    HEXLOWER.encode(hash.as_ref().get(..16).unwrap_or_default())
}

fn line(administrator: &Administrator) -> AdministratorLine {
    AdministratorLine {
        name: administrator.name.clone(),
        grants: administrator.grants.iter().map(grant_line).collect(),
        tokens: administrator.tokens.iter().map(token_line).collect(),
        created: administrator.created.whole_seconds().to_string(),
        oidc: administrator.oidc.as_ref().map(|user| OidcUserLine {
            issuer: user.issuer.clone(),
            subject: user.subject.clone(),
        }),
    }
}

/// A grant, as it is shown.
pub fn grant_line(grant: &Grant) -> GrantLine {
    GrantLine { role: grant.role.clone(), cas: grant.cas.clone(), accounts: grant.accounts.clone() }
}

fn token_line(token: &Token) -> TokenLine {
    TokenLine {
        name: token.name.clone(),
        roles: token.roles.clone(),
        created: token.created.whole_seconds().to_string(),
        expires: token.expires.whole_seconds().to_string(),
    }
}

/// The grants, if their roles exist.
fn checked(instance: &Instance, grants: Vec<RequestedGrant>) -> Result<Vec<Grant>, Failure> {
    let roles = &instance.config.admin.roles;
    let mut checked: Vec<Grant> = Vec::with_capacity(grants.len().min(64));
    for RequestedGrant { role, cas, accounts } in grants {
        roles.require(&role)?;
        let grant = Grant { role, cas, accounts };
        if !checked.contains(&grant) {
            checked.push(grant);
        }
    }
    Ok(checked)
}

/// Grants, for the journal.
fn described(grants: &[Grant]) -> String {
    let each = grants.iter().map(|grant| {
        let cas = grant.cas.iter().map(|ca| format!(" ca={ca}"));
        let accounts = grant.accounts.iter().map(|pattern| format!(" account={pattern}"));
        format!("{}{}", grant.role, cas.chain(accounts).collect::<String>())
    });
    each.collect::<Vec<_>>().join(", ")
}
