//! SCEP over HTTP (RFC 8894 §4): its paths, operations and bounds, and which thread works on a message.

use std::fmt::Display;
use std::sync::Arc;

use actix_web::http::header::{ALLOW, CONTENT_TYPE};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use countersign_ca::Error;
use countersign_ca::record::Label;

use super::config::Legacy;
use super::query;
use super::service::{Answered, Outcome, Reply, Route, ScepService};
use crate::certs_only::certs_only;
use crate::transport::body::{Body, BodyBounds};
use crate::transport::response::{busy, closing, no_store, text};
use crate::transport::share::{FairSemaphore, Slot, Slots};
use crate::transport::workers::Workers;

/// The media type of messages. Clients compare it letter by letter.
const MESSAGE: &str = "application/x-pki-message";
/// The media type of the certificates of a registration authority and its CA.
const CERTIFICATES: &str = "application/x-x509-ca-ra-cert";
/// The media type of the next certificates of a CA.
const NEXT: &str = "application/x-x509-next-ca-cert";

/// The last part of a path that Cisco IOS appends to every URL.
const CISCO: &str = "pkiclient.exe";

/// What every answer to GetCACaps says (RFC 8894 §3.5.2). strongSwan 5.9.8 finds AES, POSTPKIOperation and Renewal only together with
/// SHA-384.
const CAPABILITIES: &str =
    "AES\nSHA-256\nSHA-384\nSHA-512\nPOSTPKIOperation\nRenewal\nSCEPStandard\n";

/// Called with the outcome of each message, for counting; but not for a message that got no slot.
pub type Observer = Arc<dyn Fn(Outcome) + Send + Sync>;

/// Serves SCEP at its HTTP paths. Clones share the slots, the threads and the bound on large bodies.
#[derive(Clone)]
pub struct Endpoint {
    service: Arc<ScepService>,
    slots: Slots,
    /// The turns of senders at the workers, so that a sender with many messages does not keep the others out.
    turns: Arc<FairSemaphore>,
    workers: Workers,
    body_bounds: BodyBounds,
    observer: Observer,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("slots", &self.slots).finish_non_exhaustive()
    }
}

impl Endpoint {
    /// Serves `service`. At most `concurrent` requests are worked on at once, at most half of them (rounded up) from one sender; one more
    /// is answered "busy".
    pub fn new(service: Arc<ScepService>, concurrent: usize, observer: Observer) -> Self {
        let config = service.config();
        let body_bounds = BodyBounds::new(config.bounds.bytes);
        let workers = Workers::new(config.rsa_workers);
        let turns = Arc::new(FairSemaphore::new(config.rsa_workers));
        Self { service, slots: Slots::new(concurrent), turns, workers, body_bounds, observer }
    }

    /// Adds the paths to an application. This is called once for each event loop.
    pub fn configure(&self, config: &mut web::ServiceConfig) {
        for path in [
            "/scep",
            "/scep/",
            "/scep/{name}",
            "/scep/{name}/",
            "/scep/{name}/pkiclient.exe",
            "/cgi-bin/pkiclient.exe",
        ] {
            let resource = web::resource(path)
                .app_data(web::PayloadConfig::new(self.body_bounds.octets))
                .app_data(web::Data::new(self.clone()))
                .default_service(web::to(serve));
            config.service(resource);
        }
    }

    /// Reads the path of a request.
    ///
    /// # Errors
    /// A text for people if the name in the path is of no profile and of no issuing CA.
    fn route(&self, request: &HttpRequest) -> Result<Route, String> {
        let client = request.peer_addr().map(|client| client.ip().to_canonical());
        let mut route = Route { client, ..Route::default() };
        let name = request.match_info().get("name").filter(|name| *name != CISCO);
        if let Some(name) = name {
            let unknown =
                || format!("there is no profile and no issuing CA `{}`", name.escape_debug());
            let authority = self.service.authority();
            let label: Label = name.parse().map_err(|_| unknown())?;
            match (authority.is_profile(&label), authority.is_ca(&label)) {
                (_, true) => route.ca = Some(label),
                (true, false) => route.profile = Some(label),
                (false, false) => return Err(unknown()),
            }
        }
        Ok(route)
    }

    /// Works on a request for public information, on a thread that may wait, because a delegate may have to be made. `None` if that
    /// failed, which was logged.
    async fn public<T: Send + 'static>(
        &self,
        slot: Slot,
        work: impl FnOnce(&ScepService) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, HttpResponse> {
        let service = Arc::clone(&self.service);
        let done = web::block(move || {
            let _slot = slot;
            work(&service)
        });
        match done.await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => {
                tracing::error!("the certificates for SCEP cannot be given: {error}");
                Err(busy(no_store(StatusCode::SERVICE_UNAVAILABLE)))
            }
            Err(_) => Err(busy(no_store(StatusCode::SERVICE_UNAVAILABLE))),
        }
    }

    /// PKIOperation: verifies and decrypts a message on one of the few threads for that, and acts on it on a thread that may wait.
    async fn operate(&self, route: Route, message: Body, slot: Slot) -> HttpResponse {
        let sender = route.sender();
        let service = Arc::clone(&self.service);
        let opening = self.workers.run_in_turn(&self.turns, sender, 1, move || {
            let opened = service.open(&route, &message.octets);
            (opened, slot)
        });
        let answered = match opening.await {
            Some((Ok(opened), slot)) => {
                let service = Arc::clone(&self.service);
                let answering = web::block(move || {
                    let _slot = slot;
                    service.answer(&opened)
                });
                answering.await.ok()
            }
            Some((Err(answered), _slot)) => Some(*answered),
            None => None,
        };
        // Without an answer the work panicked, which the process's panic hook has reported.
        let Some(Answered { reply, outcome }) = answered else {
            return busy(no_store(StatusCode::SERVICE_UNAVAILABLE));
        };
        (self.observer)(outcome);
        match reply {
            Reply::CertRep(octets) => no_store(StatusCode::OK).content_type(MESSAGE).body(octets),
            Reply::Unreadable(why) => text(no_store(StatusCode::BAD_REQUEST), &why),
            Reply::Unavailable => busy(no_store(StatusCode::SERVICE_UNAVAILABLE)),
            Reply::Failed => text(
                no_store(StatusCode::INTERNAL_SERVER_ERROR),
                "the service failed; its administrator finds the reason in the log",
            ),
        }
    }
}

