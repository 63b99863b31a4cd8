//! CMP over HTTP (RFC 9811): paths, content type and bounds. The work itself is synchronous and runs beside the
//! event loop.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use countersign_ca::record::Label;
use tokio::sync::Semaphore;

use crate::cmp::{CmpService, Outcome, Route, kind};

/// The media type of both ways (RFC 9811 §3.3).
const CMP: &str = "application/pkixcmp";

/// How long a body may take to arrive. A message has about a kilobyte.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// What a path's operation label stands for (RFC 9483 §6.1).
const OPERATIONS: [(&str, u8); 9] = [
    ("initialization", kind::IR),
    ("certification", kind::CR),
    ("keyupdate", kind::KUR),
    ("pkcs10", kind::P10CR),
    ("revocation", kind::RR),
    ("getcacerts", kind::GENM),
    ("getrootupdate", kind::GENM),
    ("getcertreqtemplate", kind::GENM),
    ("getcrls", kind::GENM),
];

/// Told of every answered message, for counting.
pub type Observer = Arc<dyn Fn(Outcome) + Send + Sync>;

/// CMP at its paths.
#[derive(Clone)]
pub struct Endpoint {
    service: Arc<CmpService>,
    slots: Arc<Semaphore>,
    observer: Observer,
    body_timeout: Duration,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("slots", &self.slots).finish_non_exhaustive()
    }
}

impl Endpoint {
    /// Serves `service`, at most `concurrent` messages at once; one more is answered "busy".
    pub fn new(service: Arc<CmpService>, concurrent: usize, observer: Observer) -> Self {
        let slots = Arc::new(Semaphore::new(concurrent));
        Self { service, slots, observer, body_timeout: BODY_TIMEOUT }
    }

    /// Another time for a body to arrive in than 10 seconds.
    #[must_use]
    pub const fn with_body_timeout(mut self, timeout: Duration) -> Self {
        self.body_timeout = timeout;
        self
    }

    /// Adds the paths to an application.
    pub fn configure(&self, config: &mut web::ServiceConfig) {
        let bytes = self.service.config().bounds.bytes;
        let resource = |path: &str| {
            web::resource(path)
                .app_data(web::PayloadConfig::new(bytes))
                .app_data(web::Data::new(self.clone()))
                .route(web::post().to(post))
                .default_service(web::to(only_post))
        };
        for path in [
            "/.well-known/cmp",
            "/.well-known/cmp/p/{name}",
            "/.well-known/cmp/p/{name}/{operation}",
            "/.well-known/cmp/{operation}",
            "/pkix",
            "/pkix/",
        ] {
            config.service(resource(path));
        }
    }

    /// What the path says; `Err` with a text for a path that names nothing.
    fn route(&self, request: &HttpRequest) -> Result<Route, String> {
        let mut route = Route::default();
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
        return text(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            &format!("expected the content type `{CMP}`"),
        );
    }
    let route = match endpoint.route(&request) {
        Ok(route) => route,
        Err(why) => return text(StatusCode::NOT_FOUND, &why),
    };
    let limit = endpoint.service.config().bounds.bytes;
    let arriving = payload.to_bytes_limited(limit);
    let body = match tokio::time::timeout(endpoint.body_timeout, arriving).await {
        Ok(Ok(Ok(body))) => body,
        Ok(Ok(Err(_))) => return text(StatusCode::BAD_REQUEST, "the body was cut off"),
        Ok(Err(_)) => {
            return text(
                StatusCode::PAYLOAD_TOO_LARGE,
                &format!("expected at most {limit} octets"),
            );
        }
        Err(_) => return text(StatusCode::REQUEST_TIMEOUT, "the body took too long to arrive"),
    };
    // A slot is taken only when the whole message is here: who sends slowly keeps nobody else out.
    let Ok(slot) = Arc::clone(&endpoint.slots).try_acquire_owned() else {
        return busy();
    };
    let service = Arc::clone(&endpoint.service);
    let answered = web::block(move || {
        let answered = service.answer(&route, &body);
        drop(slot);
        answered
    })
    .await;
    match answered {
        Ok(Ok((bytes, outcome))) => {
            (endpoint.observer)(outcome);
            respond(StatusCode::OK).content_type(CMP).body(bytes)
        }
        Ok(Err(e)) => {
            tracing::error!("no answer could be made: {e}");
            text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the service failed; its administrator finds the reason in the log",
            )
        }
        Err(_) => busy(),
    }
}

/// Whether the content type is CMP's, in any case and with any parameters (RFC 9110 §8.3.1).
fn is_cmp(request: &HttpRequest) -> bool {
    let value = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.and_then(|value| value.split(';').next()).unwrap_or_default();
    essence.trim().eq_ignore_ascii_case(CMP)
}

async fn only_post() -> HttpResponse {
    respond(StatusCode::METHOD_NOT_ALLOWED)
        .insert_header(("allow", "POST"))
        .body("CMP messages are sent by POST\n")
}

fn busy() -> HttpResponse {
    respond(StatusCode::SERVICE_UNAVAILABLE)
        .insert_header((RETRY_AFTER, "2"))
        .body("busy; try again\n")
}

fn unknown_name(name: &str) -> String {
    format!("there is no profile and no issuing CA `{}`", name.escape_debug())
}

fn text(status: StatusCode, why: &str) -> HttpResponse {
    respond(status).content_type("text/plain; charset=utf-8").body(format!("{why}\n"))
}

fn respond(status: StatusCode) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response.insert_header((CACHE_CONTROL, "no-store"));
    response
}
