//! Decides a certificate's names: the subject and the subjectAltName, from the account, the profile and the request.

use der::Tagged;
use der::asn1::SetOfVec;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::{Name, RdnSequence, RelativeDistinguishedName};

use crate::error::{Denial, Error, Result};
use crate::name::{Identity, distinguished_name};
use crate::lint::{self, Severity};
use crate::oid;
use crate::path::same_name;
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
/// that it holds. What is issued otherwise than asked for is added to `changes`.
///
/// # Errors
/// `Denied` with [`Denial::NotAuthorized`] that names what the account does not hold and lists what it does.
pub fn decide(
    account: &Account,
    profile: &Profile,
    subject: Option<&Name>,
    wanted: Option<&[GeneralName]>,
    changes: &mut Vec<String>,
) -> Result<Names> {
    let identities = match wanted {
        None => held(account, profile),
        Some(wanted) => asked_for(account, profile, wanted)?,
    };
    let alt_names = identities
        .iter()
        .filter_map(|id| id.general_name().transpose())
        .collect::<Result<Vec<_>>>()?;
    let subject = decide_subject(account, profile, subject, &identities, changes)?;
    let has_dn_identity = dns(account).any(|name| same_name(name, &subject));
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

/// Checks that a certificate can be issued to an account as it is: what is refused here would be refused to each of its requests.
///
/// # Errors
/// [`Error::Malformed`] that names the identity and the rule; as [`decide`].
pub fn check_account(account: &Account, profile: &Profile) -> Result<()> {
    let refused = |name: &Name, why: &str| {
        Error::malformed(format!("no certificate can hold the subject `{name}`: {why}"))
    };
    let names = decide(account, profile, None, None, &mut Vec::new())?;
    for name in std::iter::once(&names.subject).chain(dns(account)) {
        let findings = lint::name("subject", name)?;
        if let Some(found) = findings.iter().find(|found| found.severity == Severity::Error) {
            return Err(refused(name, &found.message));
        }
    }
    Ok(())
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
        let own = account.held(&identity).ok_or_else(|| {
            Error::denied(
                Denial::NotAuthorized,
                format!(
                    "the identity `{identity}` is not one of the account's: it holds {}",
                    list(account)
                ),
            )
        })?;
        if !identities.contains(own) {
            identities.push(own.clone());
        }
    }
    Ok(identities)
}

fn decide_subject(
    account: &Account,
    profile: &Profile,
    wanted: Option<&Name>,
    identities: &[Identity],
    changes: &mut Vec<String>,
) -> Result<Name> {
    let default = match dns(account).next() {
        Some(name) => name.clone(),
        None => from_template(account, profile, identities)?,
    };
    let Some(wanted) = wanted else { return Ok(default) };
    // The account's spelling is what is issued.
    if let Some(own) =
        std::iter::once(&default).chain(dns(account)).find(|own| same_name(wanted, own))
    {
        return Ok(own.clone());
    }
    // Alone it stands only where alternative names say who it is.
    let has_names = !identities.is_empty() || !profile.is_for_ike();
    let text = lone_common_name(wanted).filter(|_| has_names);
    if let Some(text) = text.and_then(|text| spelled(account, text)) {
        return distinguished_name(&fill("CN={id}", "", &text));
    }
    match meant(account, profile, wanted, &default) {
        Some(own) => {
            changes.push(replaced(own));
            Ok(own.clone())
        }
        None => Err(Error::denied(
            Denial::NotAuthorized,
            format!(
                "the subject `{wanted}` is not one of the account's: ask for `{default}`, for `CN=` and one of its names, \
                 or for no subject; it holds {}",
                list(account)
            ),
        )),
    }
}

/// What is told where a subject is replaced.
pub fn replaced(by: &Name) -> String {
    format!("the subject is `{by}`, as the account and its profile have it")
}

/// Whether a subject names this account, beside what the profile takes for the device's own.
pub fn names(account: &Account, profile: &Profile, subject: &Name) -> bool {
    let is_dn = || dns(account).any(|own| same_name(own, subject));
    let is_named = || {
        let left = without_devices_own(profile, subject);
        lone_common_name(&left).is_some_and(|text| spelled(account, text).is_some())
    };
    is_dn() || is_named() || dns(account).any(|own| differs_in_devices_own(profile, subject, own))
}

/// Whether two subjects differ in nothing but what the profile takes for the device's own, or the first one says nothing else.
pub fn differs_in_devices_own(profile: &Profile, wanted: &Name, subject: &Name) -> bool {
    let left = without_devices_own(profile, wanted);
    left.is_empty() || same_name(&left, &without_devices_own(profile, subject))
}

/// The subject of the account that is meant by one which differs in what a device fixes (O, OU, C, …).
fn meant<'a>(
    account: &'a Account,
    profile: &Profile,
    wanted: &Name,
    default: &'a Name,
) -> Option<&'a Name> {
    let left = without_devices_own(profile, wanted);
    let differs = |own: &&Name| differs_in_devices_own(profile, wanted, own);
    let names_it = || lone_common_name(&left).is_some_and(|text| spelled(account, text).is_some());
    let found = std::iter::once(default).chain(dns(account)).find(differs);
    found.or_else(|| names_it().then_some(default))
}

