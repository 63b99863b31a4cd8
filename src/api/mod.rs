//! The administration API: JSON over HTTPS (ADR 30). It runs the handlers of the admin socket, for administrators who prove who they are by
//! a client certificate, a token or a session (ADR 34), and may do what their grants say.
//!
//! The server judges a request in this order: who sends it; whether the sender may use the verb at all; whether the request can be read;
//! whether the sender may do what it asks.

mod body;
mod document;
mod input;
mod login;
mod problem;
mod repeats;
mod routes;
mod sender;
mod session;
mod slots;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{ALLOW, CONTENT_LENGTH, ETAG, LOCATION};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{self, Data};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use countersign_ca::Authority;
use countersign_enroll::transport::response::{closing_with, no_store};
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use input::{Input, Site, refuse_foreign_site};
use login::Login;
use problem::Problem;
use repeats::{Kept, Repeats};
use routes::{Action, Caller, Route};
use sender::{Presented, turn};
use session::Sessions;

use crate::admin::answer::to_value;
use crate::admin::refusals::Refusals;
use crate::admin::{Obstacle, Principal, Request, Unfulfilled, administrators};
use crate::exit::Failure;
use crate::instance::Instance;
use crate::roles::Verb;
use crate::wiped::{Wiped, WipedOctets};

/// How long the body of a request may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The most clients that are authenticated at once.
pub const MAX_AT_GATE: usize = 8;

/// The most logins that are worked on at once.
pub const MAX_LOGINS: usize = login::MAX_LOGINS;

/// The largest body of a request that is not one of [`LARGE`], in octets.
const SMALL: usize = 64 << 10;

/// The verbs whose requests may be large.
const LARGE: [Verb; 6] = [
    Verb::PeerAdd,
    Verb::PeerImport,
    Verb::CertRevokeMany,
    Verb::CertImport,
    Verb::CrlImport,
    Verb::TrustAdd,
];

/// The most large bodies that are read or worked on at once.
const MAX_LARGE: usize = 4;

/// The path of the description.
const DOCUMENT: &str = "/api/openapi.json";

/// The API of an instance.
#[derive(Clone)]
pub struct Api {
    authority: Arc<Authority>,
    instance: Arc<Instance>,
    slots: Arc<Semaphore>,
    gate: Arc<Semaphore>,
    large: Arc<Semaphore>,
    repeats: Arc<Repeats>,
    refusals: Arc<Refusals>,
    routes: Arc<BTreeMap<&'static str, Vec<Arc<Route>>>>,
    document: Arc<String>,
    login: Option<Arc<Login>>,
}

impl Api {
    /// The API of this instance, for a listener on this port.
    ///
    /// # Errors
    /// The description cannot be written, which is a fault of this program; the roots of the OpenID provider cannot be read.
    pub fn new(
        authority: &Arc<Authority>,
        instance: &Arc<Instance>,
        port: u16,
    ) -> Result<Self, Failure> {
        let all = routes::all();
        let oidc = instance.config.admin.oidc.as_ref();
        let gate = Arc::new(Semaphore::new(MAX_AT_GATE));
        let login = oidc.map(|oidc| Login::new(authority, instance, &gate, oidc, port));
        let document = document::describe(&all, oidc.map(|_| session::COOKIE))
            .to_pretty_json()
            .map_err(|e| Failure { code: 1, message: e.to_string() })?;
        let mut routes: BTreeMap<&'static str, Vec<Arc<Route>>> = BTreeMap::new();
        for route in all {
            routes.entry(route.path).or_default().push(Arc::new(route));
        }
        Ok(Self {
            authority: Arc::clone(authority),
            instance: Arc::clone(instance),
            slots: Arc::new(Semaphore::new(instance.config.admin.max_concurrent)),
            gate,
            large: Arc::new(Semaphore::new(MAX_LARGE)),
            repeats: Arc::default(),
            refusals: Arc::default(),
            routes: Arc::new(routes),
            document: Arc::new(document),
            login: login.transpose()?.map(Arc::new),
        })
    }

