//! The parts of responses that several handlers share.

use std::time::{Duration, UNIX_EPOCH};

use actix_web::http::StatusCode;
use actix_web::http::header::{EntityTag, Header, HttpDate, IfNoneMatch};
use actix_web::{HttpMessage, HttpResponse};
use countersign_ca::Timestamp;

/// A response of plain text.
pub fn plain(status: StatusCode, text: impl Into<String>) -> HttpResponse {
    HttpResponse::build(status).content_type("text/plain; charset=utf-8").body(text.into())
}

/// Whether the client's cache already has the representation with this tag (`If-None-Match`, RFC 9110 §13.1.2).
pub fn is_cached_by_client(request: &impl HttpMessage, tag: &EntityTag) -> bool {
    match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|known| known.weak_eq(tag)),
        Err(_) => false,
    }
}

/// A moment as an HTTP-date (RFC 9110 §5.6.7).
pub fn http_date(at: Timestamp) -> String {
    let seconds = u64::try_from(at.seconds()).unwrap_or(0);
    HttpDate::from(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
}
