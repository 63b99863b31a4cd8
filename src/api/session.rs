//! Sessions of people who logged in by the OpenID provider. They are kept in memory alone: a restart ends them all. The server keeps only the
//! hash of a session's identifier.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actix_web::http::header::{self, HeaderValue, SET_COOKIE};
use actix_web::{HttpRequest, HttpResponse};
use countersign_ca::record::{Administrator, Grant, Label, OidcUser, is_administrators_profile};
use countersign_ca::{Store, Timestamp};
use ring::digest;
use zeroize::Zeroizing;

use crate::admin::{Person, Principal, Proof};
use crate::instance::Instance;

/// The cookie with the identifier of a session. Its prefix has browsers take it from this very host over TLS alone (RFC 6265bis §4.1.3.2).
pub const COOKIE: &str = "__Host-countersign";

/// The most sessions, and the most of one user. Whoever has as many loses the oldest.
const MAX: usize = 1024;
const MAX_OF_ONE: usize = 16;

/// A session.
#[derive(Debug, Clone)]
pub struct Session {
    /// The user who logged in.
    pub user: OidcUser,
    /// What the user may do.
    pub rights: Rights,
    began: Instant,
    used: Instant,
}

/// What a user may do, and how it is known that this is still so.
#[derive(Debug, Clone)]
pub enum Rights {
    /// As this administrator. The session ends when the record changes.
    Administrator {
        /// The name.
        name: Label,
        /// When the administrator was recorded.
        created: Timestamp,
        /// What the administrator might do when the session began.
        grants: Vec<Grant>,
    },
    /// By the groups that the user had when the session began.
    Groups(Vec<Grant>),
}

impl Rights {
    /// The rights of an administrator as recorded.
    pub fn of(administrator: &Administrator) -> Self {
        Self::Administrator {
            name: administrator.name.clone(),
            created: administrator.created,
            grants: administrator.grants.clone(),
        }
    }

    /// Whether an administrator is the one of these rights, and has the same grants.
    pub fn are_of(&self, administrator: &Administrator) -> bool {
        let Self::Administrator { name, created, grants } = self else { return false };
        *name == administrator.name
            && *created == administrator.created
            && *grants == administrator.grants
    }
}

/// The sessions of a server.
#[derive(Debug)]
pub struct Sessions {
    idle: Duration,
    lifetime: Duration,
    known: Mutex<HashMap<[u8; 32], Session>>,
}

impl Sessions {
    /// Sessions that end so long after their last request, and after their begin.
    pub fn new(idle: Duration, lifetime: Duration) -> Self {
        Self { idle, lifetime, known: Mutex::default() }
    }

    /// Begins a session with this identifier.
    ///
    /// # Errors
    /// A message: there are too many sessions.
    pub fn begin(&self, id: &str, user: OidcUser, rights: Rights) -> Result<(), String> {
        self.forget_old();
        let mut known = self.known();
        let own = || known.iter().filter(|(_, session)| session.user == user);
        let oldest = own().min_by_key(|(_, session)| session.began).map(|(key, _)| *key);
        if let Some(oldest) = oldest.filter(|_| own().count() >= MAX_OF_ONE) {
            known.remove(&oldest);
        }
        if known.len() >= MAX {
            return Err(format!("there are {MAX} sessions, and there can be no more"));
        }
        let now = Instant::now();
        known.insert(hash(id), Session { user, rights, began: now, used: now });
        Ok(())
    }

    /// The session with this identifier, which is in use from now on; `None` if there is none, or it has ended.
    pub fn find(&self, id: &str) -> Option<Session> {
        let mut known = self.known();
        let session = known.get_mut(&hash(id)).filter(|session| self.lasts(session))?;
        session.used = Instant::now();
        Some(session.clone())
    }

    /// Ends a session, which is returned if there was one.
    pub fn end(&self, id: &str) -> Option<Session> {
        self.known().remove(&hash(id))
    }

    /// Ends the sessions whose time is over. The server calls this every second or so.
    pub fn forget_old(&self) {
        self.known().retain(|_, session| {
            let lasts = self.lasts(session);
            if !lasts {
                tracing::info!(user = %session.user, "a session has ended: its time is over");
            }
            lasts
        });
    }

