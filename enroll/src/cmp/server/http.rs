//! CMP over HTTP (RFC 9811): its paths, content type and bounds, and which thread works on a message.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use countersign_ca::Error;
use countersign_ca::record::Label;

use super::service::CmpService;
use super::service::route::{Answered, Outcome, Route};
use crate::cmp::wire::mac::FEW_ITERATIONS;
use crate::cmp::wire::{kind, peek};
use crate::transport::body::{Body, BodyBounds, SMALL};
use crate::transport::pool::Pool;
use crate::transport::response::{busy, closing, has_media_type, no_store, only_post, text};
use crate::transport::runner::Runner;
use crate::transport::share::{Slot, Slots};

/// The media type of requests and answers (RFC 9811 §3.2).
const CMP: &str = "application/pkixcmp";

/// The operation labels of paths, each with the kind of body that it allows (RFC 9483 §6.1).
const OPERATIONS: [(&str, u8); 10] = [
    ("initialization", kind::IR),
    ("certification", kind::CR),
    ("keyupdate", kind::KUR),
    ("pkcs10", kind::P10CR),
    ("revocation", kind::RR),
    ("nested", kind::NESTED),
    ("getcacerts", kind::GENM),
    ("getrootupdate", kind::GENM),
    ("getcertreqtemplate", kind::GENM),
    ("getcrls", kind::GENM),
];

/// Called with the outcome of each message, for counting; but not for a message that got no slot, or for which no answer could be made.
pub type Observer = Arc<dyn Fn(Outcome) + Send + Sync>;

/// A message that has arrived.
struct Received {
    route: Route,
    body: Body,
    /// How many iterations the message's MAC asks for, of all blocks of the key together; `None` if its protectionAlg is not a MAC, 0 if the
    /// parameters of the MAC will be refused.
    mac_iterations: Option<u64>,
    /// The slot of the sender's share that the message takes until it is answered.
    _slot: Slot,
}

/// Serves CMP at its HTTP paths. Clones share the slots and the bound on large bodies.
#[derive(Clone)]
pub struct Endpoint {
    service: Arc<CmpService>,
    slots: Slots,
    mac_slots: Slots,
    body_bounds: BodyBounds,
    runner: Runner,
    observer: Observer,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("slots", &self.slots).finish_non_exhaustive()
    }
}

impl Endpoint {
    /// Serves `service`. At most `concurrent` messages are worked on at once, at most half of them (rounded up) from one sender; one more
    /// is answered "busy".
    pub fn new(service: Arc<CmpService>, concurrent: usize, observer: Observer) -> Self {
        let slots = Slots::new(concurrent);
        let mac_slots = slots.clone();
        let config = service.config();
        let body_bounds = BodyBounds::new(config.bounds.bytes);
        let runner = Runner::new(Arc::clone(service.authority()), config.mac_workers);
        Self { service, slots, mac_slots, body_bounds, runner, observer }
    }

    /// Gives messages under a MAC this many slots of their own, so that many of them keep no others out.
    #[must_use]
    pub fn with_mac_slots(mut self, concurrent: usize) -> Self {
        self.mac_slots = Slots::new(concurrent);
        self
    }

    /// Bounds all bodies together to this many octets beyond the first 16 KiB of each, instead of 32 MiB. A body beyond that is answered
    /// "busy".
    #[must_use]
    pub fn with_large_bodies(mut self, octets: usize) -> Self {
        self.body_bounds = self.body_bounds.with_large(octets);
        self
    }

    /// Gives a body this time to arrive, instead of 10 seconds.
    #[must_use]
    pub const fn with_body_timeout(mut self, timeout: Duration) -> Self {
        self.body_bounds.timeout = timeout;
        self
    }

    /// Adds the paths to an application. This is called once for each event loop, and each loop has its own queue of jobs that compute on
    /// it.
    pub fn configure(&self, config: &mut web::ServiceConfig) {
        let octets = self.body_bounds.octets;
        let here = Self { runner: self.runner.for_event_loop(), ..self.clone() };
        let not_post = |payload| async { only_post("CMP messages are sent by POST", payload) };
        let resource = |path: &str| {
            web::resource(path)
                .app_data(web::PayloadConfig::new(octets))
                .app_data(web::Data::new(here.clone()))
                .route(web::post().to(post))
                .default_service(web::to(not_post))
        };
        for path in [
            "/.well-known/cmp",
            "/.well-known/cmp/p/{name}",
            "/.well-known/cmp/p/{name}/{operation}",
            "/.well-known/cmp/{operation}",
            "/pkix",
        ] {
            config.service(resource(path));
            // RFC 9811 §3.4 does not say whether a path ends with a slash, and clients differ.
            config.service(resource(&format!("{path}/")));
        }
    }

