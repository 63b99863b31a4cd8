//! The parts of a request: parameters of the path, query and body.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HOST, HeaderMap, ORIGIN};
use actix_web::http::{Method, Uri};
use actix_web::web;
use countersign_ca::record::Label;
use countersign_enroll::transport::response::is_media_type;
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// The header by which a browser tells where a request comes from (Fetch Metadata).
const FETCH_SITE: &str = "sec-fetch-site";

/// A request, authenticated, with its whole body.
pub struct Input<'a> {
    request: &'a HttpRequest,
    body: web::Bytes,
}

impl<'a> Input<'a> {
    /// The parts of a request.
    pub const fn new(request: &'a HttpRequest, body: web::Bytes) -> Self {
        Self { request, body }
    }

    /// A parameter of the path.
    pub fn text(&self, name: &str) -> String {
        self.request.match_info().query(name).to_owned()
    }

    /// A parameter of the path that is the name of something. A text that cannot be a name names nothing that exists.
    pub fn label(&self, name: &str) -> Result<Label, Problem> {
        self.text(name)
            .parse()
            .map_err(|e: countersign_ca::Error| Problem::new(StatusCode::NOT_FOUND, e.to_string()))
    }

    /// The query, in which nothing else may be.
    pub fn query<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        web::Query::<T>::from_query(self.request.query_string())
            .map(web::Query::into_inner)
            .map_err(|e| Problem::malformed(format!("the query cannot be read: {e}")))
    }

    /// Refuses a query where none is expected.
    pub fn no_query(&self) -> Result<(), Problem> {
        match self.request.query_string() {
            "" => Ok(()),
            _ => Err(Problem::malformed("expected no query")),
        }
    }

    /// The body, as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let media_type = text_of(self.request.headers(), CONTENT_TYPE.as_str());
        if !media_type.is_some_and(|value| is_media_type(value, "application/json")) {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "expected a body with `Content-Type: application/json`",
            ));
        }
        serde_json::from_slice(&self.body)
            .map_err(|e| Problem::malformed(format!("the body cannot be read: {e}")))
    }

    /// The octets of method, path, query and body: what the same request has in common with its repetition.
    pub fn identity(&self) -> Vec<u8> {
        let head = format!("{} {}\n", self.request.method(), self.request.uri());
        [head.as_bytes(), &self.body].concat()
    }

    /// A header of one line of text.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        text_of(self.request.headers(), name)
    }
}

/// Refuses a change that a page of another site makes a browser ask for. A browser presents a client certificate whoever asks (RFC 6749
/// knows the fault as cross-site request forgery, §10.12); programs send neither header.
///
/// # Errors
/// 403, if a browser says that the request comes from elsewhere.
pub fn refuse_foreign_site(request: &HttpRequest) -> Result<(), Problem> {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let headers = request.headers();
    let is_own = match (text_of(headers, FETCH_SITE), text_of(headers, ORIGIN.as_str())) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => {
            let host = text_of(headers, HOST.as_str());
            let origin = origin.parse::<Uri>().ok();
            let authority = origin.as_ref().and_then(Uri::authority).map(|at| at.as_str());
            authority.is_some() && authority == host
        }
        (None, None) => !headers.contains_key(FETCH_SITE) && !headers.contains_key(ORIGIN),
    };
    match is_own {
        true => Ok(()),
        false => Err(Problem::new(
            StatusCode::FORBIDDEN,
            "a page of another site may not ask for changes",
        )),
    }
}

fn text_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
