//! EST over HTTP (RFC 7030 §3.2, RFC 8951): the paths, and answers in the form that each client takes.
//!
//! Every answer has a Content-Length and leaves in one write, with header names in the spelling of the RFC: libest compares them so, and
//! strongSwan 5.9.8 reads an answer in two pieces.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use countersign_ca::Network;
use countersign_ca::record::{AnchorEvidence, Label};

use super::exchange::{Pair, Received, Reply, Route};
use super::outcome::{Outcome, Verdict};
use super::refusal::{Failure, Refusal, Stop};
use super::sender::Proofs;
use super::service::EstService;
use crate::certs_only::certs_only;
use crate::est::connection::{ClientCertificate, Connection};
use crate::est::wire::base64::{Lines, encode};
use crate::est::wire::basic::{self, Credentials};
use crate::est::wire::multipart;
use crate::est::wire::operation::Operation;
use crate::transport::body::BodyBounds;
use crate::transport::pool::{NeedsBlockingThread, Pool};
use crate::transport::response::{busy, closing, has_media_type, no_store, text};
use crate::transport::runner::Runner;
use crate::transport::share::{Sender, Slots};

/// The header field that old clients need (Bouncy Castle 1.72), although RFC 8951 §3 gave it up.
const TRANSFER_ENCODING: (&str, &str) = ("Content-Transfer-Encoding", "base64");

/// The reason phrase of a 401, with the header field that follows it. libest compares the name of this field with its spelling in the RFC,
/// and the HTTP library would write `Www-Authenticate`.
const CHALLENGE: &str = "Unauthorized\r\nWWW-Authenticate: Basic realm=\"EST\"";

/// The media type of a request.
const PKCS10: &str = "application/pkcs10";

/// Called with the result of each request.
pub type Observer = Arc<dyn Fn(Outcome) + Send + Sync>;

/// The endpoint of an EST server.
#[derive(Clone)]
pub struct Endpoint {
    service: Arc<EstService>,
    runner: Runner,
    slots: Slots,
    body_bounds: BodyBounds,
    observer: Observer,
}

impl Endpoint {
    /// An endpoint of this service, on which at most `max_concurrent` requests are worked on at once. `observer` is told the outcome of
    /// each request.
    pub fn new(service: Arc<EstService>, max_concurrent: usize, observer: Observer) -> Self {
        let runner = Runner::new(Arc::clone(service.authority()), 1);
        let body_bounds = BodyBounds::new(service.config().max_bytes);
        Self { service, runner, slots: Slots::new(max_concurrent), body_bounds, observer }
    }

    /// Gives each body this time to arrive, instead of 10 seconds.
    #[must_use]
    pub const fn with_body_timeout(mut self, timeout: Duration) -> Self {
        self.body_bounds.timeout = timeout;
        self
    }

    /// Adds the paths to an application over TLS: with and without a label, and with the label in front, where strongSwan 5.9.8 puts it.
    pub fn configure(&self, config: &mut web::ServiceConfig) {
        let here = Self { runner: self.runner.for_event_loop(), ..self.clone() };
        for path in [
            "/.well-known/est/{operation}",
            "/.well-known/est/{label}/{operation}",
            "/{label}/.well-known/est/{operation}",
        ] {
            config.service(
                web::resource(path).app_data(web::Data::new(here.clone())).route(web::to(answer)),
            );
        }
    }

    /// Reads the path of a request.
    ///
    /// # Errors
    /// A text for people if the operation is unknown, or the label is of no profile and of no issuing CA.
    fn route(&self, request: &HttpRequest) -> Result<Route, String> {
        let name = request.match_info().get("operation").unwrap_or_default();
        let operation = Operation::named(name).ok_or_else(|| {
            let names = Operation::ALL.map(Operation::name).join(", ");
            format!("expected one of {names}, found `{}`", name.escape_debug())
        })?;
        let client = client_of(request);
        let mut route = Route { operation, profile: None, ca: None, client };
        if let Some(name) = request.match_info().get("label") {
            let authority = self.service.authority();
            let unknown =
                || format!("there is no profile and no issuing CA `{}`", name.escape_debug());
            let label: Label = name.parse().map_err(|_| unknown())?;
            match (authority.is_profile(&label), authority.is_ca(&label)) {
                (_, true) => route.ca = Some(label),
                (true, false) => route.profile = Some(label),
                (false, false) => return Err(unknown()),
            }
        }
        Ok(route)
    }

