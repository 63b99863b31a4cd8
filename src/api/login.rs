//! Logging in with a browser: `/login`, `/login/callback` and `/logout`.
//!
//! The cookie of a session is `SameSite=Strict`. A browser does not send it on a navigation that another site began, as the issuer's redirect
//! is; so the callback answers with a page, and the page leads on.

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::http::header::{
    CONTENT_LENGTH, CONTENT_SECURITY_POLICY, HeaderValue, LOCATION, REFERRER_POLICY, RETRY_AFTER,
    SET_COOKIE, TRANSFER_ENCODING, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use countersign_ca::Authority;
use countersign_ca::record::Grant;
use countersign_enroll::transport::response::{closing_with, no_store};
use serde::Deserialize;
use tokio::sync::Semaphore;

use super::input::{Site, refuse_foreign_site};
use super::problem::Problem;
use super::sender::{Presented, turn};
use super::session::{self, Rights, Sessions};
use super::slots::{Slot, Slots};
use crate::admin::record_action;
use crate::admin::refusals::Hourly;
use crate::config::OidcConfig;
use crate::exit::Failure;
use crate::instance::Instance;
use crate::logging::REFUSED;
use crate::oidc::{CALLBACK, Callback, LoggedIn, PATIENCE, Provider, Refusal};

/// The most logins that are worked on at once, and the most of one IPv4 address or one /64 of IPv6.
pub const MAX_LOGINS: usize = 8;
const MAX_OF_ONE: usize = 2;

/// The most sessions of one person that begin within an hour. Each is in the journal, which is kept for ever.
const MAX_BEGUN: u32 = 30;

/// The path at which a login begins, and the one at which a session ends.
const LOGIN: &str = "/login";
const LOGOUT: &str = "/logout";

/// The cookie of a login that has begun. It is `Lax`, because the issuer's redirect must bring it.
const BEGUN: &str = "__Host-countersign-login";

/// The path to which a login leads that names none.
const HOME: &str = "/api/v1/caller";

/// The longest path to which a login leads, in octets.
const MAX_PATH: usize = 512;

/// Logging in, and the sessions.
pub struct Login {
    authority: Arc<Authority>,
    instance: Arc<Instance>,
    provider: Provider,
    /// The sessions.
    pub sessions: Sessions,
    grants: OidcConfig,
    slots: Slots,
    begun: Hourly,
    gate: Arc<Semaphore>,
}

impl Login {
    /// Logins by the issuer of the configuration, for a server on this port. `gate` has the turns of those who are authenticated.
    ///
    /// # Errors
    /// Those of [`Provider::new`].
    pub fn new(
        authority: &Arc<Authority>,
        instance: &Arc<Instance>,
        gate: &Arc<Semaphore>,
        config: &OidcConfig,
        port: u16,
    ) -> Result<Self, Failure> {
        Ok(Self {
            authority: Arc::clone(authority),
            instance: Arc::clone(instance),
            gate: Arc::clone(gate),
            provider: Provider::new(config, port)?,
            sessions: Sessions::new(config.session_idle, config.session_lifetime),
            grants: config.clone(),
            slots: Slots::new(MAX_LOGINS, MAX_OF_ONE),
            begun: Hourly::new(MAX_BEGUN),
        })
    }

    /// A slot for a client, and its address; `None` if none is free.
    fn slot(&self, request: &HttpRequest) -> Option<(Slot, IpAddr)> {
        let address = request.peer_addr()?.ip().to_canonical();
        Some((self.slots.take(address.into())?, address))
    }

    /// What a user may do: as the administrator who is this user, or else by groups.
    fn rights(&self, instance: &Instance, logged_in: &LoggedIn) -> Result<Rights, Refusal> {
        let user = &logged_in.user;
        let failed = |e: countersign_ca::Error| Refusal::Unavailable(e.to_string());
        if let Some(administrator) = instance.administrators().by_oidc(user).map_err(failed)? {
            return match session::has_account(instance, &administrator).map_err(failed)? {
                true => Ok(Rights::of(&administrator)),
                false => Err(Refusal::Refused(format!(
                    "the account of the administrator `{}` is disabled",
                    administrator.name
                ))),
            };
        }
        let mut grants: Vec<Grant> = Vec::new();
        let of_groups = logged_in.groups.iter().filter_map(|group| self.grants.grants.get(group));
        for grant in of_groups.flatten() {
            if !grants.contains(grant) {
                grants.push(grant.clone());
            }
        }
        match grants.is_empty() {
            false => Ok(Rights::Groups(grants)),
            true => Err(Refusal::Refused(format!(
                "the user `{}` is no administrator, and none of the user's groups has a grant; an administrator can say who this is: \
                 `countersign admin bind NAME --oidc SUBJECT`",
                user.subject.escape_debug()
            ))),
        }
    }
}

/// The query of `/login`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LoginQuery {
    /// The path to which the login leads.
    #[serde(rename = "return")]
    to: Option<String>,
}

