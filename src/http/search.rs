//! Look-up over HTTP: the certificate store of RFC 4387 at `/certificates/search.cgi` and `/crls/search.cgi`, and IKEv2's
//! hash-and-URL at `/hash/<sha1>` (RFC 7296 §3.6).

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, EntityTag};
use actix_web::{HttpRequest, HttpResponse, web};
use countersign_ca::Authority;
use countersign_ca::certificate::Facts;
use countersign_ca::record::{CertificateRecord, CrlScope, Label};
use countersign_ca::search::{SearchKey, Sha1, sha1};
use der::Encode;

use super::repository;
use super::response::{is_cached_by_client, plain};
use super::state::ServerState;

/// The most certificates of one answer.
const MAX_FOUND: usize = 32;

/// The longest name that is looked for, in bytes.
const MAX_VALUE: usize = 255;

const ATTRIBUTES: &str = "expected one of certHash, uri, email, iHash, iAndSHash, name, sHash, sKIDHash (RFC 4387 §2.2)\n";

/// Adds the routes.
pub fn configure(routes: &mut web::ServiceConfig) {
    routes
        .route("/certificates/search.cgi", web::get().to(certificates))
        .route("/crls/search.cgi", web::get().to(crls))
        .route("/hash/{sha1}", web::get().to(by_hash));
}

/// What a query asks for.
enum Wanted {
    Key(SearchKey),
    /// SHA-1 over an issuer's name, DER.
    Issuer(Sha1),
}

/// Certificates, newest first: one as `application/pkix-cert`, more as `multipart/mixed`. `iHash` gives certificates of
/// CAs only, since those of peers would be all that a CA issued.
async fn certificates(request: HttpRequest, state: web::Data<ServerState>) -> HttpResponse {
    let wanted = match wanted(request.query_string()) {
        Ok(wanted) => wanted,
        Err(why) => return plain(StatusCode::BAD_REQUEST, why),
    };
    let found = web::block(move || matching(&state.authority, &wanted)).await;
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

/// The full CRL of the CA that `iHash`, `sHash` or `sKIDHash` names: a CA issues its own CRL, so that all three name the CA. Of
/// several CAs of one name, the CRLs of all, as `multipart/mixed`.
async fn crls(request: HttpRequest, state: web::Data<ServerState>) -> HttpResponse {
    let names = match wanted(request.query_string()) {
        Ok(Wanted::Issuer(hash)) => cas_with(&state.authority, &SearchKey::Subject(hash)),
        Ok(Wanted::Key(key @ (SearchKey::Subject(_) | SearchKey::KeyIdentifier(_)))) => {
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

/// The CRLs of CAs of one name: two keys of a CA that was rolled when both still had one.
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

/// `GET /hash/<40 hexadecimal digits>`: the certificate whose SHA-1 an IKEv2 peer was told.
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
    let key = Wanted::Key(SearchKey::Certificate(hash));
    match web::block(move || matching(&state.authority, &key)).await {
        Ok(Ok(mut found)) if !found.is_empty() => {
            // What has this hash never changes.
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

fn matching(authority: &Authority, wanted: &Wanted) -> countersign_ca::Result<Vec<Vec<u8>>> {
    let mut found: Vec<Vec<u8>> = authority
        .cas()
        .filter(|ca| match wanted {
            Wanted::Key(key) => SearchKey::of(&ca.certificate).contains(key),
            Wanted::Issuer(hash) => issuer_hash(&ca.certificate) == Some(*hash),
        })
        .map(|ca| ca.certificate.clone())
        .collect();
    if let Wanted::Key(key) = wanted {
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

/// Reads a query of one attribute and its value.
fn wanted(query: &str) -> Result<Wanted, String> {
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
        "certHash" => Wanted::Key(SearchKey::Certificate(hash(value)?)),
        "sHash" => Wanted::Key(SearchKey::Subject(hash(value)?)),
        "iAndSHash" => Wanted::Key(SearchKey::IssuerAndSerial(hash(value)?)),
        "sKIDHash" => Wanted::Key(SearchKey::KeyIdentifier(hash(value)?)),
        "iHash" => Wanted::Issuer(hash(value)?),
        "name" => Wanted::Key(SearchKey::Name(value.clone())),
        "uri" | "email" => Wanted::Key(SearchKey::Uri(value.clone())),
        other => return Err(format!("found `{}`; {ATTRIBUTES}", other.escape_debug())),
    })
}

/// A SHA-1 hash in base64, with or without padding. A `+` that a client did not escape has become a space.
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

/// RFC 2046 §5.1.3. The boundary is the hash of what it divides, so that it does not stand inside.
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
