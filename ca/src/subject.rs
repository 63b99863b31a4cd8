//! Decides a certificate's names: the subject and the subjectAltName, from the account, the profile and the request.

use der::Tagged;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use crate::error::{Denial, Error, Result};
use crate::identity::{Identity, distinguished_name};
use crate::oid;
use crate::profile::{AltNameKind, Profile};
use crate::record::Account;

/// The longest common name, in characters (ub-common-name, RFC 5280 §A.1).
const MAX_COMMON_NAME: usize = 64;

/// The names that a certificate will carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The subject; may be empty if the profile says so.
    pub subject: Name,
    /// The subjectAltName; may be empty only for a DN identity or a profile that is not for IKE.
    pub alt_names: Vec<GeneralName>,
}

/// Decides the names. Every name that was asked for must be one that the account holds; without any (`None`) it gets all
/// that it holds.
///
/// # Errors
/// `Denied` with [`Denial::NotAuthorized`] that names what the account does not hold and lists what it does.
pub fn decide(
    account: &Account,
    profile: &Profile,
    subject: Option<&Name>,
    wanted: Option<&[GeneralName]>,
) -> Result<Names> {
    let identities = match wanted {
        None => held(account, profile),
        Some(wanted) => asked_for(account, profile, wanted)?,
    };
    let alt_names = identities
        .iter()
        .filter_map(|id| id.general_name().transpose())
        .collect::<Result<Vec<_>>>()?;
    let subject = decide_subject(account, profile, subject, &identities)?;
    let has_dn_identity =
        account.identities.iter().any(|id| matches!(id, Identity::Dn(name) if *name == subject));
    if profile.is_for_ike() && alt_names.is_empty() && !has_dn_identity {
        return Err(Error::denied(
            Denial::NotAuthorized,
            format!(
                "no identity of the account `{}` can stand in a certificate of the profile `{}`; it holds {}",
                account.name,
                profile.name(),
                list(account)
            ),
        ));
    }
    Ok(Names { subject, alt_names })
}

/// Checks the template of a subject, such as `CN={id},O=Example`.
///
/// # Errors
/// [`Error::Malformed`] when it would give no distinguished name.
pub fn check_template(template: &str) -> Result<()> {
    if template.is_empty() {
        return Ok(());
    }
    let filled = fill(template, "name", "id.example");
    if filled.contains(['{', '}']) {
        return Err(Error::malformed(format!(
            "a subject template knows `{{id}}` and `{{name}}`, found `{}`",
            template.escape_debug()
        )));
    }
    distinguished_name(&filled).map(drop)
}

fn held(account: &Account, profile: &Profile) -> Vec<Identity> {
    account
        .identities
        .iter()
        .filter(|id| kind_of(id).is_some_and(|kind| profile.takes(kind)))
        .cloned()
        .collect()
}

fn asked_for(
    account: &Account,
    profile: &Profile,
    wanted: &[GeneralName],
) -> Result<Vec<Identity>> {
    let mut identities = Vec::with_capacity(wanted.len());
    for name in wanted {
        let identity = Identity::from_general_name(name)?;
        let taken = kind_of(&identity).is_some_and(|kind| profile.takes(kind));
        if !taken {
            return Err(Error::denied(
                Denial::Template,
                format!(
                    "the profile `{}` takes no subjectAltName of the kind of `{identity}`",
                    profile.name()
                ),
            ));
        }
        if !account.identities.contains(&identity) {
            return Err(Error::denied(
                Denial::NotAuthorized,
                format!(
                    "the identity `{identity}` is not one of the account's: it holds {}",
                    list(account)
                ),
            ));
        }
        if !identities.contains(&identity) {
            identities.push(identity);
        }
    }
    Ok(identities)
}

fn decide_subject(
    account: &Account,
    profile: &Profile,
    wanted: Option<&Name>,
    identities: &[Identity],
) -> Result<Name> {
    let own = account.identities.iter().find_map(|id| match id {
        Identity::Dn(name) => Some(name.clone()),
        _ => None,
    });
    let default = match own {
        Some(name) => name,
        None => from_template(account, profile, identities)?,
    };
    let Some(wanted) = wanted else { return Ok(default) };
    if same(wanted, &default) {
        return Ok(default);
    }
    if let Some(own) = account.identities.iter().find_map(|id| match id {
        Identity::Dn(name) if same(wanted, name) => Some(name),
        _ => None,
    }) {
        return Ok(own.clone());
    }
    if names_the_account(account, wanted) {
        return Ok(wanted.clone());
    }
    Err(Error::denied(
        Denial::NotAuthorized,
        format!(
            "the subject `{wanted}` is not one of the account's: ask for `{default}`, for `CN=` and one of its names, \
             or for no subject; it holds {}",
            list(account)
        ),
    ))
}

/// A lone common name that repeats the account's name or one of its identities adds no identity.
fn names_the_account(account: &Account, wanted: &Name) -> bool {
    let Some(text) = lone_common_name(wanted) else { return false };
    text == account.name.as_str()
        || account.identities.iter().any(|id| identity_text(id).as_deref() == Some(text))
}

/// The text of a subject that is a common name and nothing else.
pub fn lone_common_name(subject: &Name) -> Option<&str> {
    let [rdn] = subject.0.as_slice() else { return None };
    let [attribute] = rdn.0.as_slice() else { return None };
    let is_text = matches!(attribute.value.tag(), der::Tag::Utf8String | der::Tag::PrintableString);
    let text = std::str::from_utf8(attribute.value.value()).ok();
    text.filter(|_| is_text && attribute.oid == oid::COMMON_NAME)
}

