//! Certificates, as administrators see, revoke and release them.

use std::time::Duration;

use countersign_ca::name::Name;
use countersign_ca::record::inventory::{CertificateQuery, ListOrder, ListPlace};
use countersign_ca::record::search::SearchKey;
use countersign_ca::record::{CertificateRecord, Label, Reason, Revocation, Serial};
use countersign_ca::store::CertificateList;
use countersign_ca::x509::{Facts, to_pem};
use countersign_ca::{Identity, Store, Timestamp};
use data_encoding::HEXLOWER;

use super::answer::{
    CertificateInFull, CertificateLine, CertificatePage, CertificateStatus, RevocationAnswer,
    RevocationFields,
};
use super::crls;
use super::recorded::record;
use super::request::{CertificateFilter, SortKey};
use crate::exit::Failure;
use crate::instance::Instance;

/// A page of the certificates that a filter asks for: at most `limit`, behind the cursor `after`, or from the beginning for `None`.
pub fn page(
    instance: &Instance,
    filter: &CertificateFilter,
    after: Option<&str>,
    limit: usize,
) -> Result<CertificatePage, Failure> {
    let now = instance.now();
    let query = query(filter, now)?;
    let after = after.map(str::parse::<ListPlace>).transpose()?;
    let CertificateList { records, next } = instance.store.list(&query, after, limit)?;
    let items = records.iter().map(|record| line(record, now)).collect();
    Ok(CertificatePage { items, next: next.map(|place| place.to_string()) })
}

fn query(filter: &CertificateFilter, now: Timestamp) -> Result<CertificateQuery, Failure> {
    let (key, subject) = named(filter)?;
    let order = match (filter.sort, filter.reverse) {
        (SortKey::Issued, false) => ListOrder::Issued,
        (SortKey::Issued, true) => ListOrder::IssuedReversed,
        (SortKey::Expires, false) => ListOrder::Expires,
        (SortKey::Expires, true) => ListOrder::ExpiresReversed,
    };
    let window = |from: Option<i64>, until: Option<i64>| match (from, until) {
        (None, None) => None,
        (from, until) => Some(
            from.map_or(Timestamp::from_millis(i64::MIN), Timestamp::from_seconds)
                ..until.map_or(Timestamp::from_millis(i64::MAX), Timestamp::from_seconds),
        ),
    };
    let expires = match filter.expires_within {
        Some(seconds) => Some(now..now.plus(Duration::from_secs(seconds))),
        None => window(filter.expires_from, filter.expires_until),
    };
    Ok(CertificateQuery {
        ca: filter.ca.clone(),
        profile: filter.profile.clone(),
        account: filter.account.clone(),
        label: filter.label.as_deref().map(str::parse).transpose()?,
        key,
        subject,
        serial: filter.serial.as_deref().map(str::parse).transpose()?,
        expires,
        issued: window(filter.issued_from, filter.issued_until),
        status: filter.status.map(Into::into),
        current: filter.current,
        peers: filter.peers,
        now,
        order,
    })
}

/// A name in a certificate: a search key, and the subject that it is of, if it is one.
fn named(filter: &CertificateFilter) -> Result<(Option<SearchKey>, Option<Name>), Failure> {
    let identity = match (&filter.subject, &filter.identity) {
        (None, None) => return Ok((None, None)),
        (Some(_), Some(_)) => {
            return Err(Failure::input("expected a subject or an identity, found both"));
        }
        (Some(subject), None) if !subject.contains('=') => {
            return Ok((Some(SearchKey::Name(subject.clone())), None));
        }
        (Some(subject), None) => format!("dn:{subject}").parse()?,
        (None, Some(identity)) => identity.parse()?,
    };
    Ok(match identity {
        Identity::Fqdn(name) => (Some(SearchKey::Uri(name)), None),
        Identity::Email(mailbox) => (Some(SearchKey::Uri(mailbox)), None),
        Identity::Ip(address) => (Some(SearchKey::Uri(address.to_string())), None),
        Identity::Dn(name) => (Some(SearchKey::of_subject(&name)?), Some(name)),
    })
}

fn line(record: &CertificateRecord, now: Timestamp) -> CertificateLine {
    let subject = Facts::of(&record.certificate)
        .map_or_else(|_| "?".to_owned(), |facts| facts.subject.to_string());
    CertificateLine {
        serial: record.serial.to_string(),
        status: record.status(now).into(),
        subject,
        account: record.account.clone(),
        profile: record.profile.clone(),
        ca: record.ca.clone(),
        issued: record.issued.whole_seconds().to_string(),
        not_after: record.not_after.whole_seconds().to_string(),
    }
}

