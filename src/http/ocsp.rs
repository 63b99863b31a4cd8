//! OCSP over HTTP (RFC 6960 §A.1, RFC 5019 §5 and §6): `POST /ocsp` and `GET /ocsp/<base64>`. A cached response is looked up on the event
//! loop; a response that must be signed is signed on a blocking thread.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, ETAG, EXPIRES, EntityTag, LAST_MODIFIED};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use countersign_ca::Timestamp;
use countersign_enroll::transport::response::{busy, has_media_type, text};
use countersign_ldap_bridge::ocsp::{Answer, Freshness, MAX_REQUEST, OcspService};
use data_encoding::BASE64_NOPAD;
use tokio::sync::Semaphore;
use tracing::field::display;

use super::response::{http_date, is_cached_by_client};

/// The media type of a request (RFC 6960 §A.1, §C.1).
const REQUEST: &str = "application/ocsp-request";
/// The media type of a response (RFC 6960 §A.1, §C.2).
const RESPONSE: &str = "application/ocsp-response";

/// How long a body may take to arrive. A request has about a hundred octets.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest path of a GET, in octets. RFC 5019 §5 has clients send requests of more than 255 octets by POST.
const MAX_PATH: usize = 8 * 1024;

/// The longest max-age for caches, in seconds. Without it, a revocation would be unseen until nextUpdate.
const MAX_AGE: u64 = 300;

/// Called with every answer, to count it.
pub type Observer = Arc<dyn Fn(&Answer) + Send + Sync>;

/// An answer, and the time at which it was made or found in the cache.
struct TimedAnswer {
    answer: Answer,
    at: Timestamp,
}

/// The HTTP endpoint of the OCSP responders.
#[derive(Clone)]
pub struct Endpoint {
    service: Arc<OcspService>,
    permits: Arc<Semaphore>,
    observer: Observer,
}

impl Endpoint {
    /// An endpoint for `service` that works on at most `concurrent` requests at once. One more is answered "busy".
    pub fn new(service: Arc<OcspService>, concurrent: usize, observer: Observer) -> Self {
        Self { service, permits: Arc::new(Semaphore::new(concurrent)), observer }
    }

    /// Adds the paths to an application.
    pub fn configure(&self, config: &mut web::ServiceConfig) {
        for path in ["/ocsp", "/ocsp/"] {
            config.service(
                web::resource(path)
                    .app_data(web::PayloadConfig::new(MAX_REQUEST))
                    .app_data(web::Data::new(self.clone()))
                    .route(web::post().to(post))
                    .default_service(web::to(only_post)),
            );
        }
        config.service(
            web::resource("/ocsp/{request:.*}")
                .app_data(web::Data::new(self.clone()))
                .route(web::get().to(get))
                .default_service(web::to(only_get)),
        );
    }

    /// The answer to a request, and the time at which it was made. `None` if too many requests are worked on already, or if the work
    /// failed.
    async fn answer(&self, request: web::Bytes, client: Option<SocketAddr>) -> Option<TimedAnswer> {
        // A cached response is only looked up, which is not worth waking a blocking thread for.
        if let Some(answer) = self.service.kept(&request) {
            (self.observer)(&answer);
            return Some(TimedAnswer { answer, at: self.service.now() });
        }
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        let service = Arc::clone(&self.service);
        let client = client.map(|client| display(client.ip().to_canonical()));
        let answered = web::block(move || {
            let _span = tracing::info_span!("ocsp", client).entered();
            let answer = service.answer(&request);
            drop(permit);
            TimedAnswer { answer, at: service.now() }
        })
        .await
        .ok()?;
        (self.observer)(&answered.answer);
        Some(answered)
    }
}

async fn post(
    request: HttpRequest,
    endpoint: web::Data<Endpoint>,
    payload: web::Payload,
) -> HttpResponse {
    if !has_media_type(&request, REQUEST) {
        let why = format!("expected the content type `{REQUEST}`");
        return text(uncacheable(StatusCode::UNSUPPORTED_MEDIA_TYPE), &why);
    }
    let arriving = payload.to_bytes_limited(MAX_REQUEST);
    let body = match tokio::time::timeout(BODY_TIMEOUT, arriving).await {
        Ok(Ok(Ok(body))) => body,
        Ok(Ok(Err(_))) => {
            return text(uncacheable(StatusCode::BAD_REQUEST), "the body was cut off");
        }
        Ok(Err(_)) => {
            let why = format!("expected at most {MAX_REQUEST} octets");
            return text(uncacheable(StatusCode::PAYLOAD_TOO_LARGE), &why);
        }
        Err(_) => {
            return text(
                uncacheable(StatusCode::REQUEST_TIMEOUT),
                "the body took too long to arrive",
            );
        }
    };
    match endpoint.answer(body, request.peer_addr()).await {
        Some(TimedAnswer { answer, .. }) => {
            uncacheable(StatusCode::OK).content_type(RESPONSE).body(answer.der)
        }
        None => busy(uncacheable(StatusCode::SERVICE_UNAVAILABLE)),
    }
}

