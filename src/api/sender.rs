//! Authenticates an administrator: by the client certificate of the TLS connection, by a token, or by a session.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::http::header::AUTHORIZATION;
use countersign_ca::record::{Administrator, Grant, is_administrators_profile};
use countersign_ca::{Authority, Credential, Store};
use countersign_enroll::est::{ClientCertificate, Connection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroizing;

use super::problem::Problem;
use super::session::{self, Rights, Sessions};
use crate::admin::{Person, Principal, Proof};
use crate::exit::Failure;
use crate::instance::Instance;
use crate::logging::REFUSED;

/// How long a client may wait until it is authenticated.
const GATE_TIMEOUT: Duration = Duration::from_secs(5);

/// A turn to be authenticated.
///
/// # Errors
/// 503 if too many others are.
pub async fn turn(gate: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Problem> {
    let waiting = tokio::time::timeout(GATE_TIMEOUT, Arc::clone(gate).acquire_owned());
    match waiting.await {
        Ok(Ok(slot)) => Ok(slot),
        _ => {
            let why = "too many clients are authenticated; try again";
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, why))
        }
    }
}

/// The text for a client that proves nothing.
const NO_PROOF: &str = "expected an administrator's client certificate, or a token in the header `Authorization: Bearer …`";

/// The same where people may log in.
const NO_PROOF_OR_SESSION: &str = "expected an administrator's client certificate, a token in the header `Authorization: Bearer …`, or the cookie of a session, which begins at /login";

/// What a client presented, to be judged on another thread, and again when its body has come.
#[derive(Clone)]
pub struct Presented {
    address: Option<IpAddr>,
    /// The text of the header `Authorization`; `None` without it.
    authorization: Option<Zeroizing<String>>,
    certificate: Option<ClientCertificate>,
    /// The identifier of a session, from its cookie.
    session: Option<Zeroizing<String>>,
}

impl Presented {
    /// The proofs that came with a request.
    pub fn of(request: &HttpRequest) -> Self {
        let authorization = request.headers().get(AUTHORIZATION).map(|header| {
            // A header that is not text is not a token.
            Zeroizing::new(header.to_str().unwrap_or_default().to_owned())
        });
        let tls = request.conn_data::<Connection>();
        Self {
            address: request.peer_addr().map(|address| address.ip().to_canonical()),
            authorization,
            certificate: tls.and_then(|tls| tls.certificate.clone()),
            session: session::cookie_of(request, session::COOKIE),
        }
    }

    /// What came with a request that is about its session, whatever else came.
    pub fn of_session(request: &HttpRequest) -> Self {
        Self { authorization: None, certificate: None, ..Self::of(request) }
    }

    /// The identifier of the session that decides who sends the request; `None` if something else does.
    pub fn session(&self) -> Option<&str> {
        self.session.as_ref().filter(|_| self.authorization.is_none()).map(|id| id.as_str())
    }

    /// The administrator. A token decides if there is one, then a session, and then the client certificate.
    ///
    /// # Errors
    /// 401 without a proof, or with one that is not an administrator's; the errors of the store.
    pub fn authenticate(
        &self,
        authority: &Authority,
        instance: &Instance,
        sessions: Option<&Sessions>,
    ) -> Result<Principal, Problem> {
        let address =
            self.address.ok_or_else(|| Problem::malformed("the connection has no address"))?;
        let refused = |why: &str| {
            tracing::warn!(target: REFUSED, client = %address, "no administrator: {why}");
            Problem::new(StatusCode::UNAUTHORIZED, why)
        };
        if let Some(header) = &self.authorization {
            let token = header.split_once(' ').and_then(|(scheme, token)| {
                scheme.eq_ignore_ascii_case("Bearer").then_some(token.trim())
            });
            let token =
                token.ok_or_else(|| refused("expected `Authorization: Bearer` and a token"))?;
            return by_token(instance, token, address)?
                .ok_or_else(|| refused("the token is unknown or has ended"));
        }
        if let (Some(id), Some(sessions)) = (self.session(), sessions) {
            return by_session(instance, sessions, id, address)?.map_err(refused);
        }
        match &self.certificate {
            None if sessions.is_some() => Err(refused(NO_PROOF_OR_SESSION)),
            None => Err(refused(NO_PROOF)),
            Some(ClientCertificate::Unreadable(why)) => Err(refused(why)),
            Some(ClientCertificate::Proven(certificates)) => {
                let Some(first) = certificates.first() else { return Err(refused(NO_PROOF)) };
                by_certificate(authority, instance, first, address)?.map_err(|why| refused(&why))
            }
        }
    }
}

