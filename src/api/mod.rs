//! The administration API: JSON over HTTPS (ADR 30). It runs the handlers of the admin socket, for administrators who prove who they are by
//! a client certificate or a token, and may do what their grants say.
//!
//! A request is judged in this order: who sends it; may the sender do such things at all; can the request be read; may the sender do this.

mod body;
mod document;
mod input;
mod problem;
mod repeats;
mod routes;
mod sender;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{ALLOW, CONTENT_TYPE, ETAG, LOCATION};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{self, Data};
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use countersign_ca::Authority;
use countersign_enroll::transport::response::{closing_with, no_store};
use serde_json::Value;
use tokio::sync::Semaphore;

use input::{Input, refuse_foreign_site};
use problem::Problem;
use repeats::{Kept, Repeats};
use routes::{Action, Caller, Route};

use crate::admin::answer::GrantLine;
use crate::admin::{Principal, Request, Unfulfilled, administrators};
use crate::exit::Failure;
use crate::instance::Instance;
use crate::roles::Verb;
use crate::wiped::{Wiped, WipedOctets};

/// How long the body of a request may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The path of the description.
const DOCUMENT: &str = "/api/openapi.json";

/// The API of an instance.
#[derive(Clone)]
pub struct Api {
    authority: Arc<Authority>,
    instance: Arc<Instance>,
    slots: Arc<Semaphore>,
    repeats: Arc<Repeats>,
    routes: Arc<BTreeMap<&'static str, Vec<Route>>>,
    document: Arc<String>,
}

impl Api {
    /// The API of this instance.
    ///
    /// # Errors
    /// The description cannot be written, which is a fault of this program.
    pub fn new(authority: &Arc<Authority>, instance: &Arc<Instance>) -> Result<Self, Failure> {
        let all = routes::all();
        let document = document::describe(&all)
            .to_pretty_json()
            .map_err(|e| Failure { code: 1, message: e.to_string() })?;
        let mut routes: BTreeMap<&'static str, Vec<Route>> = BTreeMap::new();
        for route in all {
            routes.entry(route.path).or_default().push(route);
        }
        Ok(Self {
            authority: Arc::clone(authority),
            instance: Arc::clone(instance),
            slots: Arc::new(Semaphore::new(instance.config.admin.max_concurrent)),
            repeats: Arc::default(),
            routes: Arc::new(routes),
            document: Arc::new(document),
        })
    }

    /// Adds the paths to an application.
    pub fn configure(&self, config: &mut web::ServiceConfig) {
        let max_bytes = self.instance.config.admin.max_bytes;
        config
            .app_data(Data::new(self.clone()))
            .app_data(web::PayloadConfig::new(max_bytes))
            .service(web::resource(DOCUMENT).route(web::to(description)));
        for path in self.routes.keys() {
            config.service(web::resource(*path).route(web::to(answer)));
        }
        config.default_service(web::to(answer));
    }

    /// The routes of a path.
    ///
    /// # Errors
    /// 404 for a path that is none.
    fn path(&self, request: &HttpRequest) -> Result<&[Route], Problem> {
        let pattern = request.match_pattern();
        let of_path = pattern.and_then(|pattern| self.routes.get(pattern.as_str()));
        of_path.map(Vec::as_slice).ok_or_else(|| Problem::no_path(request.path()))
    }

    /// The route of a request.
    ///
    /// # Errors
    /// 404 for a path that is none, 405 for a method that the path has not.
    fn route(&self, request: &HttpRequest) -> Result<&Route, Problem> {
        let of_path = self.path(request)?;
        let found = of_path.iter().find(|route| route.method == *request.method());
        found.ok_or_else(|| Problem::no_method(methods(of_path)))
    }

