//! OCSP over HTTP (RFC 6960 §A.1, RFC 5019 §5 and §6): `POST /ocsp` and `GET /ocsp/<base64>`. An answer that is cached, or that a fast
//! key signs, is made on the event loop; every other answer on a blocking thread.
//!
//! The endpoint stands before actix-web's router, behind the same front (`front/`) as everything else: routing, extractors and middleware
//! took longer than an answer from the cache. A POST of the simplest form is answered even before the HTTP library (`front/direct.rs`).

use std::future::poll_fn;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use actix_http::{Payload, Request, Response};
use actix_service::Service;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_TYPE, ETAG, EXPIRES, EntityTag, HeaderValue, LAST_MODIFIED,
};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpResponse, HttpResponseBuilder, web};
use countersign_ca::Timestamp;
use countersign_enroll::transport::response::{busy, has_media_type, is_media_type, text};
use countersign_ldap_bridge::ocsp::{Answer, Freshness, MAX_REQUEST, OcspService};
use data_encoding::BASE64_NOPAD;
use futures_core::Stream;
use tokio::sync::Semaphore;
use tracing::field::display;

use super::front::{self, Direct, Post};
use super::response::{http_date, is_cached_by_client};

/// The media type of a request (RFC 6960 §A.1, §C.1).
const REQUEST: &str = "application/ocsp-request";
/// The media type of a response (RFC 6960 §A.1, §C.2).
const RESPONSE: &str = "application/ocsp-response";

/// The header fields of a direct answer, as [`uncacheable`] and [`signed`] set them.
const DIRECT_FIELDS: &str =
    "content-type: application/ocsp-response\r\ncache-control: no-cache, no-store\r\n";

