//! Checks the profiles that operators wrote and makes [`Profile`] values of them, once, when the configuration is read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use der::oid::ObjectIdentifier;
use x509_cert::ext::pkix::{KeyUsage, KeyUsages};

use super::checked::{AltNameKind, KEY_FAMILIES, Profile};
use super::config::{BUILT_IN, DefaultUrls, PolicyConfig, ProfileConfig, built_in};
use super::template;
use super::url::check_url;
use super::wanted_key::KEY_FORMS;
use crate::error::{Error, Result};
use crate::key::KeyForm;
use crate::name::attribute_type;
use crate::oid;
use crate::record::Label;
use crate::record::approval::MAX_APPROVERS;
use crate::x509::Policy;

/// The value of `ike` for certificates that no IKE daemon presents.
const NOT_FOR_IKE: &str = "none";

/// The longest validity that a profile may have: 20 years of 365.25 days, which is how `20y` is read.
const MAX_VALIDITY: Duration = Duration::from_secs(20 * 31_557_600);

const KEY_USAGES: [(&str, KeyUsages); 4] = [
    ("digitalSignature", KeyUsages::DigitalSignature),
    ("nonRepudiation", KeyUsages::NonRepudiation),
    ("keyEncipherment", KeyUsages::KeyEncipherment),
    ("keyAgreement", KeyUsages::KeyAgreement),
];

const EXTENDED_KEY_USAGES: [(&str, ObjectIdentifier); 5] = [
    ("ipsecIKE", oid::IPSEC_IKE),
    ("serverAuth", oid::SERVER_AUTH),
    ("clientAuth", oid::CLIENT_AUTH),
    ("cmcRA", oid::CMC_RA),
    ("iKEIntermediate", oid::IKE_INTERMEDIATE),
];

/// Every profile of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profiles(BTreeMap<Label, Arc<Profile>>);

impl Profiles {
    /// The built-in profiles, with the operator's changes and additions: `configs`, by the profile's name. `urls` are for profiles that
    /// set none.
    ///
    /// # Errors
    /// [`Error::Malformed`] that says what is wrong, and names the profile if it is one of `configs`.
    pub fn new(configs: &BTreeMap<String, ProfileConfig>, urls: &DefaultUrls) -> Result<Self> {
        let mut profiles = BTreeMap::new();
        for name in BUILT_IN {
            let label: Label = name.parse()?;
            let profile = Profile::new(label.clone(), &ProfileConfig::default(), urls)?;
            profiles.insert(label, Arc::new(profile));
        }
        for (name, config) in configs {
            let profile = name.parse().and_then(|label| Profile::new(label, config, urls));
            let profile =
                profile.map_err(|e| Error::malformed(format!("profile `{name}`: {e}")))?;
            profiles.insert(profile.name.clone(), Arc::new(profile));
        }
        Ok(Self(profiles))
    }

    /// The profile of this name.
    pub fn named(&self, name: &Label) -> Option<&Arc<Profile>> {
        self.0.get(name)
    }

    /// Every profile, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = &Profile> {
        self.0.values().map(Arc::as_ref)
    }
}