    /// Adds the paths to an application.
    pub fn configure(&self, config: &mut web::ServiceConfig) {
        config
            .app_data(Data::new(self.clone()))
            .service(web::resource(DOCUMENT).route(web::to(description)));
        if let Some(login) = &self.login {
            login::configure(login, config);
        }
        for path in self.routes.keys() {
            config.service(web::resource(*path).route(web::to(answer)));
        }
        config.default_service(web::to(answer));
    }

    /// The routes of a path.
    ///
    /// # Errors
    /// 404 for an unknown path.
    fn path(&self, request: &HttpRequest) -> Result<&[Arc<Route>], Problem> {
        let pattern = request.match_pattern();
        let of_path = pattern.and_then(|pattern| self.routes.get(pattern.as_str()));
        of_path.map(Vec::as_slice).ok_or_else(|| Problem::no_path(request.path()))
    }

    /// The route of a request.
    ///
    /// # Errors
    /// 404 for an unknown path, 405 for a method that the path does not have.
    fn route(&self, request: &HttpRequest) -> Result<Arc<Route>, Problem> {
        let of_path = self.path(request)?;
        let found = of_path.iter().find(|route| route.method == *request.method());
        found.cloned().ok_or_else(|| Problem::no_method(methods(of_path)))
    }

    /// Carries out a request. Everything that may block, or take long, is done on another thread. The administrator is authenticated once
    /// more: the proof may have expired while the body came.
    fn carry_out(
        &self,
        presented: &Presented,
        route: &Route,
        input: &Input,
    ) -> Result<Done, Problem> {
        let principal = presented.authenticate(&self.authority, &self.instance, self.sessions())?;
        if route.query.is_empty() {
            input.no_query()?;
        }
        let mut request = match route.action {
            Action::Caller => return self.caller(&principal),
            Action::Ask(_, request) => request(input)?,
            Action::Command => input.json::<Request>()?,
        };
        let verb = request.verb();
        let refused = |unfulfilled: Unfulfilled| {
            self.refusals.note(&self.instance, &principal, &unfulfilled.failure);
            refusal(unfulfilled, route)
        };
        let key = input.key.as_deref().filter(|_| route.success == StatusCode::CREATED);
        let turn = match key {
            Some(key) => {
                // A repetition is for those who may still make the request.
                principal.check(&self.instance, &mut request).map_err(refused)?;
                match self.repeats.begin(&principal.name.to_string(), key, &input.identity())? {
                    Ok(turn) => Some(turn),
                    Err(kept) => return Ok(Done::repeated(kept)),
                }
            }
            None => None,
        };
        let answer = principal.carry_out(&self.instance, request).map_err(refused)?;
        let answer = Wiped::from(answer);
        let (tag, location) = (version(verb, &answer), location(verb, &answer));
        let done = Done { tag, location, ..Done::new(route.success, &answer)? };
        if let Some(turn) = turn {
            turn.keep(&done.kept);
        }
        Ok(done)
    }

    /// The sessions, if people may log in.
    fn sessions(&self) -> Option<&Sessions> {
        self.login.as_deref().map(|login| &login.sessions)
    }

    /// Describes the caller.
    fn caller(&self, principal: &Principal) -> Result<Done, Problem> {
        let roles = &self.instance.config.admin.roles;
        let verbs = Verb::ALL.iter().filter(|verb| principal.has(roles, **verb));
        let grants = principal.grants.iter().map(administrators::grant_line);
        let caller = Caller {
            name: principal.name.to_string(),
            described: principal.to_string(),
            grants: grants.collect(),
            verbs: verbs.map(|verb| verb.name().to_owned()).collect(),
        };
        let caller = to_value(caller)
            .map_err(|failure| Problem::of_failure(failure, StatusCode::CONFLICT))?;
        Done::new(StatusCode::OK, &caller)
    }

    /// Forgets answers that are kept for repetitions and are too old, and sessions whose time is over. The server calls this every second or so.
    pub fn forget_old(&self) {
        self.repeats.forget_old();
        if let Some(login) = &self.login {
            login.sessions.forget_old();
        }
    }
}

/// The answer to a request that was carried out.
struct Done {
    kept: Kept,
    tag: Option<String>,
    location: Option<String>,
    is_repeated: bool,
}

