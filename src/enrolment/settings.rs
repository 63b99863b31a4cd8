//! `enrolment.toml`: what a renewal must know of the first enrolment. It holds no secret.

use std::path::PathBuf;
use std::time::Duration;

use countersign_ca::identity::distinguished_name;
use countersign_ca::{Identity, KeyAlgorithm};
use countersign_enroll::cmp::client::{Http, MacKind, Name};
use countersign_ike_plugin::gateway::Layout;
use serde::{Deserialize, Serialize};

use crate::config::duration;
use crate::exit::Failure;

/// The first line of the file.
const HEAD: &str =
    "# Written by `countersign enroll`; `countersign enroll --renew --out` this folder reads it.\n";

/// The longest patience and time-out, in seconds.
const LONGEST: u64 = 30 * 86_400;

/// What is kept of an enrolment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The format of this file.
    pub version: u32,
    /// The server's URL.
    pub server: String,
    /// What files are named after.
    pub name: String,
    /// Whose files are written.
    #[serde(rename = "for")]
    pub layout: String,
    /// The kind of key to make.
    pub key_kind: String,
    /// The identities that are asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
    /// The subject that is asked for, if not the first identity as common name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The profile that is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The recipient of messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// For how many days a certificate is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u32>,
    /// Whether to do without a confirmation, if the server wants.
    pub implicit_confirm: bool,
    /// How long before its end a certificate is renewed, if not a third of its validity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renew_before: Option<String>,
    /// How long to wait for a CA that has to decide.
    pub patience: String,
    /// How long one exchange may take.
    pub timeout: String,
    /// What is run after a new certificate is in place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<String>,
    /// How many certificates are kept, the present one included.
    pub keep: usize,
    /// What proves the gateway the first time.
    pub first: First,
}

/// What proves a gateway the first time: a secret, or a certificate of its vendor.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct First {
    /// The reference of the secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The file with the secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<PathBuf>,
    /// Which MAC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// How often the secret is hashed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac_iterations: Option<u32>,
    /// The certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// Its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_key: Option<PathBuf>,
    /// Those above it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra_certs: Option<PathBuf>,
}

/// What a command line says in place of what was written down.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Another server.
    pub server: Option<String>,
    /// Another time before the end.
    pub renew_before: Option<String>,
    /// Another command.
    pub then: Option<String>,
    /// Another patience.
    pub patience: Option<String>,
    /// Another time-out.
    pub timeout: Option<String>,
    /// Renew although it is not due.
    pub now: bool,
}

impl First {
    /// Whether nothing proves the gateway.
    pub const fn is_empty(&self) -> bool {
        self.reference.is_none() && self.certificate.is_none()
    }

    /// The MAC by its name.
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
    /// Reads the file's text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let read: Self = toml::from_str(text).map_err(|e| e.to_string())?;
        if read.version != 1 {
            return Err(format!("expected version 1, found {}", read.version));
        }
        read.check().map_err(|e| e.message)?;
        Ok(read)
    }

    /// The file's text.
    pub fn text(&self) -> Result<String, Failure> {
        let text = toml::to_string(self);
        Ok(format!("{HEAD}{}", text.map_err(|e| Failure { code: 1, message: e.to_string() })?))
    }

    /// Checks every value once, so that nothing later on is surprised.
    pub fn check(&self) -> Result<(), Failure> {
        self.http()?;
        self.key_algorithm()?;
        self.identities()?;
        self.subject()?;
        self.recipient()?;
        self.renew_before()?;
        self.patience()?;
        self.first.mac()?;
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

    /// The same with what a command line says.
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

    /// How messages travel.
    pub fn http(&self) -> Result<Http, Failure> {
        Ok(Http::new(&self.server, duration("--timeout", &self.timeout, 1, 3600)?)?)
    }

    /// Whose files are written.
    pub fn layout(&self) -> Result<Layout, Failure> {
        self.layout.parse().map_err(|e| Failure::input(format!("--for: {e}")))
    }

    /// The kind of key to make.
    pub fn key_algorithm(&self) -> Result<KeyAlgorithm, Failure> {
        Ok(self.key_kind.parse()?)
    }

    /// The identities that are asked for.
    pub fn identities(&self) -> Result<Vec<Identity>, Failure> {
        Ok(self.ids.iter().map(|id| id.parse()).collect::<Result<_, _>>()?)
    }

    /// The subject that is asked for.
    pub fn subject(&self) -> Result<Option<Name>, Failure> {
        Ok(self.subject.as_deref().map(distinguished_name).transpose()?)
    }

    /// The recipient of messages: the NULL-DN if nobody is named.
    pub fn recipient(&self) -> Result<Name, Failure> {
        let named = self.recipient.as_deref().map(distinguished_name).transpose()?;
        Ok(named.unwrap_or_default())
    }

    /// How long before its end a certificate is renewed.
    pub fn renew_before(&self) -> Result<Option<Duration>, Failure> {
        let read = |text: &String| duration("--renew-before", text, 1, 100 * 366 * 86_400);
        self.renew_before.as_ref().map(read).transpose()
    }

    /// How long to wait for a CA that has to decide.
    pub fn patience(&self) -> Result<Duration, Failure> {
        duration("--patience", &self.patience, 0, LONGEST)
    }
}

/// What files are named after: the first label of the first identity, if that is a name for a file.
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