    /// Tells the observer the outcome of a request.
    fn note(&self, operation: Operation, verdict: Verdict) {
        (self.observer)(Outcome { operation, verdict });
    }

    /// Answers `/cacerts`: the certificates of a CA and of those above it, root last, and of the next keys that are to come (RFC 7030
    /// §4.1.3).
    async fn ca_certificates(
        &self,
        request: &HttpRequest,
        route: Route,
        lines: Lines,
    ) -> HttpResponse {
        let authority = self.service.authority();
        let all = authority.chain_and_next(route.ca.as_ref());
        let given = all.as_ref().map_or_else(|_| Vec::new(), |all| authority.next_keys_in(all));
        let encoded =
            all.and_then(|all| certs_only(&all, &[]).map_err(countersign_ca::Error::internal));
        if !given.is_empty() && encoded.is_ok() {
            self.note_shown(request, &route, given).await;
        }
        match encoded {
            Ok(der) => {
                self.note(route.operation, Verdict::Granted);
                body(StatusCode::OK, "application/pkcs7-mime", &encode(&der, lines))
            }
            Err(error) => self.refuse(route.operation, &error.into()),
        }
    }

    /// Records that a client which proves who it is by its certificate was given the certificates of these CAs. A client that does not is
    /// answered all the same.
    async fn note_shown(&self, request: &HttpRequest, route: &Route, given: Vec<Label>) {
        let (operation, client, connection) = (route.operation, route.client, connection(request));
        if !matches!(connection.certificate, Some(ClientCertificate::Proven(_))) {
            return;
        }
        let Some(slot) = self.slots.try_acquire(sender(client)) else { return };
        let service = Arc::clone(&self.service);
        let work = move |pool, (given, connection, _): &(Vec<Label>, Connection, _)| {
            let certificate = connection.certificate.as_ref();
            let proofs = Proofs { credentials: None, certificate, client, request: &[] };
            match service.authenticate(operation, &proofs, pool) {
                Err(Stop::NeedsBlockingThread) => return Ok(Err(NeedsBlockingThread)),
                Err(_) => {}
                Ok(authenticated) => {
                    let account = authenticated.requester.account();
                    let evidence = AnchorEvidence::EstCaCerts;
                    service.authority().note_shown(account, given, evidence, None);
                }
            }
            Ok::<_, std::convert::Infallible>(Ok(()))
        };
        drop(self.runner.run(Pool::EventLoop, (given, connection, slot), work).await);
    }

