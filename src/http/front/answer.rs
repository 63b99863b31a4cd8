//! The service in front of the application, for every request. It lets the requests of a connection begin one after the other, answers OPTIONS, treats HEAD as GET
//! (RFC 9110 §9.3.7 and §9.3.2), and hands an answer's body on in parts.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_http::{HttpMessage, Payload, Request, Response};
use actix_service::Service;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::error::PayloadError;
use actix_web::http::header::{
    ALLOW, CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING, UPGRADE, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::http::{Method, StatusCode};
use actix_web::web::Bytes;
use futures_core::Stream;

use super::framing::Framing;
use super::turn::{Serving, Turn};

/// The largest part of an answer that is copied for the socket at once, in octets.
const PART: usize = 32 << 10;

/// Paths that take only POST, as do all paths that begin with them.
const POSTED: [&str; 2] = ["/.well-known/cmp", "/pkix"];

/// The beginning of the paths of the administration API, which answers OPTIONS itself.
const API: &str = "/api/";

/// The beginning of the paths of EST, before which there may be a label.
const EST: &str = "/.well-known/est/";

/// Serves a request once the answers to the earlier requests of its connection have left.
///
/// # Errors
/// The application failed.
pub async fn in_turn<S, B>(
    mut request: Request,
    application: Rc<S>,
) -> Result<Response<Parts>, S::Error>
where
    S: Service<Request>,
    S::Response: Into<Response<B>>,
    B: MessageBody + 'static,
{
    let turn = request.conn_data::<Rc<Turn>>().map(Rc::clone);
    let serving = match turn {
        Some(turn) => {
            let payload = request.take_payload();
            let body = (!matches!(payload, Payload::None)).then(|| framing(&request));
            let serving = turn.begin(body).await;
            if body.is_some() {
                let payload: Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>> =
                    Box::pin(Watched { payload, turn: Rc::clone(serving.turn()) });
                *request.payload() = Payload::Stream { payload };
            }
            Some(serving)
        }
        None => None,
    };
    let is_answered_here = request.method() == Method::OPTIONS && !request.path().starts_with(API);
    let mut answer = if is_answered_here {
        let mut answer = Response::with_body(StatusCode::NO_CONTENT, BoxBody::new(()));
        let methods = HeaderValue::from_static(allowed(request.path()));
        answer.headers_mut().insert(ALLOW, methods);
        answer
    } else {
        // The application answers HEAD as GET. The encoder of the HTTP library knows that the client sent HEAD, and omits the body.
        if request.method() == Method::HEAD {
            request.head_mut().method = Method::GET;
        }
        let answer: Response<B> = application.call(request).await?.into();
        answer.map_into_boxed_body()
    };
    answer.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(answer.map_body(|_, body| Parts { body, rest: Bytes::new(), _serving: serving }))
}

/// The framing of a request's body. The HTTP library has refused a request with contradictory framing before.
fn framing(request: &Request) -> Framing {
    let values = |name| request.headers().get_all(name).filter_map(|value| value.to_str().ok());
    if values(TRANSFER_ENCODING).any(|value| value.trim().eq_ignore_ascii_case("chunked")) {
        return Framing::CHUNKED;
    }
    if values(UPGRADE).any(|value| value.trim().eq_ignore_ascii_case("websocket")) {
        return Framing::UntilEnd;
    }
    let length = values(CONTENT_LENGTH).find_map(|value| value.trim().parse().ok());
    length.map_or(Framing::UntilEnd, Framing::Length)
}

/// The methods of a path, for `Allow`.
fn allowed(path: &str) -> &'static str {
    if path.contains(EST) {
        match path.rsplit('/').next() {
            Some("cacerts" | "csrattrs") => "GET, HEAD, OPTIONS",
            _ => "OPTIONS, POST",
        }
    } else if POSTED.iter().any(|posted| path.starts_with(posted)) {
        "OPTIONS, POST"
    } else if matches!(path, "/ocsp" | "/ocsp/") {
        "GET, HEAD, OPTIONS, POST"
    } else {
        "GET, HEAD, OPTIONS"
    }
}

/// A request's body that notes in the connection's [`Turn`] that it has arrived whole.
struct Watched {
    payload: Payload,
    turn: Rc<Turn>,
}

impl Stream for Watched {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(Pin::new(&mut self.payload).poll_next(context));
        if next.is_none() {
            self.turn.has_body();
        }
        Poll::Ready(next)
    }
}

/// An answer's body, in parts of at most [`PART`] octets. Dropping it ends the work on its request.
pub struct Parts {
    body: BoxBody,
    rest: Bytes,
    _serving: Option<Serving>,
}

impl MessageBody for Parts {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_next(context)) {
                Some(Ok(more)) => self.rest = more,
                other => return Poll::Ready(other),
            }
        }
        let most = self.rest.len().min(PART);
        Poll::Ready(Some(Ok(self.rest.split_to(most))))
    }
}
