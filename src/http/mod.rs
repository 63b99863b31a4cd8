//! The answers over HTTP besides CMP: the repository, look-ups, OCSP, and the pages for operators.

pub mod front;
pub mod health;
pub mod metrics;
pub mod ocsp;
pub mod repository;
mod response;
pub mod search;
pub mod state;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};

use response::plain;

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