    /// Answers `/csrattrs`. A client that proves who it is gets the names of its account, too.
    async fn csr_attributes(
        &self,
        request: &HttpRequest,
        route: Route,
        lines: Lines,
    ) -> HttpResponse {
        let (operation, client) = (route.operation, route.client);
        let Some(slot) = self.slots.try_acquire(sender(client)) else {
            return busy(no_store(StatusCode::SERVICE_UNAVAILABLE));
        };
        let asked = (route, credentials(request), connection(request), slot);
        let service = Arc::clone(&self.service);
        let work = move |pool, asked: &(Route, Option<Credentials>, Connection, _)| {
            let (Route { profile, .. }, credentials, connection, _) = asked;
            let proofs = Proofs {
                credentials: credentials.as_ref(),
                certificate: connection.certificate.as_ref(),
                client,
                request: &[],
            };
            let requester = match (proofs.credentials, proofs.certificate) {
                (None, None) => None,
                _ => match service.authenticate(operation, &proofs, pool) {
                    Ok(authenticated) => Some(authenticated.requester),
                    Err(Stop::NeedsBlockingThread) => return Ok(Err(NeedsBlockingThread)),
                    // What a stranger may read is public.
                    Err(_) if profile.is_some() => None,
                    Err(Stop::Refused(refusal)) => return Err(Some(refusal)),
                    Err(Stop::Busy(_)) => return Err(None),
                },
            };
            let attributes = service.csr_attributes(requester.as_ref(), profile.as_ref());
            attributes.map(Ok).map_err(|error| Some(error.into()))
        };
        match self.runner.run(Pool::EventLoop, asked, work).await.map(|ran| ran.result) {
            Some(Ok(Some(der))) => {
                self.note(operation, Verdict::Granted);
                body(StatusCode::OK, "application/csrattrs", &encode(&der, lines))
            }
            Some(Ok(None)) => {
                self.note(operation, Verdict::Granted);
                no_store(StatusCode::NO_CONTENT).finish()
            }
            Some(Err(Some(refusal))) => self.refuse(operation, &refusal),
            Some(Err(None)) | None => busy(no_store(StatusCode::SERVICE_UNAVAILABLE)),
        }
    }

    /// Answers `/simpleenroll`, `/simplereenroll` and `/serverkeygen`.
    async fn enrol(
        &self,
        request: &HttpRequest,
        route: Route,
        payload: web::Payload,
        lines: Lines,
    ) -> HttpResponse {
        let operation = route.operation;
        if !has_media_type(request, PKCS10) {
            let why = format!("expected the content type `{PKCS10}`");
            return closing(no_store(StatusCode::UNSUPPORTED_MEDIA_TYPE), &why, payload);
        }
        let body = match self.body_bounds.read(request, payload).await {
            Ok(body) => body,
            Err(refusal) => {
                tracing::info!(target: countersign_ca::REFUSED, client = route.client.map(display), "a body is not read: {}", refusal.status());
                return *refusal;
            }
        };
        // A slot is taken only now that the whole body is here: a slow sender keeps no other one out.
        let Some(slot) = self.slots.try_acquire(sender(route.client)) else {
            return busy(no_store(StatusCode::SERVICE_UNAVAILABLE));
        };
        let (credentials, connection) = (credentials(request), connection(request));
        let received = Received { route, body, credentials, connection };
        let service = Arc::clone(&self.service);
        let work = move |pool, (received, _): &(Received, _)| {
            Ok::<_, std::convert::Infallible>(service.begin(pool, received))
        };
        let Some(ran) = self.runner.run(Pool::EventLoop, (received, slot), work).await else {
            return busy(no_store(StatusCode::SERVICE_UNAVAILABLE));
        };
        let Ok(begun) = ran.result;
        let reply = begun.settled(&self.service).await;
        if let Some(verdict) = reply.verdict() {
            self.note(operation, verdict);
        }
        match reply {
            Reply::Certificate(certificate) => {
                let encoded = certs_only(&[&certificate], &[]);
                match encoded.map_err(countersign_ca::Error::internal) {
                    Ok(der) => {
                        let kind = "application/pkcs7-mime; smime-type=certs-only";
                        self::body(StatusCode::OK, kind, &encode(&der, lines))
                    }
                    Err(error) => refused(&error.into()),
                }
            }
            Reply::Pair(Pair { key, certificate }) => {
                let encoded = certs_only(&[&certificate], &[]);
                match encoded.map_err(countersign_ca::Error::internal) {
                    Ok(der) => no_store(StatusCode::OK)
                        .insert_header((CONTENT_TYPE, multipart::MEDIA_TYPE))
                        .body(web::Bytes::from_owner(multipart::key_and_certificate(&key, &der))),
                    Err(error) => refused(&error.into()),
                }
            }
            Reply::Waiting(why) => {
                let mut response = no_store(StatusCode::ACCEPTED);
                let after = self.service.config().poll_after.as_secs().max(1);
                // In seconds: strongSwan ignores a date, and libest fails on it.
                response.insert_header((RETRY_AFTER, after.to_string()));
                text(response, &why)
            }
            Reply::Refused(refusal) => refused(&refusal),
            Reply::Busy => busy(no_store(StatusCode::SERVICE_UNAVAILABLE)),
        }
    }

