//! Brings back certificates and revocations that were signed here and are not on record, after a restore.

use std::collections::BTreeSet;

use countersign_ca::record::Label;
use countersign_ca::recovery::{ImportedCertificate, ImportedCrl, Recovery};
use countersign_ca::{Error, SystemClock};
use data_encoding::BASE64;
use serde_json::{Value, json};

use super::{deed, renew_crl};
use crate::exit::Failure;
use crate::instance::Instance;

/// The first octets of a certificate or a CRL tell nothing: what is no certificate is taken for a CRL.
fn take(
    recovery: &Recovery<'_>,
    der: &[u8],
    account: Option<&Label>,
) -> Result<(Value, Label, bool), Error> {
    if countersign_ca::certificate::Facts::of(der).is_ok() {
        let ImportedCertificate { ca, serial, account, is_new } =
            recovery.certificate(der, account)?;
        let said = json!({
            "kind": "certificate",
            "ca": ca,
            "serial": serial.to_string(),
            "account": account,
            "done": if is_new { "recorded" } else { "known already" },
        });
        return Ok((said, ca, false));
    }
    let ImportedCrl { ca, revoked, listed, known } = recovery.crl(der)?;
    let changed = !revoked.is_empty() || !listed.is_empty();
    let done = format!(
        "{} revoked, {} listed whose certificates are not known here, {known} known already",
        revoked.len(),
        listed.len()
    );
    let said = json!({ "kind": "crl", "ca": ca, "serial": null, "account": null, "done": done });
    Ok((said, ca, changed))
}

/// Takes certificates and CRLs, in base64, in this order. What cannot be taken is told, and the others are taken all the same.
pub fn import(
    instance: &Instance,
    actor: &str,
    objects: &[String],
    account: Option<&Label>,
) -> Result<Value, Failure> {
    let settings = &instance.config.authority.crl;
    let recovery = Recovery {
        store: instance.store.as_ref(),
        clock: &SystemClock,
        partition_urls: &settings.partition_urls,
        partitions: settings.partitions,
    };
    let (mut said, mut changed) = (Vec::new(), BTreeSet::new());
    let mut taken = 0_usize;
    for object in objects {
        let der = BASE64.decode(object.as_bytes());
        let der = der.map_err(|e| Failure::input(format!("expected objects in base64: {e}")))?;
        match take(&recovery, &der, account) {
            Ok((line, ca, has_changes)) => {
                taken = taken.saturating_add(1);
                changed.extend(Some(ca).filter(|_| has_changes));
                said.push(line);
            }
            Err(why @ (Error::Unavailable(_) | Error::Internal(_))) => return Err(why.into()),
            Err(why) => {
                let failure = Failure::from(why);
                said.push(json!({
                    "kind": "refused", "ca": null, "serial": null, "account": null, "done": failure.message,
                }));
            }
        }
    }
    if taken > 0 {
        deed(instance, actor, "cert import", &format!("{taken} of {}", objects.len()))?;
    }
    for ca in &changed {
        renew_crl(instance, ca)?;
    }
    Ok(Value::Array(said))
}
