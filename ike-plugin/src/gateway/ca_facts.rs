//! The facts of a CA's certificate that some program may not support: its kind of key, and its name constraints.

use std::fmt;

use countersign_ca::key::KeyKind;
use countersign_ca::x509::Facts as Subject;
use der::Decode;
use x509_cert::Certificate as X509;
use x509_cert::ext::pkix::NameConstraints;
use x509_cert::ext::pkix::name::GeneralName;

use super::error::GatewayError;
use super::limits::{Feature, limits};

/// Warnings for an operator who makes a CA: the features of its certificate that some program does not support.
///
/// # Errors
/// The certificate cannot be read.
pub fn warnings_of_ca(der: &[u8]) -> Result<Vec<String>, GatewayError> {
    let ca = CaFacts::of(der)?;
    let mut warnings = Vec::new();
    let mut warn = |what: String, feature| warnings.push(format!("{what}: {}", limits(feature)));
    if ca.key == KeyKind::Ed25519 {
        warn(
            format!("`{}` has an Ed25519 key (libreswan has NSS)", ca.subject),
            Feature::Ed25519Ca,
        );
    }
    if ca.has_addresses() {
        warn(
            format!("`{}` has name constraints on addresses", ca.subject),
            Feature::AddressConstraints,
        );
    }
    if ca.has_dns() {
        let what = format!(
            "`{}` has name constraints on DNS names: give every account below it a `fqdn:`, for of a certificate without a DNS name",
            ca.subject
        );
        warn(what, Feature::CommonName);
    }
    Ok(warnings)
}

/// The facts of a CA's certificate that a daemon may not support.
#[derive(Debug, Clone)]
pub struct CaFacts {
    /// The subject (RFC 4514).
    pub subject: String,
    /// The kind of the CA's key.
    pub key: KeyKind,
    permitted: Vec<GeneralName>,
    excluded: Vec<GeneralName>,
    has_critical_constraints: bool,
}

impl CaFacts {
    /// Reads a certificate in DER.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of(der: &[u8]) -> Result<Self, GatewayError> {
        let unreadable = |e: &dyn fmt::Display| {
            GatewayError::new(format!("a CA's certificate cannot be read: {e}"))
        };
        let own = Subject::of(der).map_err(|e| unreadable(&e))?;
        let parsed = X509::from_der(der).map_err(|e| unreadable(&e))?;
        let constraints =
            parsed.tbs_certificate.get::<NameConstraints>().map_err(|e| unreadable(&e))?;
        let (is_critical, constraints) = constraints.unzip();
        let (permitted, excluded) = constraints
            .map(|all| (all.permitted_subtrees, all.excluded_subtrees))
            .unwrap_or_default();
        let bases = |of: Option<Vec<_>>| {
            let each = of.into_iter().flatten();
            each.map(|tree: x509_cert::ext::pkix::constraints::name::GeneralSubtree| tree.base)
        };
        Ok(Self {
            subject: own.subject.to_string(),
            key: own.key.kind(),
            permitted: bases(permitted).collect(),
            excluded: bases(excluded).collect(),
            has_critical_constraints: is_critical.unwrap_or_default(),
        })
    }

    /// Whether the CA has critical name constraints on IP addresses.
    pub fn has_addresses(&self) -> bool {
        let is_address = |name: &GeneralName| matches!(name, GeneralName::IpAddress(_));
        self.has_critical_constraints && self.names().any(is_address)
    }

    /// Whether the CA has name constraints on DNS names.
    pub fn has_dns(&self) -> bool {
        self.names().any(|name| matches!(name, GeneralName::DnsName(_)))
    }

    /// Whether the CA's name constraints permit a DNS name. Without constraints on DNS names, they permit all.
    pub fn allows_dns(&self, host: &str) -> bool {
        fn dns(names: &[GeneralName]) -> impl Iterator<Item = &str> {
            names.iter().filter_map(|name| match name {
                GeneralName::DnsName(domain) => Some(domain.as_str()),
                _ => None,
            })
        }
        let is_free = dns(&self.permitted).next().is_none();
        let is_within = |domain| is_within(host, domain);
        (is_free || dns(&self.permitted).any(is_within)) && !dns(&self.excluded).any(is_within)
    }

    fn names(&self) -> impl Iterator<Item = &GeneralName> {
        self.permitted.iter().chain(&self.excluded)
    }
}

/// Whether a host is within a domain: it is the domain, or has further labels on its left (RFC 5280 §4.2.1.10).
fn is_within(host: &str, domain: &str) -> bool {
    let (host, domain) = (host.to_ascii_lowercase(), domain.to_ascii_lowercase());
    let domain = domain.trim_start_matches('.');
    domain.is_empty()
        || host == domain
        || host.strip_suffix(domain).is_some_and(|labels| labels.ends_with('.'))
}

/// Whether OpenSSL treats a common name as a host name, by the rule of its function `cn2dnsid`: it consists of letters, digits, `-`,
/// `_` and at least one point. No point and no `-` is at an end, and no point is beside another point or a `-`.
pub fn looks_like_host(common_name: &str) -> bool {
    let name = common_name.trim_end_matches('\0').as_bytes();
    let at = |position: Option<usize>| position.and_then(|at| name.get(at)).copied();
    let mut is_dotted = false;
    for (position, byte) in name.iter().enumerate() {
        let (before, after) = (at(position.checked_sub(1)), at(position.checked_add(1)));
        let is_inner = before.is_some() && after.is_some();
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => {}
            b'-' if is_inner => {}
            b'.' if is_inner
                && after != Some(b'.')
                && before != Some(b'-')
                && after != Some(b'-') =>
            {
                is_dotted = true;
            }
            _ => return false,
        }
    }
    is_dotted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openssl_takes_these_for_host_names() {
        for name in ["192.0.2.1", "gw.example.net", "a.b", "gw-1.example_x.net"] {
            assert!(looks_like_host(name), "{name}");
        }
        for name in [
            "gw1",
            "2001:db8::1",
            "op@example.net",
            ".a",
            "a.",
            "a..b",
            "a-.b",
            "a.-b",
            "-a.b",
            "Example CA 1.0",
            "",
        ] {
            assert!(!looks_like_host(name), "{name}");
        }
    }
}
