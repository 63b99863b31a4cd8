//! The credential files of a gateway without the daemon's configuration, for a gateway that enrols itself.

use std::fmt;
use std::str::FromStr;

use countersign_ca::key::KeyKind;

use super::abilities::KeyFamily;
use super::authentication::Certified;
use super::daemon::Daemon;
use super::error::GatewayError;
use super::export::CredentialPaths;
use super::facts::Facts;
use super::files::Files;
use super::key::PrivateKey;
use super::material::{Material, NamedCa};
use super::text;

/// How the files of credentials are named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Layout {
    /// `NAME.crt`, `NAME.chain.crt`, `root.crt` and `NAME.key`, PEM.
    #[default]
    Plain,
    /// The names that this daemon expects: [`Layout::paths`] gives them.
    For(Daemon),
}

impl Layout {
    /// The paths of the certificate and the key of a gateway of this name, relative to the folder.
    pub fn paths(self, name: &str) -> CredentialPaths {
        match self {
            Self::Plain => {
                CredentialPaths { certificate: format!("{name}.crt"), key: format!("{name}.key") }
            }
            Self::For(daemon) => (daemon.writer().paths)(name),
        }
    }

    /// Checks that a key is an RSA key if the daemon that reads these files supports only RSA.
    ///
    /// # Errors
    /// The key is of another kind; the text says what to use.
    pub fn check_key(self, kind: KeyKind) -> Result<(), GatewayError> {
        match self {
            Self::For(daemon)
                if daemon.abilities().has_rsa_only() && KeyFamily::of(kind) != KeyFamily::Rsa =>
            {
                Err(GatewayError::new(format!(
                    "expected an RSA key for {daemon}, which signs with nothing else, found {kind}; use `--key-kind rsa3072`"
                )))
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain => f.write_str("plain"),
            Self::For(daemon) => daemon.fmt(f),
        }
    }
}

impl FromStr for Layout {
    type Err = GatewayError;

    fn from_str(text: &str) -> Result<Self, GatewayError> {
        if text == "plain" {
            return Ok(Self::Plain);
        }
        let other = |_| {
            GatewayError::new(format!(
                "expected strongswan, libreswan, iked, isakmpd, racoon or plain, found `{}`",
                text.escape_debug()
            ))
        };
        text.parse().map(Self::For).map_err(other)
    }
}

/// The credential files of a gateway of this name.
///
/// # Errors
/// The key does not belong to the certificate or is not an RSA key for a daemon that needs one, a certificate or CRL cannot be read, or the
/// name is not that of a gateway.
pub fn credentials(
    layout: Layout,
    name: &str,
    material: &Material,
    key: &PrivateKey,
) -> Result<Files, GatewayError> {
    text::plain_name(name)?;
    let facts = Facts::of(&material.certificate)?;
    key.check(&facts)?;
    layout.check_key(facts.key)?;
    let mut files = Files::default();
    let write = match layout {
        Layout::Plain => plain,
        Layout::For(daemon) => daemon.writer().credentials,
    };
    write(&mut files, name, &Certified { material, key: Some(key) })?;
    Ok(files)
}

fn plain(
    files: &mut Files,
    name: &str,
    Certified { material, key }: &Certified<'_>,
) -> Result<(), GatewayError> {
    files.add(format!("{name}.crt"), material.pem()?);
    let pem = |cas: &[NamedCa]| {
        cas.iter().map(NamedCa::pem).collect::<Result<Vec<_>, _>>().map(|all| all.concat())
    };
    files.add(format!("{name}.chain.crt"), pem(&material.chain)?);
    files.add("root.crt", pem(&material.roots)?);
    if let Some(key) = key {
        files.add_secret(format!("{name}.key"), key.pem().as_bytes());
    }
    Ok(())
}
