//! Profiles as operators write them, and the built-in profiles in the same form.

use serde::{Deserialize, Serialize};

use crate::record::ADMINISTRATOR_PROFILE;

/// A profile as an operator writes it. Absent settings come from the built-in profile that `base` names; without
/// `base`, from the built-in profile of the same name, or else from `gateway`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProfileConfig {
    /// The built-in profile to start from: `gateway`, `host`, `user`, `ra` or `administrator`.
    pub base: Option<String>,
    /// How long a certificate is valid, such as `90d`; from 5 minutes to 20 years. It never outlives its issuer.
    pub validity: Option<String>,
    /// The accepted kinds of key: `p256`, `p384`, `p521`, `ed25519`, `rsa`.
    pub keys: Option<Vec<String>>,
    /// The smallest accepted RSA modulus, in bits; from 2048 to 8192.
    pub min_rsa_bits: Option<u32>,
    /// The key usage: `digitalSignature`, and where needed `nonRepudiation`, `keyEncipherment`, `keyAgreement`.
    pub key_usage: Option<Vec<String>>,
    /// The extended key usage: `ipsecIKE`, `serverAuth`, `clientAuth`, `cmcRA`, `iKEIntermediate` or an OID.
    pub extended_key_usage: Option<Vec<String>>,
    /// The variant of certificates for IKE: `default`, with the extended key usage of the profile; `strict-4945`, without any
    /// extended key usage; `legacy`, with iKEIntermediate (1.3.6.1.5.5.8.2.2) in addition; or `none`, for certificates that no IKE
    /// daemon presents. With `none` the key need not sign, and the extended key usage is empty unless it is given.
    pub ike: Option<String>,
    /// The subject for accounts without a DN identity. `{id}` stands for the first identity in the certificate, `{name}` for
    /// the account's name. The account's name also takes the place of an identity that is missing or has more than 64 characters. An
    /// empty text gives an empty subject.
    pub subject: Option<String>,
    /// The attributes of a requested subject that devices set to fixed values and that identify nobody, such as `O`,
    /// `OU` and `C`. If they differ from the account's subject, the account's subject is issued and the answer says so.
    /// If the list is empty, such a request is refused.
    pub replace_in_subject: Option<Vec<String>>,
    /// The pathLenConstraint of cross certificates; 0 if absent.
    pub path_length: Option<u8>,
    /// The kinds of identity that the subjectAltName may contain: `fqdn`, `ip`, `email`.
    pub alt_names: Option<Vec<String>>,
    /// CRL distribution points (`http:` or `ldap:` URLs). `{ca}` stands for the name of the issuing CA; `{partition}`
    /// stands for the number of the certificate's partition. Without partitions, a URL with `{partition}` is left out.
    pub crl_urls: Option<Vec<String>>,
    /// URLs of OCSP responders (`http:`). `{ca}` stands for the name of the issuing CA.
    pub ocsp_urls: Option<Vec<String>>,
    /// URLs of the issuer's certificate (`http:` or `ldap:`). `{ca}` stands for the name of the issuing CA.
    pub ca_issuers_urls: Option<Vec<String>>,
    /// Certificate policies.
    pub policies: Option<Vec<PolicyConfig>>,
    /// Whether an administrator must approve each request; `false` if absent.
    pub approval: Option<bool>,
    /// How many people must approve a request, from 1 to 5; 1 if absent.
    pub approvals: Option<u8>,
    /// What becomes of a certificate that a renewal replaced: `keep`, or `revoke-after 7d`, that long after the new one is
    /// confirmed; from 1 minute to 20 years. `keep` if absent.
    pub supersede: Option<String>,
    /// The form in which private keys that the authority generates are handed over: `rfc5958` (RFC 9483 §4.1.6) or
    /// `openssl`, for OpenSSL's client; `rfc5958` if absent.
    pub envelope: Option<String>,
}

/// A certificate policy with its Certification Practice Statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyConfig {
    /// The policy's object identifier.
    pub oid: String,
    /// The URL of the Certification Practice Statement (RFC 5280 §4.2.1.4).
    #[serde(default)]
    pub cps: Option<String>,
}

/// The templates of the URLs in certificates whose profile sets none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DefaultUrls {
    /// URLs of CRL distribution points, with `{ca}`.
    pub crl: Vec<String>,
    /// URLs of OCSP responders, with `{ca}`.
    pub ocsp: Vec<String>,
    /// URLs of the issuer's certificate, with `{ca}`.
    pub ca_issuers: Vec<String>,
}

/// The names of the built-in profiles.
pub const BUILT_IN: [&str; 5] = ["gateway", "host", "user", "ra", ADMINISTRATOR_PROFILE];

/// The built-in profile of this name, in the form in which an operator would write it; `None` if there is none.
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
        supersede: Some("keep".into()),
        envelope: Some("rfc5958".into()),
        ..ProfileConfig::default()
    };
    Some(match name {
        "gateway" => ProfileConfig { alt_names: strings(&["fqdn", "ip", "email"]), ..common },
        "host" => common,
        // Without serverAuth, so that a user cannot pass for a gateway before clients that check for serverAuth.
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
        // For the administration API alone: a certificate of this profile proves an administrator.
        ADMINISTRATOR_PROFILE => ProfileConfig {
            ike: Some("none".into()),
            extended_key_usage: strings(&["clientAuth"]),
            subject: Some("CN={name}".into()),
            alt_names: strings(&["email"]),
            ..common
        },
        _ => return None,
    })
}
