//! Decides the names of a certificate, the subject and the subjectAltName, from the account, the profile and the
//! request.

use der::Tagged;
use der::asn1::SetOfVec;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::{RdnSequence, RelativeDistinguishedName};

use super::checked::{AltNameKind, Profile};
use super::template::fill;
use crate::error::{Denial, Error, Result};
use crate::name::{Identity, Name, distinguished_name, same_name};
use crate::oid;
use crate::record::Account;

/// The longest common name, in characters (ub-common-name, RFC 5280 §A.1).
const MAX_COMMON_NAME: usize = 64;

/// The names of a certificate to be issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The subject. It may be empty if the profile's template is.
    pub subject: Name,
    /// The subjectAltName. It may be empty only if the subject is a DN identity of the account, or the profile is not for IKE.
    pub alt_names: Vec<GeneralName>,
}

/// Decides the names of a certificate. `subject` and `wanted` are the requested subject and subjectAltName. Every requested name must be
/// one of the account's; without a subjectAltName (`None`), the certificate gets all identities of the account that the profile permits
/// there. A sentence is added to `changes` if the subject is issued otherwise than requested.
///
/// # Errors
/// `Denied` with [`Denial::NotAuthorized`] that says which name is not the account's, and which names are, or that the certificate would
/// contain no identity; with [`Denial::Template`] if the profile permits no such kind of name; the error of a name that cannot be an
/// identity.
pub fn decide(
    account: &Account,
    profile: &Profile,
    subject: Option<&Name>,
    wanted: Option<&[GeneralName]>,
    changes: &mut Vec<String>,
) -> Result<Names> {
    let identities = match wanted {
        None => permitted_identities(account, profile),
        Some(wanted) => asked_for(account, profile, wanted)?,
    };
    let alt_names = identities
        .iter()
        .filter_map(|id| id.general_name().transpose())
        .collect::<Result<Vec<_>>>()?;
    let subject = decide_subject(account, profile, subject, &identities, changes)?;
    let has_dn_identity = account.distinguished_names().any(|name| same_name(name, &subject));
    if profile.is_for_ike() && alt_names.is_empty() && !has_dn_identity {
        return Err(Error::denied(
            Denial::NotAuthorized,
            format!(
                "no identity of the account `{}` can stand in a certificate of the profile `{}`; it holds {}",
                account.name,
                profile.name(),
                identity_list(account)
            ),
        ));
    }
    Ok(Names { subject, alt_names })
}

/// The identities of the account that the profile permits in a subjectAltName.
fn permitted_identities(account: &Account, profile: &Profile) -> Vec<Identity> {
    account
        .identities
        .iter()
        .filter(|id| kind_of(id).is_some_and(|kind| profile.takes(kind)))
        .cloned()
        .collect()
}

/// The requested identities, in the account's spelling. Each must be the account's, and of a kind that the profile
/// permits.
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
        let own = account.held(&identity).ok_or_else(|| {
            Error::denied(
                Denial::NotAuthorized,
                format!(
                    "the identity `{identity}` is not one of the account's: it holds {}",
                    identity_list(account)
                ),
            )
        })?;
        if !identities.contains(own) {
            identities.push(own.clone());
        }
    }
    Ok(identities)
}

/// Decides the subject: the account's own one, or a requested one that identifies the account. Any other is refused with
/// [`Denial::NotAuthorized`]. `identities` are those in the subjectAltName.
fn decide_subject(
    account: &Account,
    profile: &Profile,
    wanted: Option<&Name>,
    identities: &[Identity],
    changes: &mut Vec<String>,
) -> Result<Name> {
    let default = match account.distinguished_names().next() {
        Some(name) => name.clone(),
        None => from_template(account, profile, identities)?,
    };
    let Some(wanted) = wanted else { return Ok(default) };
    // The name is issued in the account's spelling.
    if let Some(own) = std::iter::once(&default)
        .chain(account.distinguished_names())
        .find(|own| same_name(wanted, own))
    {
        return Ok(own.clone());
    }
    // A subject with only a common name is accepted only if subjectAltNames identify the peer.
    let has_names = !identities.is_empty() || !profile.is_for_ike();
    let text = lone_common_name(wanted).filter(|_| has_names);
    if let Some(text) = text.and_then(|text| own_spelling(account, text)) {
        return distinguished_name(&fill("CN={id}", "", &text));
    }
    match meant_subject(account, profile, wanted, &default) {
        Some(own) => {
            changes.push(replacement_notice(own));
            Ok(own.clone())
        }
        None => Err(Error::denied(
            Denial::NotAuthorized,
            format!(
                "the subject `{wanted}` is not one of the account's: ask for `{default}`, for `CN=` and one of its names, \
                 or for no subject; it holds {}",
                identity_list(account)
            ),
        )),
    }
}