/// The administrator of a token; `None` if there is none.
fn by_token(
    instance: &Instance,
    token: &str,
    address: IpAddr,
) -> Result<Option<Principal>, Problem> {
    let found = instance.administrators().by_token(token).map_err(unreadable)?;
    let Some((administrator, token)) = found else { return Ok(None) };
    // The account stands for the person: if it is disabled, neither a certificate nor a token counts.
    let is_good = session::has_account(instance, &administrator).map_err(unreadable)?;
    Ok(is_good.then(|| {
        let Administrator { name, mut grants, .. } = administrator;
        let name = Person::Administrator(name);
        grants.retain(|grant: &Grant| token.roles.is_empty() || token.roles.contains(&grant.role));
        Principal { name, proof: Proof::Token(token.name), address, grants }
    }))
}

/// The administrator of a session, or why it is none's. A change of the administrator's record ends the session.
fn by_session(
    instance: &Instance,
    sessions: &Sessions,
    id: &str,
    address: IpAddr,
) -> Result<Result<Principal, &'static str>, Problem> {
    let Some(session) = sessions.find(id) else {
        return Ok(Err("the session is unknown or has ended; log in again at /login"));
    };
    let present = match &session.rights {
        Rights::Administrator { name, .. } => instance.store.administrator(name),
        Rights::Groups(_) => instance.administrators().by_oidc(&session.user),
    };
    let present = present.map_err(unreadable)?;
    let lasts = match (&session.rights, &present) {
        (Rights::Administrator { .. }, Some(administrator)) => {
            administrator.oidc.as_ref() == Some(&session.user)
                && session.rights.are_of(administrator)
                && session::has_account(instance, administrator).map_err(unreadable)?
        }
        (Rights::Groups(_), None) => true,
        _ => false,
    };
    if !lasts {
        sessions.end(id);
        return Ok(Err(
            "what is recorded of the user has changed, which ended the session; log in again at /login",
        ));
    }
    Ok(Ok(session::principal(&session.user, &session.rights, address)))
}

/// The administrator of a client certificate, or why it is none's. TLS has proven that the client has the private key.
fn by_certificate(
    authority: &Authority,
    instance: &Instance,
    certificate: &[u8],
    address: IpAddr,
) -> Result<Result<Principal, String>, Problem> {
    let requester = match authority.authenticate_certificate(certificate, &mut |_| Ok(())) {
        Ok(requester) => requester,
        Err(
            error @ (countersign_ca::Error::Internal(_) | countersign_ca::Error::Unavailable(_)),
        ) => {
            return Err(unreadable(error));
        }
        Err(error) => return Ok(Err(error.to_string())),
    };
    let Credential::Certificate(record) = requester.credential() else {
        return Ok(Err(NO_PROOF.to_owned()));
    };
    let account = requester.account();
    // INVARIANT: only those who may change administrators have certificates of this profile issued (`admin::Principal`).
    if !is_administrators_profile(&record.profile) || !is_administrators_profile(&account.profile) {
        let why = format!("the certificate {} is not an administrator's", record.serial);
        return Ok(Err(why));
    }
    if record.awaits_confirmation {
        let why = format!("the certificate {} awaits its confirmation", record.serial);
        return Ok(Err(why));
    }
    let administrator = instance.store.administrator(&account.name).map_err(unreadable)?;
    Ok(match administrator {
        Some(Administrator { name, grants, .. }) => {
            let proof = Proof::Certificate(record.serial.to_string());
            let name = Person::Administrator(name);
            Ok(Principal { name, proof, address, grants })
        }
        None => Err(format!("`{}` is no administrator any more", account.name)),
    })
}

fn unreadable(error: countersign_ca::Error) -> Problem {
    Problem::of_failure(Failure::from(error), StatusCode::CONFLICT)
}
