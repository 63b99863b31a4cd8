//! Messages to a webhook, signed after Standard Webhooks (github.com/standard-webhooks/standard-webhooks, specification of 2023): the
//! headers `webhook-id`, `webhook-timestamp` and `webhook-signature`, of which the last is `v1,` and the base64 of the HMAC-SHA-256 of
//! `ID.TIMESTAMP.BODY`.

use std::path::Path;
use std::time::Duration;

use countersign_ca::Timestamp;
use countersign_ca::key::read_private;
use data_encoding::BASE64;
use ring::hmac;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use ureq::Agent;
use ureq::tls::Certificate;
use zeroize::Zeroizing;

use super::files::read;
use super::message::Message;
use crate::config::Webhook;
use crate::https;

/// How long one attempt may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// The shortest and the longest key, in octets.
const KEY: std::ops::RangeInclusive<usize> = 24..=64;
/// What a key begins with, before its base64.
const KEY_PREFIX: &str = "whsec_";

/// Posts a message. Redirects are not followed, because they would carry it to another place.
///
/// # Errors
/// Why it was not taken; without the URL, which may be a secret.
pub fn deliver(
    webhook: &Webhook,
    ca_file: Option<&Path>,
    message: &Message,
    now: Timestamp,
) -> Result<(), String> {
    let body = message.json()?;
    let at = now.seconds().to_string();
    let roots = ca_file.map_or_else(|| Ok(https::system_roots()), roots)?;
    let agent = Agent::from(https::guarded(roots, None, PATIENCE).build());
    let mut call = agent
        .post(webhook.url.as_str())
        .header("Content-Type", "application/json")
        .header("User-Agent", concat!("countersign/", env!("CARGO_PKG_VERSION")))
        .header("webhook-id", &message.id)
        .header("webhook-timestamp", &at);
    if let Some(file) = &webhook.secret_file {
        let key = key(file)?;
        let signed = [message.id.as_bytes(), b".", at.as_bytes(), b".", &body].concat();
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), &signed);
        call = call.header("webhook-signature", format!("v1,{}", BASE64.encode(tag.as_ref())));
    }
    let response = call.send(&body[..]).map_err(|e| e.to_string())?;
    match response.status().as_u16() {
        200..=299 => Ok(()),
        status @ 300..=399 => Err(format!(
            "it answered HTTP {status}, a redirect, which is not followed: set `webhook` to the new place"
        )),
        status => Err(format!("it answered HTTP {status}")),
    }
}

/// The roots in a file.
fn roots(file: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let text = read(file)?;
    CertificateDer::pem_slice_iter(&text)
        .map(|read| read.map(|der| Certificate::from_der(&der).to_owned()))
        .collect::<Result<_, _>>()
        .map_err(|e| format!("`{}`: expected certificates in PEM: {e}", file.display()))
}

/// The key in a file. It is read for each message, because it may have been changed.
fn key(file: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let text = read_private(file, 4096).map_err(|e| e.to_string())?;
    let expected = || {
        format!(
            "expected `whsec_` and the base64 of {} to {} random octets in `{}`; `echo \"whsec_$(head -c 32 /dev/urandom | base64)\"` makes them",
            KEY.start(),
            KEY.end(),
            file.display()
        )
    };
    let encoded = text.trim().strip_prefix(KEY_PREFIX).ok_or_else(expected)?;
    let key = Zeroizing::new(BASE64.decode(encoded.as_bytes()).map_err(|_| expected())?);
    if KEY.contains(&key.len()) { Ok(key) } else { Err(expected()) }
}
