//! Profiles: what a certificate of each kind says. The account and the profile decide; the request proposes.
//!
//! [`ProfileConfig`] is what an operator writes; [`Profile`] is what was checked, once, at start (RFC 5280 §4,
//! RFC 4945 §5.1).

pub mod subject;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use der::asn1::Ia5String;
use der::oid::ObjectIdentifier;
use serde::{Deserialize, Serialize};
use x509_cert::ext::pkix::{KeyUsage, KeyUsages};

use crate::error::{Denial, Error, Result};
use crate::key::generated::{KEY_FORMS, KeyForm};
use crate::oid;
use crate::key::public::KeyKind;
use crate::record::Label;

/// The variant of a profile whose certificates no IKE daemon presents.
const NOT_FOR_IKE: &str = "none";

/// The place of a partition's number in a URL.
const PARTITION: &str = "{partition}";

/// The longest validity that a profile may give: 20 years.
const MAX_VALIDITY: Duration = Duration::from_secs(20 * 365 * 86_400);

/// A profile as an operator writes it. What is absent is taken from the built-in profile of the same name, or else
/// from the one that `base` names, or else from `gateway`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProfileConfig {
    /// The built-in profile to start from: `gateway`, `host`, `user` or `ra`.
    pub base: Option<String>,
    /// How long a certificate is valid, such as `90d`. It never outlives its issuer.
    pub validity: Option<String>,
    /// The kinds of key that are taken: `p256`, `p384`, `ed25519`, `rsa`.
    pub keys: Option<Vec<String>>,
    /// The smallest RSA modulus that is taken, in bits; at least 2048.
    pub min_rsa_bits: Option<u32>,
    /// The key usage: `digitalSignature`, and if need be `nonRepudiation`, `keyEncipherment`, `keyAgreement`.
    pub key_usage: Option<Vec<String>>,
    /// The extended key usage: `ipsecIKE`, `serverAuth`, `clientAuth`, `cmcRA`, `iKEIntermediate` or an OID.
    pub extended_key_usage: Option<Vec<String>>,
    /// `default`, `strict-4945` (no extended key usage at all), `legacy` (adds 1.3.6.1.5.5.8.2.2), or `none`: no IKE daemon
    /// presents the certificate, so that its key need not sign, and the extended key usage is empty unless it is given.
    pub ike: Option<String>,
    /// The subject of an account without a DN identity, with `{id}` for its first identity and `{name}` for its
    /// name; empty for an empty subject.
    pub subject: Option<String>,
    /// The attributes of a requested subject that a device fixes and that name nobody, such as `O`, `OU` and `C`: where they differ
    /// from the account's subject, that one is issued, and the answer says so. Empty: such a request is refused.
    pub replace_in_subject: Option<Vec<String>>,
    /// How many CAs may stand below one that is cross-certified; 0 unless given.
    pub path_length: Option<u8>,
    /// The kinds of identity that may stand in the subjectAltName: `fqdn`, `ip`, `email`.
    pub alt_names: Option<Vec<String>>,
    /// CRL distribution points (`http:` or `ldap:` URLs), with `{ca}` for the name of the issuing CA, and `{partition}`
    /// for the number of the certificate's partition if CRLs are divided.
    pub crl_urls: Option<Vec<String>>,
    /// OCSP responders (`http:` URLs), with `{ca}` for the name of the issuing CA.
    pub ocsp_urls: Option<Vec<String>>,
    /// Where the issuer's certificate can be fetched, with `{ca}` for the name of the issuing CA.
    pub ca_issuers_urls: Option<Vec<String>>,
    /// Certificate policies.
    pub policies: Option<Vec<PolicyConfig>>,
    /// Whether each request waits until an administrator approves it; `false` without it.
    pub approval: Option<bool>,
    /// In which form keys that are made here are handed over: `rfc5958` (RFC 9483 §4.1.6), or `openssl`, which OpenSSL's
    /// client reads; `rfc5958` without it.
    pub envelope: Option<String>,
}

/// A certificate policy with its Certification Practice Statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyConfig {
    /// The policy's object identifier.
    pub oid: String,
    /// Where the Certification Practice Statement can be read (RFC 5280 §4.2.1.4).
    #[serde(default)]
    pub cps: Option<String>,
}

/// A certificate policy, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The policy's object identifier.
    pub oid: ObjectIdentifier,
    /// The CPS URI.
    pub cps: Option<String>,
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