impl Profile {
    /// Checks the settings, one after another, and makes the profile.
    fn new(name: Label, config: &ProfileConfig, urls: &DefaultUrls) -> Result<Self> {
        let base = base_of(&name, config)?;
        let list = |own: &Option<Vec<String>>, base: &Option<Vec<String>>| {
            own.clone().or_else(|| base.clone()).unwrap_or_default()
        };
        let variant = config.ike.as_deref().or(base.ike.as_deref()).unwrap_or("default");
        let extended = match variant {
            // The usages of a base that is for IKE are none of this profile's.
            NOT_FOR_IKE if base.ike.as_deref() != Some(NOT_FOR_IKE) => {
                config.extended_key_usage.clone().unwrap_or_default()
            }
            _ => list(&config.extended_key_usage, &base.extended_key_usage),
        };
        let extended_key_usage = extended_key_usage(&extended, variant)?;
        let for_ike = variant != NOT_FOR_IKE && !extended_key_usage.contains(&oid::CMC_RA);
        let crl_urls = config.crl_urls.clone().unwrap_or_else(|| urls.crl.clone());
        let ocsp_urls = config.ocsp_urls.clone().unwrap_or_else(|| urls.ocsp.clone());
        let ca_issuers = config.ca_issuers_urls.clone().unwrap_or_else(|| urls.ca_issuers.clone());
        crl_urls.iter().try_for_each(|url| check_url(url, &["http:", "ldap:"]))?;
        ocsp_urls.iter().try_for_each(|url| check_url(url, &["http:"]))?;
        ca_issuers.iter().try_for_each(|url| check_url(url, &["http:", "ldap:"]))?;
        let key_usage =
            lookup_all("key usage", &KEY_USAGES, &list(&config.key_usage, &base.key_usage))?;
        let signs =
            |usage| matches!(usage, KeyUsages::DigitalSignature | KeyUsages::NonRepudiation);
        if variant != NOT_FOR_IKE && !key_usage.iter().any(|usage| signs(*usage)) {
            return Err(Error::malformed(
                "key_usage needs `digitalSignature` or `nonRepudiation`: IKE daemons demand it (RFC 4945 §5.1.3.2); \
                 `ike = \"none\"` says that the certificate is for none",
            ));
        }
        if key_usage.is_empty() {
            return Err(Error::malformed("key_usage is empty; name at least one usage"));
        }
        let is_approved = config.approval.or(base.approval).unwrap_or(false);
        let profile = Self {
            validity: parse_validity(config.validity.as_ref().or(base.validity.as_ref()))?,
            keys: lookup_all("key kind", &KEY_FAMILIES, &list(&config.keys, &base.keys))?,
            min_rsa_bits: config.min_rsa_bits.or(base.min_rsa_bits).unwrap_or(2048),
            key_usage: KeyUsage(
                key_usage.into_iter().fold(Default::default(), |set, usage| set | usage),
            ),
            extended_key_usage,
            for_ike,
            subject: config.subject.clone().or(base.subject).unwrap_or_default(),
            replace_in_subject: list(&config.replace_in_subject, &base.replace_in_subject)
                .iter()
                .map(|name| attribute_type(name))
                .collect::<Result<_>>()?,
            path_length: config.path_length.or(base.path_length).unwrap_or(0),
            alt_names: lookup_all(
                "identity kind",
                &AltNameKind::ALL,
                &list(&config.alt_names, &base.alt_names),
            )?,
            crl_urls,
            ocsp_urls,
            ca_issuers_urls: ca_issuers,
            policies: config
                .policies
                .iter()
                .flatten()
                .map(Policy::try_from)
                .collect::<Result<_>>()?,
            approvals: approvals(config.approvals.or(base.approvals), is_approved)?,
            approval: is_approved,
            key_form: match config.envelope.as_ref().or(base.envelope.as_ref()) {
                Some(name) => lookup("envelope", &KEY_FORMS, name)?,
                None => KeyForm::default(),
            },
            name,
        };
        if profile.keys.is_empty() {
            return Err(Error::malformed(
                "`keys` is empty; name at least one of p256, p384, p521, ed25519, rsa",
            ));
        }
        if !(2048..=8192).contains(&profile.min_rsa_bits) {
            return Err(Error::malformed(format!(
                "expected min_rsa_bits from 2048 to 8192, found {}",
                profile.min_rsa_bits
            )));
        }
        template::check(&profile.subject)?;
        Ok(profile)
    }
}

impl TryFrom<&PolicyConfig> for Policy {
    type Error = Error;

    fn try_from(config: &PolicyConfig) -> Result<Self> {
        if let Some(cps) = &config.cps {
            check_url(cps, &["http:", "https:"])?;
        }
        Ok(Self { oid: parse_oid(&config.oid)?, cps: config.cps.clone() })
    }
}

/// The number of approvals, from 1 to [`MAX_APPROVERS`]. A number above 1 is of no use without `approval`.
fn approvals(wanted: Option<u8>, is_approved: bool) -> Result<u8> {
    let approvals = wanted.unwrap_or(1);
    if approvals > 1 && !is_approved {
        return Err(Error::malformed(
            "`approvals` says how many people approve, and `approval` does not say that anybody must: set `approval = true`, too",
        ));
    }
    match (1..=MAX_APPROVERS).contains(&usize::from(approvals)) {
        true => Ok(approvals),
        false => Err(Error::malformed(format!(
            "expected `approvals` from 1 to {MAX_APPROVERS}, found {approvals}"
        ))),
    }
}

/// The built-in profile from which absent settings of the profile `name` come.
fn base_of(name: &Label, config: &ProfileConfig) -> Result<ProfileConfig> {
    match &config.base {
        Some(base) => built_in(base).ok_or_else(|| {
            Error::malformed(format!(
                "expected `base` to be one of {}, found `{}`",
                BUILT_IN.join(", "),
                base.escape_debug()
            ))
        }),
        None => Ok(built_in(name.as_str()).or_else(|| built_in("gateway")).unwrap_or_default()),
    }
}