async fn get(request: HttpRequest, endpoint: web::Data<Endpoint>) -> HttpResponse {
    // The path is read as it is in the request line. Once decoded, slashes of the base64 could not be told from those of the path.
    let path = request.uri().path();
    if path.len() > MAX_PATH {
        return text(
            uncacheable(StatusCode::URI_TOO_LONG),
            &format!("expected at most {MAX_PATH} octets"),
        );
    }
    // A path that is not base64 is answered like a request that cannot be decoded: `malformedRequest`.
    let body = path.strip_prefix("/ocsp/").and_then(decode).unwrap_or_default();
    match endpoint.answer(body.into(), request.peer_addr()).await {
        Some(TimedAnswer { answer: Answer { der, cacheable: Some(freshness), .. }, at }) => {
            cacheable(&request, der, &freshness, at)
        }
        Some(TimedAnswer { answer, .. }) => {
            uncacheable(StatusCode::OK).content_type(RESPONSE).body(answer.der)
        }
        None => busy(uncacheable(StatusCode::SERVICE_UNAVAILABLE)),
    }
}

/// A response with the headers of RFC 5019 §6.2; 304 if the client's cache has it.
fn cacheable(
    request: &HttpRequest,
    der: web::Bytes,
    freshness: &Freshness,
    now: Timestamp,
) -> HttpResponse {
    let tag = EntityTag::new_strong(data_encoding::HEXLOWER.encode(&freshness.sha256));
    let known = is_cached_by_client(request, &tag);
    let age = freshness.next_update.since(now).as_secs().min(MAX_AGE);
    let mut answer = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    answer
        .insert_header((ETAG, tag.to_string()))
        .insert_header((LAST_MODIFIED, http_date(freshness.this_update)))
        .insert_header((EXPIRES, http_date(freshness.next_update)))
        .insert_header((
            CACHE_CONTROL,
            format!("max-age={age}, public, no-transform, must-revalidate"),
        ));
    match known {
        true => answer.finish(),
        false => answer.content_type(RESPONSE).body(der),
    }
}

/// The base64 of a path, URL-encoded or not, padded or not (RFC 6960 §A.1).
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(text.len());
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        plain.push(match octet {
            b'%' => hex(octets.next()?)? << 4 | hex(octets.next()?)?,
            other => other,
        });
    }
    while plain.last() == Some(&b'=') {
        plain.pop();
    }
    // A client puts a slash between the URL in the certificate and the request, even if that URL ends with a slash. The request itself
    // begins with no slash in base64, because it is a SEQUENCE.
    let slashes = plain.iter().take_while(|octet| **octet == b'/').count();
    BASE64_NOPAD.decode(plain.get(slashes..)?).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

async fn only_post() -> HttpResponse {
    uncacheable(StatusCode::METHOD_NOT_ALLOWED)
        .insert_header(("allow", "OPTIONS, POST"))
        .body("OCSP requests are sent by POST here, or by GET behind /ocsp/\n")
}

async fn only_get() -> HttpResponse {
    uncacheable(StatusCode::METHOD_NOT_ALLOWED)
        .insert_header(("allow", "GET, HEAD, OPTIONS"))
        .body("OCSP requests are sent by GET here, or by POST to /ocsp\n")
}

fn uncacheable(status: StatusCode) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response.insert_header((CACHE_CONTROL, "no-cache, no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_as_clients_write_it() {
        let request = [0xfb, 0xff, 0xbf, 0x3e, 0x01];
        for text in ["+/+/PgE=", "+/+/PgE", "%2B%2F%2B%2FPgE%3D", "%2b%2f%2b/PgE=", "+/+/PgE%3d"] {
            assert_eq!(decode(text).as_deref(), Some(&request[..]), "{text}");
        }
        let sequence = [0x30, 0x01, 0xff];
        for text in ["MAH/", "/MAH/", "//MAH%2F", "%2FMAH/"] {
            assert_eq!(decode(text).as_deref(), Some(&sequence[..]), "{text}");
        }
        for text in ["%", "%2", "%zz", "Pg=E", "P", "Pg\u{e9}", "-_-_PgE"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
