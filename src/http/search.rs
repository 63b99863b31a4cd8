//! Look-up over HTTP: the certificate store of RFC 4387 at `/certificates/search.cgi` and `/crls/search.cgi`, and the certificates of
//! IKEv2's "hash and URL" at `/hash/<sha1>` (RFC 7296 §3.6).

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, EntityTag};
use actix_web::{HttpRequest, HttpResponse, web};
use countersign_ca::Authority;
use countersign_ca::record::search::{SearchKey, Sha1, sha1};
use countersign_ca::record::{CertificateRecord, CrlScope, Label};
use countersign_ca::x509::Facts;
use der::Encode;

use super::repository;
use super::response::{is_cached_by_client, plain};
use super::state::ServerState;

/// The most certificates of one answer.
const MAX_FOUND: usize = 32;

/// The longest value of a query, in bytes.
const MAX_VALUE: usize = 255;

const ATTRIBUTES: &str = "expected one of certHash, uri, email, iHash, iAndSHash, name, sHash, sKIDHash (RFC 4387 §2.2)\n";

/// Adds the routes of the look-ups.
pub fn configure(routes: &mut web::ServiceConfig) {
    routes
        .route("/certificates/search.cgi", web::get().to(certificates))
        .route("/crls/search.cgi", web::get().to(crls))
        .route("/hash/{sha1}", web::get().to(by_hash));
}

/// The certificates that a query asks for.
enum Query {
    /// Certificates that have this search key: a hash, a name or an address.
    Key(SearchKey),
    /// Certificates of CAs whose issuer's name, DER, has this SHA-1.
    Issuer(Sha1),
}

/// The certificates of a query, those of CAs first, then the others, newest first: one as `application/pkix-cert`, several as
/// `multipart/mixed`. `iHash` gives certificates of CAs only: with those of peers, the answer would be everything that the CA issued.
async fn certificates(request: HttpRequest, state: web::Data<ServerState>) -> HttpResponse {
    let query = match parse(request.query_string()) {
        Ok(query) => query,
        Err(why) => return plain(StatusCode::BAD_REQUEST, why),
    };
    let found = web::block(move || matching(&state.authority, &query)).await;
    match found {
        Ok(Ok(mut found)) => match found.len() {
            0 => plain(StatusCode::NOT_FOUND, "there is no such certificate\n"),
            1 => certificate(found.remove(0)),
            _ => multipart(&found, "application/pkix-cert"),
        },
        Ok(Err(e)) => {
            tracing::error!("certificates cannot be looked up: {e}");
            plain(StatusCode::INTERNAL_SERVER_ERROR, "certificates cannot be looked up\n")
        }
        Err(_) => plain(StatusCode::SERVICE_UNAVAILABLE, "busy\n"),
    }
}

/// The full CRL of the CA that `iHash`, `sHash` or `sKIDHash` names. All three name the CA, because a CA issues its own CRL. If several CAs
/// have one name, the CRLs of all, as `multipart/mixed`.
async fn crls(request: HttpRequest, state: web::Data<ServerState>) -> HttpResponse {
    let names = match parse(request.query_string()) {
        Ok(Query::Issuer(hash)) => cas_with(&state.authority, &SearchKey::Subject(hash)),
        Ok(Query::Key(key @ (SearchKey::Subject(_) | SearchKey::KeyIdentifier(_)))) => {
            cas_with(&state.authority, &key)
        }
        Ok(_) => {
            return plain(
                StatusCode::BAD_REQUEST,
                "a CRL is found by iHash, sHash or sKIDHash (RFC 4387 §2.2)\n",
            );
        }
        Err(why) => return plain(StatusCode::BAD_REQUEST, why),
    };
    match names.as_slice() {
        [] => plain(StatusCode::NOT_FOUND, "there is no such CA\n"),
        [name] => repository::crl(name.clone(), CrlScope::Full, request, state).await,
        _ => crls_of(names, state).await,
    }
}

/// The CRLs of CAs that share a name. A CA that was rolled by an earlier version has two keys under one name.
async fn crls_of(names: Vec<Label>, state: web::Data<ServerState>) -> HttpResponse {
    let found = web::block(move || -> countersign_ca::Result<Vec<Vec<u8>>> {
        let mut all = Vec::new();
        for name in names.iter().take(MAX_FOUND) {
            all.extend(state.authority.crl(name, CrlScope::Full)?.map(|crl| crl.der.to_vec()));
        }
        Ok(all)
    });
    match found.await {
        Ok(Ok(found)) if found.is_empty() => plain(StatusCode::NOT_FOUND, "there is no such CRL\n"),
        Ok(Ok(found)) => multipart(&found, "application/pkix-crl"),
        Ok(Err(e)) => {
            tracing::error!("CRLs cannot be read: {e}");
            plain(StatusCode::INTERNAL_SERVER_ERROR, "the CRLs cannot be read\n")
        }
        Err(_) => plain(StatusCode::SERVICE_UNAVAILABLE, "busy\n"),
    }
}