/// Adds the paths to an application.
pub fn configure(login: &Arc<Login>, config: &mut web::ServiceConfig) {
    config
        .app_data(Data::from(Arc::clone(login)))
        .service(web::resource(LOGIN).route(web::to(begin)))
        .service(web::resource(CALLBACK).route(web::to(finish)))
        .service(web::resource(LOGOUT).route(web::to(end)));
}

/// `/login`: sends the browser to the issuer.
async fn begin(login: Data<Login>, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let response = begun(&login, &request).await;
    without_body(&request, response, payload)
}

async fn begun(login: &Data<Login>, request: &HttpRequest) -> HttpResponse {
    if *request.method() != Method::GET {
        return Problem::no_method("GET".to_owned()).response();
    }
    let query = web::Query::<LoginQuery>::from_query(request.query_string());
    let to = match query.map(|query| query.into_inner().to) {
        Ok(None) => HOME.to_owned(),
        Ok(Some(to)) if is_own_path(&to) => to,
        _ => {
            let why = "expected `/login`, or `/login?return=` and a path of this server";
            return page(StatusCode::BAD_REQUEST, "Not logged in", why, None);
        }
    };
    let Some((slot, _)) = login.slot(request) else { return busy() };
    let login = login.clone();
    let work = web::block(move || {
        let _slot = slot;
        login.provider.begin(&to)
    });
    match work.await {
        Ok(Ok(begun)) => {
            let mut response = no_store(StatusCode::SEE_OTHER);
            response
                .insert_header((LOCATION, begun.url))
                .insert_header((REFERRER_POLICY, "no-referrer"))
                .append_header((
                    SET_COOKIE,
                    session::cookie(BEGUN, &begun.cookie, "Lax", PATIENCE.as_secs()).as_str(),
                ));
            response.finish()
        }
        Ok(Err(refusal)) => refused(request, refusal),
        Err(_) => busy(),
    }
}

/// `/login/callback`: the issuer sends the browser back here. A session begins.
async fn finish(login: Data<Login>, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let response = finished(&login, &request).await;
    without_body(&request, response, payload)
}

async fn finished(login: &Data<Login>, request: &HttpRequest) -> HttpResponse {
    if *request.method() != Method::GET {
        return Problem::no_method("GET".to_owned()).response();
    }
    let Ok(answer) = web::Query::<Callback>::from_query(request.query_string()) else {
        let why = "the answer of the issuer cannot be read";
        return page(StatusCode::BAD_REQUEST, "Not logged in", why, None);
    };
    let begun = session::cookie_of(request, BEGUN);
    let Some((slot, address)) = login.slot(request) else { return busy() };
    let (login, instance) = (login.clone(), Arc::clone(&login.instance));
    let work = web::block(move || {
        let _slot = slot;
        let begun = begun.as_ref().map(|cookie| cookie.as_str());
        let logged_in = login.provider.finish(&answer, begun, address.into())?;
        let rights = login.rights(&instance, &logged_in)?;
        let principal = session::principal(&logged_in.user, &rights, address);
        login.begun.take(&principal.name, instance.now()).map_err(|left| {
            let why = format!("`{}` logged in {MAX_BEGUN} times within an hour", principal.name);
            Refusal::TooMany(why, left)
        })?;
        let id = login.provider.random()?;
        let begun = login.sessions.begin(&id, logged_in.user.clone(), rights);
        begun.map_err(Refusal::Unavailable)?;
        let recorded =
            record_action(&instance, &principal.to_string(), "session begin", &principal.name);
        if let Err(why) = recorded {
            login.sessions.end(&id);
            return Err(why.into());
        }
        Ok::<_, Refusal>((id, logged_in.to, login.grants.session_lifetime.as_secs()))
    });
    match work.await {
        Ok(Ok((id, to, seconds))) => {
            let mut response = page(StatusCode::OK, "Logged in", "You are logged in.", Some(&to));
            for value in [
                session::cookie(session::COOKIE, &id, "Strict", seconds),
                session::cookie(BEGUN, "", "Lax", 0),
            ] {
                session::append(&mut response, &value);
            }
            response
        }
        Ok(Err(refusal)) => {
            let mut response = refused(request, refusal);
            session::append(&mut response, &session::cookie(BEGUN, "", "Lax", 0));
            response
        }
        Err(_) => busy(),
    }
}

