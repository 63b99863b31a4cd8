//! Administrators: who they are, what they may do, and the tokens of their programs. The commands that a role stands for are not known
//! here: a role is a name.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use data_encoding::BASE32_NOPAD;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::error::{Denial, Error, Result};
use crate::hash::sha256;
use crate::record::{
    Administrator, Grant, Label, OidcUser, Token, is_account_pattern, no_administrator,
};
use crate::store::Store;

/// The role that may change administrators. At least one administrator always keeps an unbounded grant of it.
pub const ADMINISTRATOR_ROLE: &str = "administrator";

/// The most administrators.
const MAX_ADMINISTRATORS: usize = 1000;

/// The most grants of one administrator, and the most tokens.
const MAX_GRANTS: usize = 32;

/// The most CAs, and the most patterns of accounts, of one grant.
const MAX_BOUNDS: usize = 64;

/// The longest life of a token.
const MAX_TOKEN_LIFE: Duration = Duration::from_secs(366 * 86_400);

/// The beginning of each token, by which people and scanners of leaked secrets know it.
const TOKEN_PREFIX: &str = "cst_";

/// A token that was just made. Its text is shown this once.
pub struct NewToken {
    /// The record of the token.
    pub token: Token,
    /// The text that a program presents: the prefix, the administrator's name, the token's name and the secret.
    pub text: Zeroizing<String>,
}

/// Adds, changes and removes the administrators in a store.
pub struct Administrators {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    /// Held while a change is decided and recorded, so that two changes at once do not remove the last administrator.
    changing: Mutex<()>,
}

impl fmt::Debug for Administrators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Administrators(…)")
    }
}