impl Done {
    /// An answer with this status and body.
    fn new(status: StatusCode, answer: &Value) -> Result<Self, Problem> {
        let octets = WipedOctets::json(answer)
            .map_err(|e| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))?;
        let kept = Kept { status, body: Arc::new(octets) };
        Ok(Self { kept, tag: None, location: None, is_repeated: false })
    }

    /// The answer that a request got before.
    const fn repeated(kept: Kept) -> Self {
        Self { kept, tag: None, location: None, is_repeated: true }
    }

    fn response(self) -> HttpResponse {
        let mut response = no_store(self.kept.status);
        response.content_type("application/json");
        if let Some(tag) = self.tag {
            response.insert_header((ETAG, format!("\"{tag}\"")));
        }
        if let Some(location) = self.location {
            response.insert_header((LOCATION, location));
        }
        if self.is_repeated {
            response.insert_header(("Idempotency-Replayed", "true"));
        }
        response.body(self.kept.body.to_vec())
    }
}

/// `/api/openapi.json`: the description, for everybody.
async fn description(api: Data<Api>, request: HttpRequest) -> HttpResponse {
    match *request.method() {
        Method::GET | Method::HEAD => {
            HttpResponse::Ok().content_type("application/json").body(api.document.as_ref().clone())
        }
        Method::OPTIONS => {
            no_store(StatusCode::NO_CONTENT).insert_header((ALLOW, "GET, HEAD, OPTIONS")).finish()
        }
        _ => Problem::no_method("GET, HEAD, OPTIONS".to_owned()).response(),
    }
}

/// Every other path.
async fn answer(api: Data<Api>, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let presented = Presented::of(&request);
    let site = match (&api.login, presented.session()) {
        (Some(_), Some(_)) => Site::Own,
        _ => Site::Any,
    };
    let principal = match api.authenticate(presented.clone()).await {
        Ok(principal) => principal,
        // The rest of the body is not read, so that a stranger cannot hold the connection.
        Err(problem) => {
            let is_unknown = problem.status == StatusCode::UNAUTHORIZED && site == Site::Own;
            let mut response = problem.response();
            if is_unknown {
                session::forget(&mut response);
            }
            return closing_with(response, payload);
        }
    };
    if let (&Method::OPTIONS, Ok(routes)) = (request.method(), api.path(&request)) {
        let mut response = no_store(StatusCode::NO_CONTENT);
        return response.insert_header((ALLOW, methods(routes))).finish();
    }
    let routed = refuse_foreign_site(&request, site).and_then(|()| {
        let route = api.route(&request)?;
        let most = api.largest_body(&principal, &route)?;
        Ok((route, most))
    });
    let (route, most) = match routed {
        Ok(routed) => routed,
        Err(problem) => return closing_with(problem.response(), payload),
    };
    let read = api.read(&request, payload, most).await;
    let (body, room) = match read {
        Ok(read) => read,
        Err(response) => return *response,
    };
    let input = Input::new(&request, body);
    let Ok(slot) = Arc::clone(&api.slots).try_acquire_owned() else { return busy() };
    let work = web::block(move || {
        let _held = (slot, room);
        api.carry_out(&presented, &route, &input)
    });
    match work.await {
        Ok(Ok(done)) => done.response(),
        Ok(Err(problem)) => problem.response(),
        Err(_) => failed().response(),
    }
}

impl Api {
    /// Authenticates a client, on another thread: a certificate is looked up in the journal.
    async fn authenticate(&self, presented: Presented) -> Result<Principal, Problem> {
        let slot = turn(&self.gate).await?;
        let (authority, instance) = (Arc::clone(&self.authority), Arc::clone(&self.instance));
        let login = self.login.clone();
        let work = web::block(move || {
            let _slot = slot;
            let sessions = login.as_deref().map(|login| &login.sessions);
            presented.authenticate(&authority, &instance, sessions)
        });
        work.await.unwrap_or_else(|_| Err(failed()))
    }

    /// The largest body that a request may have: the configured bound for verbs whose requests may be large, and 64 KiB for all others.
    ///
    /// # Errors
    /// 403 if the administrator may not make such a request at all.
    fn largest_body(&self, principal: &Principal, route: &Route) -> Result<usize, Problem> {
        let (roles, most) =
            (&self.instance.config.admin.roles, self.instance.config.admin.max_bytes);
        let is_large = match route.action {
            Action::Caller => false,
            Action::Ask(verb, _) => {
                principal.require(roles, verb).map_err(|failure| {
                    self.note_refusal(principal, &failure);
                    Problem::of_failure(failure, route.conflict)
                })?;
                LARGE.contains(&verb)
            }
            Action::Command => LARGE.iter().any(|verb| principal.has(roles, *verb)),
        };
        Ok(if is_large { most } else { most.min(SMALL) })
    }

