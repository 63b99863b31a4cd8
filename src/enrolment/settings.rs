//! `enrolment.toml`: the settings of a first enrolment, which a renewal needs. It holds no secret.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use countersign_ca::name::distinguished_name;
use countersign_ca::{Identity, KeyAlgorithm};
use countersign_enroll::cmp::client::{Http, MacKind, Name};
use countersign_enroll::est::client::EstUrl;
use countersign_enroll::scep::client::{Fingerprint, ScepUrl};
use countersign_ike_plugin::gateway::Layout;
use serde::{Deserialize, Serialize};

use crate::config::duration;
use crate::exit::Failure;

/// The first line of `enrolment.toml`.
const HEAD: &str =
    "# Written by `countersign enroll`; `countersign enroll --renew --out` this folder reads it.\n";

/// The longest time that the operator may let a client wait for the server, in seconds.
const LONGEST: u64 = 30 * 86_400;

/// The protocol of an enrolment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// CMP (RFC 9810).
    #[default]
    Cmp,
    /// EST (RFC 7030).
    Est,
    /// SCEP (RFC 8894).
    Scep,
}

impl Protocol {
    /// The protocol's name, for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cmp => "CMP",
            Self::Est => "EST",
            Self::Scep => "SCEP",
        }
    }

    /// The kind of key to make, unless the operator names one. For SCEP it is RSA, because a SCEP server encrypts its answer for the key.
    pub const fn default_key(self) -> KeyAlgorithm {
        match self {
            Self::Cmp | Self::Est => KeyAlgorithm::P256,
            Self::Scep => KeyAlgorithm::Rsa3072,
        }
    }
}

/// The settings of an enrolment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The version of this file's format, which is 1.
    pub version: u32,
    /// The protocol; CMP, if the file does not say.
    #[serde(default)]
    pub protocol: Protocol,
    /// The server's URL.
    pub server: String,
    /// The base name of the files.
    pub name: String,
    /// The daemon whose file layout is written, or `plain`.
    #[serde(rename = "for")]
    pub layout: String,
    /// The kind of key to make.
    pub key_kind: String,
    /// The requested identities.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
    /// The requested subject, if not the first identity as common name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The requested profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The recipient of messages, a DN; without it the NULL-DN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// The requested validity, in days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u32>,
    /// Whether to request implicit confirmation (RFC 9810 §5.1.1.1).
    pub implicit_confirm: bool,
    /// How long before its end the certificate is renewed, if not a third of its validity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renew_before: Option<String>,
    /// How long to wait for a CA that is busy or has to decide.
    pub patience: String,
    /// How long one HTTP exchange may take.
    pub timeout: String,
    /// The operator's command, run after a certificate is put in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<String>,
    /// How many certificates are kept to roll back to, the present one included.
    pub keep: usize,
    /// The credential of the first enrolment.
    pub first: First,
}

/// The credential of a first enrolment: a secret, or a certificate such as the vendor's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct First {
    /// The reference of the secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The file with the secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<PathBuf>,
    /// The MAC: `pbm` or `pbmac1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// The iterations of the MAC's key derivation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac_iterations: Option<u32>,
    /// The file with the certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// The file with the private key of the certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_key: Option<PathBuf>,
    /// The file with the CA certificates above the certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra_certs: Option<PathBuf>,
    /// The fingerprint of the CA's certificate in SCEP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_fingerprint: Option<String>,
}

/// Options of the command line that take precedence over the file's settings, for one run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// The URL of another server.
    pub server: Option<String>,
    /// How long before its end the certificate is renewed, in place of the file's setting.
    pub renew_before: Option<String>,
    /// The command to run after a certificate is put in force, in place of the file's setting.
    pub then: Option<String>,
    /// How long to wait for a CA that is busy or has to decide, in place of the file's setting.
    pub patience: Option<String>,
    /// How long one HTTP exchange may take, in place of the file's setting.
    pub timeout: Option<String>,
    /// Renew although the certificate is not due.
    pub now: bool,
}

