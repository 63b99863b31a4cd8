//! Name constraints (RFC 5280 §4.2.1.10): which names the certificates below a CA may have.

use std::net::IpAddr;

use der::asn1::ObjectIdentifier;
use x509_cert::ext::pkix::constraints::name::GeneralSubtree;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use super::certificate::Certificate;
use super::name::{general_name, is_comparable, is_within};

/// The most comparisons of a name with a constraint on one path.
const MAX_WORK: usize = 100_000;
/// emailAddress in a subject (PKCS #9)
const EMAIL_ADDRESS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.1");

/// What the CAs so far permit and exclude.
#[derive(Debug, Default)]
pub struct Constraints {
    /// A name must be within one of each, as far as they are of its kind.
    permitted: Vec<Vec<GeneralName>>,
    excluded: Vec<GeneralName>,
    work: usize,
}

impl Constraints {
    /// Adds those of a CA.
    ///
    /// # Errors
    /// In words, why they cannot be applied.
    pub fn add(&mut self, certificate: &Certificate) -> Result<(), String> {
        let Some(constraints) = &certificate.constraints else { return Ok(()) };
        if constraints.permitted_subtrees.is_none() && constraints.excluded_subtrees.is_none() {
            return Err("its name constraints are empty".into());
        }
        if let Some(permitted) = &constraints.permitted_subtrees {
            self.permitted.push(bases(permitted)?);
        }
        if let Some(excluded) = &constraints.excluded_subtrees {
            self.excluded.extend(bases(excluded)?);
        }
        Ok(())
    }

    /// Whether all names of a certificate are allowed.
    ///
    /// # Errors
    /// In words, which name is not.
    pub fn check(&mut self, certificate: &Certificate) -> Result<(), String> {
        if self.permitted.is_empty() && self.excluded.is_empty() {
            return Ok(());
        }
        for name in names(certificate)? {
            self.check_name(&name)?;
        }
        Ok(())
    }

    fn check_name(&mut self, name: &GeneralName) -> Result<(), String> {
        let constraints = self.permitted.iter().map(Vec::len).sum::<usize>() + self.excluded.len();
        self.work = self.work.saturating_add(constraints);
        if self.work > MAX_WORK {
            return Err(format!(
                "names and name constraints need more than {MAX_WORK} comparisons"
            ));
        }
        for base in &self.excluded {
            if within(name, base)? == Some(true) {
                return Err(format!(
                    "its name `{}` is within `{}`, which a CA above it excludes",
                    general_name(name),
                    general_name(base)
                ));
            }
        }
        for permitted in &self.permitted {
            let mut constrained = false;
            let mut allowed = false;
            for base in permitted {
                let is_within = within(name, base)?;
                constrained |= is_within.is_some();
                allowed |= is_within == Some(true);
            }
            if constrained && !allowed {
                return Err(format!(
                    "its name `{}` is not within what a CA above it permits: {}",
                    general_name(name),
                    permitted.iter().take(8).map(general_name).collect::<Vec<_>>().join(", ")
                ));
            }
        }
        Ok(())
    }
}

fn bases(subtrees: &[GeneralSubtree]) -> Result<Vec<GeneralName>, String> {
    let mut bases = Vec::with_capacity(subtrees.len());
    for subtree in subtrees {
        if subtree.minimum != 0 || subtree.maximum.is_some() {
            return Err(
                "its name constraints have a minimum or maximum, which RFC 5280 does not use"
                    .into(),
            );
        }
        check_base(&subtree.base)?;
        bases.push(subtree.base.clone());
    }
    Ok(bases)
}

fn check_base(base: &GeneralName) -> Result<(), String> {
    let wrong = |why: &str| Err(format!("its name constraint `{}` {why}", general_name(base)));
    match base {
        GeneralName::DnsName(name) if !is_host(name.as_str(), true) => wrong("is no domain"),
        GeneralName::IpAddress(octets) => match subnet(octets.as_bytes()) {
            Some(_) => Ok(()),
            None => wrong("is no address with a mask"),
        },
        _ => Ok(()),
    }
}

/// The subject, if it is not empty; the mail addresses in it, if there are no others; the alternative names.
fn names(certificate: &Certificate) -> Result<Vec<GeneralName>, String> {
    let subject = &certificate.subject_name;
    let mut names = certificate.alt_names.clone();
    if !subject.0.is_empty() {
        names.push(GeneralName::DirectoryName(subject.clone()));
    }
    if !certificate.alt_names.iter().any(|name| matches!(name, GeneralName::Rfc822Name(_))) {
        names.extend(mailboxes(subject)?);
    }
    Ok(names)
}