fn from_template(account: &Account, profile: &Profile, identities: &[Identity]) -> Result<Name> {
    if profile.subject().is_empty() {
        return Ok(Name::default());
    }
    let id = identities
        .iter()
        .find_map(identity_text)
        .filter(|text| text.chars().count() <= MAX_COMMON_NAME)
        .unwrap_or_else(|| account.name.to_string());
    distinguished_name(&fill(profile.subject(), account.name.as_str(), &id))
}

/// Fills a template. The values hold no characters that RFC 4514 would have to escape but `+` and `#`.
fn fill(template: &str, name: &str, id: &str) -> String {
    let escaped: String = id
        .chars()
        .flat_map(|c| {
            matches!(c, '+' | '#' | '"' | '\\' | ',' | ';' | '<' | '>' | '=')
                .then_some('\\')
                .into_iter()
                .chain([c])
        })
        .collect();
    template.replace("{name}", name).replace("{id}", &escaped)
}

/// The same attributes with the same text, whatever string types encode them.
fn same(a: &Name, b: &Name) -> bool {
    a == b || a.to_string() == b.to_string()
}

fn identity_text(identity: &Identity) -> Option<String> {
    match identity {
        Identity::Fqdn(text) | Identity::Email(text) => Some(text.clone()),
        Identity::Ip(address) => Some(address.to_string()),
        Identity::Dn(_) => None,
    }
}

fn kind_of(identity: &Identity) -> Option<AltNameKind> {
    match identity {
        Identity::Fqdn(_) => Some(AltNameKind::Fqdn),
        Identity::Ip(_) => Some(AltNameKind::Ip),
        Identity::Email(_) => Some(AltNameKind::Email),
        Identity::Dn(_) => None,
    }
}

fn list(account: &Account) -> String {
    let texts: Vec<String> = account.identities.iter().map(|id| format!("`{id}`")).collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::clock::Timestamp;
    use crate::profile::{DefaultUrls, Profiles};

    fn account(ids: &[&str]) -> Account {
        Account {
            name: "gw1".parse().unwrap(),
            identities: ids.iter().map(|id| id.parse().unwrap()).collect(),
            profile: "gateway".parse().unwrap(),
            ca: None,
            secret: None,
            equipment: None,
            created: Timestamp::default(),
            permissions: Default::default(),
        }
    }

    fn names(account: &Account, subject: Option<&str>, wanted: &[&str]) -> Result<Names> {
        let profiles = Profiles::new(&BTreeMap::new(), &DefaultUrls::default()).unwrap();
        let wanted: Vec<GeneralName> = wanted
            .iter()
            .map(|id| id.parse::<Identity>().unwrap().general_name().unwrap().unwrap())
            .collect();
        let subject = subject.map(|text| distinguished_name(text).unwrap());
        let wanted = Some(wanted.as_slice()).filter(|wanted| !wanted.is_empty());
        decide(account, profiles.named(&account.profile).unwrap(), subject.as_ref(), wanted)
    }

    #[test]
    fn without_a_wish_the_account_gets_all_that_it_holds() {
        let names = names(&account(&["fqdn:gw1.example.net", "ip:192.0.2.1"]), None, &[]).unwrap();
        assert_eq!(names.subject.to_string(), "CN=gw1.example.net");
        assert_eq!(names.alt_names.len(), 2);
    }

    #[test]
    fn a_wish_is_granted_only_from_what_the_account_holds() {
        let account = account(&["fqdn:gw1.example.net", "ip:192.0.2.1"]);
        let narrowed = names(&account, Some("CN=gw1"), &["ip:192.0.2.1"]).unwrap();
        assert_eq!(
            (narrowed.subject.to_string().as_str(), narrowed.alt_names.len()),
            ("CN=gw1", 1)
        );
        for (subject, wanted) in [
            (None, &["fqdn:gw2.example.net"][..]),
            (None, &["fqdn:gw1.example.net", "ip:192.0.2.2"]),
            (Some("CN=gw2.example.net"), &[]),
            (Some("CN=gw1,O=Example"), &[]),
            (Some("O=gw1"), &[]),
        ] {
            let Err(Error::Denied { kind: Denial::NotAuthorized, why }) =
                names(&account, subject, wanted)
            else {
                panic!("{subject:?} {wanted:?} was granted")
            };
            assert!(why.contains("`ip:192.0.2.1`"), "{why}");
        }
    }

    #[test]
    fn a_dn_identity_is_the_subject() {
        let account = account(&["dn:CN=gw1,O=Example,C=DE"]);
        assert_eq!(
            names(&account, None, &[]).unwrap().subject.to_string(),
            "CN=gw1,O=Example,C=DE"
        );
        assert!(names(&account, Some("CN=gw1,O=Example,C=DE"), &[]).is_ok());
        assert!(names(&account, Some("CN=gw1,O=Example,C=FR"), &[]).is_err());
        // The certificate would carry no identity that the account holds.
        assert!(names(&account, Some("CN=gw1"), &[]).is_err());
    }

    #[test]
    fn a_long_name_does_not_become_a_common_name() {
        let long = format!("fqdn:{}.example.net", "a".repeat(60));
        assert_eq!(names(&account(&[&long]), None, &[]).unwrap().subject.to_string(), "CN=gw1");
    }
}