    fn lasts(&self, session: &Session) -> bool {
        session.used.elapsed() < self.idle && session.began.elapsed() < self.lifetime
    }

    fn known(&self) -> MutexGuard<'_, HashMap<[u8; 32], Session>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an administrator has an account that is not disabled: it stands for the person, by whatever proof.
///
/// # Errors
/// The errors of the store.
pub fn has_account(
    instance: &Instance,
    administrator: &Administrator,
) -> Result<bool, countersign_ca::Error> {
    let account = instance.store.account(&administrator.name)?;
    Ok(account.is_some_and(|account| {
        is_administrators_profile(&account.profile) && account.require_enabled().is_ok()
    }))
}

/// Who a user is, with these rights.
pub fn principal(user: &OidcUser, rights: &Rights, address: IpAddr) -> Principal {
    let proof = Proof::Oidc(user.clone());
    match rights {
        Rights::Administrator { name, grants, .. } => {
            let (name, grants) = (Person::Administrator(name.clone()), grants.clone());
            Principal { name, proof, address, grants }
        }
        Rights::Groups(grants) => {
            let name = Person::User(user.clone());
            Principal { name, proof, address, grants: grants.clone() }
        }
    }
}

/// Has a browser forget the cookie of its session.
pub fn forget(response: &mut HttpResponse) {
    append(response, &cookie(COOKIE, "", "Strict", 0));
}

/// The value of a cookie that came with a request.
pub fn cookie_of(request: &HttpRequest, name: &str) -> Option<Zeroizing<String>> {
    let headers =
        request.headers().get_all(header::COOKIE).filter_map(|header| header.to_str().ok());
    let mut pairs =
        headers.flat_map(|header| header.split(';')).filter_map(|pair| pair.split_once('='));
    let found = pairs.find(|(key, _)| key.trim() == name);
    found.map(|(_, value)| Zeroizing::new(value.trim().to_owned()))
}

/// A cookie for this very host, over TLS, that no script reads.
pub fn cookie(name: &str, value: &str, same_site: &str, seconds: u64) -> Zeroizing<String> {
    Zeroizing::new(format!(
        "{name}={value}; Path=/; Secure; HttpOnly; SameSite={same_site}; Max-Age={seconds}"
    ))
}

/// Adds a cookie to an answer.
pub fn append(response: &mut HttpResponse, cookie: &str) {
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(SET_COOKIE, value);
    }
}

fn hash(id: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, id.as_bytes()).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(subject: &str) -> OidcUser {
        OidcUser::new("https://id.example.net", subject).unwrap()
    }

    #[test]
    fn a_session_is_found_by_its_identifier_until_it_ends() {
        let sessions = Sessions::new(Duration::from_secs(60), Duration::from_secs(60));
        let begin = |id: &str, who: &str| sessions.begin(id, user(who), Rights::Groups(Vec::new()));
        begin("a", "alice").unwrap();
        assert_eq!(sessions.find("a").unwrap().user, user("alice"));
        assert!(sessions.find("b").is_none());
        assert!(sessions.end("a").is_some() && sessions.find("a").is_none());
        for (idle, lifetime) in [(0, 60), (60, 0)] {
            let sessions = Sessions::new(Duration::from_secs(idle), Duration::from_secs(lifetime));
            sessions.begin("a", user("alice"), Rights::Groups(Vec::new())).unwrap();
            assert!(sessions.find("a").is_none());
            sessions.forget_old();
            assert!(sessions.known().is_empty());
        }
        // One person cannot take all the room.
        for number in 0..=MAX_OF_ONE {
            begin(&format!("m{number}"), "mallory").unwrap();
        }
        assert!(sessions.find("m0").is_none() && sessions.find("m1").is_some());
        for number in 0..MAX - MAX_OF_ONE {
            begin(&format!("n{number}"), &format!("user{number}")).unwrap();
        }
        assert!(begin("more", "bob").unwrap_err().contains("1024 sessions"));
    }
}
