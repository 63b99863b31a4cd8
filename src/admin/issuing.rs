//! Certificates that an administrator has issued for an account, by a request that a device shows (PKCS #10).

use countersign_ca::authority::IssuedCertificate;
use countersign_ca::record::{Account, Label, no_account};
use countersign_ca::x509::to_pem;
use countersign_ca::{Identity, Store};
use countersign_enroll::request::extensions::AltNames;
use countersign_enroll::request::pkcs10::{CertificationRequest, certification_request_in};
use countersign_enroll::request::template::RequestTemplate;
use data_encoding::BASE64;

use super::accounts;
use super::answer::IssuedAnswer;
use super::certificates;
use super::recorded::record;
use super::request::RequestedPeer;
use crate::exit::Failure;
use crate::instance::Instance;

/// Issues a certificate for an account. Where the account and the profile differ from the request, the answer lists the differences.
pub fn issue(
    instance: &Instance,
    actor: &str,
    name: &Label,
    ca: Option<Label>,
    csr: &str,
) -> Result<IssuedAnswer, Failure> {
    let template = template(csr)?;
    let account = instance.store.account(name)?.ok_or_else(|| no_account(name))?;
    issue_for(instance, actor, &account, ca, template)
}

/// Adds an account, and issues its certificate. If that is refused, the account is removed again.
pub fn add_and_issue(
    instance: &Instance,
    actor: &str,
    mut peer: RequestedPeer,
    csr: &str,
) -> Result<IssuedAnswer, Failure> {
    let template = template(csr)?;
    if peer.ids.is_empty() {
        peer.ids = names_in(&template);
        if peer.ids.is_empty() {
            return Err(Failure::input(
                "the request has no name that an account can hold; name the identities with `--id`",
            ));
        }
    }
    let (name, ca) = (peer.name.clone(), peer.ca.clone());
    let warnings: Vec<String> = accounts::add(instance, actor, vec![peer], &mut |_, _| {})?
        .into_iter()
        .flat_map(|added| added.warnings)
        .collect();
    let account = instance.store.account(&name)?.ok_or_else(|| no_account(&name))?;
    match issue_for(instance, actor, &account, ca, template) {
        Ok(mut issued) => {
            issued.changes.extend(warnings);
            Ok(issued)
        }
        Err(failure) => {
            instance.accounts().remove(&name)?;
            record(instance, actor, "peer remove", &name)?;
            let message = format!("{failure}. The account `{name}` was not kept");
            Err(Failure { message, ..failure })
        }
    }
}

/// The identities in a request (PKCS #10, DER in base64).
///
/// # Errors
/// It cannot be read.
pub fn names_in_request(csr: &str) -> Result<Vec<String>, Failure> {
    Ok(names_in(&template(csr)?))
}

fn template(csr: &str) -> Result<RequestTemplate, Failure> {
    let der = BASE64.decode(csr.as_bytes());
    let der = der.map_err(|e| Failure::input(format!("expected a request in base64: {e}")))?;
    let CertificationRequest { template, challenge_password: _ } =
        certification_request_in(&der, AltNames::Repaired)?;
    Ok(template)
}

/// The identities in a request: its alternative names, or else the whole subject.
fn names_in(template: &RequestTemplate) -> Vec<String> {
    let names = template.alt_names.iter().filter_map(|name| Identity::from_general_name(name).ok());
    let names: Vec<String> = names.map(|identity| identity.to_string()).collect();
    match (names.is_empty(), &template.subject) {
        (true, Some(subject)) => vec![format!("dn:{subject}")],
        _ => names,
    }
}

fn issue_for(
    instance: &Instance,
    actor: &str,
    account: &Account,
    ca: Option<Label>,
    template: RequestTemplate,
) -> Result<IssuedAnswer, Failure> {
    let profiles = instance.profiles();
    let approvals = profiles.named(&account.profile).map_or(1, |profile| profile.approvals());
    if approvals > 1 {
        return Err(Failure {
            code: 4,
            message: format!(
                "the profile `{}` wants the approvals of {approvals} people: have the peer itself ask, by CMP, EST or SCEP",
                account.profile
            ),
        });
    }
    let authority = instance.authority()?;
    let request = template.into_request(None, ca, None);
    let authorized = authority.authorize_attended(account, request)?;
    let IssuedCertificate { ca, serial, certificate, chain, mut changes } =
        authority.issue(authorized, None)?;
    // The certificate exists, whether the journal says who had it issued or not.
    let detail = format!("{serial} of {ca} for {}", account.name);
    let noted = record(instance, actor, "cert issue", &detail);
    changes.extend(noted.err().map(|failure| failure.message));
    let shown = certificates::show(instance, &serial.to_string(), Some(&ca))?;
    let chain =
        chain.iter().map(|der| to_pem("CERTIFICATE", der)).collect::<Result<String, _>>()?;
    Ok(IssuedAnswer {
        line: shown.line,
        alt_names: shown.alt_names,
        changes,
        pem: to_pem("CERTIFICATE", &certificate)?,
        chain,
    })
}