/// A name without the attributes that the profile replaces.
fn without_devices_own(profile: &Profile, name: &Name) -> Name {
    let part = |part: &RelativeDistinguishedName| {
        let left: Vec<_> =
            part.0.iter().filter(|one| !profile.replaces(&one.oid)).cloned().collect();
        let set = SetOfVec::try_from(left).ok().filter(|set| !set.is_empty());
        set.map(RelativeDistinguishedName)
    };
    RdnSequence(name.0.iter().filter_map(part).collect())
}

/// The name of the account, or one of its identities, that a common name repeats, in the account's spelling: it adds no identity.
fn spelled(account: &Account, text: &str) -> Option<String> {
    let folded = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let own = std::iter::once(account.name.to_string());
    let mut all = own.chain(account.identities.iter().filter_map(identity_text));
    all.find(|own| folded(own) == folded(text))
}

fn dns(account: &Account) -> impl Iterator<Item = &Name> {
    account.identities.iter().filter_map(|id| match id {
        Identity::Dn(name) => Some(name),
        _ => None,
    })
}

/// The text of a subject that is a common name and nothing else.
fn lone_common_name(subject: &Name) -> Option<&str> {
    let [rdn] = subject.0.as_slice() else { return None };
    (rdn.0.len() == 1).then(|| common_name(subject)).flatten()
}

/// The text of the only common name in a subject.
pub fn common_name(subject: &Name) -> Option<&str> {
    let all = subject.0.iter().flat_map(|rdn| rdn.0.iter());
    let mut all = all.filter(|attribute| attribute.oid == oid::COMMON_NAME);
    let (attribute, None) = (all.next()?, all.next()) else { return None };
    let is_text = matches!(attribute.value.tag(), der::Tag::Utf8String | der::Tag::PrintableString);
    std::str::from_utf8(attribute.value.value()).ok().filter(|_| is_text)
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
    use crate::profile::{DefaultUrls, ProfileConfig, Profiles};

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
            incarnation: Default::default(),
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
        let profile = profiles.named(&account.profile).unwrap();
        decide(account, profile, subject.as_ref(), wanted, &mut Vec::new())
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
        let account = account(&["dn:CN=gw1,O=Example,C=DE"]);
        assert_eq!(
            names(&account, None, &[]).unwrap().subject.to_string(),
            "CN=gw1,O=Example,C=DE"
        );
        assert!(names(&account, Some("CN=gw1,O=Example,C=DE"), &[]).is_ok());
        assert!(names(&account, Some("CN=gw2,O=Example,C=DE"), &[]).is_err());
        let sparse = names(&account, Some("CN=gw1"), &[]).unwrap();
        assert_eq!(sparse.subject.to_string(), "CN=gw1,O=Example,C=DE");
        // The certificate would carry no identity that the account holds.
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
        let gateway = account(&["fqdn:gw1.example.net"]);
        let dn = account(&["dn:CN=gw1,O=Example\\, Inc.,C=DE"]);
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
        // Case and blanks are no difference, and not told.
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
        let account = account(&["fqdn:gw1.example.net", "email:Ops@example.net"]);
        for (wanted, expected) in [
            ("CN=GW1", "CN=gw1"),
            ("CN=GW1.Example.NET", "CN=gw1.example.net"),
            ("CN=ops@EXAMPLE.net", "CN=Ops@example.net"),
        ] {
            assert_eq!(names(&account, Some(wanted), &[]).unwrap().subject.to_string(), expected);
        }
    }

    #[test]
    fn an_account_that_no_certificate_fits_is_refused() {
        let profiles = Profiles::new(&BTreeMap::new(), &DefaultUrls::default()).unwrap();
        let check = |profile: &str, ids: &[&str]| {
            let profile = profiles.named(&profile.parse().unwrap()).unwrap();
            check_account(&account(ids), profile)
        };
        let long = format!("dn:CN={},O=Example", "a".repeat(65));
        let organization = format!("dn:CN=gw1,O={}", "a".repeat(65));
        for (profile, ids, expected) in [
            ("gateway", &[&*long][..], "65 characters"),
            ("gateway", &["fqdn:gw1.example.net", &*organization], "65 characters"),
            ("user", &["ip:192.0.2.1"], "no identity"),
        ] {
            let error = check(profile, ids).expect_err(ids[0]).to_string();
            assert!(error.contains(expected), "{ids:?}: {error}");
        }
        check("gateway", &["dn:E=ops@example.net,dnQualifier=a,CN=gw1,C=DE"]).unwrap();
        check("gateway", &[&format!("fqdn:{}.example.net", "a".repeat(60))]).unwrap();
    }

    #[test]
    fn a_long_name_does_not_become_a_common_name() {
        let long = format!("fqdn:{}.example.net", "a".repeat(60));
        assert_eq!(names(&account(&[&long]), None, &[]).unwrap().subject.to_string(), "CN=gw1");
    }
}