impl First {
    /// Whether there is no credential.
    pub const fn is_empty(&self) -> bool {
        self.secret_file.is_none() && self.certificate.is_none()
    }

    /// The fingerprint of the CA's certificate in SCEP.
    pub fn fingerprint(&self) -> Result<Option<Fingerprint>, Failure> {
        Ok(self.ca_fingerprint.as_deref().map(str::parse).transpose()?)
    }

    /// The MAC by its name; `pbm` if none is named.
    pub fn mac(&self) -> Result<MacKind, Failure> {
        match self.mac.as_deref() {
            None | Some("pbm") => Ok(MacKind::PasswordBasedMac),
            Some("pbmac1") => Ok(MacKind::Pbmac1),
            Some(other) => {
                Err(Failure::input(format!("expected the MAC pbm or pbmac1, found `{other}`")))
            }
        }
    }
}

impl Settings {
    /// Parses the file's text, and checks the values.
    pub fn parse(text: &str) -> Result<Self, String> {
        let read: Self = toml::from_str(text).map_err(|e| e.to_string())?;
        if read.version != 1 {
            return Err(format!("expected version 1, found {}", read.version));
        }
        read.check().map_err(|e| e.message)?;
        Ok(read)
    }

    /// The text of `enrolment.toml` with these settings.
    pub fn text(&self) -> Result<String, Failure> {
        let text = toml::to_string(self);
        Ok(format!("{HEAD}{}", text.map_err(|e| Failure { code: 1, message: e.to_string() })?))
    }

    /// Checks the server's URL, the kinds of key and MAC, identities, DNs, durations and the layout, that the daemon can use the kind of key,
    /// and that the protocol can carry each setting.
    pub fn check(&self) -> Result<(), Failure> {
        match self.protocol {
            Protocol::Cmp => drop(self.http()?),
            Protocol::Est => drop(self.est_url()?),
            Protocol::Scep => drop(self.scep_url()?),
        }
        self.timeout()?;
        self.key_algorithm()?;
        self.identities()?;
        self.subject()?;
        self.recipient()?;
        self.renew_before()?;
        self.patience()?;
        self.first.mac()?;
        self.first.fingerprint()?;
        self.check_protocol()?;
        let kind = self.key_algorithm()?;
        let kind = match kind {
            KeyAlgorithm::P256 => countersign_ca::KeyKind::P256,
            KeyAlgorithm::P384 => countersign_ca::KeyKind::P384,
            KeyAlgorithm::Ed25519 => countersign_ca::KeyKind::Ed25519,
            KeyAlgorithm::Rsa3072 => countersign_ca::KeyKind::Rsa(3072),
            KeyAlgorithm::Rsa4096 => countersign_ca::KeyKind::Rsa(4096),
        };
        self.layout()?.check_key(kind).map_err(|e| Failure::input(e.to_string()))
    }

    /// Refuses settings that the protocol cannot express.
    fn check_protocol(&self) -> Result<(), Failure> {
        use Protocol::{Cmp, Scep};
        let First { reference, secret_file, mac, mac_iterations, ca_fingerprint, .. } = &self.first;
        let cases: [(&str, bool, &[Protocol]); 6] = [
            ("--recipient", self.recipient.is_some(), &[Cmp]),
            ("--days", self.days.is_some(), &[Cmp]),
            ("--implicit-confirm", self.implicit_confirm, &[Cmp]),
            ("--mac", mac.is_some(), &[Cmp]),
            ("--mac-iterations", mac_iterations.is_some(), &[Cmp]),
            ("--ca-fingerprint", ca_fingerprint.is_some(), &[Scep]),
        ];
        for (option, is_set, protocols) in cases {
            if is_set && !protocols.contains(&self.protocol) {
                return Err(unfit(option, self.protocol));
            }
        }
        if self.protocol == Scep {
            let kind = self.key_algorithm()?;
            if !matches!(kind, KeyAlgorithm::Rsa3072 | KeyAlgorithm::Rsa4096) {
                return Err(Failure::input(format!(
                    "expected `--key-kind rsa3072` or `rsa4096`, because SCEP encrypts its answers for the key, found `{kind}`; EST and \
                     CMP take it"
                )));
            }
        } else if secret_file.is_some() && reference.is_none() {
            return Err(Failure::input(
                "expected `--reference` with `--secret-file`; only SCEP has secrets without a reference",
            ));
        }
        Ok(())
    }