impl Administrators {
    /// The administration of the administrators in this store.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self { store, clock, entropy, changing: Mutex::new(()) }
    }

    /// Checks that an administrator of this name can be added.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn check_new(&self, name: &Label, grants: &[Grant], oidc: Option<&OidcUser>) -> Result<()> {
        self.check_grants(grants)?;
        let known = self.store.administrators()?;
        require_free(&known, name, oidc)?;
        if known.iter().any(|other| other.name == *name) {
            return Err(Error::denied(
                Denial::Conflict,
                format!(
                    "the administrator `{name}` exists already; `countersign admin grant` changes what an administrator may do"
                ),
            ));
        }
        if known.len() >= MAX_ADMINISTRATORS {
            return Err(Error::denied(
                Denial::TooMany,
                format!("there are {MAX_ADMINISTRATORS} administrators, and there can be no more"),
            ));
        }
        Ok(())
    }

    /// Adds an administrator, whose account the caller has added.
    ///
    /// # Errors
    /// [`Error::Malformed`] for grants that are invalid; `Denied` with [`Denial::Conflict`] if there is one of this name, with
    /// [`Denial::TooMany`] if there are too many.
    pub fn add(
        &self,
        name: &Label,
        grants: Vec<Grant>,
        oidc: Option<OidcUser>,
    ) -> Result<Administrator> {
        let _changing = self.change();
        self.check_new(name, &grants, oidc.as_ref())?;
        let (now, name) = (self.clock.now(), name.clone());
        let added = Administrator { name, grants, tokens: Vec::new(), created: now, oidc };
        self.store.record_administrator(now, &added)?;
        Ok(added)
    }

    /// Gives an administrator these grants in place of the present ones.
    ///
    /// # Errors
    /// [`Error::Malformed`] for grants that are invalid; `Denied` with [`Denial::Conflict`] if there is no such administrator, or nobody
    /// would be left who may change administrators.
    pub fn set_grants(&self, name: &Label, grants: Vec<Grant>) -> Result<Administrator> {
        let _changing = self.change();
        self.check_grants(&grants)?;
        let present = self.existing(name)?;
        let changed = Administrator { grants, ..present };
        self.require_another_than(name, Some(&changed))?;
        self.store.record_administrator(self.clock.now(), &changed)?;
        Ok(changed)
    }

    /// Says which user of an OpenID provider an administrator is; `None` for none.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Conflict`] if there is no such administrator, or another one is that user.
    pub fn set_oidc(&self, name: &Label, oidc: Option<OidcUser>) -> Result<Administrator> {
        let _changing = self.change();
        let present = self.existing(name)?;
        require_free(&self.store.administrators()?, name, oidc.as_ref())?;
        let changed = Administrator { oidc, ..present };
        self.store.record_administrator(self.clock.now(), &changed)?;
        Ok(changed)
    }

    /// The administrator who is this user of an OpenID provider; `None` if nobody is.
    ///
    /// # Errors
    /// The errors of the store.
    pub fn by_oidc(&self, user: &OidcUser) -> Result<Option<Administrator>> {
        let known = self.store.administrators()?;
        Ok(known.into_iter().find(|known| known.oidc.as_ref() == Some(user)))
    }

    /// Removes an administrator with all tokens. The caller removes the account.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Conflict`] if there is no such administrator, or nobody would be left who may change administrators.
    pub fn remove(&self, name: &Label) -> Result<()> {
        let _changing = self.change();
        self.existing(name)?;
        self.require_another_than(name, None)?;
        self.store.record_administrator_removed(self.clock.now(), name)
    }

    /// Makes a token for one of the administrator's programs. The token may use `roles`, or all roles of the administrator if `roles` is
    /// empty.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a life that is too short or too long, or roles that the administrator does not have; `Denied` with
    /// [`Denial::Conflict`] if there is no such administrator or there is such a token, with [`Denial::TooMany`] if there are too many.
    pub fn add_token(
        &self,
        of: &Label,
        name: Label,
        life: Duration,
        roles: BTreeSet<Label>,
    ) -> Result<NewToken> {
        if life < Duration::from_secs(60) || life > MAX_TOKEN_LIFE {
            return Err(Error::malformed("a token is good for one minute to 366 days"));
        }
        let _changing = self.change();
        let mut administrator = self.existing(of)?;
        let foreign = roles
            .iter()
            .find(|role| !administrator.grants.iter().any(|grant| grant.role == **role));
        if let Some(role) = foreign {
            return Err(Error::malformed(format!(
                "`{of}` has no role `{role}` to give to a token"
            )));
        }
        let now = self.clock.now();
        administrator.tokens.retain(|token| token.expires > now);
        if administrator.tokens.iter().any(|token| token.name == name) {
            return Err(Error::denied(
                Denial::Conflict,
                format!("`{of}` has a token `{name}`; remove it, or choose another name"),
            ));
        }
        if administrator.tokens.len() >= MAX_GRANTS {
            return Err(Error::denied(
                Denial::TooMany,
                format!("`{of}` has {MAX_GRANTS} tokens, and there can be no more; remove one"),
            ));
        }
        let mut random = Zeroizing::new([0; 32]);
        self.entropy.fill(random.as_mut_slice())?;
        let mut secret = Zeroizing::new(BASE32_NOPAD.encode(random.as_slice()));
        secret.make_ascii_lowercase();
        let token = Token {
            name: name.clone(),
            hash: sha256(secret.as_bytes()),
            roles,
            created: now,
            expires: now.plus(life),
        };
        administrator.tokens.push(token.clone());
        self.store.record_administrator(now, &administrator)?;
        let text = Zeroizing::new(format!("{TOKEN_PREFIX}{of}:{name}:{}", secret.as_str()));
        Ok(NewToken { token, text })
    }

    /// Ends a token.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Conflict`] if there is no such administrator or token.
    pub fn remove_token(&self, of: &Label, name: &Label) -> Result<()> {
        let _changing = self.change();
        let mut administrator = self.existing(of)?;
        let before = administrator.tokens.len();
        administrator.tokens.retain(|token| token.name != *name);
        if administrator.tokens.len() == before {
            return Err(Error::denied(
                Denial::Conflict,
                format!("`{of}` has no token `{name}`; `countersign admin show {of}` lists them"),
            ));
        }
        self.store.record_administrator(self.clock.now(), &administrator)
    }

    /// The administrator and the token that `text` identifies; `None` if there is no such token, or it has ended. The comparison of the
    /// secret takes the same time wherever it differs; the names in the text are public.
    ///
    /// # Errors
    /// The errors of the store.
    pub fn by_token(&self, text: &str) -> Result<Option<(Administrator, Token)>> {
        let mut parts = text.strip_prefix(TOKEN_PREFIX).unwrap_or_default().splitn(3, ':');
        let (Some(of), Some(name), Some(secret)) = (parts.next(), parts.next(), parts.next())
        else {
            return Ok(None);
        };
        let (Ok(of), Ok(name)) = (of.parse::<Label>(), name.parse::<Label>()) else {
            return Ok(None);
        };
        let presented = sha256(secret.as_bytes());
        let Some(administrator) = self.store.administrator(&of)? else { return Ok(None) };
        let now = self.clock.now();
        let found = administrator.tokens.iter().find(|token| {
            token.name == name
                && bool::from(token.hash.as_slice().ct_eq(presented.as_slice()))
                && now < token.expires
        });
        let found = found.cloned();
        Ok(found.map(|token| (administrator, token)))
    }

    /// The administrator of this name.
    fn existing(&self, name: &Label) -> Result<Administrator> {
        self.store.administrator(name)?.ok_or_else(|| no_administrator(name))
    }

    fn change(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses grants that nobody can use. The caller has checked that the roles exist.
    fn check_grants(&self, grants: &[Grant]) -> Result<()> {
        if grants.is_empty() || grants.len() > MAX_GRANTS {
            return Err(Error::malformed(format!(
                "expected 1 to {MAX_GRANTS} grants, found {}",
                grants.len()
            )));
        }
        let cas: BTreeSet<Label> =
            self.store.cas()?.into_iter().filter(|ca| !ca.is_root).map(|ca| ca.name).collect();
        for grant in grants {
            if grant.cas.len() > MAX_BOUNDS || grant.accounts.len() > MAX_BOUNDS {
                return Err(Error::malformed(format!(
                    "a grant names at most {MAX_BOUNDS} CAs and {MAX_BOUNDS} patterns of accounts"
                )));
            }
            if let Some(ca) = grant.cas.iter().find(|ca| !cas.contains(ca)) {
                return Err(Error::malformed(format!(
                    "there is no issuing CA `{ca}`; `countersign ca show` lists them"
                )));
            }
            if let Some(found) = grant.accounts.iter().find(|text| !is_account_pattern(text)) {
                return Err(Error::malformed(format!(
                    "expected the name of an account in which `*` stands for any text, such as `gw-*`, found `{}`",
                    found.escape_debug()
                )));
            }
        }
        Ok(())
    }

    /// Refuses a change after which no administrator would have an unbounded grant to change administrators, if one has it now. `changed`
    /// is the new record of `name`; `None` means that `name` is removed.
    fn require_another_than(&self, name: &Label, changed: Option<&Administrator>) -> Result<()> {
        let known = self.store.administrators()?;
        let others = known.iter().filter(|other| other.name != *name);
        let before = known.iter().any(may_change_administrators);
        if before && !others.chain(changed).any(may_change_administrators) {
            return Err(Error::denied(
                Denial::Conflict,
                format!(
                    "`{name}` is the last one with the role `{ADMINISTRATOR_ROLE}` for everything; give the role to another one first"
                ),
            ));
        }
        Ok(())
    }
}

/// Refuses a user of an OpenID provider who is an administrator of another name.
fn require_free(known: &[Administrator], name: &Label, oidc: Option<&OidcUser>) -> Result<()> {
    let holder = known.iter().find(|other| other.name != *name && other.oidc.as_ref() == oidc);
    match holder.filter(|_| oidc.is_some()) {
        None => Ok(()),
        Some(holder) => Err(Error::denied(
            Denial::Conflict,
            format!("the administrator `{}` is this user already", holder.name),
        )),
    }
}

fn may_change_administrators(administrator: &Administrator) -> bool {
    let mut grants = administrator.grants.iter();
    grants.any(|grant| grant.role.as_str() == ADMINISTRATOR_ROLE && grant.is_unbounded())
}
