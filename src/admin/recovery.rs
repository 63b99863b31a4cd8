//! Records certificates and revocations that this instance signed before it was restored from a backup, and that the backup lacks.

use std::collections::BTreeSet;

use countersign_ca::founding::{ImportedCertificate, ImportedCrl, Recovery};
use countersign_ca::record::Label;
use countersign_ca::x509::Facts;
use countersign_ca::{Error, SystemClock};
use data_encoding::BASE64;

use super::answer::{ImportKind, ImportLine};
use super::crls;
use super::recorded::record;
use crate::exit::Failure;
use crate::instance::Instance;

/// An object that was imported.
struct Imported {
    line: ImportLine,
    /// The CA whose CRL must show the imported revocations; `None` if there are no new ones.
    changed: Option<Label>,
}

/// Imports a certificate or a CRL. Both are SEQUENCEs, so that the first octets do not tell them apart: an object that does not decode as
/// a certificate is taken for a CRL.
fn import_one(
    recovery: &Recovery<'_>,
    der: &[u8],
    account: Option<&Label>,
) -> Result<Imported, Error> {
    if Facts::of(der).is_ok() {
        let ImportedCertificate { ca, serial, account, is_new } =
            recovery.certificate(der, account)?;
        let line = ImportLine {
            kind: ImportKind::Certificate,
            ca: Some(ca),
            serial: Some(serial.to_string()),
            account,
            done: if is_new { "recorded" } else { "known already" }.into(),
        };
        return Ok(Imported { line, changed: None });
    }
    let ImportedCrl { ca, revoked, listed, known } = recovery.crl(der)?;
    let is_changed = !revoked.is_empty() || !listed.is_empty();
    let done = format!(
        "{} revoked, {} listed whose certificates are not known here, {known} known already",
        revoked.len(),
        listed.len()
    );
    let changed = is_changed.then(|| ca.clone());
    let line =
        ImportLine { kind: ImportKind::Crl, ca: Some(ca), serial: None, account: None, done };
    Ok(Imported { line, changed })
}

fn refused(why: Error) -> ImportLine {
    let done = Failure::from(why).message;
    ImportLine { kind: ImportKind::Refused, ca: None, serial: None, account: None, done }
}

/// Imports certificates and CRLs, in base64, in this order. An object that cannot be imported is reported, and the others are imported
/// all the same.
pub fn import(
    instance: &Instance,
    actor: &str,
    objects: &[String],
    account: Option<&Label>,
) -> Result<Vec<ImportLine>, Failure> {
    let settings = &instance.config.authority.crl;
    let recovery = Recovery {
        store: instance.store.as_ref(),
        clock: &SystemClock,
        partition_urls: &settings.partition_urls,
        partitions: settings.partitions,
    };
    let (mut lines, mut changed) = (Vec::new(), BTreeSet::new());
    let mut imported = 0_usize;
    for object in objects {
        let der = BASE64.decode(object.as_bytes());
        let der = der.map_err(|e| Failure::input(format!("expected objects in base64: {e}")))?;
        match import_one(&recovery, &der, account) {
            Ok(one) => {
                imported = imported.saturating_add(1);
                changed.extend(one.changed);
                lines.push(one.line);
            }
            Err(why @ (Error::Unavailable(_) | Error::Internal(_))) => return Err(why.into()),
            Err(why) => lines.push(refused(why)),
        }
    }
    let noted = match imported {
        0 => Ok(()),
        _ => record(instance, actor, "cert import", &format!("{imported} of {}", objects.len())),
    };
    // CRLs show what was revoked, even if the journal does not say who imported it.
    for ca in &changed {
        crls::renew(instance, ca)?;
    }
    noted?;
    Ok(lines)
}