    /// Counts a refusal, and answers with it.
    fn refuse(&self, operation: Operation, refusal: &Refusal) -> HttpResponse {
        self.note(operation, Verdict::Refused);
        refused(refusal)
    }
}

/// Answers a request.
async fn answer(
    request: HttpRequest,
    endpoint: web::Data<Endpoint>,
    payload: web::Payload,
) -> HttpResponse {
    let mut response = respond(&request, &endpoint, payload).await;
    response.head_mut().set_camel_case_headers(true);
    response
}

async fn respond(
    request: &HttpRequest,
    endpoint: &Endpoint,
    payload: web::Payload,
) -> HttpResponse {
    let route = match endpoint.route(request) {
        Ok(route) => route,
        Err(why) => {
            tracing::info!(target: countersign_ca::REFUSED, client = client_of(request).map(display), "{why}");
            return closing(no_store(StatusCode::NOT_FOUND), &why, payload);
        }
    };
    let operation = route.operation;
    if operation == Operation::FullCmc {
        let why = "full CMC is not offered (RFC 7030 §4.3); use simpleenroll";
        endpoint.note(operation, Verdict::Refused);
        return closing(no_store(StatusCode::NOT_IMPLEMENTED), why, payload);
    }
    let method = if operation.is_posted() { Method::POST } else { Method::GET };
    if *request.method() != method {
        let mut refusal = no_store(StatusCode::METHOD_NOT_ALLOWED);
        refusal.insert_header((ALLOW, method.as_str()));
        let why = format!("/{} takes {method}", operation.name());
        return closing(refusal, &why, payload);
    }
    let agent = request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok());
    let lines = Lines::for_client(agent);
    match operation {
        Operation::CaCerts => endpoint.ca_certificates(request, route, lines).await,
        Operation::CsrAttrs => endpoint.csr_attributes(request, route, lines).await,
        _ => endpoint.enrol(request, route, payload, lines).await,
    }
}

/// The address of a request's client.
fn client_of(request: &HttpRequest) -> Option<IpAddr> {
    request.peer_addr().map(|client| client.ip().to_canonical())
}

/// The sender whose share of slots a request takes.
fn sender(client: Option<IpAddr>) -> Sender {
    client.map(Network::from)
}

/// The credentials in a request's header.
fn credentials(request: &HttpRequest) -> Option<Credentials> {
    let value = request.headers().get(AUTHORIZATION)?;
    basic::credentials(value.to_str().ok()?)
}

/// The facts about a request's connection. Without TLS, the connection proves nothing.
fn connection(request: &HttpRequest) -> Connection {
    let known = request.conn_data::<Connection>().cloned();
    known.unwrap_or(Connection { certificate: None, bindings: Vec::new() })
}

/// An answer whose body is base64.
fn body(status: StatusCode, media_type: &str, text: &str) -> HttpResponse {
    no_store(status)
        .insert_header((CONTENT_TYPE, media_type))
        .insert_header(TRANSFER_ENCODING)
        .body(text.to_owned())
}

/// An answer that refuses a request.
fn refused(refusal: &Refusal) -> HttpResponse {
    let status = match refusal.failure {
        Failure::BadRequest => StatusCode::BAD_REQUEST,
        Failure::Challenge | Failure::Unauthorized => {
            return no_store(StatusCode::UNAUTHORIZED).reason(CHALLENGE).finish();
        }
        Failure::Forbidden => StatusCode::FORBIDDEN,
        Failure::Conflict => StatusCode::CONFLICT,
        Failure::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Failure::Unavailable => {
            let mut response = no_store(StatusCode::SERVICE_UNAVAILABLE);
            response.insert_header((RETRY_AFTER, "60"));
            return text(response, &refusal.text);
        }
    };
    text(no_store(status), &refusal.text)
}
