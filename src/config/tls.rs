//! TLS listeners: where a server listens, and the certificate that it presents.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use countersign_ca::Identity;

use crate::exit::Failure;

/// A TLS listener.
#[derive(Debug, Clone)]
pub struct TlsListener {
    /// The address and port of the listener.
    pub address: SocketAddr,
    /// The certificate that the server presents.
    pub certificate: ServerCertificate,
}

/// The certificate that a TLS server presents.
#[derive(Debug, Clone)]
pub enum ServerCertificate {
    /// The instance issues the certificate to these names, and renews it.
    Issued(Vec<Identity>),
    /// The operator's own certificate, from these files.
    Files {
        /// The chain, PEM.
        certificate: PathBuf,
        /// The private key, PEM.
        key: PathBuf,
    },
}

/// The settings of a TLS listener, as the operator writes them.
pub struct TlsFile<'a> {
    /// The section of the configuration, for messages.
    pub section: &'a str,
    /// The address and port; `None` for no listener.
    pub listen: Option<SocketAddr>,
    /// The names in the certificate that the instance issues.
    pub names: &'a [String],
    /// The operator's own certificate chain in place of the instance's.
    pub certificate: Option<&'a PathBuf>,
    /// The private key of the certificate.
    pub key: Option<&'a PathBuf>,
    /// `http.public_url`, whose host names the server if the section names none.
    pub public_url: Option<&'a str>,
}

/// Checks the settings of a listener; `None` if there is no listener.
///
/// # Errors
/// A name is invalid, there is no name, or certificate and key are not both set.
pub fn check(file: &TlsFile<'_>) -> Result<Option<TlsListener>, Failure> {
    let section = file.section;
    let files = match (file.certificate, file.key) {
        (Some(certificate), Some(key)) => {
            let (certificate, key) = (certificate.clone(), key.clone());
            Some(ServerCertificate::Files { certificate, key })
        }
        (None, None) => None,
        _ => {
            let why = format!("{section}.certificate and {section}.key are set together");
            return Err(Failure::input(why));
        }
    };
    let named = file.names.iter().map(|name| identity(section, name));
    let named = named.collect::<Result<Vec<_>, _>>()?;
    let Some(address) = file.listen else { return Ok(None) };
    let names = match named.is_empty() {
        true => default_names(address, file.public_url),
        false => named,
    };
    let certificate = files.unwrap_or(ServerCertificate::Issued(names));
    if matches!(&certificate, ServerCertificate::Issued(names) if names.is_empty()) {
        return Err(Failure::input(format!(
            "expected {section}.names to be the names by which clients reach the server, such as `[\"pki.example.net\"]`: neither \
             http.public_url nor {section}.listen names it"
        )));
    }
    Ok(Some(TlsListener { address, certificate }))
}

/// A DNS name or an address, as an identity.
fn identity(section: &str, name: &str) -> Result<Identity, Failure> {
    let text = match name.parse::<IpAddr>() {
        Ok(_) => format!("ip:{name}"),
        Err(_) => format!("fqdn:{name}"),
    };
    text.parse().map_err(|e| {
        Failure::input(format!(
            "expected {section}.names to be DNS names and addresses, found `{}`: {e}",
            name.escape_debug()
        ))
    })
}

/// The names of the server if the operator gives none: the host of the public URL, and the address on which it listens; for a loopback
/// address also `localhost`. The list may be empty.
fn default_names(address: SocketAddr, public_url: Option<&str>) -> Vec<Identity> {
    let host = public_url.and_then(|url| url.strip_prefix("http://")).map(host_of);
    let ip = Some(address.ip().to_canonical()).filter(|ip| !ip.is_unspecified());
    let local = ip.filter(IpAddr::is_loopback).map(|_| "localhost".to_owned());
    let names = host.into_iter().chain(local).chain(ip.map(|ip| ip.to_string()));
    let mut found: Vec<Identity> = Vec::new();
    for name in names.filter_map(|name| identity("", &name).ok()) {
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
