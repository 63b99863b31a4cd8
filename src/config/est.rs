//! The section `[est]`: the EST server (RFC 7030), which has a TLS listener of its own.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use countersign_ca::Identity;
use countersign_enroll::est::{ChannelBinding, EstConfig as ServiceConfig};
use serde::{Deserialize, Serialize};

use super::cmp::CmpConfig;
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
    /// Its private key, PEM.
    pub key: Option<PathBuf>,
    /// How long after its end a certificate may still be renewed with.
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
    /// A binding is checked where a request has one.
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
    pub listener: Option<EstListener>,
    /// The settings of the EST service itself.
    pub service: ServiceConfig,
    /// The most requests that are worked on at once.
    pub max_concurrent: usize,
}

/// The TLS listener of the EST server.
#[derive(Debug, Clone)]
pub struct EstListener {
    /// Its address and port.
    pub address: SocketAddr,
    /// The certificate that it presents.
    pub certificate: EstCertificate,
}

/// The certificate that the EST server presents.
#[derive(Debug, Clone)]
pub enum EstCertificate {
    /// The instance issues it to these names, and renews it.
    Issued(Vec<Identity>),
    /// The operator's own certificate, from these files.
    Files {
        /// The chain, PEM.
        certificate: PathBuf,
        /// The private key, PEM.
        key: PathBuf,
    },
}

/// Checks every value. `public_url` is `http.public_url`, whose host names the server if the section names none; `cmp` has the settings of
/// approval, which hold for every protocol.
///
/// # Errors
/// A value is out of bounds, a name is none, or certificate and key are not both set.
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
    let files = match (&file.certificate, &file.key) {
        (Some(certificate), Some(key)) => {
            let (certificate, key) = (certificate.clone(), key.clone());
            Some(EstCertificate::Files { certificate, key })
        }
        (None, None) => None,
        _ => return Err(Failure::input("est.certificate and est.key are set together")),
    };
    let named = file.names.iter().map(|name| identity(name));
    let named = named.collect::<Result<Vec<_>, _>>()?;
    let listener = match file.listen {
        Some(address) => {
            let names = match named.is_empty() {
                true => default_names(address, public_url),
                false => named,
            };
            let certificate = files.unwrap_or(EstCertificate::Issued(names));
            if matches!(&certificate, EstCertificate::Issued(names) if names.is_empty()) {
                return Err(Failure::input(
                    "expected est.names to be the names by which clients reach the EST server, such as `[\"est.example.net\"]`: neither \
                     http.public_url nor est.listen names it",
                ));
            }
            Some(EstListener { address, certificate })
        }
        None => None,
    };
    Ok(EstConfig { listener, service, max_concurrent: file.max_concurrent })
}

/// A DNS name or an address, as an identity.
fn identity(name: &str) -> Result<Identity, Failure> {
    let text = match name.parse::<IpAddr>() {
        Ok(_) => format!("ip:{name}"),
        Err(_) => format!("fqdn:{name}"),
    };
    text.parse().map_err(|e| {
        Failure::input(format!(
            "expected est.names to be DNS names and addresses, found `{}`: {e}",
            name.escape_debug()
        ))
    })
}

/// The names of the server if the operator gives none: the host of the public URL, and the address on which it listens; on the machine's
/// own address `localhost`, too. There may be none.
fn default_names(address: SocketAddr, public_url: Option<&str>) -> Vec<Identity> {
    let host = public_url.and_then(|url| url.strip_prefix("http://")).map(host_of);
    let ip = Some(address.ip().to_canonical()).filter(|ip| !ip.is_unspecified());
    let local = ip.filter(IpAddr::is_loopback).map(|_| "localhost".to_owned());
    let names = host.into_iter().chain(local).chain(ip.map(|ip| ip.to_string()));
    let mut found: Vec<Identity> = Vec::new();
    for name in names.filter_map(|name| identity(&name).ok()) {
        if !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

/// The host of a URL without its scheme.
fn host_of(rest: &str) -> String {
    let authority = rest.split('/').next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next(),
        None => authority.split(':').next(),
    };
    host.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_without_names_has_those_by_which_it_is_reached() {
        let names = |address: &str, url| -> Vec<String> {
            let names = default_names(address.parse().unwrap(), url);
            names.iter().map(ToString::to_string).collect()
        };
        let url = Some("http://pki.example.net:8829/x");
        assert_eq!(names("0.0.0.0:443", url), ["fqdn:pki.example.net"]);
        assert_eq!(names("192.0.2.7:443", url), ["fqdn:pki.example.net", "ip:192.0.2.7"]);
        assert_eq!(names("127.0.0.1:443", None), ["fqdn:localhost", "ip:127.0.0.1"]);
        assert_eq!(names("[::]:443", Some("http://[2001:db8::1]:80")), ["ip:2001:db8::1"]);
        assert_eq!(names("[::]:443", None), [""; 0]);
    }
}
