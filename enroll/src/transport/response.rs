//! Answers in HTTP's own terms: a status with a text for people, before or in place of an answer of the protocol.

use std::any::Any;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::ConnectionType;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use actix_web::{HttpMessage, HttpResponse, HttpResponseBuilder, web};

/// The text of an answer with the status 503.
pub(crate) const BUSY: &str = "busy; try again";

/// The number of seconds after which a client is asked to send its request again (Retry-After).
pub(crate) const RETRY_AFTER_SECONDS: &str = "2";

/// The media type of texts.
const TEXT: &str = "text/plain; charset=utf-8";

/// An answer with this status that no cache may store.
pub fn no_store(status: StatusCode) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response.insert_header((CACHE_CONTROL, "no-store"));
    response
}

/// Completes an answer with a line of text.
pub fn text(mut response: HttpResponseBuilder, line: &str) -> HttpResponse {
    response.content_type(TEXT).body(format!("{line}\n"))
}

/// Completes an answer that asks the client to send its request again in two seconds, because too many requests are worked on. The status
/// becomes 503.
pub fn busy(mut response: HttpResponseBuilder) -> HttpResponse {
    response
        .status(StatusCode::SERVICE_UNAVAILABLE)
        .insert_header((RETRY_AFTER, RETRY_AFTER_SECONDS))
        .body(format!("{BUSY}\n"))
}

/// Whether the Content-Type of a request is this media type, in any letter case and with any parameters (RFC 9110 §8.3.1).
pub fn has_media_type(request: &impl HttpMessage, expected: &str) -> bool {
    let value = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.is_some_and(|value| is_media_type(value, expected))
}

/// Whether a value of Content-Type is this media type, in any letter case and with any parameters (RFC 9110 §8.3.1).
pub fn is_media_type(value: &str, expected: &str) -> bool {
    let essence = value.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case(expected)
}

/// Refuses every method but POST, with the status 405, and closes the connection.
pub(crate) fn only_post(line: &str, payload: web::Payload) -> HttpResponse {
    let mut refusal = no_store(StatusCode::METHOD_NOT_ALLOWED);
    refusal.insert_header((ALLOW, "POST"));
    closing(refusal, line, payload)
}

/// Completes an answer with a line of text, after which the connection is closed. `rest` is the unread rest of the request.
pub(crate) fn closing(
    mut response: HttpResponseBuilder,
    line: &str,
    rest: impl Any,
) -> HttpResponse {
    let line = Some(web::Bytes::from(format!("{line}\n")));
    let body = ClosingBody { line, _rest: Box::new(rest) };
    response.content_type(TEXT).force_close().body(body)
}

/// Has the connection closed after a refusal that has its body already. `rest` is the unread rest of the request.
pub fn closing_with(response: HttpResponse, rest: impl Any) -> HttpResponse {
    let (mut head, body) = response.into_parts();
    head.head_mut().set_connection_type(ConnectionType::Close);
    let line = body.try_into_bytes().ok();
    head.set_body(ClosingBody { line, _rest: Box::new(rest) }).map_into_boxed_body()
}

/// The text of a refusal, which keeps the unread rest of the request's body alive until the text is sent.
///
/// If that rest were dropped first, actix would read a chunked body to its end before it closes the connection, and a peer that never
/// ends its body would hold the connection for ever.
struct ClosingBody {
    line: Option<web::Bytes>,
    _rest: Box<dyn Any>,
}

impl MessageBody for ClosingBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.line.as_ref().map_or(0, |line| line.len() as u64))
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<web::Bytes, Infallible>>> {
        Poll::Ready(self.line.take().map(Ok))
    }
}
