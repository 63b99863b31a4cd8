//! The section `[est]`: the EST server (RFC 7030), which has a TLS listener of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use countersign_enroll::est::{ChannelBinding, EstConfig as ServiceConfig};
use serde::{Deserialize, Serialize};

use super::cmp::CmpConfig;
use super::tls::{self, TlsListener};
use super::values::{DurationText, within};
use crate::exit::Failure;

/// The section `[est]`, as the operator writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EstFile {
    /// The address and port of the TLS listener; without it there is no EST server.
    pub listen: Option<SocketAddr>,
    /// The names in the certificate that the instance issues to the server: DNS names and addresses.
    pub names: Vec<String>,
    /// The operator's own certificate chain, PEM, in place of the instance's.
    pub certificate: Option<PathBuf>,
    /// The private key of the operator's own certificate, PEM.
    pub key: Option<PathBuf>,
    /// How long after the end of its validity a certificate may still authenticate its renewal.
    pub renew_expired: DurationText,
    /// Whether a request must be bound to its TLS connection by `tls-exporter`.
    pub channel_binding: Binding,
    /// How long the same request gets the same answer.
    pub repeat: DurationText,
    /// The largest request, in octets of base64.
    pub max_bytes: usize,
    /// The most requests that are worked on at once.
    pub max_concurrent: usize,
}

impl Default for EstFile {
    fn default() -> Self {
        let service = ServiceConfig::default();
        Self {
            listen: None,
            names: Vec::new(),
            certificate: None,
            key: None,
            renew_expired: service.renew_expired.into(),
            channel_binding: service.channel_binding.into(),
            repeat: service.repeat.into(),
            max_bytes: service.max_bytes,
            max_concurrent: 256,
        }
    }
}

/// When a request must be bound to its TLS connection, as the file spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Binding {
    /// A binding is checked if the request has one.
    Optional,
    /// A request without a binding is refused.
    Required,
}

impl From<ChannelBinding> for Binding {
    fn from(binding: ChannelBinding) -> Self {
        match binding {
            ChannelBinding::Optional => Self::Optional,
            ChannelBinding::Required => Self::Required,
        }
    }
}

impl From<Binding> for ChannelBinding {
    fn from(binding: Binding) -> Self {
        match binding {
            Binding::Optional => Self::Optional,
            Binding::Required => Self::Required,
        }
    }
}

/// The section `[est]`, checked.
#[derive(Debug, Clone)]
pub struct EstConfig {
    /// The address and port of the TLS listener, and the certificate that it presents; `None` if there is no EST server.
    pub listener: Option<TlsListener>,
    /// The settings of the EST service itself.
    pub service: ServiceConfig,
    /// The most requests that are worked on at once.
    pub max_concurrent: usize,
}

/// Checks every value. `public_url` is `http.public_url`, whose host names the server if the section names none; `cmp` has the settings of
/// approval, which hold for every protocol.
///
/// # Errors
/// A value is out of bounds, a name is invalid, or certificate and key are not both set.
pub fn check(
    file: &EstFile,
    public_url: Option<&str>,
    cmp: &CmpConfig,
) -> Result<EstConfig, Failure> {
    within("est.max_bytes", file.max_bytes, 1 << 10, 16 << 20)?;
    within("est.max_concurrent", file.max_concurrent, 1, 10_000)?;
    let service = ServiceConfig {
        renew_expired: file.renew_expired.within("est.renew_expired", 0, 365 * 86_400)?,
        channel_binding: file.channel_binding.into(),
        repeat: file.repeat.within("est.repeat", 60, 7 * 86_400)?,
        max_bytes: file.max_bytes,
        approval_wait: cmp.service.approval_wait,
        poll_after: cmp.service.poll_after.max(Duration::from_secs(1)),
        max_per_account: cmp.service.max_per_account,
        key_workers: cmp.service.key_workers,
    };
    let listener = tls::check(&tls::TlsFile {
        section: "est",
        listen: file.listen,
        names: &file.names,
        certificate: file.certificate.as_ref(),
        key: file.key.as_ref(),
        public_url,
    })?;
    Ok(EstConfig { listener, service, max_concurrent: file.max_concurrent })
}
