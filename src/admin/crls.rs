//! CRLs, as administrators see and sign them.

use countersign_ca::founding;
use countersign_ca::record::{CrlRecord, Label};
use countersign_ca::{Store, SystemClock};
use data_encoding::{BASE64, HEXLOWER};

use super::answer::{CrlLine, NextCrl};
use super::recorded::record;
use crate::exit::Failure;
use crate::instance::Instance;
use crate::tasks::signing_cas;

/// The last CRL of each CA and scope (full, delta, or a partition).
pub fn list(instance: &Instance) -> Result<Vec<CrlLine>, Failure> {
    let mut lines = Vec::new();
    for ca in instance.store.cas()? {
        let crls = instance.store.crls(&ca.name)?;
        if crls.is_empty() {
            lines.push(missing(ca.name));
        }
        lines.extend(crls.into_iter().map(line));
    }
    Ok(lines)
}

fn missing(ca: Label) -> CrlLine {
    CrlLine {
        ca,
        scope: "full".into(),
        number: None,
        entries: None,
        this_update: None,
        next_update: None,
        tbs_sha256: None,
    }
}

fn line(crl: CrlRecord) -> CrlLine {
    CrlLine {
        ca: crl.ca,
        scope: crl.scope.to_string(),
        number: Some(crl.number),
        entries: Some(crl.entries),
        this_update: Some(crl.this_update.to_string()),
        next_update: Some(crl.next_update.to_string()),
        tbs_sha256: Some(HEXLOWER.encode(&crl.tbs_sha256)),
    }
}

/// Signs a new CRL of this CA, or of every CA whose private key this instance has.
pub fn publish(
    instance: &Instance,
    actor: &str,
    ca: Option<Label>,
) -> Result<Vec<CrlLine>, Failure> {
    let authority = instance.authority()?;
    let cas = ca.map_or_else(|| signing_cas(authority), |ca| vec![ca]);
    for ca in &cas {
        authority.publish_crl(ca)?;
        record(instance, actor, "crl publish", ca)?;
    }
    list(instance)
}

/// The CA that signed a CRL (DER, base64).
///
/// # Errors
/// It is no CRL, or no CA of this instance signed it.
pub fn signer_of(instance: &Instance, crl: &str) -> Result<Label, Failure> {
    Ok(founding::signer_of(instance.store.as_ref(), &decoded(crl)?)?.name)
}

/// Takes the CRL (DER, base64) of a CA whose private key is elsewhere, and publishes it from now on. `ca` is the CA that it must be of, if
/// the caller names one.
pub fn import(
    instance: &Instance,
    actor: &str,
    crl: &str,
    ca: Option<&Label>,
) -> Result<CrlLine, Failure> {
    let der = decoded(crl)?;
    let signer = founding::signer_of(instance.store.as_ref(), &der)?.name;
    if let Some(ca) = ca.filter(|ca| **ca != signer) {
        return Err(Failure {
            code: 4,
            message: format!("expected a CRL of the CA `{ca}`, found one of `{signer}`"),
        });
    }
    let folder = &instance.location.folder;
    let keys = folder.keys();
    let has_key = |ca: &Label| keys.contains(ca.as_str());
    let (store, folder) = (instance.store.as_ref(), folder.crls());
    let taken = founding::take_crl(store, &SystemClock, &folder, &has_key, &der)?;
    record(instance, actor, "crl import", &format!("{signer}, number {}", taken.number))?;
    Ok(line(taken))
}

fn decoded(crl: &str) -> Result<Vec<u8>, Failure> {
    BASE64
        .decode(crl.as_bytes())
        .map_err(|e| Failure::input(format!("expected a CRL in base64: {e}")))
}

/// Has a CRL signed that shows a changed certificate of this CA: at once if the keys can be opened; by the running server within a second
/// or two if its last CRL is too recent; otherwise when the next server starts.
///
/// # Errors
/// The CRL cannot be signed. The message says that the change is recorded all the same.
pub fn renew(instance: &Instance, ca: &Label) -> Result<NextCrl, Failure> {
    sign_next(instance, ca).map_err(|failure| Failure {
        message: format!(
            "the change is recorded, but no CRL of `{ca}` shows it yet: {}. `countersign crl publish --ca {ca}` signs one",
            failure.message
        ),
        ..failure
    })
}

fn sign_next(instance: &Instance, ca: &Label) -> Result<NextCrl, Failure> {
    if !instance.has_keys() {
        return Ok(NextCrl::Later("signed when the server starts: no passphrase is at hand"));
    }
    let authority = instance.authority()?;
    // thisUpdate is unique by the second, so that the next CRL after many changes may be up to a second away. A running server
    // signs it then by itself, and the administrator need not wait.
    if instance.bridge().is_some() && authority.crl_must_wait(ca)? {
        authority.changes().note(ca);
        return Ok(NextCrl::Later(
            "signed within a second or two, with what else is revoked meanwhile",
        ));
    }
    Ok(NextCrl::Signed(authority.publish_crl(ca)?.number))
}
