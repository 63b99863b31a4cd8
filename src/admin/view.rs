//! Records as administrators see them.

use countersign_ca::certificate::{Facts, to_pem};
use countersign_ca::line::issuing_now;
use countersign_ca::record::{Account, CertificateRecord, Reason};
use countersign_ca::store::Status;
use countersign_ca::{Identity, Store, Timestamp};
use serde_json::{Value, json};

use crate::exit::Failure;
use crate::instance::Instance;

/// An account, without anything secret.
pub fn account(account: &Account) -> Value {
    let secret = account.secret.as_ref();
    json!({
        "name": account.name,
        "profile": account.profile,
        "ca": account.ca,
        "ids": account.identities.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "equipment": account.equipment.as_ref().map(ToString::to_string),
        "equipment_uses_left": account.equipment.as_ref().map(|equipment| equipment.uses_left),
        "reference": secret.map(|secret| secret.reference.clone()),
        "uses_left": secret.map(|secret| secret.uses_left),
        "expires": secret.map(|secret| secret.expires.whole_seconds().to_string()),
        "created": account.created.whole_seconds().to_string(),
        "permissions": account.permissions,
    })
}

/// A certificate in one line.
pub fn certificate(record: &CertificateRecord, now: Timestamp) -> Value {
    let subject = Facts::of(&record.certificate)
        .map_or_else(|_| "?".to_owned(), |facts| facts.subject.to_string());
    json!({
        "serial": record.serial.to_string(),
        "status": status_of(record, now),
        "subject": subject,
        "account": record.account,
        "profile": record.profile,
        "ca": record.ca,
        "issued": record.issued.whole_seconds().to_string(),
        "not_after": record.not_after.whole_seconds().to_string(),
    })
}

/// A certificate with everything that is known of it.
pub fn certificate_in_full(
    instance: &Instance,
    record: &CertificateRecord,
) -> Result<Value, Failure> {
    let facts = Facts::of(&record.certificate)?;
    let names: Vec<String> = facts
        .alt_names
        .iter()
        .map(|name| {
            Identity::from_general_name(name).map_or_else(|_| "?".into(), |id| id.to_string())
        })
        .collect();
    // An account that was made later under the same name is another one.
    let holder = match (instance.store.holder(record)?, instance.store.account(&record.account)?) {
        (Some(_), _) => "the account",
        (None, Some(_)) => "an account that had this name before",
        (None, None) => "an account that is gone",
    };
    let mut value = certificate(record, instance.now());
    if let Some(fields) = value.as_object_mut() {
        fields.insert("holder".into(), json!(holder));
        fields.insert("published".into(), json!(!record.unpublished));
        fields.insert("client".into(), json!(record.client));
        fields.insert("not_before".into(), json!(facts.not_before.to_string()));
        fields.insert("alt_names".into(), json!(names));
        fields.insert("key".into(), json!(facts.key.kind().to_string()));
        fields.insert(
            "key_identifier".into(),
            json!(data_encoding::HEXLOWER.encode(&facts.key_identifier)),
        );
        if let Some(revocation) = &record.revocation {
            fields.insert("revoked".into(), json!(revocation.at.whole_seconds().to_string()));
            fields.insert("reason".into(), json!(revocation.reason.name()));
            fields.insert(
                "invalidity".into(),
                json!(revocation.invalidity.map(|date| date.to_string())),
            );
        }
        fields.insert("pem".into(), json!(to_pem("CERTIFICATE", &record.certificate)?));
    }
    Ok(value)
}

