//! The settings of a directory to publish in: as the operator writes them, and checked.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use countersign_ca::key::read_private;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::dn::Dn;
use crate::error::{Error, Result};

/// The largest password or key file, in bytes.
const MAX_SECRET: u64 = 64 << 10;

/// The settings of a directory to publish in, as the operator writes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublisherConfig {
    /// The directory's name in commands, metrics and logs: 1 to 64 printable characters.
    pub name: String,
    /// The servers of the directory, as `ldap://host:port` or `ldaps://host:port`; the first that accepts the bind is used.
    pub urls: Vec<String>,
    /// Whether `ldap:` connections switch to TLS (StartTLS) before anything else.
    #[serde(default)]
    pub starttls: bool,
    /// A file with the CAs by which TLS certificates of servers are verified, PEM. Without it, the platform's CAs are used.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The DN for a bind with a password. Without it and without a certificate, the bind is anonymous.
    #[serde(default)]
    pub bind_dn: Option<String>,
    /// The file with the password, readable by its owner only.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// The TLS certificate by which SASL EXTERNAL authenticates, PEM.
    #[serde(default)]
    pub certificate: Option<PathBuf>,
    /// The private key of the TLS certificate, PEM, readable by its owner only.
    #[serde(default)]
    pub key: Option<PathBuf>,
    /// Whether missing entries are created.
    #[serde(default = "yes")]
    pub create_missing: bool,
    /// Whether revoked and expired certificates of peers are removed.
    #[serde(default = "yes")]
    pub remove_certificates: bool,
    /// The time between two readings and comparisons of everything, such as `1m`; in between only changes are published.
    #[serde(default = "interval")]
    pub interval: String,
    /// The longest time for connecting (with the bind) and for each operation, such as `20s`.
    #[serde(default = "patience")]
    pub timeout: String,
    /// The most octets of one search, in MiB, in addition to eight times those that are published.
    #[serde(default = "max_read")]
    pub max_read_mib: usize,
}

const fn max_read() -> usize {
    64
}

const fn yes() -> bool {
    true
}

fn interval() -> String {
    "1m".into()
}

fn patience() -> String {
    "20s".into()
}

/// The settings of a directory to publish in, checked.
#[derive(Debug, Clone)]
pub struct PublisherSettings {
    /// The directory's name.
    pub name: String,
    /// The URLs of the directory's servers; the first that accepts the bind is used.
    pub urls: Vec<String>,
    /// Whether `ldap:` connections switch to TLS (StartTLS) before anything else.
    pub starttls: bool,
    /// How the publisher authenticates to the directory.
    pub bind: Bind,
    /// A file with the CAs that are trusted. Without it, the platform's CAs are.
    pub ca_file: Option<PathBuf>,
    /// Whether missing entries are created.
    pub create_missing: bool,
    /// Whether revoked and expired certificates of peers are removed.
    pub remove_certificates: bool,
    /// The time between two readings and comparisons of everything.
    pub interval: Duration,
    /// The longest time for connecting (with the bind) and for each operation.
    pub timeout: Duration,
    /// The most octets of one search, in addition to eight times those that are published.
    pub max_read: usize,
}

/// How the publisher authenticates to a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bind {
    /// The bind is anonymous.
    Anonymous,
    /// By a DN and the password in a file.
    Simple(String, PathBuf),
    /// By the TLS certificate in the first file and its key in the second (SASL EXTERNAL).
    External(PathBuf, PathBuf),
}

impl PublisherSettings {
    /// Checks the operator's settings.
    ///
    /// # Errors
    /// [`Error::Malformed`], which names the key of the configuration.
    pub fn new(config: &PublisherConfig) -> Result<Self> {
        let error = |key: &str, why: String| {
            Error::Malformed(format!(
                "the directory `{}`: {key}: {why}",
                config.name.escape_debug()
            ))
        };
        let wrong = |key: &str, why: String| Err(error(key, why));
        if config.name.is_empty()
            || config.name.len() > 64
            || !config.name.chars().all(|c| c.is_ascii_graphic())
        {
            return wrong("name", "expected 1 to 64 printable characters".into());
        }
        if config.urls.is_empty() {
            return wrong(
                "urls",
                "expected at least one URL such as `ldap://ldap.example.net`".into(),
            );
        }
        for url in &config.urls {
            let host = url.strip_prefix("ldap://").or_else(|| url.strip_prefix("ldaps://"));
            if host.is_none_or(|host| host.is_empty() || host.contains(['/', '?', ' '])) {
                return wrong(
                    "urls",
                    format!(
                        "expected `ldap://host:port` or `ldaps://host:port`, found `{}`",
                        url.escape_debug()
                    ),
                );
            }
            if config.starttls && url.starts_with("ldaps://") {
                return wrong(
                    "starttls",
                    format!("`{url}` is TLS from the start; use `ldap:`, or leave starttls out"),
                );
            }
        }
        let is_tls = config.starttls || config.urls.iter().all(|url| url.starts_with("ldaps://"));
        let bind = match (&config.bind_dn, &config.password_file, &config.certificate, &config.key)
        {
            (None, None, None, None) => Bind::Anonymous,
            (Some(dn), Some(file), None, None) => {
                dn.parse::<Dn>().map_err(|e| {
                    Error::Malformed(format!("the directory `{}`: bind_dn: {e}", config.name))
                })?;
                Bind::Simple(dn.clone(), file.clone())
            }
            (None, None, Some(certificate), Some(key)) if is_tls => {
                Bind::External(certificate.clone(), key.clone())
            }
            (None, None, Some(_), Some(_)) => {
                return wrong(
                    "certificate",
                    "SASL EXTERNAL needs TLS: set starttls, or use `ldaps:` URLs".into(),
                );
            }
            _ => {
                return wrong(
                    "bind_dn",
                    "expected bind_dn with password_file, or certificate with key, or none of them"
                        .into(),
                );
            }
        };
        let time =
            |key: &str, text: &str, least: u64, most: u64| match humantime::parse_duration(text) {
                Ok(time)
                    if (least..=most)
                        .contains(&time.as_millis().try_into().unwrap_or(u64::MAX)) =>
                {
                    Ok(time)
                }
                _ => Err(error(
                    key,
                    format!("expected a time such as `1m`, found `{}`", text.escape_debug()),
                )),
            };
        Ok(Self {
            interval: time("interval", &config.interval, 100, 86_400_000)?,
            timeout: time("timeout", &config.timeout, 100, 600_000)?,
            max_read: match config.max_read_mib {
                mib @ 1..=4096 => mib << 20,
                other => {
                    return wrong("max_read_mib", format!("expected 1 to 4096, found {other}"));
                }
            },
            name: config.name.clone(),
            urls: config.urls.clone(),
            starttls: config.starttls,
            bind,
            ca_file: config.ca_file.clone(),
            create_missing: config.create_missing,
            remove_certificates: config.remove_certificates,
        })
    }