/// The sentence for a peer whose requested subject was replaced by the subject `by`.
pub fn replacement_notice(by: &Name) -> String {
    format!("the subject is `{by}`, as the account and its profile have it")
}

/// Whether a subject names this account: with one of its DN identities, or with a common name that is the account's name or one of its
/// identities. Attributes that the profile replaces are ignored.
pub fn identifies(account: &Account, profile: &Profile, subject: &Name) -> bool {
    let is_dn = || account.distinguished_names().any(|own| same_name(own, subject));
    let is_named = || {
        let left = without_replaced(profile, subject);
        lone_common_name(&left).is_some_and(|text| own_spelling(account, text).is_some())
    };
    is_dn()
        || is_named()
        || account.distinguished_names().any(|own| differs_only_in_replaced(profile, subject, own))
}

/// Whether two subjects are the same apart from the attributes that the profile replaces. A `wanted` subject with only
/// such attributes matches every subject.
pub fn differs_only_in_replaced(profile: &Profile, wanted: &Name, subject: &Name) -> bool {
    let left = without_replaced(profile, wanted);
    left.is_empty() || same_name(&left, &without_replaced(profile, subject))
}

/// The subject of the account that is issued in place of `wanted`: the first of `default` and the account's DN identities that differs from
/// it only in attributes that the profile replaces (O, OU, C, …). It is `default` if `wanted` has, beside such attributes, only a common
/// name that is the account's name or one of its identities. `None` if `wanted` does not name the account.
fn meant_subject<'a>(
    account: &'a Account,
    profile: &Profile,
    wanted: &Name,
    default: &'a Name,
) -> Option<&'a Name> {
    let left = without_replaced(profile, wanted);
    let differs = |own: &&Name| differs_only_in_replaced(profile, wanted, own);
    let names_it =
        || lone_common_name(&left).is_some_and(|text| own_spelling(account, text).is_some());
    let found = std::iter::once(default).chain(account.distinguished_names()).find(differs);
    found.or_else(|| names_it().then_some(default))
}

/// A distinguished name without the attributes that the profile replaces. RDNs that become empty are dropped.
fn without_replaced(profile: &Profile, name: &Name) -> Name {
    let part = |part: &RelativeDistinguishedName| {
        let left: Vec<_> =
            part.0.iter().filter(|one| !profile.replaces(&one.oid)).cloned().collect();
        let set = SetOfVec::try_from(left).ok().filter(|set| !set.is_empty());
        set.map(RelativeDistinguishedName)
    };
    RdnSequence(name.0.iter().filter_map(part).collect())
}

/// The account's name or one of its identities (no DN) that equals the common name `text` apart from case and blanks, in the account's
/// spelling. Such a common name adds no identity to the certificate.
fn own_spelling(account: &Account, text: &str) -> Option<String> {
    let folded = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let own = std::iter::once(account.name.to_string());
    let mut all = own.chain(account.identities.iter().filter_map(identity_text));
    all.find(|own| folded(own) == folded(text))
}

/// The common name of a subject that consists of nothing else; `None` for any other subject.
fn lone_common_name(subject: &Name) -> Option<&str> {
    let [rdn] = subject.0.as_slice() else { return None };
    (rdn.0.len() == 1).then(|| common_name(subject)).flatten()
}