    /// Carries out a request.
    async fn carry_out(
        &self,
        principal: Principal,
        route: &Route,
        input: &Input<'_>,
    ) -> Result<HttpResponse, Problem> {
        let roles = &self.instance.config.admin.roles;
        let request = match route.action {
            Action::Caller => return self.caller(&principal),
            Action::Ask(verb, request) => {
                principal
                    .require(roles, verb)
                    .map_err(|failure| Problem::of_failure(failure, route.conflict))?;
                request(input)?
            }
            Action::Command => input.json::<Request>()?,
        };
        let verb = request.verb();
        let key = input.header("idempotency-key").filter(|_| route.success == StatusCode::CREATED);
        let turn = match key {
            Some(key) => match self.repeats.begin(&principal.name, key, &input.identity())? {
                Ok(turn) => Some(turn),
                Err(kept) => return Ok(repeated(&kept)),
            },
            None => None,
        };
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            let why = "too many requests are worked on; try again";
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, why));
        };
        let instance = Arc::clone(&self.instance);
        let is_conditional = matches!(&request, Request::AdminGrant { expected: Some(_), .. });
        let work = web::block(move || {
            let answer = principal.carry_out(&instance, request);
            drop(slot);
            answer
        });
        let answer = work.await.map_err(|_| {
            let why = "the server failed; its log says why";
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, why)
        })?;
        let answer = match answer {
            Ok(answer) => Wiped::from(answer),
            Err(unfulfilled) => return Err(refusal(unfulfilled, route, is_conditional)),
        };
        let mut response = no_store(route.success);
        response.content_type("application/json");
        if let Some(tag) = version(verb, &answer) {
            response.insert_header((ETAG, format!("\"{tag}\"")));
        }
        if let Some(location) = location(verb, &answer) {
            response.insert_header((LOCATION, location));
        }
        let octets = WipedOctets::json(&answer).map_err(|e| {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, e.to_string())
        })?;
        let kept = Kept { status: route.success, body: Arc::new(octets) };
        if let Some(turn) = turn {
            turn.keep(&kept);
        }
        Ok(response.body(kept.body.to_vec()))
    }

    /// Describes the caller.
    fn caller(&self, principal: &Principal) -> Result<HttpResponse, Problem> {
        let roles = &self.instance.config.admin.roles;
        let verbs = Verb::ALL.iter().filter(|verb| principal.has(roles, **verb));
        let grants = principal.grants.iter().map(|grant| GrantLine {
            role: grant.role.clone(),
            cas: grant.cas.clone(),
            accounts: grant.accounts.clone(),
        });
        let caller = Caller {
            name: principal.name.to_string(),
            described: principal.to_string(),
            grants: grants.collect(),
            verbs: verbs.map(|verb| verb.name().to_owned()).collect(),
        };
        Ok(no_store(StatusCode::OK).json(caller))
    }
}

/// `/api/openapi.json`: the description, for everybody.
async fn description(api: Data<Api>, request: HttpRequest) -> HttpResponse {
    match *request.method() {
        Method::GET | Method::HEAD => HttpResponse::Ok()
            .content_type("application/json")
            .body(api.document.as_ref().clone()),
        Method::OPTIONS => no_store(StatusCode::NO_CONTENT)
            .insert_header((ALLOW, "GET, HEAD, OPTIONS"))
            .finish(),
        _ => Problem::no_method("GET, HEAD, OPTIONS".to_owned()).response(),
    }
}

/// Every other path.
async fn answer(api: Data<Api>, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let sender = sender::authenticate(&api.authority, &api.instance, &request);
    if let (&Method::OPTIONS, Ok(_), Ok(routes)) = (request.method(), &sender, api.path(&request)) {
        let mut response = no_store(StatusCode::NO_CONTENT);
        return response.insert_header((ALLOW, methods(routes))).finish();
    }
    let judged = sender
        .and_then(|principal| refuse_foreign_site(&request).map(|()| principal))
        .and_then(|principal| Ok((principal, api.route(&request)?)));
    let (principal, route) = match judged {
        Ok(judged) => judged,
        // The rest of the body is not read, so that a stranger cannot hold the connection.
        Err(problem) => {
            let response = problem.response();
            return closing_with(response, payload);
        }
    };
    let mut payload = payload.into_inner();
    let body = tokio::time::timeout(BODY_TIMEOUT, web::Bytes::from_request(&request, &mut payload));
    let body = match body.await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => {
            let most = api.instance.config.admin.max_bytes;
            let why = format!("expected a body of at most {most} octets that is sent whole");
            let problem = Problem::new(StatusCode::PAYLOAD_TOO_LARGE, why);
            return closing_with(problem.response(), payload);
        }
        Err(_) => {
            let problem = Problem::new(StatusCode::REQUEST_TIMEOUT, "the body took too long");
            return closing_with(problem.response(), payload);
        }
    };
    let input = Input::new(&request, body);
    match api.carry_out(principal, route, &input).await {
        Ok(response) => response,
        Err(problem) => problem.response(),
    }
}

/// The methods of a path, for `Allow`.
fn methods(routes: &[Route]) -> String {
    let mut names: Vec<&str> = routes.iter().map(|route| route.method.as_str()).collect();
    if names.contains(&"GET") {
        names.push("HEAD");
    }
    names.push("OPTIONS");
    names.sort_unstable();
    names.join(", ")
}

/// The problem of a request that was not carried out.
fn refusal(unfulfilled: Unfulfilled, route: &Route, is_conditional: bool) -> Problem {
    let Unfulfilled { failure, is_missing } = unfulfilled;
    let conflict = match (is_missing, is_conditional) {
        (true, _) => StatusCode::NOT_FOUND,
        (false, true) if failure.message.contains("changed meanwhile") => {
            StatusCode::PRECONDITION_FAILED
        }
        _ => route.conflict,
    };
    Problem::of_failure(failure, conflict)
}

/// The answer that a request got before.
fn repeated(kept: &Kept) -> HttpResponse {
    no_store(kept.status)
        .insert_header((CONTENT_TYPE, "application/json"))
        .insert_header(("Idempotency-Replayed", "true"))
        .body(kept.body.to_vec())
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
