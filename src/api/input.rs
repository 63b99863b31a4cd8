//! The parts of a request: parameters of the path, query and body.

use std::collections::BTreeMap;

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HOST, HeaderMap, IF_MATCH, ORIGIN};
use actix_web::http::{Method, Uri};
use actix_web::web;
use countersign_ca::record::Label;
use countersign_enroll::transport::response::is_media_type;
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// The header by which a browser says where a request comes from (Fetch Metadata).
const FETCH_SITE: &str = "sec-fetch-site";

/// A request with its whole body. It can be judged on another thread.
pub struct Input {
    head: String,
    query: String,
    parameters: BTreeMap<String, String>,
    content_type: Option<String>,
    if_match: Option<Result<String, Problem>>,
    /// The value of `Idempotency-Key`.
    pub key: Option<String>,
    body: web::Bytes,
}

impl Input {
    /// The parts of a request.
    pub fn new(request: &HttpRequest, body: web::Bytes) -> Self {
        let headers = request.headers();
        let parameters = request.match_info().iter();
        let text = |name: &str| text_of(headers, name).map(str::to_owned);
        Self {
            head: format!("{} {}\n", request.method(), request.uri()),
            query: request.query_string().to_owned(),
            parameters: parameters
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            content_type: text(CONTENT_TYPE.as_str()),
            if_match: headers.get(IF_MATCH).map(|value| tag(value.to_str().ok())),
            key: text("idempotency-key"),
            body,
        }
    }

    /// A parameter of the path.
    pub fn text(&self, name: &str) -> String {
        self.parameters.get(name).cloned().unwrap_or_default()
    }

    /// A parameter of the path that is the name of something. A text that cannot be a name names nothing that exists.
    pub fn label(&self, name: &str) -> Result<Label, Problem> {
        self.text(name)
            .parse()
            .map_err(|e: countersign_ca::Error| Problem::new(StatusCode::NOT_FOUND, e.to_string()))
    }

    /// The query. An unknown parameter in it is an error.
    pub fn query<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        web::Query::<T>::from_query(&self.query)
            .map(web::Query::into_inner)
            .map_err(|e| Problem::malformed(format!("the query cannot be read: {e}")))
    }

    /// Refuses a query where none is expected.
    pub fn no_query(&self) -> Result<(), Problem> {
        match self.query.is_empty() {
            true => Ok(()),
            false => Err(Problem::malformed("expected no query")),
        }
    }

    /// The body, as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let media_type = self.content_type.as_deref();
        if !media_type.is_some_and(|value| is_media_type(value, "application/json")) {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "expected a body with `Content-Type: application/json`",
            ));
        }
        serde_json::from_slice(&self.body)
            .map_err(|e| Problem::malformed(format!("the body cannot be read: {e}")))
    }

    /// The version of the object that a change is based on (`If-Match`); `None` for any.
    pub fn if_match(&self) -> Result<Option<String>, Problem> {
        match &self.if_match {
            None => Ok(None),
            Some(Ok(tag)) if tag == "*" => Ok(None),
            Some(Ok(tag)) => Ok(Some(tag.clone())),
            Some(Err(_)) => Err(no_tag()),
        }
    }

    /// The octets of method, path, query and body. A request and its repetition have the same.
    pub fn identity(&self) -> Vec<u8> {
        [self.head.as_bytes(), &self.body].concat()
    }
}

/// The entity tag in a header: `*`, or one strong tag (RFC 9110 §8.8.3).
fn tag(header: Option<&str>) -> Result<String, Problem> {
    let header = header.ok_or_else(no_tag)?.trim();
    if header == "*" {
        return Ok(header.to_owned());
    }
    let tag = header.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    match tag {
        Some(tag) if !tag.contains('"') => Ok(tag.to_owned()),
        _ => Err(no_tag()),
    }
}

fn no_tag() -> Problem {
    Problem::malformed("expected `If-Match` with the ETag of an answer, in quotes, or `*`")
}

/// From where a browser may ask for changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Site {
    /// From a page of this server, and a program from anywhere.
    Any,
    /// From a page of this server alone: the browser, or a program in its place, must say so.
    Own,
}

/// Refuses a change that a page of another site makes a browser ask for. A browser presents a client certificate whoever asks (RFC 6749
/// knows the fault as cross-site request forgery, §10.12); programs send neither header. A session must send one.
///
/// # Errors
/// 403, if a browser says that the request comes from elsewhere.
pub fn refuse_foreign_site(request: &HttpRequest, from: Site) -> Result<(), Problem> {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let headers = request.headers();
    let is_own = match (text_of(headers, FETCH_SITE), text_of(headers, ORIGIN.as_str())) {
        (Some(site), _) => site == "same-origin" || (site == "none" && from == Site::Any),
        (None, Some(origin)) => {
            let host = text_of(headers, HOST.as_str());
            let origin = origin.parse::<Uri>().ok();
            let authority = origin.as_ref().and_then(Uri::authority).map(|at| at.as_str());
            authority.is_some() && authority == host
        }
        (None, None) if from == Site::Own => {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "a session may ask for changes only with `Sec-Fetch-Site: same-origin`, or this server as the `Origin`",
            ));
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
