//! Refusals as problem details (RFC 9457), with the texts and exit codes of the command line.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use countersign_enroll::transport::response::no_store;
use serde::Serialize;
use utoipa::ToSchema;

use crate::exit::Failure;

/// The media type of problem details.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// The number of seconds after which a client is to ask again, if the server is busy.
const RETRY_AFTER_SECONDS: &str = "2";

/// Why a request was not carried out.
#[derive(Debug)]
pub struct Problem {
    /// The status of the answer.
    pub status: StatusCode,
    /// The exit code of the command line for the same failure.
    code: u8,
    /// The message.
    detail: String,
    /// The methods of the path, for the status 405.
    allowed: Option<String>,
}

/// Problem details (RFC 9457). The type is `about:blank`: the status says all of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct Details {
    /// The type of the problem, a URI.
    #[schema(example = "about:blank")]
    pub r#type: &'static str,
    /// The reason phrase of the status.
    pub title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// The message: what was expected, what was found, and what to do.
    pub detail: String,
    /// The exit code of the command line for the same failure.
    #[schema(minimum = 1, maximum = 7)]
    pub exit_code: u8,
}

impl Problem {
    /// A problem with this status and message.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let code = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => 4,
            StatusCode::NOT_FOUND | StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => 3,
            status if status.is_server_error() => 5,
            _ => 2,
        };
        Self { status, code, detail: detail.into(), allowed: None }
    }

    /// The body or the query of a request cannot be read.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// The problem of a path that the API does not have.
    pub fn no_path(path: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            format!("there is no `{}`; /api/openapi.json lists the paths", path.escape_debug()),
        )
    }

    /// The path has only these methods.
    pub fn no_method(allowed: String) -> Self {
        let detail = format!("expected one of the methods {allowed}");
        Self { allowed: Some(allowed), ..Self::new(StatusCode::METHOD_NOT_ALLOWED, detail) }
    }

    /// The failure of a command. Exit code 3 says that there is no such thing, or that there is one already; `conflict` is the status for it.
    pub fn of_failure(failure: Failure, conflict: StatusCode) -> Self {
        let status = match failure.code {
            2 => StatusCode::BAD_REQUEST,
            3 => conflict,
            4 => StatusCode::FORBIDDEN,
            5 => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self { status, code: failure.code, detail: failure.message, allowed: None }
    }

    /// The answer to the client.
    pub fn response(self) -> HttpResponse {
        let mut response = no_store(self.status);
        response.content_type(MEDIA_TYPE);
        match self.status {
            StatusCode::UNAUTHORIZED => {
                response.insert_header((WWW_AUTHENTICATE, "Bearer realm=\"countersign\""));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                response.insert_header((RETRY_AFTER, RETRY_AFTER_SECONDS));
            }
            _ => {}
        }
        if let Some(allowed) = &self.allowed {
            response.insert_header((ALLOW, allowed.as_str()));
        }
        response.body(self.body())
    }

    /// The body of the answer.
    pub fn body(&self) -> String {
        let details = Details {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or_default(),
            status: self.status.as_u16(),
            detail: self.detail.clone(),
            exit_code: self.code,
        };
        serde_json::to_string(&details).unwrap_or_default()
    }
}