/// The extended key usages with these names or object identifiers, without duplicates, changed by `variant`, the value of the setting
/// `ike`.
fn extended_key_usage(names: &[String], variant: &str) -> Result<Vec<ObjectIdentifier>> {
    let mut usages = Vec::new();
    for name in names {
        let known =
            EXTENDED_KEY_USAGES.iter().find(|(known, _)| known == name).map(|(_, oid)| *oid);
        let usage = match known {
            Some(oid) => oid,
            None if name.contains('.') => parse_oid(name)?,
            None => {
                return Err(not_one_of(
                    "extended key usage",
                    EXTENDED_KEY_USAGES.iter().map(|(n, _)| *n),
                    name,
                ));
            }
        };
        if !usages.contains(&usage) {
            usages.push(usage);
        }
    }
    match variant {
        "default" => {}
        NOT_FOR_IKE
            if usages.contains(&oid::IPSEC_IKE) || usages.contains(&oid::IKE_INTERMEDIATE) =>
        {
            return Err(Error::malformed(
                "`ike` is `none`, and the extended key usage is for IKE; leave one of them out",
            ));
        }
        NOT_FOR_IKE => {}
        "strict-4945" => usages.clear(),
        "legacy" if usages.contains(&oid::IKE_INTERMEDIATE) => {}
        "legacy" => usages.push(oid::IKE_INTERMEDIATE),
        other => {
            return Err(not_one_of(
                "ike variant",
                ["default", "strict-4945", "legacy", NOT_FOR_IKE].into_iter(),
                other,
            ));
        }
    }
    Ok(usages)
}

/// Reads a validity such as `90d`, from 5 minutes to [`MAX_VALIDITY`]; 90 days if `text` is `None`.
fn parse_validity(text: Option<&String>) -> Result<Duration> {
    let text = text.map_or("90d", String::as_str);
    let validity = humantime::parse_duration(text).map_err(|e| {
        Error::malformed(format!("expected a validity such as `90d`, found `{text}`: {e}"))
    })?;
    if validity < Duration::from_secs(300) || validity > MAX_VALIDITY {
        return Err(Error::malformed(format!(
            "expected a validity from 5 minutes to 20 years, found `{text}`"
        )));
    }
    Ok(validity)
}

/// Reads an object identifier in dotted form.
///
/// # Errors
/// [`Error::Malformed`] if it is not one.
pub fn parse_oid(text: &str) -> Result<ObjectIdentifier> {
    ObjectIdentifier::new(text).map_err(|_| {
        Error::malformed(format!(
            "expected an object identifier such as `1.3.6.1.4.1.99999.1`, found `{}`",
            text.escape_debug()
        ))
    })
}

/// The values that the table `known` has for these names, without duplicates. `what` describes them in an error.
fn lookup_all<T: Copy + PartialEq>(
    what: &str,
    known: &[(&str, T)],
    names: &[String],
) -> Result<Vec<T>> {
    let mut found = Vec::new();
    for name in names {
        let value = lookup(what, known, name)?;
        if !found.contains(&value) {
            found.push(value);
        }
    }
    Ok(found)
}

/// The value that the table `known` has for this name.
fn lookup<T: Copy>(what: &str, known: &[(&str, T)], name: &str) -> Result<T> {
    let value = known.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    value.ok_or_else(|| not_one_of(what, known.iter().map(|(n, _)| *n), name))
}