/// The common name of a subject that has exactly one, in a UTF8String or PrintableString; `None` for any other subject.
pub fn common_name(subject: &Name) -> Option<&str> {
    let all = subject.0.iter().flat_map(|rdn| rdn.0.iter());
    let mut all = all.filter(|attribute| attribute.oid == oid::COMMON_NAME);
    let (attribute, None) = (all.next()?, all.next()) else { return None };
    let is_text = matches!(attribute.value.tag(), der::Tag::Utf8String | der::Tag::PrintableString);
    std::str::from_utf8(attribute.value.value()).ok().filter(|_| is_text)
}

/// The subject by the profile's template; empty if the template is empty. `{id}` becomes the first identity that is not a DN. If there is
/// no such identity, or that identity has more than 64 characters, `{id}` becomes the account's name.
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

/// The text of an identity without its kind; `None` for a DN.
fn identity_text(identity: &Identity) -> Option<String> {
    match identity {
        Identity::Fqdn(text) | Identity::Email(text) => Some(text.clone()),
        Identity::Ip(address) => Some(address.to_string()),
        Identity::Dn(_) => None,
    }
}

/// The kind of subjectAltName that carries an identity; `None` for a DN.
fn kind_of(identity: &Identity) -> Option<AltNameKind> {
    match identity {
        Identity::Fqdn(_) => Some(AltNameKind::Fqdn),
        Identity::Ip(_) => Some(AltNameKind::Ip),
        Identity::Email(_) => Some(AltNameKind::Email),
        Identity::Dn(_) => None,
    }
}