    /// Reads the password. It is read for each connection, because it may have been changed.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the file is missing, too large or not text, or if others can read it.
    pub fn password(file: &std::path::Path) -> Result<Zeroizing<String>> {
        let text = read_private(file, MAX_SECRET)?;
        Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
    }

    /// Reads the files, and makes the TLS configuration.
    ///
    /// # Errors
    /// [`Error::Malformed`], which names the file and the fault in it; [`Error::Unavailable`] if the key file is missing or others can read
    /// it.
    pub fn tls(&self) -> Result<Arc<ClientConfig>> {
        let wrong = |path: &std::path::Path, why: String| {
            Error::Malformed(format!("`{}`: {why}", path.display()))
        };
        let mut roots = RootCertStore::empty();
        if let Some(file) = &self.ca_file {
            let certificates = CertificateDer::pem_file_iter(file)
                .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
                .map_err(|e| wrong(file, format!("expected certificates in PEM: {e}")))?;
            for certificate in certificates {
                roots.add(certificate).map_err(|e| wrong(file, e.to_string()))?;
            }
        } else {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| Error::Internal(e.to_string()))?
            .with_root_certificates(roots);
        let config = match &self.bind {
            Bind::External(certificate, key) => {
                let chain = CertificateDer::pem_file_iter(certificate)
                    .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
                    .map_err(|e| {
                        wrong(certificate, format!("expected certificates in PEM: {e}"))
                    })?;
                let text = read_private(key, MAX_SECRET)?;
                let private = PrivateKeyDer::from_pem_slice(text.as_bytes())
                    .map_err(|e| wrong(key, format!("expected a private key in PEM: {e}")))?;
                builder.with_client_auth_cert(chain, private).map_err(|e| {
                    wrong(certificate, format!("certificate and key do not serve: {e}"))
                })?
            }
            _ => builder.with_no_client_auth(),
        };
        Ok(Arc::new(config))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_operator_mistypes_is_named() {
        let good = PublisherConfig {
            name: "main".into(),
            urls: vec!["ldap://h".into()],
            starttls: false,
            ca_file: None,
            bind_dn: None,
            password_file: None,
            certificate: None,
            key: None,
            create_missing: true,
            remove_certificates: true,
            interval: "1m".into(),
            timeout: "20s".into(),
            max_read_mib: 64,
        };
        assert_eq!(PublisherSettings::new(&good).unwrap().bind, Bind::Anonymous);
        type Change = fn(&mut PublisherConfig);
        let cases: [(Change, &str); 9] = [
            (|c| c.name = String::new(), "name"),
            (|c| c.urls.clear(), "urls"),
            (|c| c.urls = vec!["http://h".into()], "ldap://host:port"),
            (|c| c.urls = vec!["ldap://h/o=x".into()], "ldap://host:port"),
            (
                |c| {
                    c.starttls = true;
                    c.urls = vec!["ldaps://h".into()]
                },
                "starttls",
            ),
            (|c| c.bind_dn = Some("cn=x".into()), "password_file"),
            (
                |c| {
                    c.bind_dn = Some("x".into());
                    c.password_file = Some("p".into())
                },
                "bind_dn",
            ),
            (
                |c| {
                    c.certificate = Some("c".into());
                    c.key = Some("k".into())
                },
                "needs TLS",
            ),
            (|c| c.interval = "soon".into(), "interval"),
        ];
        for (change, word) in cases {
            let mut config = good.clone();
            change(&mut config);
            let why = PublisherSettings::new(&config).unwrap_err().to_string();
            assert!(why.contains(word), "{why}");
        }
    }
}