/// How long a body may take to arrive. A request has about a hundred octets.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// How many times a body is looked for before a timer is set for it. A body that came together with its head is there at the second look,
/// after the event loop has read it.
const LOOKS: u8 = 3;

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
    /// An endpoint for `service` that works on at most `concurrent` requests at once. A further request is answered "busy".
    pub fn new(service: Arc<OcspService>, concurrent: usize, observer: Observer) -> Self {
        Self { service, permits: Arc::new(Semaphore::new(concurrent)), observer }
    }

    /// Answers a request for a path of OCSP. All other requests are passed to `application`.
    ///
    /// # Errors
    /// The application failed.
    pub fn answer_or<S, B>(
        self: &Rc<Self>,
        request: Request,
        application: &S,
    ) -> impl Future<Output = Result<Response<BoxBody>, S::Error>> + use<S, B>
    where
        S: Service<Request>,
        S::Response: Into<Response<B>>,
        B: MessageBody + 'static,
    {
        let taken = match is_ours(request.path()) {
            true => Ok((Rc::clone(self), request)),
            false => Err(application.call(request)),
        };
        async move {
            match taken {
                Ok((endpoint, request)) => Ok(endpoint.serve(request).await.into()),
                Err(answer) => {
                    let answer: Response<B> = answer.await?.into();
                    Ok(answer.map_into_boxed_body())
                }
            }
        }
    }

    /// Answers a POST on its connection, before the HTTP library sees it, if nothing has to be waited for.
    pub fn direct(&self) -> Direct {
        let endpoint = self.clone();
        Arc::new(move |post: &Post<'_>| {
            let is_ours = matches!(post.target, "/ocsp" | "/ocsp/");
            if !is_ours || !is_media_type(post.content_type, REQUEST) {
                return None;
            }
            // A panic is met again, and answered, behind the HTTP library.
            let answer = endpoint.ready(post.body).ok()??;
            Some(front::Answer { fields: DIRECT_FIELDS, body: answer.der })
        })
    }

    /// The answer that needs no wait, counted. An error if the work panicked, which the process's panic hook has reported.
    fn ready(&self, request: &[u8]) -> std::thread::Result<Option<Answer>> {
        let ready = catch_unwind(AssertUnwindSafe(|| self.service.ready(request)))?;
        if let Some(answer) = &ready {
            (self.observer)(answer);
        }
        Ok(ready)
    }

    /// Answers a request for a path of OCSP.
    async fn serve(&self, request: Request) -> HttpResponse {
        match (request.path(), request.method()) {
            ("/ocsp" | "/ocsp/", &Method::POST) => self.post(request).await,
            ("/ocsp" | "/ocsp/", _) => only_post(),
            (_, &Method::GET) => self.get(request).await,
            _ => only_get(),
        }
    }

    async fn post(&self, mut request: Request) -> HttpResponse {
        if !has_media_type(&request, REQUEST) {
            let why = format!("expected the content type `{REQUEST}`");
            return text(uncacheable(StatusCode::UNSUPPORTED_MEDIA_TYPE), &why);
        }
        let body = match body_in_time(request.take_payload()).await {
            Ok(body) => body,
            Err(refusal) => return *refusal,
        };
        match self.answer(body, request.peer_addr()).await {
            Some(TimedAnswer { answer, .. }) => signed(uncacheable(StatusCode::OK), answer.der),
            None => busy(uncacheable(StatusCode::SERVICE_UNAVAILABLE)),
        }
    }

    async fn get(&self, request: Request) -> HttpResponse {
        // The path is read as it is in the request line. Once decoded, slashes of the base64 could not be told from those of the path.
        let path = request.path();
        if path.len() > MAX_PATH {
            return text(
                uncacheable(StatusCode::URI_TOO_LONG),
                &format!("expected at most {MAX_PATH} octets"),
            );
        }
        // A path that is not base64 is answered like a request that cannot be decoded: `malformedRequest`.
        let body = path.strip_prefix("/ocsp/").and_then(decode).unwrap_or_default();
        match self.answer(body.into(), request.peer_addr()).await {
            Some(TimedAnswer { answer: Answer { der, cacheable: Some(freshness), .. }, at }) => {
                cacheable(&request, der, &freshness, at)
            }
            Some(TimedAnswer { answer, .. }) => signed(uncacheable(StatusCode::OK), answer.der),
            None => busy(uncacheable(StatusCode::SERVICE_UNAVAILABLE)),
        }
    }

    /// The answer to a request, and the time at which it was made. `None` if too many requests are worked on already, or if the work
    /// failed.
    async fn answer(&self, request: web::Bytes, client: Option<SocketAddr>) -> Option<TimedAnswer> {
        // A signature by a fast key takes less than waking a blocking thread and being woken by it.
        if let Some(answer) = self.ready(&request).ok()? {
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

/// Whether a path is one of OCSP: `/ocsp`, or below it.
fn is_ours(path: &str) -> bool {
    path.strip_prefix("/ocsp").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Why a body was not read to its end.
enum Unread {
    CutOff,
    TooLarge,
}

/// Reads a body of at most [`MAX_REQUEST`] octets within [`BODY_TIMEOUT`].
///
/// # Errors
/// The answer that refuses the request, with the status 400, 408 or 413.
async fn body_in_time(payload: Payload) -> Result<web::Bytes, Box<HttpResponse>> {
    let mut reading = pin!(body(payload));
    let mut looks = 0;
    let at_once = poll_fn(|context| {
        looks += 1;
        match reading.as_mut().poll(context) {
            Poll::Ready(body) => Poll::Ready(Some(body)),
            Poll::Pending if looks >= LOOKS => Poll::Ready(None),
            Poll::Pending => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
        }
    });
    let read = match at_once.await {
        Some(read) => Some(read),
        None => tokio::time::timeout(BODY_TIMEOUT, reading).await.ok(),
    };
    let (status, line) = match read {
        Some(Ok(body)) => return Ok(body),
        Some(Err(Unread::CutOff)) => (StatusCode::BAD_REQUEST, "the body was cut off".to_owned()),
        Some(Err(Unread::TooLarge)) => {
            (StatusCode::PAYLOAD_TOO_LARGE, format!("expected at most {MAX_REQUEST} octets"))
        }
        None => (StatusCode::REQUEST_TIMEOUT, "the body took too long to arrive".to_owned()),
    };
    Err(Box::new(text(uncacheable(status), &line)))
}

/// Reads a body of at most [`MAX_REQUEST`] octets. One that arrives in one piece is not copied.
async fn body(mut payload: Payload) -> Result<web::Bytes, Unread> {
    let (mut first, mut all) = (web::Bytes::new(), web::BytesMut::new());
    while let Some(part) = poll_fn(|context| Pin::new(&mut payload).poll_next(context)).await {
        let part = part.map_err(|_| Unread::CutOff)?;
        if first.len().max(all.len()).saturating_add(part.len()) > MAX_REQUEST {
            return Err(Unread::TooLarge);
        }
        if first.is_empty() {
            first = part;
            continue;
        }
        if all.is_empty() {
            all.extend_from_slice(&first);
        }
        all.extend_from_slice(&part);
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

/// Completes an answer with an OCSPResponse.
fn signed(mut answer: HttpResponseBuilder, der: web::Bytes) -> HttpResponse {
    answer.insert_header((CONTENT_TYPE, HeaderValue::from_static(RESPONSE))).body(der)
}

/// A response with the headers of RFC 5019 §6.2; 304 if the client's cache has it.
fn cacheable(
    request: &Request,
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
        false => signed(answer, der),
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

fn only_post() -> HttpResponse {
    uncacheable(StatusCode::METHOD_NOT_ALLOWED)
        .insert_header(("allow", "OPTIONS, POST"))
        .body("OCSP requests are sent by POST here, or by GET behind /ocsp/\n")
}

fn only_get() -> HttpResponse {
    uncacheable(StatusCode::METHOD_NOT_ALLOWED)
        .insert_header(("allow", "GET, HEAD, OPTIONS"))
        .body("OCSP requests are sent by GET here, or by POST to /ocsp\n")
}

fn uncacheable(status: StatusCode) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response.insert_header((CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store")));
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
