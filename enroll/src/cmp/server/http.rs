//! CMP over HTTP (RFC 9811): paths, content type and bounds. What computes runs on the event loop itself, one message after
//! the other; what waits, or takes long, runs beside it.

use std::any::Any;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, BodyStream, MessageBody};
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use countersign_ca::Error;
use countersign_ca::record::Label;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::cmp::{CmpService, Outcome, Route, body_kind, kind, mac_work};
use crate::transport::share::{Seat, Seats};
use crate::transport::turn::Turn;
use crate::transport::workers::Workers;

/// The media type of both ways (RFC 9811 §3.3).
const CMP: &str = "application/pkixcmp";

/// How long a body may take to arrive. A message has about a kilobyte.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Of each body so much is taken without asking, in octets: more than nearly every message has.
const SMALL: usize = 16 << 10;

/// How much all bodies together may have beyond that.
const LARGE: usize = 32 << 20;

/// What is said when too much is worked on, and after how many seconds to come again.
const BUSY: &str = "busy; try again";
const RETRY: &str = "2";

/// What a path's operation label stands for (RFC 9483 §6.1).
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

/// Requests for certificates. Under a signature most of them compute, and do not wait.
const REQUESTS: [u8; 4] = [kind::IR, kind::CR, kind::KUR, kind::P10CR];

/// Told of every answered message, for counting.
pub type Observer = Arc<dyn Fn(Outcome) + Send + Sync>;

/// A body that has arrived. Its octets count until the message is answered.
struct Body {
    octets: Vec<u8>,
    _taken: Option<OwnedSemaphorePermit>,
}

/// CMP at its paths.
#[derive(Clone)]
pub struct Endpoint {
    service: Arc<CmpService>,
    slots: Seats,
    mac_slots: Seats,
    large: Arc<Semaphore>,
    /// Of each event loop its own: one message computes at a time.
    turn: Arc<Turn>,
    /// Threads that derive keys from secrets for requests.
    derivers: Workers,
    observer: Observer,
    body_timeout: Duration,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("slots", &self.slots).finish_non_exhaustive()
    }
}

impl Endpoint {
    /// Serves `service`, at most `concurrent` messages at once, of one sender half of them; one more is answered "busy".
    pub fn new(service: Arc<CmpService>, concurrent: usize, observer: Observer) -> Self {
        let slots = Seats::new(concurrent);
        let mac_slots = slots.clone();
        let large = Arc::new(Semaphore::new(LARGE));
        let turn = Arc::default();
        let derivers = Workers::new(service.config().mac_workers);
        let body_timeout = BODY_TIMEOUT;
        Self { service, slots, mac_slots, large, turn, derivers, observer, body_timeout }
    }

    /// Messages that a MAC protects get places of their own: many of them keep no others out.
    #[must_use]
    pub fn with_mac_slots(mut self, concurrent: usize) -> Self {
        self.mac_slots = Seats::new(concurrent);
        self
    }

    /// Another bound on all bodies together than 32 MiB, beyond the first 16 KiB of each; who sends more is told "busy".
    #[must_use]
    pub fn with_large_bodies(mut self, octets: usize) -> Self {
        self.large = Arc::new(Semaphore::new(octets.min(Semaphore::MAX_PERMITS)));
        self
    }

    /// Another time for a body to arrive in than 10 seconds.
    #[must_use]
    pub const fn with_body_timeout(mut self, timeout: Duration) -> Self {
        self.body_timeout = timeout;
        self
    }

    /// Adds the paths to an application, of which each event loop has its own.
    pub fn configure(&self, config: &mut web::ServiceConfig) {
        let bytes = self.service.config().bounds.bytes;
        let here = Self { turn: Arc::default(), ..self.clone() };
        let resource = |path: &str| {
            web::resource(path)
                .app_data(web::PayloadConfig::new(bytes))
                .app_data(web::Data::new(here.clone()))
                .route(web::post().to(post))
                .default_service(web::to(only_post))
        };
        for path in [
            "/.well-known/cmp",
            "/.well-known/cmp/p/{name}",
            "/.well-known/cmp/p/{name}/{operation}",
            "/.well-known/cmp/{operation}",
            "/pkix",
        ] {
            config.service(resource(path));
            // RFC 9811 §3.1 says nothing of a slash behind it, and clients differ.
            config.service(resource(&format!("{path}/")));
        }
    }