/// The error for an unknown name. It suggests a known name that is spelled alike.
fn not_one_of<'a>(what: &str, known: impl Iterator<Item = &'a str>, found: &str) -> Error {
    let known: Vec<&str> = known.collect();
    let close = known
        .iter()
        .max_by(|a, b| strsim::jaro_winkler(a, found).total_cmp(&strsim::jaro_winkler(b, found)));
    let hint = close
        .filter(|name| strsim::jaro_winkler(name, found) > 0.8)
        .map(|name| format!("; did you mean `{name}`?"))
        .unwrap_or_default();
    Error::malformed(format!(
        "unknown {what} `{}`: expected one of {}{hint}",
        found.escape_debug(),
        known.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Denial;
    use crate::key::KeyKind;

    fn one(config: ProfileConfig) -> Result<Profile> {
        let configs = BTreeMap::from([("own".to_owned(), config)]);
        Ok(Profiles::new(&configs, &DefaultUrls::default())?
            .named(&"own".parse().unwrap())
            .unwrap()
            .as_ref()
            .clone())
    }

    #[test]
    fn the_variants_of_rfc_4945_change_the_extended_key_usage() {
        let variant =
            |ike: &str| one(ProfileConfig { ike: Some(ike.into()), ..Default::default() }).unwrap();
        let default = [oid::IPSEC_IKE, oid::SERVER_AUTH, oid::CLIENT_AUTH];
        assert_eq!(variant("default").extended_key_usage(), default);
        assert_eq!(variant("strict-4945").extended_key_usage(), []);
        assert_eq!(variant("legacy").extended_key_usage()[3], oid::IKE_INTERMEDIATE);
    }

    #[test]
    fn an_administrators_certificate_is_for_clients_of_tls_alone() {
        let administrator =
            || ProfileConfig { base: Some("administrator".into()), ..Default::default() };
        let profile = one(administrator()).unwrap();
        assert!(!profile.is_for_ike());
        assert_eq!(profile.extended_key_usage(), [oid::CLIENT_AUTH]);
        let longer = ProfileConfig { validity: Some("30d".into()), ..administrator() };
        assert!(!one(longer).unwrap().is_for_ike());
        let for_ike = ProfileConfig { ike: Some("default".into()), ..administrator() };
        assert!(one(for_ike).unwrap().is_for_ike());
    }

    #[test]
    fn a_key_that_only_encrypts_is_for_no_ike_daemon() {
        let strings = |list: &[&str]| Some(list.iter().map(|s| (*s).to_owned()).collect());
        let config = ProfileConfig {
            ike: Some("none".into()),
            key_usage: strings(&["keyEncipherment", "keyAgreement"]),
            ..Default::default()
        };
        let profile = one(config.clone()).unwrap();
        assert!(!profile.is_for_ike() && profile.extended_key_usage().is_empty());
        let usage = |kind| profile.key_usage_of(kind).0;
        assert_eq!(usage(KeyKind::Rsa(2048)), KeyUsages::KeyEncipherment);
        assert_eq!(usage(KeyKind::P384), KeyUsages::KeyAgreement);
        assert!(usage(KeyKind::Ed25519).is_empty());
        let ike = ProfileConfig { extended_key_usage: strings(&["ipsecIKE"]), ..config.clone() };
        assert!(one(ike).unwrap_err().to_string().contains("for IKE"));
        let none = ProfileConfig { key_usage: strings(&[]), ..config };
        assert!(one(none).unwrap_err().to_string().contains("at least one"));
    }

    #[test]
    fn small_and_foreign_keys_are_refused_by_name() {
        let profile = one(ProfileConfig {
            keys: Some(vec!["rsa".into(), "p384".into()]),
            min_rsa_bits: Some(3072),
            ..Default::default()
        })
        .unwrap();
        assert_eq!(profile.check_key(KeyKind::Rsa(3072)), Ok(()));
        assert_eq!(profile.check_key(KeyKind::P384), Ok(()));
        for (key, denial) in [
            (KeyKind::Rsa(3071), Denial::KeySize),
            (KeyKind::P256, Denial::Algorithm),
            (KeyKind::Ed25519, Denial::Algorithm),
        ] {
            let Err(Error::Denied { kind, why }) = profile.check_key(key) else { panic!("{key}") };
            assert_eq!(kind, denial, "{key}");
            assert!(
                why.contains("rsa of 3072 bits or more") && why.contains(&key.to_string()),
                "{why}"
            );
        }
    }

    #[test]
    fn the_longest_validity_may_be_written_in_years() {
        let longest = ProfileConfig { validity: Some("20y".into()), ..Default::default() };
        assert_eq!(one(longest).unwrap().validity(), MAX_VALIDITY);
    }

    #[test]
    fn what_an_operator_mistypes_is_named() {
        let cases = [
            (
                ProfileConfig { keys: Some(vec!["p265".into()]), ..Default::default() },
                "did you mean `p256`?",
            ),
            (
                ProfileConfig {
                    key_usage: Some(vec!["keyEncipherment".into()]),
                    ..Default::default()
                },
                "RFC 4945",
            ),
            (ProfileConfig { validity: Some("90 parsecs".into()), ..Default::default() }, "`90d`"),
            (ProfileConfig { validity: Some("20y 1s".into()), ..Default::default() }, "20 years"),
            (
                ProfileConfig { base: Some("gate".into()), ..Default::default() },
                "gateway, host, user, ra",
            ),
            (
                ProfileConfig {
                    crl_urls: Some(vec!["ldap://h/cn=ca".into()]),
                    ..Default::default()
                },
                "attribute",
            ),
            (
                ProfileConfig { crl_urls: Some(vec!["file:///x".into()]), ..Default::default() },
                "http:",
            ),
            (ProfileConfig { min_rsa_bits: Some(1024), ..Default::default() }, "2048"),
            (ProfileConfig { subject: Some("CN={nme}".into()), ..Default::default() }, "{name}"),
        ];
        for (config, expected) in cases {
            let Err(Error::Malformed(why)) = one(config.clone()) else {
                panic!("{config:?} was taken")
            };
            assert!(why.contains("profile `own`") && why.contains(expected), "{why}");
        }
    }
}