/// Every CA.
pub fn cas(instance: &Instance) -> Result<Value, Failure> {
    let keys = instance.place.folder.keys();
    let all = instance.store.cas()?;
    let default = instance.default_ca()?;
    let default = default.and_then(|name| issuing_now(all.iter(), &name)).map(|ca| ca.name.clone());
    let list = all.into_iter().map(|ca| {
        let facts = Facts::of(&ca.certificate)?;
        Ok(json!({
            "name": ca.name,
            "kind": if ca.is_root { "root" } else { "issuing" },
            "subject": facts.subject.to_string(),
            "key": facts.key.kind().to_string(),
            "key_here": keys.contains(ca.name.as_str()),
            "not_after": facts.not_after.to_string(),
            "succeeds": ca.succeeds.as_ref().map(|succession| &succession.predecessor),
            "default": Some(&ca.name) == default.as_ref(),
            "waits": ca.succeeds.as_ref().is_some_and(|succession| succession.waits),
            // Whoever asks may have another working directory than the server.
            "certificate": std::path::absolute(keys.file(&format!("{}.crt", ca.name)))?.display().to_string(),
        }))
    });
    list.collect()
}

/// The last CRL of each CA and scope.
pub fn crls(instance: &Instance) -> Result<Value, Failure> {
    let mut list = Vec::new();
    for ca in instance.store.cas()? {
        let crls = instance.store.crls(&ca.name)?;
        if crls.is_empty() {
            list.push(json!({
                "ca": ca.name,
                "scope": "full",
                "number": null,
                "entries": null,
                "this_update": null,
                "next_update": null,
                "tbs_sha256": null,
            }));
        }
        for crl in crls {
            list.push(json!({
                "ca": crl.ca,
                "scope": crl.scope.to_string(),
                "number": crl.number,
                "entries": crl.entries,
                "this_update": crl.this_update.to_string(),
                "next_update": crl.next_update.to_string(),
                "tbs_sha256": data_encoding::HEXLOWER.encode(&crl.tbs_sha256),
            }));
        }
    }
    Ok(Value::Array(list))
}

/// The built-in directory, and how directories of others are kept in step.
pub fn publishing(instance: &Instance) -> Value {
    let Some(bridge) = instance.bridge() else {
        let names = instance.config.ldap.publishers.iter().map(
            |settings| json!({ "directory": settings.name, "state": "the server does not run" }),
        );
        return names.collect();
    };
    let own = bridge.directory().map(|directory| {
        json!({
            "directory": "built-in",
            "state": "serves",
            "url": bridge.address().map(|address| format!("ldap://{address}")),
            "entries": directory.entries(),
            "last_success": null,
            "operations": null,
            "failures": null,
            "next_try": null,
            "error": null,
        })
    });
    let others = bridge.publishers().into_iter().map(|status| {
        let state = match (&status.error, status.is_behind) {
            (Some(_), _) => "fails",
            (None, true) => "behind",
            (None, false) => "in step",
        };
        json!({
            "directory": status.name,
            "state": state,
            "url": status.url,
            "entries": null,
            "last_success": status.last_success.map(|at| at.whole_seconds().to_string()),
            "operations": status.operations,
            "failures": status.failures,
            "next_try": status.next_try.map(|at| at.whole_seconds().to_string()),
            "error": status.error,
        })
    });
    own.into_iter().chain(others).collect()
}

/// The state of the store.
pub fn status(status: &Status) -> Value {
    json!({
        "entries": status.entries,
        "journal_bytes": status.journal_bytes,
        "last_entry": status.last.map(|last| last.to_string()),
        "certificates": status.certificates,
        "index_applied": status.applied,
        "index_bytes": status.index_bytes,
        "head_size": status.head.as_ref().map(|head| head.size),
        "head_root": status.head.as_ref().map(|head| data_encoding::HEXLOWER.encode(&head.root)),
        "head_signed": status.head.as_ref().map(|head| head.at.to_string()),
    })
}

fn status_of(record: &CertificateRecord, now: Timestamp) -> &'static str {
    match &record.revocation {
        Some(revocation) if revocation.reason == Reason::CertificateHold => "held",
        Some(_) => "revoked",
        None if record.not_after < now => "expired",
        None if !record.confirmed => "unconfirmed",
        None => "valid",
    }
}