    /// The body, whole. What is refused here ends its connection: the rest of it is not waited for.
    async fn body(
        &self,
        request: &HttpRequest,
        payload: web::Payload,
    ) -> Result<Body, Box<HttpResponse>> {
        let limit = self.service.config().bounds.bytes;
        let too_large =
            || (StatusCode::PAYLOAD_TOO_LARGE, format!("expected at most {limit} octets"));
        let no_room = || (StatusCode::SERVICE_UNAVAILABLE, BUSY.to_owned());
        let announced = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        let announced = announced.and_then(|text| text.parse::<usize>().ok());
        let mut stream = Box::pin(BodyStream::new(payload.into_inner()));
        let arriving = async {
            if announced.is_some_and(|length| length > limit) {
                return Err(too_large());
            }
            let (mut body, mut taken) = (Vec::new(), None);
            while let Some(chunk) = poll_fn(|cx| stream.as_mut().poll_next(cx)).await {
                let chunk = chunk
                    .map_err(|_| (StatusCode::BAD_REQUEST, "the body was cut off".to_owned()))?;
                if body.len().saturating_add(chunk.len()) > limit {
                    return Err(too_large());
                }
                let beyond = chunk.len().min((body.len() + chunk.len()).saturating_sub(SMALL));
                if beyond > 0 {
                    self.take(&mut taken, beyond).ok_or_else(no_room)?;
                }
                body.extend_from_slice(&chunk);
            }
            Ok(Body { octets: body, _taken: taken })
        };
        let late =
            |_| Err((StatusCode::REQUEST_TIMEOUT, "the body took too long to arrive".to_owned()));
        let arrived = tokio::time::timeout(self.body_timeout, arriving).await.unwrap_or_else(late);
        arrived.map_err(|(status, why)| {
            let mut refusal = respond(status);
            if status == StatusCode::SERVICE_UNAVAILABLE {
                refusal.insert_header((RETRY_AFTER, RETRY));
            }
            Box::new(closing(refusal, &why, stream))
        })
    }

    /// Takes so much more of what large bodies may have together; `None` if there is not so much left.
    fn take(&self, taken: &mut Option<OwnedSemaphorePermit>, octets: usize) -> Option<()> {
        let octets = u32::try_from(octets).ok()?;
        let more = Arc::clone(&self.large).try_acquire_many_owned(octets).ok()?;
        match taken {
            Some(taken) => taken.merge(more),
            None => *taken = Some(more),
        }
        Some(())
    }

    /// The answer; `None` if nobody could work on it. The event loop is busy while there is something to compute, and nothing
    /// waits for the record of a new certificate but its own peer. `slot` is given back when the answer is there, or, if the
    /// peer has gone, when the work is done.
    async fn answer(
        &self,
        route: Route,
        body: Body,
        work: Option<u64>,
        slot: Seat,
    ) -> Option<Result<(Vec<u8>, Outcome), Error>> {
        let is_request = body_kind(&body.octets).is_some_and(|kind| REQUESTS.contains(&kind));
        // What is large takes long to read.
        let computes = is_request && body.octets.len() <= SMALL;
        // Until it turns out that it waits for something else.
        let announced = computes.then(|| self.service.authority().store().announce());
        let job = (route, body, slot);
        let service = Arc::clone(&self.service);
        let (begun, job) = match (computes, work) {
            (true, None) => {
                let work = || service.begin_computing(&job.0, &job.1.octets);
                (self.turn.compute(work).await?, job)
            }
            (true, Some(work)) => {
                // What asks for more is refused, and must not count for more either: a turn would be put off without end.
                let work = work.min(u64::from(*service.config().iterations.end()));
                let order = service.derivations().order(job.0.sender(), work);
                let work = move || (service.begin_deriving(order, &job.0, &job.1.octets), job);
                self.derivers.run(order, work).await?
            }
            (false, _) => (Ok(None), job),
        };
        let _announced = announced.filter(|_| !matches!(begun, Ok(None)));
        let service = Arc::clone(&self.service);
        let (begun, _job) = match begun {
            // A place or the disk is waited for, or it takes long.
            Ok(None) => {
                let work = move || (service.begin(&job.0, &job.1.octets).map(Some), job);
                web::block(work).await.ok()?
            }
            done => (done, job),
        };
        match begun {
            Ok(begun) => Some(begun?.settled(&self.service).await),
            Err(e) => Some(Err(e)),
        }
    }