    /// Records a refusal on another thread, as that waits for the disk.
    fn note_refusal(&self, principal: &Principal, failure: &Failure) {
        let (refusals, instance) = (Arc::clone(&self.refusals), Arc::clone(&self.instance));
        let (principal, failure) = (principal.clone(), failure.clone());
        // What runs there goes on, though nobody waits for it.
        drop(web::block(move || refusals.note(&instance, &principal, &failure)));
    }

    /// Reads a body of at most `most` octets. Few bodies beyond 64 KiB are read or worked on at once.
    async fn read(
        &self,
        request: &HttpRequest,
        payload: web::Payload,
        most: usize,
    ) -> Result<(web::Bytes, Option<OwnedSemaphorePermit>), Box<HttpResponse>> {
        let length = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        let length = length.and_then(|text| text.parse::<usize>().ok());
        let room = match length {
            Some(length) if length <= SMALL => None,
            None if most <= SMALL || !request.chunked().unwrap_or(true) => None,
            _ => match Arc::clone(&self.large).try_acquire_owned() {
                Ok(room) => Some(room),
                Err(_) => return Err(Box::new(closing_with(busy(), payload))),
            },
        };
        let body = tokio::time::timeout(BODY_TIMEOUT, payload.to_bytes_limited(most)).await;
        let problem = match body {
            Ok(Ok(Ok(body))) => return Ok((body, room)),
            Ok(Ok(Err(e))) => Problem::malformed(format!("the body cannot be read: {e}")),
            Ok(Err(_)) => {
                let why = format!("expected a body of at most {most} octets");
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, why)
            }
            Err(_) => Problem::new(StatusCode::REQUEST_TIMEOUT, "the body took too long"),
        };
        Err(Box::new(closing_with(problem.response(), ())))
    }
}

/// The answer to a request that finds no slot.
fn busy() -> HttpResponse {
    let why = "too many requests are worked on; try again";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, why).response()
}

/// The problem after a panic.
fn failed() -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the server failed; its log says why")
}

/// The methods of a path, for `Allow`.
fn methods(routes: &[Arc<Route>]) -> String {
    let mut names: Vec<&str> = routes.iter().map(|route| route.method.as_str()).collect();
    if names.contains(&"GET") {
        names.push("HEAD");
    }
    names.push("OPTIONS");
    names.sort_unstable();
    names.join(", ")
}

/// The problem of a request that was not carried out.
fn refusal(unfulfilled: Unfulfilled, route: &Route) -> Problem {
    let Unfulfilled { failure, obstacle } = unfulfilled;
    let conflict = match obstacle {
        Obstacle::Missing => StatusCode::NOT_FOUND,
        Obstacle::Changed => StatusCode::PRECONDITION_FAILED,
        Obstacle::Other => route.conflict,
    };
    Problem::of_failure(failure, conflict)
}

/// The version of the object that an answer shows, if two people may change it.
fn version(verb: Verb, answer: &Value) -> Option<String> {
    let shows = matches!(verb, Verb::AdminShow | Verb::AdminGrant | Verb::AdminTokenRemove);
    let line = shows.then(|| serde_json::from_value(answer.clone()).ok())??;
    Some(administrators::version(&line))
}

/// The path of the object that was created.
fn location(verb: Verb, answer: &Value) -> Option<String> {
    let text = |value: &Value, key: &str| Some(value.get(key)?.as_str()?.to_owned());
    match verb {
        Verb::PeerAdd => {
            let [one] = answer.as_array()?.as_slice() else { return None };
            Some(format!("/api/v1/accounts/{}", text(one, "name")?))
        }
        Verb::AdminAdd => {
            let name = text(answer.get("administrator")?, "name")?;
            Some(format!("/api/v1/administrators/{name}"))
        }
        Verb::TrustAdd => Some(format!("/api/v1/vendors/{}", text(answer, "name")?)),
        _ => None,
    }
}