/// `/logout`: ends the session.
async fn end(login: Data<Login>, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    if *request.method() != Method::POST {
        return closing_with(Problem::no_method("POST".to_owned()).response(), payload);
    }
    if let Err(problem) = refuse_foreign_site(&request, Site::Own) {
        return closing_with(problem.response(), payload);
    }
    // Its end is recorded with whoever it was, if it has not ended before.
    let presented = Presented::of_session(&request);
    let slot = match turn(&login.gate).await {
        Ok(slot) => slot,
        Err(problem) => return closing_with(problem.response(), payload),
    };
    let instance = Arc::clone(&login.instance);
    let authority = Arc::clone(&login.authority);
    let work = web::block(move || {
        let _slot = slot;
        let principal = presented.authenticate(&authority, &instance, Some(&login.sessions));
        // Of several who end it at once, one does.
        let ended = presented.session().and_then(|id| login.sessions.end(id));
        match (principal, ended) {
            (Ok(principal), Some(_)) => {
                record_action(&instance, &principal.to_string(), "session end", &principal.name)
            }
            _ => Ok(()),
        }
    });
    let mut response = match work.await {
        Ok(Ok(())) => no_store(StatusCode::NO_CONTENT).finish(),
        Ok(Err(failure)) => Problem::of_failure(failure, StatusCode::CONFLICT).response(),
        Err(_) => busy(),
    };
    session::forget(&mut response);
    without_body(&request, response, payload)
}

/// An answer to a request whose body nobody reads. If it has one, the connection is closed, so that a body without end holds nobody up.
fn without_body(
    request: &HttpRequest,
    response: HttpResponse,
    payload: web::Payload,
) -> HttpResponse {
    let length = request.headers().get(CONTENT_LENGTH).is_some_and(|length| length != "0");
    match length || request.headers().contains_key(TRANSFER_ENCODING) {
        true => closing_with(response, payload),
        false => response,
    }
}

/// Whether a text is a path of this server, which is not one of logging in. Browsers take `//host` and `/\host` for another server.
fn is_own_path(text: &str) -> bool {
    let is_of_a_url = |b: u8| b.is_ascii_alphanumeric() || b"-._~/?%&=:@!$()*+,;".contains(&b);
    text.len() <= MAX_PATH
        && text.starts_with('/')
        && !text.starts_with("//")
        && text.bytes().all(is_of_a_url)
        && !text.starts_with(LOGIN)
        && !text.starts_with(LOGOUT)
}

/// The page of a login that is refused.
fn refused(request: &HttpRequest, refusal: Refusal) -> HttpResponse {
    let client = request.peer_addr().map(|address| address.ip().to_canonical());
    let client = client.map(tracing::field::display);
    match refusal {
        Refusal::Refused(why) => {
            tracing::warn!(target: REFUSED, client, "no administrator: {why}");
            page(StatusCode::FORBIDDEN, "Not logged in", &why, None)
        }
        Refusal::Unavailable(why) => {
            tracing::warn!(client, "nobody logs in: {why}");
            let why = "the issuer cannot be asked; the log of the server says why";
            page(StatusCode::SERVICE_UNAVAILABLE, "Not logged in", why, None)
        }
        Refusal::TooMany(why, left) => {
            tracing::warn!(client, "nobody logs in: {why}");
            let mut response = page(StatusCode::TOO_MANY_REQUESTS, "Not logged in", &why, None);
            let seconds = HeaderValue::from(left.as_secs().max(1));
            response.headers_mut().insert(RETRY_AFTER, seconds);
            response
        }
    }
}

fn busy() -> HttpResponse {
    let why = "too many people log in; try again";
    page(StatusCode::SERVICE_UNAVAILABLE, "Not logged in", why, None)
}

/// A page for people, without script and style. With `to`, it leads on to that path.
fn page(status: StatusCode, title: &str, text: &str, to: Option<&str>) -> HttpResponse {
    let to = to.map(escaped);
    let refresh =
        to.as_ref().map(|to| format!("<meta http-equiv=\"refresh\" content=\"0; url={to}\">\n"));
    let link = match &to {
        Some(to) => format!("<p><a href=\"{to}\">Go on</a></p>"),
        None => format!("<p><a href=\"{LOGIN}\">Log in</a></p>"),
    };
    let body = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n{}<title>{title} – Countersign</title>\n</head>\n<body>\n\
         <h1>{title}</h1>\n<p>{}</p>\n{link}\n</body>\n</html>\n",
        refresh.unwrap_or_default(),
        escaped(text)
    );
    let mut response: HttpResponseBuilder = no_store(status);
    response
        .content_type("text/html; charset=utf-8")
        .insert_header((
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((REFERRER_POLICY, "no-referrer"));
    response.body(body)
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for one in text.chars() {
        match one {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            one => escaped.push(one),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_to_this_server_alone() {
        for (path, expected) in [
            ("/", true),
            ("/api/v1/accounts?limit=5&prefix=gw-", true),
            ("", false),
            ("api", false),
            ("//evil.example.net", false),
            ("/\\evil.example.net", false),
            ("/\t/evil.example.net", false),
            ("https://evil.example.net", false),
            ("/x\"><script>", false),
            ("/login", false),
            ("/login/callback?code=x", false),
            ("/logout", false),
        ] {
            assert_eq!(is_own_path(path), expected, "{path}");
        }
        assert!(!is_own_path(&format!("/{}", "x".repeat(MAX_PATH))));
    }

    #[test]
    fn text_is_no_markup() {
        assert_eq!(escaped("<a href='x'>&\""), "&lt;a href=&#39;x&#39;&gt;&amp;&quot;");
    }
}
