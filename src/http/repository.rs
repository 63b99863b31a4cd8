//! The repository over HTTP (RFC 2585): CRLs and CA certificates, at the URLs of cRLDistributionPoints and authorityInfoAccess (RFC 5280
//! §4.2.1.13, §4.2.2.1).

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, ETAG, EXPIRES, EntityTag, LAST_MODIFIED};
use actix_web::{HttpRequest, HttpResponse, web};
use countersign_ca::authority::CurrentCrl;
use countersign_ca::record::{CrlScope, Label};

use super::response::{http_date, is_cached_by_client, plain};
use super::state::ServerState;

/// The longest max-age for caches, in seconds. Without it, a revocation would be unseen until nextUpdate.
const MAX_AGE: u64 = 300;

/// Adds the routes of the repository.
pub fn configure(routes: &mut web::ServiceConfig) {
    routes
        .route("/crl/{file}", web::get().to(full_crl))
        .route("/crl/{ca}/{file}", web::get().to(partial_crl))
        .route("/ca/{file}", web::get().to(ca_certificate));
}

async fn full_crl(
    file: web::Path<String>,
    request: HttpRequest,
    state: web::Data<ServerState>,
) -> HttpResponse {
    match named(&file, ".crl") {
        Some(ca) => crl(ca, CrlScope::Full, request, state).await,
        None => plain(StatusCode::NOT_FOUND, "expected /crl/<ca>.crl\n"),
    }
}

async fn partial_crl(
    path: web::Path<(Label, String)>,
    request: HttpRequest,
    state: web::Data<ServerState>,
) -> HttpResponse {
    let (ca, file) = path.into_inner();
    let scope = match file.strip_suffix(".crl") {
        Some("delta") => Some(CrlScope::Delta),
        // A partition has one URL: `01.crl` is not `1.crl`.
        Some(number) => number
            .parse()
            .ok()
            .filter(|parsed: &u16| parsed.to_string() == number)
            .map(CrlScope::Partition),
        None => None,
    };
    match scope {
        Some(scope) => crl(ca, scope, request, state).await,
        None => {
            plain(StatusCode::NOT_FOUND, "expected /crl/<ca>/delta.crl or /crl/<ca>/<number>.crl\n")
        }
    }
}

/// Answers with the CRL of a CA and scope; 304 if the client's cache has it (RFC 9110 §13.1.2), 404 if there is no such CRL.
pub async fn crl(
    ca: Label,
    scope: CrlScope,
    request: HttpRequest,
    state: web::Data<ServerState>,
) -> HttpResponse {
    let found = web::block(move || Ok((state.authority.crl(&ca, scope)?, state.authority.now())));
    match found.await {
        Ok(Ok((Some(crl), now))) => {
            let CurrentCrl { record, der } = &*crl;
            let tag = EntityTag::new_strong(data_encoding::HEXLOWER.encode(&record.tbs_sha256));
            let known = is_cached_by_client(&request, &tag);
            let mut answer = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
            let left = record.next_update.since(now).as_secs();
            answer
                .insert_header((ETAG, tag.to_string()))
                .insert_header((LAST_MODIFIED, http_date(record.this_update)))
                .insert_header((EXPIRES, http_date(record.next_update)))
                // RFC 5861 §4: a cache that cannot reach this server may answer with the CRL until nextUpdate.
                .insert_header((
                    CACHE_CONTROL,
                    format!("public, max-age={}, stale-if-error={left}", left.min(MAX_AGE)),
                ));
            if known {
                return answer.finish();
            }
            answer.content_type("application/pkix-crl").body(der.clone())
        }
        Ok(Ok((None, _))) => plain(StatusCode::NOT_FOUND, "there is no such CRL\n"),
        Ok(Err(countersign_ca::Error::Denied { .. })) => {
            plain(StatusCode::NOT_FOUND, "there is no such CA\n")
        }
        Ok(Err(e)) => {
            tracing::error!("a CRL cannot be read: {e}");
            plain(StatusCode::INTERNAL_SERVER_ERROR, "the CRL cannot be read\n")
        }
        Err(_) => plain(StatusCode::SERVICE_UNAVAILABLE, "busy\n"),
    }
}

/// `GET /ca/<ca>.cer` (RFC 2585 §4.1).
async fn ca_certificate(file: web::Path<String>, state: web::Data<ServerState>) -> HttpResponse {
    let name = named(&file, ".cer");
    match name.and_then(|name| {
        state.authority.cas().find(|ca| ca.name == name).map(|ca| ca.certificate.clone())
    }) {
        Some(certificate) => {
            HttpResponse::Ok().content_type("application/pkix-cert").body(certificate)
        }
        None => plain(StatusCode::NOT_FOUND, "there is no such CA; expected /ca/<ca>.cer\n"),
    }
}

fn named(file: &str, suffix: &str) -> Option<Label> {
    file.strip_suffix(suffix)?.parse().ok()
}