/// The account's identities, for an error message.
fn identity_list(account: &Account) -> String {
    let texts: Vec<String> = account.identities.iter().map(|id| format!("`{id}`")).collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::profile::{DefaultUrls, ProfileConfig, Profiles};

    fn names(account: &Account, subject: Option<&str>, wanted: &[&str]) -> Result<Names> {
        let profiles = Profiles::new(&BTreeMap::new(), &DefaultUrls::default()).unwrap();
        let wanted: Vec<GeneralName> = wanted
            .iter()
            .map(|id| id.parse::<Identity>().unwrap().general_name().unwrap().unwrap())
            .collect();
        let subject = subject.map(|text| distinguished_name(text).unwrap());
        let wanted = Some(wanted.as_slice()).filter(|wanted| !wanted.is_empty());
        let profile = profiles.named(&account.profile).unwrap();
        decide(account, profile, subject.as_ref(), wanted, &mut Vec::new())
    }

    #[test]
    fn without_a_wish_the_account_gets_all_that_it_holds() {
        let names =
            names(&Account::with_identities(&["fqdn:gw1.example.net", "ip:192.0.2.1"]), None, &[])
                .unwrap();
        assert_eq!(names.subject.to_string(), "CN=gw1.example.net");
        assert_eq!(names.alt_names.len(), 2);
    }

    #[test]
    fn a_wish_is_granted_only_from_what_the_account_holds() {
        let account = Account::with_identities(&["fqdn:gw1.example.net", "ip:192.0.2.1"]);
        let narrowed = names(&account, Some("CN=gw1"), &["ip:192.0.2.1"]).unwrap();
        assert_eq!(
            (narrowed.subject.to_string().as_str(), narrowed.alt_names.len()),
            ("CN=gw1", 1)
        );
        for (subject, wanted) in [
            (None, &["fqdn:gw2.example.net"][..]),
            (None, &["fqdn:gw1.example.net", "ip:192.0.2.2"]),
            (Some("CN=gw2.example.net"), &[]),
            (Some("CN=gw2,O=Example"), &[]),
            (Some("CN=gw1,CN=gw2"), &[]),
            (Some("CN=gw1,serialNumber=7"), &[]),
            (Some("UID=gw1,O=Example"), &[]),
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
        let account = Account::with_identities(&["dn:CN=gw1,O=Example,C=DE"]);
        assert_eq!(
            names(&account, None, &[]).unwrap().subject.to_string(),
            "CN=gw1,O=Example,C=DE"
        );
        assert!(names(&account, Some("CN=gw1,O=Example,C=DE"), &[]).is_ok());
        assert!(names(&account, Some("CN=gw2,O=Example,C=DE"), &[]).is_err());
        let sparse = names(&account, Some("CN=gw1"), &[]).unwrap();
        assert_eq!(sparse.subject.to_string(), "CN=gw1,O=Example,C=DE");
        // The certificate would contain no identity of the account.
        assert!(names(&account, Some("CN=gw2"), &[]).is_err());
    }

    #[test]
    fn what_a_device_fixes_is_replaced_and_told_or_refused() {
        let subject = |account: &Account, config: ProfileConfig, wanted: &str| {
            let configs = BTreeMap::from([("gateway".to_owned(), config)]);
            let profiles = Profiles::new(&configs, &DefaultUrls::default()).unwrap();
            let wanted = distinguished_name(wanted).unwrap();
            let mut changes = Vec::new();
            let profile = profiles.named(&account.profile).unwrap();
            decide(account, profile, Some(&wanted), None, &mut changes)
                .map(|names| (names.subject.to_string(), changes.len()))
        };
        let exact = || ProfileConfig { replace_in_subject: Some(vec![]), ..Default::default() };
        let own = || ProfileConfig {
            subject: Some("CN={id},O=Own".into()),
            replace_in_subject: Some(vec!["o".into(), "serialNumber".into(), "2.5.4.11".into()]),
            ..Default::default()
        };
        let gateway = Account::with_identities(&["fqdn:gw1.example.net"]);
        let dn = Account::with_identities(&["dn:CN=gw1,O=Example\\, Inc.,C=DE"]);
        for (account, config, wanted, expected) in [
            (
                &gateway,
                ProfileConfig::default(),
                "CN=GW1.example.NET,OU=Maker,O=Maker,C=US",
                "CN=gw1.example.net",
            ),
            (&gateway, ProfileConfig::default(), "CN=gw1,L=Here,ST=There", "CN=gw1.example.net"),
            (&gateway, ProfileConfig::default(), "O=Maker,C=US", "CN=gw1.example.net"),
            (
                &gateway,
                own(),
                "CN=gw1.example.net,O=Maker,serialNumber=1",
                "CN=gw1.example.net,O=Own",
            ),
            (&dn, ProfileConfig::default(), "CN=GW1,O=Maker", "CN=gw1,O=Example\\, Inc.,C=DE"),
            (&dn, ProfileConfig::default(), "O=Maker+CN=gw1", "CN=gw1,O=Example\\, Inc.,C=DE"),
        ] {
            assert_eq!(
                subject(account, config, wanted).unwrap(),
                (expected.to_owned(), 1),
                "{wanted}"
            );
        }
        // A difference in case or blanks only is not reported.
        let wanted = "cn=GW1, o=example\\,  INC.,C=de";
        let expected = "CN=gw1,O=Example\\, Inc.,C=DE".to_owned();
        assert_eq!(subject(&dn, exact(), wanted).unwrap(), (expected, 0));
        for (account, config, wanted) in [
            (&gateway, exact(), "CN=gw1.example.net,O=Maker"),
            (&gateway, ProfileConfig::default(), "CN=gw2.example.net,O=Maker"),
            (&gateway, ProfileConfig::default(), "CN=gw1.example.net,serialNumber=1"),
            (&gateway, own(), "CN=gw1.example.net,C=US"),
            (&dn, exact(), "CN=gw1,O=Maker"),
            (&dn, ProfileConfig::default(), "CN=gw2,O=Example\\, Inc.,C=DE"),
        ] {
            let refused = subject(account, config, wanted);
            assert!(matches!(refused, Err(Error::Denied { .. })), "{wanted}: {refused:?}");
        }
    }

    #[test]
    fn a_common_name_is_issued_as_the_account_spells_it() {
        let account = Account::with_identities(&["fqdn:gw1.example.net", "email:Ops@example.net"]);
        for (wanted, expected) in [
            ("CN=GW1", "CN=gw1"),
            ("CN=GW1.Example.NET", "CN=gw1.example.net"),
            ("CN=ops@EXAMPLE.net", "CN=Ops@example.net"),
        ] {
            assert_eq!(names(&account, Some(wanted), &[]).unwrap().subject.to_string(), expected);
        }
    }

    #[test]
    fn a_long_name_does_not_become_a_common_name() {
        let long = format!("fqdn:{}.example.net", "a".repeat(60));
        assert_eq!(
            names(&Account::with_identities(&[&long]), None, &[]).unwrap().subject.to_string(),
            "CN=gw1"
        );
    }
}