    /// These settings, with the options of the command line in place of those that they override.
    #[must_use]
    pub fn with(mut self, overrides: &Overrides) -> Self {
        let over = |new: &Option<String>, old: &mut String| {
            if let Some(new) = new {
                old.clone_from(new);
            }
        };
        over(&overrides.server, &mut self.server);
        over(&overrides.patience, &mut self.patience);
        over(&overrides.timeout, &mut self.timeout);
        self.renew_before = overrides.renew_before.clone().or(self.renew_before);
        self.then = overrides.then.clone().or(self.then);
        self
    }

    /// The HTTP client for the server's URL, for CMP.
    pub fn http(&self) -> Result<Http, Failure> {
        Ok(Http::new(&self.server, self.timeout()?)?)
    }

    /// How long one HTTP exchange may take.
    pub fn timeout(&self) -> Result<Duration, Failure> {
        duration("--timeout", &self.timeout, 1, 3600)
    }

    /// The server's URL for EST. The profile is the label in it.
    pub fn est_url(&self) -> Result<EstUrl, Failure> {
        Ok(EstUrl::new(&self.server, self.profile.as_deref())?)
    }

    /// The server's URL for SCEP.
    pub fn scep_url(&self) -> Result<ScepUrl, Failure> {
        Ok(ScepUrl::new(&self.server)?)
    }

    /// The file layout of the daemon, parsed.
    pub fn layout(&self) -> Result<Layout, Failure> {
        self.layout.parse().map_err(|e| Failure::input(format!("--for: {e}")))
    }

    /// The kind of key to make.
    pub fn key_algorithm(&self) -> Result<KeyAlgorithm, Failure> {
        Ok(self.key_kind.parse()?)
    }

    /// The requested identities.
    pub fn identities(&self) -> Result<Vec<Identity>, Failure> {
        Ok(self.ids.iter().map(|id| id.parse()).collect::<Result<_, _>>()?)
    }

    /// The requested subject.
    pub fn subject(&self) -> Result<Option<Name>, Failure> {
        Ok(self.subject.as_deref().map(distinguished_name).transpose()?)
    }

    /// The recipient of messages; the NULL-DN if the operator named none.
    pub fn recipient(&self) -> Result<Name, Failure> {
        let named = self.recipient.as_deref().map(distinguished_name).transpose()?;
        Ok(named.unwrap_or_default())
    }

    /// How long before its end the certificate is renewed, if not a third of its validity.
    pub fn renew_before(&self) -> Result<Option<Duration>, Failure> {
        let read = |text: &String| duration("--renew-before", text, 1, 100 * 366 * 86_400);
        self.renew_before.as_ref().map(read).transpose()
    }

    /// How long to wait for a CA that is busy or has to decide.
    pub fn patience(&self) -> Result<Duration, Failure> {
        duration("--patience", &self.patience, 0, LONGEST)
    }
}

/// The failure for an option that the protocol cannot carry.
pub fn unfit(option: &str, protocol: Protocol) -> Failure {
    Failure::input(format!(
        "{} cannot carry what `{option}` asks for; leave it out",
        protocol.name()
    ))
}

/// The base name of the files, if the operator gives none: the first label of the first identity, or `gateway` if a file cannot have that
/// name.
pub fn default_name(ids: &[String]) -> String {
    let text = ids.first().and_then(|id| id.split_once(':')).map_or("", |(_, text)| text);
    let label = text.split(['.', '@']).next().unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let begins = label.chars().next().is_some_and(|c| c.is_ascii_alphabetic());
    match begins && label.len() <= 31 && label.chars().all(plain) {
        true => label.to_owned(),
        false => "gateway".to_owned(),
    }
}