    /// What the path says; `Err` with a text for a path that names nothing.
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

async fn post(
    request: HttpRequest,
    endpoint: web::Data<Endpoint>,
    payload: web::Payload,
) -> HttpResponse {
    if !is_cmp(&request) {
        let why = format!("expected the content type `{CMP}`");
        return closing(respond(StatusCode::UNSUPPORTED_MEDIA_TYPE), &why, payload);
    }
    let route = match endpoint.route(&request) {
        Ok(route) => route,
        Err(why) => return closing(respond(StatusCode::NOT_FOUND), &why, payload),
    };
    let body = match endpoint.body(&request, payload).await {
        Ok(body) => body,
        Err(refusal) => return *refusal,
    };
    // A slot is taken only when the whole message is here: who sends slowly keeps nobody else out.
    let work = mac_work(&body.octets);
    let slots = match work {
        Some(_) => &endpoint.mac_slots,
        None => &endpoint.slots,
    };
    let Some(slot) = slots.take(route.sender()) else {
        return busy();
    };
    match endpoint.answer(route, body, work, slot).await {
        Some(Ok((bytes, outcome))) => {
            (endpoint.observer)(outcome);
            if outcome.busy {
                return busy();
            }
            respond(StatusCode::OK).content_type(CMP).body(bytes)
        }
        Some(Err(e)) => {
            tracing::error!("no answer could be made: {e}");
            text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the service failed; its administrator finds the reason in the log",
            )
        }
        None => busy(),
    }
}

/// Whether the content type is CMP's, in any case and with any parameters (RFC 9110 §8.3.1).
fn is_cmp(request: &HttpRequest) -> bool {
    let value = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.and_then(|value| value.split(';').next()).unwrap_or_default();
    essence.trim().eq_ignore_ascii_case(CMP)
}

async fn only_post(payload: web::Payload) -> HttpResponse {
    let mut refusal = respond(StatusCode::METHOD_NOT_ALLOWED);
    refusal.insert_header(("allow", "POST"));
    closing(refusal, "CMP messages are sent by POST", payload)
}

fn busy() -> HttpResponse {
    respond(StatusCode::SERVICE_UNAVAILABLE)
        .insert_header((RETRY_AFTER, RETRY))
        .body(format!("{BUSY}\n"))
}

fn unknown_name(name: &str) -> String {
    format!("there is no profile and no issuing CA `{}`", name.escape_debug())
}

fn text(status: StatusCode, why: &str) -> HttpResponse {
    respond(status).content_type("text/plain; charset=utf-8").body(format!("{why}\n"))
}

/// A refusal before the whole body is here, with which the connection ends.
fn closing(mut response: HttpResponseBuilder, why: &str, rest: impl Any) -> HttpResponse {
    let words = Some(web::Bytes::from(format!("{why}\n")));
    let ending = Ending { words, _rest: Box::new(rest) };
    response.content_type("text/plain; charset=utf-8").force_close().body(ending)
}

/// The text of a refusal, and what is left of the request's body. If that were dropped before the text is sent, actix would
/// wait for the end of a chunked body, for ever; so it closes the connection.
struct Ending {
    words: Option<web::Bytes>,
    _rest: Box<dyn Any>,
}

impl MessageBody for Ending {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.words.as_ref().map_or(0, |words| words.len() as u64))
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<web::Bytes, Infallible>>> {
        Poll::Ready(self.words.take().map(Ok))
    }
}

fn respond(status: StatusCode) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response.insert_header((CACHE_CONTROL, "no-store"));
    response
}