fn mailboxes(subject: &Name) -> Result<Vec<GeneralName>, String> {
    let attributes = subject.0.iter().flat_map(|part| part.0.iter());
    attributes
        .filter(|attribute| attribute.oid == EMAIL_ADDRESS)
        .map(|attribute| {
            let text = std::str::from_utf8(attribute.value.value()).ok();
            let text = text.and_then(|text| der::asn1::Ia5String::new(text).ok());
            text.map(GeneralName::Rfc822Name)
                .ok_or_else(|| "the mail address in its subject is no ASCII text".to_owned())
        })
        .collect()
}

/// Whether a name is within a subtree; `None` if they are of different kinds.
fn within(name: &GeneralName, base: &GeneralName) -> Result<Option<bool>, String> {
    let malformed =
        || format!("its name `{}` cannot be held against a name constraint", general_name(name));
    Ok(Some(match (name, base) {
        (GeneralName::DirectoryName(name), GeneralName::DirectoryName(base)) => {
            // What cannot be read as text may be what is excluded.
            if !is_comparable(name, base) {
                return Err(malformed());
            }
            is_within(name, base)
        }
        (GeneralName::DnsName(name), GeneralName::DnsName(base)) => {
            let plain = name.as_str().strip_prefix("*.").unwrap_or(name.as_str());
            if !is_host(plain, false) {
                return Err(malformed());
            }
            is_below(name.as_str(), base.as_str(), true)
        }
        (GeneralName::Rfc822Name(name), GeneralName::Rfc822Name(base)) => {
            let (local, host) = name.as_str().rsplit_once('@').ok_or_else(malformed)?;
            let proper = |byte: u8| byte.is_ascii_graphic() && byte != b'@';
            if local.is_empty() || !local.bytes().all(proper) || !is_host(host, false) {
                return Err(malformed());
            }
            match base.as_str().rsplit_once('@') {
                Some((of, at)) => of == local && at.eq_ignore_ascii_case(host),
                None => host_matches(host, base.as_str()),
            }
        }
        (
            GeneralName::UniformResourceIdentifier(uri),
            GeneralName::UniformResourceIdentifier(base),
        ) => {
            let host = host_of(uri.as_str()).ok_or_else(malformed)?;
            host_matches(host, base.as_str())
        }
        (GeneralName::IpAddress(address), GeneralName::IpAddress(base)) => {
            let address = address.as_bytes();
            if !matches!(address.len(), 4 | 16) {
                return Err(malformed());
            }
            let (network, mask) = subnet(base.as_bytes()).ok_or_else(malformed)?;
            network.len() == address.len()
                && network
                    .iter()
                    .zip(mask)
                    .zip(address)
                    .all(|((net, mask), of)| net & mask == of & mask)
        }
        (name, base) if std::mem::discriminant(name) != std::mem::discriminant(base) => {
            return Ok(None);
        }
        // §4.2.1.10: a constraint that cannot be applied refuses the names that it is about.
        _ => return Err(malformed()),
    }))
}

/// `.example.com` is what stands below, `example.com` the host itself.
fn host_matches(host: &str, base: &str) -> bool {
    match base.strip_prefix('.') {
        Some(domain) => is_below(host, domain, false),
        None => base.is_empty() || host.eq_ignore_ascii_case(base),
    }
}

fn is_below(name: &str, domain: &str, or_same: bool) -> bool {
    if domain.is_empty() || (or_same && name.eq_ignore_ascii_case(domain)) {
        return true;
    }
    let Some(at) = name.len().checked_sub(domain.len()).filter(|at| *at > 0) else { return false };
    name.get(at..).is_some_and(|end| end.eq_ignore_ascii_case(domain))
        && name.as_bytes().get(at - 1) == Some(&b'.')
}

fn is_host(name: &str, or_empty: bool) -> bool {
    if name.is_empty() {
        return or_empty;
    }
    let proper = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    name.len() <= 253 && name.split('.').all(proper)
}

fn subnet(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (address, mask) = octets.split_at_checked(octets.len() / 2)?;
    let bits = match mask.len() {
        4 => u128::from(u32::from_be_bytes(mask.try_into().ok()?)) << 96,
        16 => u128::from_be_bytes(mask.try_into().ok()?),
        _ => return None,
    };
    // RFC 4632: ones, then zeros.
    (octets.len() == 2 * mask.len() && bits.leading_ones() + bits.trailing_zeros() >= 128
        || bits == 0)
        .then_some((address, mask))
}

fn host_of(uri: &str) -> Option<&str> {
    let (_, rest) = uri.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = host.split(':').next()?;
    // A constraint names domains; an address has none.
    (is_host(host, false) && host.parse::<IpAddr>().is_err()).then_some(host)
}