    /// Chooses the thread that works on a message first.
    ///
    /// A small message that mostly computes does so on its event loop; if its MAC has many iterations, a MAC worker derives its key first.
    /// Every other message waits for something, or takes long: a large one takes long to read.
    fn pool(&self, message: &Received) -> Pool {
        let octets = &message.body.octets;
        let computes = peek::body_kind(octets).is_some_and(kind::mostly_computes);
        match message.mac_iterations {
            _ if !computes || octets.len() > SMALL => Pool::Blocking,
            None => Pool::EventLoop,
            Some(iterations) if iterations <= FEW_ITERATIONS => Pool::EventLoop,
            Some(iterations) => {
                // A higher count is refused, so it must not count for more either: the message would be put off without end.
                let cost = iterations.min(u64::from(*self.service.config().iterations.end()));
                Pool::MacWorker(self.service.mac_permits().rank(message.route.sender(), cost))
            }
        }
    }

    /// Answers a message; `None` if the work on it panicked. The message keeps its slot until its answer may be sent or, if the peer has
    /// gone, until the work on it is done.
    async fn answer(&self, message: Received) -> Option<Result<Answered, Error>> {
        let pool = self.pool(&message);
        let service = Arc::clone(&self.service);
        let work = move |pool, message: &Received| {
            service.begin(pool, &message.route, &message.body.octets)
        };
        let ran = self.runner.run(pool, message, work).await?;
        Some(match ran.result {
            Ok(begun) => begun.settled(&self.service).await,
            Err(error) => Err(error),
        })
    }

    /// Reads the path of a request.
    ///
    /// # Errors
    /// A text for people if the name in the path is of no profile and of no issuing CA, or its operation label is unknown.
    fn route(&self, request: &HttpRequest) -> Result<Route, String> {
        let client = request.peer_addr().map(|client| client.ip().to_canonical());
        let mut route = Route { client, ..Route::default() };
        if let Some(name) = request.match_info().get("name") {
            let authority = self.service.authority();
            let label: Label = name.parse().map_err(|_| unknown_name(name))?;
            match (authority.is_profile(&label), authority.is_ca(&label)) {
                (_, true) => route.ca = Some(label),
                (true, false) => route.profile = Some(label),
                (false, false) => return Err(unknown_name(name)),
            }
        }
        if let Some(operation) = request.match_info().get("operation") {
            let known = OPERATIONS.iter().find(|(label, _)| *label == operation);
            let (_, kind) = known.ok_or_else(|| {
                let labels: Vec<&str> = OPERATIONS.iter().map(|(label, _)| *label).collect();
                format!(
                    "expected one of {}, found `{}`",
                    labels.join(", "),
                    operation.escape_debug()
                )
            })?;
            route.operation = Some(*kind);
        }
        Ok(route)
    }
}

/// Answers a POST.
async fn post(
    request: HttpRequest,
    endpoint: web::Data<Endpoint>,
    payload: web::Payload,
) -> HttpResponse {
    if !has_media_type(&request, CMP) {
        let why = format!("expected the content type `{CMP}`");
        return closing(no_store(StatusCode::UNSUPPORTED_MEDIA_TYPE), &why, payload);
    }
    let route = match endpoint.route(&request) {
        Ok(route) => route,
        Err(why) => return closing(no_store(StatusCode::NOT_FOUND), &why, payload),
    };
    let body = match endpoint.body_bounds.read(&request, payload).await {
        Ok(body) => body,
        Err(refusal) => return *refusal,
    };
    // A slot is taken only now that the whole body is here: a slow sender keeps no other one out.
    let mac_iterations = peek::mac_iterations(&body.octets);
    let slots = match mac_iterations {
        Some(_) => &endpoint.mac_slots,
        None => &endpoint.slots,
    };
    let Some(slot) = slots.try_acquire(route.sender()) else {
        return busy(no_store(StatusCode::SERVICE_UNAVAILABLE));
    };
    match endpoint.answer(Received { route, body, mac_iterations, _slot: slot }).await {
        Some(Ok(Answered { octets, outcome })) => {
            (endpoint.observer)(outcome);
            match outcome.busy {
                true => busy(no_store(StatusCode::SERVICE_UNAVAILABLE)),
                false => no_store(StatusCode::OK).content_type(CMP).body(octets),
            }
        }
        Some(Err(e)) => {
            tracing::error!("no answer could be made: {e}");
            text(
                no_store(StatusCode::INTERNAL_SERVER_ERROR),
                "the service failed; its administrator finds the reason in the log",
            )
        }
        None => busy(no_store(StatusCode::SERVICE_UNAVAILABLE)),
    }
}

/// The text for a path with an unknown name.
fn unknown_name(name: &str) -> String {
    format!("there is no profile and no issuing CA `{}`", name.escape_debug())
}