/// A profile, checked. Nothing downstream validates again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    name: Label,
    validity: Duration,
    keys: Vec<KeyFamily>,
    min_rsa_bits: u32,
    key_usage: KeyUsage,
    extended_key_usage: Vec<ObjectIdentifier>,
    for_ike: bool,
    subject: String,
    replace_in_subject: Vec<ObjectIdentifier>,
    path_length: u8,
    alt_names: Vec<AltNameKind>,
    crl_urls: Vec<String>,
    ocsp_urls: Vec<String>,
    ca_issuers_urls: Vec<String>,
    policies: Vec<Policy>,
    approval: bool,
    key_form: KeyForm,
}

/// A kind of key, whatever its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyFamily {
    P256,
    P384,
    P521,
    Ed25519,
    Rsa,
}

/// A kind of identity in the subjectAltName.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AltNameKind {
    /// dNSName.
    Fqdn,
    /// iPAddress.
    Ip,
    /// rfc822Name.
    Email,
}

impl AltNameKind {
    const ALL: [(&'static str, Self); 3] =
        [("fqdn", Self::Fqdn), ("ip", Self::Ip), ("email", Self::Email)];
}

const KEY_FAMILIES: [(&str, KeyFamily); 5] = [
    ("p256", KeyFamily::P256),
    ("p384", KeyFamily::P384),
    ("p521", KeyFamily::P521),
    ("ed25519", KeyFamily::Ed25519),
    ("rsa", KeyFamily::Rsa),
];

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

impl Profile {
    /// Its name.
    pub const fn name(&self) -> &Label {
        &self.name
    }

    /// How long a certificate is valid.
    pub const fn validity(&self) -> Duration {
        self.validity
    }

    /// The kinds of key that are taken, RSA with the smallest modulus.
    pub fn keys(&self) -> Vec<KeyKind> {
        let kind = |family: &KeyFamily| match family {
            KeyFamily::P256 => KeyKind::P256,
            KeyFamily::P384 => KeyKind::P384,
            KeyFamily::P521 => KeyKind::P521,
            KeyFamily::Ed25519 => KeyKind::Ed25519,
            KeyFamily::Rsa => KeyKind::Rsa(self.min_rsa_bits),
        };
        self.keys.iter().map(kind).collect()
    }

    /// The key usage bits.
    pub const fn key_usage(&self) -> KeyUsage {
        self.key_usage
    }

    /// Whether a request may have this key usage for a key of this kind: some of the profile's, with what signs if that is
    /// among it. IKE daemons demand digitalSignature or nonRepudiation (RFC 4945 §5.1.3.2), and a CMP message
    /// digitalSignature (RFC 9483 §3.2).
    pub fn grants(&self, kind: KeyKind, usage: KeyUsage) -> bool {
        let own = self.key_usage_of(kind).0;
        let signs = |which: KeyUsages| usage.0.contains(which);
        let signing = KeyUsages::DigitalSignature | KeyUsages::NonRepudiation;
        own.contains(usage.0)
            && !usage.0.is_empty()
            && (own.is_disjoint(signing)
                || signs(KeyUsages::DigitalSignature)
                || (self.is_for_ike() && signs(KeyUsages::NonRepudiation)))
    }

    /// The key usage bits in a certificate for a key of this kind: an RSA key agrees on nothing, an EC key enciphers no key
    /// (RFC 8017, RFC 5480 §3), and an Ed25519 key only signs (RFC 8410 §5).
    pub fn key_usage_of(&self, kind: KeyKind) -> KeyUsage {
        let never = match kind {
            KeyKind::Rsa(_) => KeyUsages::KeyAgreement.into(),
            KeyKind::P256 | KeyKind::P384 | KeyKind::P521 => KeyUsages::KeyEncipherment.into(),
            KeyKind::Ed25519 => KeyUsages::KeyEncipherment | KeyUsages::KeyAgreement,
        };
        KeyUsage(self.key_usage.0 - never)
    }

    /// The extended key usages; empty for no such extension.
    pub fn extended_key_usage(&self) -> &[ObjectIdentifier] {
        &self.extended_key_usage
    }

    /// The template of the subject.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Whether an attribute of a requested subject is replaced rather than refused.
    pub fn replaces(&self, attribute: &ObjectIdentifier) -> bool {
        self.replace_in_subject.contains(attribute)
    }

    /// How many CAs may stand below one that is cross-certified.
    pub const fn path_length(&self) -> u8 {
        self.path_length
    }

    /// Whether this kind of identity may stand in the subjectAltName.
    pub fn takes(&self, kind: AltNameKind) -> bool {
        self.alt_names.contains(&kind)
    }

    /// The CRL distribution points for a certificate of this CA and this partition.
    pub fn crl_urls(&self, ca: &Label, partition: Option<u16>) -> Vec<String> {
        self.crl_urls.iter().filter_map(|url| filled_url(url, ca, partition)).collect()
    }

    /// The distribution points that name a partition, with `{ca}` and `{partition}`.
    pub fn partition_urls(&self) -> impl Iterator<Item = &String> {
        self.crl_urls.iter().filter(|url| url.contains(PARTITION))
    }

    /// Whether a distribution point names a partition.
    pub fn names_partition(&self) -> bool {
        self.partition_urls().next().is_some()
    }

    /// The OCSP responders for certificates of this CA.
    pub fn ocsp_urls(&self, ca: &Label) -> Vec<String> {
        self.ocsp_urls.iter().map(|url| url.replace("{ca}", ca.as_str())).collect()
    }

    /// Where the certificate of this CA can be fetched.
    pub fn ca_issuers_urls(&self, ca: &Label) -> Vec<String> {
        self.ca_issuers_urls.iter().map(|url| url.replace("{ca}", ca.as_str())).collect()
    }

    /// The certificate policies.
    pub fn policies(&self) -> &[Policy] {
        &self.policies
    }

    /// Whether each request waits until an administrator approves it.
    pub const fn needs_approval(&self) -> bool {
        self.approval
    }

    /// In which form keys that are made here are handed over.
    pub const fn key_form(&self) -> KeyForm {
        self.key_form
    }

    /// Whether its certificates are those of registration authorities (id-kp-cmcRA, RFC 6402 §2.10).
    pub fn is_for_registrars(&self) -> bool {
        self.extended_key_usage.contains(&oid::CMC_RA)
    }

    /// Whether the certificate is one that an IKE daemon presents: the rules of RFC 4945 hold for it.
    pub const fn is_for_ike(&self) -> bool {
        self.for_ike
    }

    /// Checks the kind and size of a key.
    ///
    /// # Errors
    /// `Denied` that says what is taken, with [`Denial::Algorithm`] for the kind and [`Denial::KeySize`] for the size.
    pub fn check_key(&self, key: KeyKind) -> Result<()> {
        let family = match key {
            KeyKind::P256 => KeyFamily::P256,
            KeyKind::P384 => KeyFamily::P384,
            KeyKind::P521 => KeyFamily::P521,
            KeyKind::Ed25519 => KeyFamily::Ed25519,
            KeyKind::Rsa(_) => KeyFamily::Rsa,
        };
        let too_small = matches!(key, KeyKind::Rsa(bits) if bits < self.min_rsa_bits);
        let denial = match self.keys.contains(&family) {
            true if !too_small => return Ok(()),
            true => Denial::KeySize,
            false => Denial::Algorithm,
        };
        let taken: Vec<String> = KEY_FAMILIES
            .iter()
            .filter(|(_, family)| self.keys.contains(family))
            .map(|(name, family)| match family {
                KeyFamily::Rsa => format!("rsa of {} bits or more", self.min_rsa_bits),
                _ => (*name).to_owned(),
            })
            .collect();
        Err(Error::denied(
            denial,
            format!("the profile `{}` takes keys of {}, found {key}", self.name, taken.join(", ")),
        ))
    }

    fn new(name: Label, config: &ProfileConfig, urls: &DefaultUrls) -> Result<Self> {
        let base = base_of(&name, config)?;
        let list = |own: &Option<Vec<String>>, base: &Option<Vec<String>>| {
            own.clone().or_else(|| base.clone()).unwrap_or_default()
        };
        let variant = config.ike.as_deref().unwrap_or("default");
        let extended = match variant {
            NOT_FOR_IKE => config.extended_key_usage.clone().unwrap_or_default(),
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
                .map(|name| crate::name::dn::attribute_type(name))
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
            approval: config.approval.or(base.approval).unwrap_or(false),
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
        crate::profile::subject::check_template(&profile.subject)?;
        Ok(profile)
    }
}

/// The URLs that go into certificates where a profile names none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DefaultUrls {
    /// CRL distribution points, with `{ca}`.
    pub crl: Vec<String>,
    /// OCSP responders, with `{ca}`.
    pub ocsp: Vec<String>,
    /// caIssuers, with `{ca}`.
    pub ca_issuers: Vec<String>,
}

/// Every profile of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profiles(BTreeMap<Label, Arc<Profile>>);

impl Profiles {
    /// The built-in profiles, changed and joined by what the operator wrote.
    ///
    /// # Errors
    /// [`Error::Malformed`] that names the profile and the key.
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

    /// Every profile, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Profile> {
        self.0.values().map(Arc::as_ref)
    }
}

/// The names of the built-in profiles.
pub const BUILT_IN: [&str; 4] = ["gateway", "host", "user", "ra"];

/// A built-in profile in the form an operator would write it.
pub fn built_in(name: &str) -> Option<ProfileConfig> {
    let strings =
        |list: &[&str]| Some(list.iter().map(|s| (*s).to_owned()).collect::<Vec<String>>());
    let common = ProfileConfig {
        validity: Some("90d".into()),
        keys: strings(&["p256", "p384", "p521", "ed25519", "rsa"]),
        min_rsa_bits: Some(2048),
        key_usage: strings(&["digitalSignature"]),
        extended_key_usage: strings(&["ipsecIKE", "serverAuth", "clientAuth"]),
        subject: Some("CN={id}".into()),
        replace_in_subject: strings(&["O", "OU", "C", "L", "ST"]),
        alt_names: strings(&["fqdn", "ip"]),
        approval: Some(false),
        envelope: Some("rfc5958".into()),
        ..ProfileConfig::default()
    };
    Some(match name {
        "gateway" => ProfileConfig { alt_names: strings(&["fqdn", "ip", "email"]), ..common },
        "host" => common,
        // No serverAuth: a user must not pass for a gateway before clients that look for it.
        "user" => ProfileConfig {
            extended_key_usage: strings(&["ipsecIKE", "clientAuth"]),
            alt_names: strings(&["email", "fqdn"]),
            ..common
        },
        "ra" => ProfileConfig {
            validity: Some("365d".into()),
            extended_key_usage: strings(&["cmcRA"]),
            subject: Some("CN={name}".into()),
            alt_names: strings(&["fqdn"]),
            ..common
        },
        _ => return None,
    })
}

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

/// A URL with its places filled; `None` when it names a partition and there is none.
pub fn filled_url(template: &str, ca: &Label, partition: Option<u16>) -> Option<String> {
    let url = template.replace("{ca}", ca.as_str());
    match partition {
        Some(number) => Some(url.replace(PARTITION, &number.to_string())),
        None => (!url.contains(PARTITION)).then_some(url),
    }
}

/// Reads an object identifier in dotted form.
///
/// # Errors
/// [`Error::Malformed`].
pub fn parse_oid(text: &str) -> Result<ObjectIdentifier> {
    ObjectIdentifier::new(text).map_err(|_| {
        Error::malformed(format!(
            "expected an object identifier such as `1.3.6.1.4.1.99999.1`, found `{}`",
            text.escape_debug()
        ))
    })
}

fn check_url(url: &str, schemes: &[&str]) -> Result<()> {
    let no_attribute = url.starts_with("ldap:") && !url.contains('?');
    if Ia5String::new(url).is_err()
        || !url.bytes().all(|b| b.is_ascii_graphic())
        || url.len() > 1024
    {
        return Err(Error::malformed(format!(
            "expected a URL in printable ASCII, found `{}`",
            url.escape_debug()
        )));
    }
    if !schemes.iter().any(|scheme| url.starts_with(scheme)) {
        return Err(Error::malformed(format!(
            "expected a URL with {}, found `{url}`",
            schemes.join(" or ")
        )));
    }
    if no_attribute {
        return Err(Error::malformed(format!(
            "an ldap URL must name the attribute, as in `ldap://host/cn=ca?certificateRevocationList?base`: \
             IKE daemons fetch nothing otherwise; found `{url}`"
        )));
    }
    Ok(())
}

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

fn lookup<T: Copy>(what: &str, known: &[(&str, T)], name: &str) -> Result<T> {
    let value = known.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    value.ok_or_else(|| not_one_of(what, known.iter().map(|(n, _)| *n), name))
}

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
            (ProfileConfig { validity: Some("40y".into()), ..Default::default() }, "20 years"),
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
