//! CAs, as administrators see them and give them duties.

use countersign_ca::Store;
use countersign_ca::authority::refuse_overruled;
use countersign_ca::record::inventory::AccountQuery;
use countersign_ca::record::line::issuing_now;
use countersign_ca::record::{CrlScope, Duty, Label};
use countersign_ca::x509::Facts;

use super::answer::CaLine;
use super::recorded::record;
use crate::config::{ServerCertificate, TlsListener};
use crate::exit::Failure;
use crate::instance::Instance;

/// The number of accounts that are read at once.
const PAGE: usize = 1000;

/// Every CA, roots included.
pub fn list(instance: &Instance) -> Result<Vec<CaLine>, Failure> {
    let keys = instance.location.folder.keys();
    let all = instance.store.cas()?;
    let (default, retired) = (instance.default_ca()?, instance.store.retired_cas()?);
    let default = default.and_then(|name| issuing_now(all.iter(), &name)).map(|ca| ca.name.clone());
    let file = |name: &Label| -> Result<String, Failure> {
        let path = std::path::absolute(keys.file(&format!("{name}.crt")))?;
        Ok(path.display().to_string())
    };
    let est = instance.config.est.listener.as_ref();
    let admin = instance.config.admin.listener.as_ref();
    let (est, admin) = (presents_own_certificate(est), presents_own_certificate(admin));
    let issuer = default.as_ref().filter(|_| est || admin);
    // A CA that was taken over may be its own root.
    let above =
        |ca: &countersign_ca::record::CaRecord| ca.chain.last().unwrap_or(&ca.certificate).clone();
    let root_of = |ca: &countersign_ca::record::CaRecord| {
        let root = above(ca);
        all.iter().find(|ca| ca.certificate == root).map(|root| root.name.clone())
    };
    let root = all.iter().find(|ca| Some(&ca.name) == issuer).and_then(root_of);
    let lines = all.iter().map(|ca| {
        let facts = Facts::of(&ca.certificate)?;
        let succession = ca.succeeds.as_ref();
        Ok(CaLine {
            kind: if ca.is_root { "root" } else { "issuing" }.into(),
            subject: facts.subject.to_string(),
            key: facts.key.kind().to_string(),
            key_here: keys.contains(ca.name.as_str()),
            not_after: facts.not_after.to_string(),
            succeeds: succession.map(|succession| succession.predecessor.clone()),
            default: Some(&ca.name) == default.as_ref(),
            waits: succession.is_some_and(|succession| succession.waits),
            retired: retired.contains(&ca.name),
            accounts_still_naming_it: match retired.contains(&ca.name) {
                true => Some(accounts_naming(instance, &ca.name)?),
                false => None,
            },
            certificate: file(&ca.name)?,
            est_trust_anchor: match est && Some(&ca.name) == issuer {
                true => root.as_ref().map(file).transpose()?,
                false => None,
            },
            admin_trust_anchor: match admin && Some(&ca.name) == issuer {
                true => root.as_ref().map(file).transpose()?,
                false => None,
            },
            name: ca.name.clone(),
        })
    });
    lines.collect()
}

/// How many accounts name a CA.
fn accounts_naming(instance: &Instance, ca: &Label) -> Result<usize, Failure> {
    let query = AccountQuery { ca: Some(ca.clone()), ..AccountQuery::default() };
    let (mut count, mut after) = (0_usize, None);
    loop {
        let page = instance.store.list_accounts(&query, after.as_ref(), PAGE)?;
        count = count.saturating_add(page.accounts.len());
        after = page.next;
        if after.is_none() {
            return Ok(count);
        }
    }
}

/// Whether there is a TLS server whose certificate the instance issues.
fn presents_own_certificate(listener: Option<&TlsListener>) -> bool {
    listener.is_some_and(|listener| matches!(listener.certificate, ServerCertificate::Issued(_)))
}

/// Gives a CA a duty: to issue for accounts that name no CA, in place of the CA that it succeeds, or no more. A CA can issue in place of another
/// only once it has a CRL: peers refuse a certificate whose CA has none.
pub fn assign(
    instance: &Instance,
    actor: &str,
    name: &Label,
    duty: Duty,
) -> Result<Vec<CaLine>, Failure> {
    if duty == Duty::Issue && instance.store.last_crl(name, CrlScope::Full)?.is_none() {
        return Err(Failure::missing(format!(
            "the CA `{name}` has no CRL yet: start the server, or run `countersign crl publish --ca {name}`, and bring it to the gateways"
        )));
    }
    match instance.opened() {
        Some(authority) => authority.assign(name, duty)?,
        None => {
            let (cas, configured) = (instance.store.cas()?, &instance.config.authority.default_ca);
            refuse_overruled(cas.iter(), configured.as_ref(), name, duty)?;
            instance.store.record_assigned(instance.now(), name, duty)?;
        }
    }
    let action = match duty {
        Duty::Default => "ca set-default",
        Duty::Issue => "ca activate",
        Duty::Retire => "ca retire",
        Duty::Return => "ca retire --undo",
    };
    record(instance, actor, action, name)?;
    list(instance)
}