/// One certificate, with everything that is recorded of it.
pub fn show(
    instance: &Instance,
    serial: &str,
    ca: Option<&Label>,
) -> Result<CertificateInFull, Failure> {
    let record = find(instance, serial, ca)?;
    let facts = Facts::of(&record.certificate)?;
    let alt_names = facts.alt_names.iter().map(|name| {
        Identity::from_general_name(name).map_or_else(|_| "?".into(), |id| id.to_string())
    });
    // The name of a removed account can be given again: the account of that name need not be the holder.
    let holder = match (instance.store.holder(&record)?, instance.store.account(&record.account)?) {
        (Some(_), _) => "the account",
        (None, Some(_)) => "an account that had this name before",
        (None, None) => "an account that is gone",
    };
    Ok(CertificateInFull {
        line: line(&record, instance.now()),
        holder: holder.into(),
        published: !record.unpublished,
        client: record.client,
        not_before: facts.not_before.to_string(),
        alt_names: alt_names.collect(),
        key: facts.key.kind().to_string(),
        key_identifier: HEXLOWER.encode(&facts.key_identifier),
        revocation: record.revocation.as_ref().map(|revocation| RevocationFields {
            revoked: revocation.at.whole_seconds().to_string(),
            reason: revocation.reason.name().into(),
            invalidity: revocation.invalidity.map(|date| date.to_string()),
        }),
        pem: to_pem("CERTIFICATE", &record.certificate)?,
    })
}

/// The certificate with this serial number (hexadecimal), of the named CA, or of the first CA that has it.
pub fn find(
    instance: &Instance,
    serial: &str,
    ca: Option<&Label>,
) -> Result<CertificateRecord, Failure> {
    let serial: Serial = serial.parse()?;
    let cas = match ca {
        Some(ca) => vec![ca.clone()],
        None => instance.store.cas()?.into_iter().map(|ca| ca.name).collect(),
    };
    for ca in &cas {
        if let Some(record) = instance.store.certificate(ca, &serial)? {
            return Ok(record);
        }
    }
    Err(Failure::missing(format!(
        "no certificate {serial} was issued here; `countersign cert list` shows all, and with `--serial` those that begin with some digits"
    )))
}

/// Revokes a certificate, or puts it on hold. `invalidity` is the invalidity date, in seconds since 1970.
pub fn revoke(
    instance: &Instance,
    actor: &str,
    certificate: &CertificateRecord,
    reason: &str,
    invalidity: Option<i64>,
) -> Result<RevocationAnswer, Failure> {
    let CertificateRecord { ca, serial, .. } = certificate;
    let reason: Reason = reason.parse()?;
    if reason == Reason::RemoveFromCrl {
        return Err(Failure::input(
            "`removeFromCRL` is no reason to revoke; use `countersign cert release`",
        ));
    }
    let now = instance.now();
    let invalidity = invalidity.map(Timestamp::from_seconds);
    if invalidity.is_some_and(|date| date > now || date < Timestamp::default()) {
        return Err(Failure::input("an invalidity date lies in the past, after 1970"));
    }
    let revocation = Revocation { at: now, reason, invalidity };
    instance.store.record_revoked(instance.now(), ca, serial, &revocation, None)?;
    let (action, status) = match reason {
        Reason::CertificateHold => ("cert hold", CertificateStatus::Held),
        _ => ("cert revoke", CertificateStatus::Revoked),
    };
    let noted = record(instance, actor, action, serial);
    // A CRL shows the change, even if the journal does not say who made it.
    let crl = crls::renew(instance, ca)?;
    noted?;
    Ok(RevocationAnswer { serial: serial.to_string(), status, reason: Some(reason.name()), crl })
}

/// Releases a certificate from hold. It may have expired meanwhile, or never have been confirmed: the answer's status says so.
pub fn release(
    instance: &Instance,
    actor: &str,
    certificate: &CertificateRecord,
) -> Result<RevocationAnswer, Failure> {
    let CertificateRecord { ca, serial, .. } = certificate;
    instance.store.record_released(instance.now(), ca, serial)?;
    let noted = record(instance, actor, "cert release", serial);
    // A CRL shows the change, even if the journal does not say who made it.
    let crl = crls::renew(instance, ca)?;
    noted?;
    let released = CertificateRecord { revocation: None, ..certificate.clone() };
    let status = released.status(instance.now()).into();
    Ok(RevocationAnswer { serial: serial.to_string(), status, reason: None, crl })
}
