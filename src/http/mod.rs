//! The answers over HTTP besides CMP: the repository, look-ups, OCSP, and the pages for operators.

pub mod front;
pub mod health;
pub mod metrics;
pub mod ocsp;
pub mod repository;
mod response;
pub mod search;
pub mod state;
mod status_metrics;
pub mod tls;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use response::plain;

use crate::logging::REFUSED;

/// Adds every route that needs the [`state::ServerState`]. OCSP has an endpoint of its own.
pub fn configure(routes: &mut web::ServiceConfig) {
    routes
        .route("/", web::get().to(index))
        .route("/healthz", web::get().to(health::healthz))
        .route("/readyz", web::get().to(health::readyz))
        .route("/metrics", web::get().to(metrics::metrics));
    repository::configure(routes);
    search::configure(routes);
}

/// Refuses EST without TLS, on the paths of EST.
pub fn refuse_plain_est(routes: &mut web::ServiceConfig) {
    for path in ["/.well-known/est/{rest:.*}", "/{label}/.well-known/est/{rest:.*}"] {
        routes.route(path, web::to(plain_est));
    }
}

/// Answers a request for EST that came without TLS. Nothing is read from it: it may have a secret, which was sent in clear.
async fn plain_est(request: HttpRequest) -> HttpResponse {
    let client = request.peer_addr().map(|client| client.ip().to_canonical());
    tracing::info!(target: REFUSED, client = client.map(display), "EST without TLS is refused; give the client an `https://` URL");
    plain(
        StatusCode::FORBIDDEN,
        "EST is served over TLS alone: use an `https://` URL with the port of EST\n",
    )
}

/// Answers a request for a path that the EST server does not have.
pub async fn no_such_est_path() -> HttpResponse {
    plain(
        StatusCode::NOT_FOUND,
        "expected /.well-known/est/OPERATION, or /.well-known/est/LABEL/OPERATION with the name of a profile or an issuing CA\n",
    )
}

/// `/`: the paths of the server, for people.
async fn index() -> HttpResponse {
    plain(
        StatusCode::OK,
        "Countersign\n\n\
         POST /.well-known/cmp              CMP (RFC 9811), also /.well-known/cmp/p/<profile or CA> and /pkix/\n\
         GET, POST /scep                    SCEP (RFC 8894) if it is enabled, also /scep/<profile or CA> and /cgi-bin/pkiclient.exe\n\
         GET  /crl/<ca>.crl                 certificate revocation lists\n\
         GET  /crl/<ca>/delta.crl           what changed since the last full one, if deltas are on\n\
         GET  /crl/<ca>/<n>.crl             its partitions, if CRLs are divided\n\
         GET  /ca/<ca>.cer                  certificates of the CAs\n\
         POST /ocsp, GET /ocsp/<base64>     status of certificates (RFC 6960)\n\
         GET  /certificates/search.cgi      certificates by hash, name or address (RFC 4387), also /crls/search.cgi\n\
         GET  /hash/<sha1>                  certificates by SHA-1, for IKEv2 hash and URL\n\
         GET  /healthz /readyz /metrics     for operators\n",
    )
}