/// `GET /hash/<40 hexadecimal digits>`: the certificate with this SHA-1. An IKEv2 peer received the hash and this URL instead of the
/// certificate.
async fn by_hash(
    hash: web::Path<String>,
    request: HttpRequest,
    state: web::Data<ServerState>,
) -> HttpResponse {
    let parsed = data_encoding::HEXLOWER_PERMISSIVE.decode(hash.as_bytes()).ok();
    let Some(hash) = parsed.and_then(|octets| Sha1::try_from(octets).ok()) else {
        return plain(
            StatusCode::BAD_REQUEST,
            "expected /hash/<SHA-1 of a certificate, 40 hexadecimal digits>\n",
        );
    };
    let tag = EntityTag::new_strong(data_encoding::HEXLOWER.encode(&hash));
    let key = Query::Key(SearchKey::Certificate(hash));
    match web::block(move || matching(&state.authority, &key)).await {
        Ok(Ok(mut found)) if !found.is_empty() => {
            // The answer for a hash never changes.
            let mut answer = match is_cached_by_client(&request, &tag) {
                true => HttpResponse::NotModified().finish(),
                false => certificate(found.remove(0)),
            };
            let headers = answer.headers_mut();
            if let (Ok(tag), Ok(control)) =
                (tag.to_string().parse(), "public, max-age=86400, immutable".parse())
            {
                headers.insert(ETAG, tag);
                headers.insert(CACHE_CONTROL, control);
            }
            answer
        }
        Ok(Ok(_)) => plain(StatusCode::NOT_FOUND, "there is no such certificate\n"),
        Ok(Err(e)) => {
            tracing::error!("a certificate cannot be looked up: {e}");
            plain(StatusCode::INTERNAL_SERVER_ERROR, "the certificate cannot be looked up\n")
        }
        Err(_) => plain(StatusCode::SERVICE_UNAVAILABLE, "busy\n"),
    }
}

fn matching(authority: &Authority, query: &Query) -> countersign_ca::Result<Vec<Vec<u8>>> {
    let mut found: Vec<Vec<u8>> = authority
        .cas()
        .filter(|ca| match query {
            Query::Key(key) => SearchKey::of(&ca.certificate).contains(key),
            Query::Issuer(hash) => issuer_hash(&ca.certificate) == Some(*hash),
        })
        .map(|ca| ca.certificate.clone())
        .collect();
    if let Query::Key(key) = query {
        let records = authority.store().find(key, MAX_FOUND, &CertificateRecord::is_public)?;
        found.extend(records.into_iter().map(|record| record.certificate));
    }
    found.truncate(MAX_FOUND);
    Ok(found)
}

fn issuer_hash(certificate: &[u8]) -> Option<Sha1> {
    Some(sha1(&Facts::of(certificate).ok()?.issuer.to_der().ok()?))
}

fn cas_with(authority: &Authority, key: &SearchKey) -> Vec<Label> {
    let named = authority.cas().filter(|ca| SearchKey::of(&ca.certificate).contains(key));
    named.map(|ca| ca.name.clone()).collect()
}

/// Parses a query, which has one attribute with its value (RFC 4387 §2).
fn parse(query: &str) -> Result<Query, String> {
    let pairs = web::Query::<Vec<(String, String)>>::from_query(query)
        .map_err(|_| ATTRIBUTES.to_owned())?
        .into_inner();
    let [(attribute, value)] = pairs.as_slice() else {
        return Err(format!("found {} attributes; {ATTRIBUTES}", pairs.len()));
    };
    if value.len() > MAX_VALUE || value.is_empty() {
        return Err(format!("expected a value of 1 to {MAX_VALUE} bytes\n"));
    }
    Ok(match attribute.as_str() {
        "certHash" => Query::Key(SearchKey::Certificate(hash(value)?)),
        "sHash" => Query::Key(SearchKey::Subject(hash(value)?)),
        "iAndSHash" => Query::Key(SearchKey::IssuerAndSerial(hash(value)?)),
        "sKIDHash" => Query::Key(SearchKey::KeyIdentifier(hash(value)?)),
        "iHash" => Query::Issuer(hash(value)?),
        "name" => Query::Key(SearchKey::Name(value.clone())),
        "uri" | "email" => Query::Key(SearchKey::Uri(value.clone())),
        other => return Err(format!("found `{}`; {ATTRIBUTES}", other.escape_debug())),
    })
}

/// A SHA-1 hash in base64, with or without padding. A `+` that a client did not escape arrives as a space, and is read as `+`.
fn hash(value: &str) -> Result<Sha1, String> {
    let value = value.replace(' ', "+");
    let octets = data_encoding::BASE64_NOPAD.decode(value.trim_end_matches('=').as_bytes());
    octets.ok().and_then(|octets| octets.try_into().ok()).ok_or_else(|| {
        "expected a SHA-1 hash in base64, 27 characters, with `+` as `%2B` (RFC 4387 §2.1)\n".into()
    })
}

fn certificate(der: Vec<u8>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/pkix-cert").body(der)
}

/// A `multipart/mixed` response (RFC 2046 §5.1.3). The boundary is the hash of the parts, so that no part contains it.
fn multipart(parts: &[Vec<u8>], kind: &str) -> HttpResponse {
    let boundary = data_encoding::HEXLOWER.encode(&sha1(&parts.concat()));
    let mut body = Vec::new();
    for der in parts {
        body.extend_from_slice(format!("--{boundary}\r\nContent-Type: {kind}\r\n\r\n").as_bytes());
        body.extend_from_slice(der);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, format!("multipart/mixed; boundary={boundary}")))
        .body(body)
}