/// Answers a request.
async fn serve(
    request: HttpRequest,
    endpoint: web::Data<Endpoint>,
    payload: web::Payload,
) -> HttpResponse {
    if ![Method::GET, Method::POST].contains(request.method()) {
        let mut refusal = no_store(StatusCode::METHOD_NOT_ALLOWED);
        refusal.insert_header((ALLOW, "GET, POST"));
        return closing(refusal, "SCEP messages are sent by GET or POST", payload);
    }
    let client = request.peer_addr().map(|client| client.ip().to_canonical());
    let refused = |why: &dyn Display| {
        tracing::info!(target: countersign_ca::REFUSED, client = client.map(display), "not read: {why}");
    };
    let route = match endpoint.route(&request) {
        Ok(route) => route,
        Err(why) => {
            refused(&why);
            return closing(no_store(StatusCode::NOT_FOUND), &why, payload);
        }
    };
    let query = request.query_string();
    match query::parameter(query, "operation").unwrap_or_default() {
        "PKIOperation" => {
            let message = match *request.method() == Method::POST {
                true => match endpoint.body_bounds.read(&request, payload).await {
                    Ok(body) => body,
                    Err(refusal) => {
                        refused(&refusal.status());
                        return *refusal;
                    }
                },
                false => {
                    match query::message(query::parameter(query, "message").unwrap_or_default()) {
                        Some(octets) => Body::small(octets),
                        None => {
                            let why = "expected the message in base64";
                            refused(&why);
                            return closing(no_store(StatusCode::BAD_REQUEST), why, payload);
                        }
                    }
                }
            };
            // A slot is taken only now that the whole body is here: a slow sender keeps no other one out.
            match endpoint.slots.try_acquire(route.sender()) {
                Some(slot) => endpoint.operate(route, message, slot).await,
                None => busy(no_store(StatusCode::SERVICE_UNAVAILABLE)),
            }
        }
        operation @ ("GetCACaps" | "GetCACert" | "GetNextCACert") => {
            let Some(slot) = endpoint.slots.try_acquire(route.sender()) else {
                return busy(no_store(StatusCode::SERVICE_UNAVAILABLE));
            };
            match operation {
                "GetCACaps" => capabilities(&endpoint, route, slot).await,
                "GetCACert" => certificates(&endpoint, route, slot).await,
                _ => next_certificates(&endpoint, route, slot).await,
            }
        }
        other => {
            let why = format!(
                "expected operation=GetCACaps, GetCACert, GetNextCACert or PKIOperation, found `{}`",
                crate::legible::legible(other)
            );
            refused(&why);
            closing(no_store(StatusCode::BAD_REQUEST), &why, payload)
        }
    }
}

/// GetCACaps (RFC 8894 §3.5): what the server supports, a line each.
async fn capabilities(endpoint: &Endpoint, route: Route, slot: Slot) -> HttpResponse {
    let has_next = endpoint
        .public(slot, move |service| {
            Ok(service.authority().waiting_chain(route.ca.as_ref())?.is_some())
        })
        .await;
    let has_next = match has_next {
        Ok(has_next) => has_next,
        Err(refusal) => return refusal,
    };
    let mut capabilities = CAPABILITIES.to_owned();
    if endpoint.service.config().legacy == Legacy::Accepted {
        capabilities.push_str("SHA-1\nDES3\n");
    }
    if has_next {
        capabilities.push_str("GetNextCACert\n");
    }
    no_store(StatusCode::OK).insert_header((CONTENT_TYPE, "text/plain")).body(capabilities)
}

/// GetCACert (RFC 8894 §4.2): the certificates of the registration authority, then those of the CA and above it.
async fn certificates(endpoint: &Endpoint, route: Route, slot: Slot) -> HttpResponse {
    let made = endpoint.public(slot, move |service| {
        let delegates = service.authority().scep_delegates(route.ca.as_ref())?;
        let mut all = vec![delegates.encryption.certificate(), delegates.signature.certificate()];
        all.extend(delegates.signature.chain().iter().map(Vec::as_slice));
        certs_only(&all, &[]).map_err(Error::internal)
    });
    match made.await {
        Ok(octets) => no_store(StatusCode::OK).content_type(CERTIFICATES).body(octets),
        Err(refusal) => refusal,
    }
}

/// GetNextCACert (RFC 8894 §4.6): the certificates of the CA that will issue next, signed by the registration authority of the present one.
async fn next_certificates(endpoint: &Endpoint, route: Route, slot: Slot) -> HttpResponse {
    let made = endpoint.public(slot, move |service| service.next_certificates(route.ca.as_ref()));
    match made.await {
        Ok(Some(octets)) => no_store(StatusCode::OK).content_type(NEXT).body(octets),
        Ok(None) => text(no_store(StatusCode::NOT_FOUND), "there is no next CA yet"),
        Err(refusal) => refusal,
    }
}
