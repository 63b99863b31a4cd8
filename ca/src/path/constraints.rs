//! Name constraints (RFC 5280 §4.2.1.10): the names that certificates below a CA may have.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use der::Encode;
use x509_cert::ext::pkix::constraints::name::GeneralSubtree;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use super::budget::{Budget, MAX_OCTETS};
use super::certificate::Certificate;
use crate::name::{Likeness, general_name, likeness_within};
use crate::oid;

/// The name constraints of all CAs so far.
#[derive(Debug)]
pub(super) struct Constraints<'a> {
    /// The permitted subtrees, one list for each CA. A name must be within one subtree of each list that has subtrees
    /// of its kind.
    permitted: Vec<Vec<GeneralName>>,
    excluded: Vec<GeneralName>,
    /// The number of all subtrees.
    count: usize,
    /// The octets of all subtrees together.
    octets: usize,
    budget: &'a Budget,
}

impl<'a> Constraints<'a> {
    /// No constraints. Comparisons draw on `budget`.
    pub const fn new(budget: &'a Budget) -> Self {
        Self { permitted: Vec::new(), excluded: Vec::new(), count: 0, octets: 0, budget }
    }

    /// Adds the constraints of a CA.
    ///
    /// # Errors
    /// A sentence that says why they cannot be applied.
    pub fn add(&mut self, certificate: &Certificate) -> Result<(), String> {
        let Some(constraints) = &certificate.constraints else { return Ok(()) };
        if constraints.permitted_subtrees.is_none() && constraints.excluded_subtrees.is_none() {
            return Err("its name constraints are empty".into());
        }
        if let Some(permitted) = &constraints.permitted_subtrees {
            let bases = bases(permitted)?;
            self.grow(&bases);
            self.permitted.push(bases);
        }
        if let Some(excluded) = &constraints.excluded_subtrees {
            let bases = bases(excluded)?;
            self.grow(&bases);
            self.excluded.extend(bases);
        }
        Ok(())
    }

    /// Counts further subtrees for the cost of comparisons.
    fn grow(&mut self, bases: &[GeneralName]) {
        let more = bases.iter().map(octets_of).fold(0, usize::saturating_add);
        self.count = self.count.saturating_add(bases.len());
        self.octets = self.octets.saturating_add(more);
    }

    /// Checks that all names of a certificate are allowed.
    ///
    /// # Errors
    /// A sentence that names one that is not, or says that there is too much to compare.
    pub fn check(&self, certificate: &Certificate) -> Result<(), String> {
        if self.permitted.is_empty() && self.excluded.is_empty() {
            return Ok(());
        }
        for name in names(certificate)? {
            self.check_name(&name)?;
        }
        Ok(())
    }

    /// Checks one name against all subtrees. A name that is uncertainly excluded is refused; one that is uncertainly
    /// permitted is refused, too.
    fn check_name(&self, name: &GeneralName) -> Result<(), String> {
        let compared = octets_of(name).saturating_mul(self.count).saturating_add(self.octets);
        self.budget.compare(compared).map_err(|_| {
            format!(
                "more than {MAX_OCTETS} octets of its names and of the name constraints above it would have to be compared; issue it with \
                 fewer names, or its CAs with fewer name constraints"
            )
        })?;
        for base in &self.excluded {
            let found = within(name, base)?;
            if found.is_some_and(|likeness| likeness != Likeness::Different) {
                let may_be = if found == Some(Likeness::Same) { "is" } else { "may be" };
                return Err(format!(
                    "its name `{}` {may_be} within `{}`, which a CA above it excludes",
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
                allowed |= is_within == Some(Likeness::Same);
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

/// The cost of comparing a name, in octets.
fn octets_of(name: &GeneralName) -> usize {
    name.encoded_len().ok().and_then(|length| length.try_into().ok()).unwrap_or(usize::MAX)
}

/// The bases of subtrees.
///
/// # Errors
/// A sentence that names one that cannot be applied.
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

/// Checks that the base of a subtree has the form of its kind.
fn check_base(base: &GeneralName) -> Result<(), String> {
    let wrong = |why: &str| Err(format!("its name constraint `{}` {why}", general_name(base)));
    let is_domain = |name: &str| name.is_empty() || is_host(name.strip_prefix('.').unwrap_or(name));
    match base {
        GeneralName::DnsName(name) if !name.as_str().is_empty() && !is_host(name.as_str()) => {
            wrong("is no domain")
        }
        GeneralName::Rfc822Name(name)
            if !is_domain(name.as_str()) && Mailbox::read(name.as_str()).is_none() =>
        {
            wrong("is no mail address, host or domain")
        }
        GeneralName::UniformResourceIdentifier(name) if !is_domain(name.as_str()) => {
            wrong("is no host or domain")
        }
        GeneralName::IpAddress(octets) => match subnet(octets.as_bytes()) {
            Some(_) => Ok(()),
            None => wrong("is no address with a mask"),
        },
        _ => Ok(()),
    }
}

/// The names of a certificate: the subject, unless it is empty; the alternative names; and the mail addresses in the
/// subject, if the alternative names have none (§4.2.1.10).
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

/// The mail addresses in a subject.
fn mailboxes(subject: &Name) -> Result<Vec<GeneralName>, String> {
    let attributes = subject.0.iter().flat_map(|part| part.0.iter());
    attributes
        .filter(|attribute| attribute.oid == oid::EMAIL_ADDRESS)
        .map(|attribute| {
            let text = std::str::from_utf8(attribute.value.value()).ok();
            let text = text.and_then(|text| der::asn1::Ia5String::new(text).ok());
            text.map(GeneralName::Rfc822Name)
                .ok_or_else(|| "the mail address in its subject is no ASCII text".to_owned())
        })
        .collect()
}

/// How certainly a name is within the subtree of `base`; `None` if they are of different kinds.
///
/// # Errors
/// A sentence that says that the name cannot be compared with a constraint of its kind.
fn within(name: &GeneralName, base: &GeneralName) -> Result<Option<Likeness>, String> {
    let malformed =
        || format!("its name `{}` cannot be held against a name constraint", general_name(name));
    Ok(Some(match (name, base) {
        (GeneralName::DirectoryName(name), GeneralName::DirectoryName(base)) => {
            likeness_within(name, base)
        }
        (GeneralName::DnsName(name), GeneralName::DnsName(base)) => {
            let plain = name.as_str().strip_prefix("*.").unwrap_or(name.as_str());
            if !is_host(plain) {
                return Err(malformed());
            }
            certainly(is_within_domain(name.as_str(), base.as_str()))
        }
        (GeneralName::Rfc822Name(name), GeneralName::Rfc822Name(base)) => {
            let mailbox = Mailbox::read(name.as_str()).ok_or_else(malformed)?;
            match Mailbox::read(base.as_str()) {
                Some(base) => certainly(mailbox == base),
                None => host_likeness(&mailbox.host, base.as_str()),
            }
        }
        (
            GeneralName::UniformResourceIdentifier(uri),
            GeneralName::UniformResourceIdentifier(base),
        ) => {
            let host = host_of(uri.as_str()).ok_or_else(malformed)?;
            host_likeness(host, base.as_str())
        }
        (GeneralName::IpAddress(address), GeneralName::IpAddress(base)) => {
            let address = address.as_bytes();
            if !matches!(address.len(), 4 | 16) {
                return Err(malformed());
            }
            let (network, mask) = subnet(base.as_bytes()).ok_or_else(malformed)?;
            let pairs = network.iter().zip(mask).zip(address);
            certainly(
                network.len() == address.len()
                    && pairs.into_iter().all(|((net, mask), of)| net & mask == of & mask),
            )
        }
        (name, base) if std::mem::discriminant(name) != std::mem::discriminant(base) => {
            return Ok(None);
        }
        // §4.2.1.10: if a constraint cannot be applied to a name of its kind, the certificate is rejected.
        _ => return Err(malformed()),
    }))
}

const fn certainly(is_within: bool) -> Likeness {
    if is_within { Likeness::Same } else { Likeness::Different }
}

/// How certainly a host matches a constraint: `.example.com` contains all hosts below, `example.com` only the host
/// itself. An empty constraint is not defined by §4.2.1.10, and some issuers use it to exclude everything. It matches
/// uncertainly, so it excludes every host and permits none.
fn host_likeness(host: &str, base: &str) -> Likeness {
    match base.strip_prefix('.') {
        Some(domain) => certainly(is_below(host, domain)),
        None if base.is_empty() => Likeness::Uncertain,
        None => certainly(host.eq_ignore_ascii_case(base)),
    }
}

/// A mailbox.
///
/// ```text
/// Mailbox        = Local-part "@" ( Domain / address-literal )
/// Local-part     = Dot-string / Quoted-string
/// Quoted-string  = DQUOTE *QcontentSMTP DQUOTE
/// ```
/// RFC 5321 §4.1.2. `"a"@example.com` is the mailbox `a@example.com`. The local part is compared exactly, including
/// case (RFC 5280 §7.5).
#[derive(Debug, PartialEq, Eq)]
struct Mailbox {
    /// The local part without quotes and backslashes.
    local: String,
    /// The domain or address literal, in lower case.
    host: String,
}

impl Mailbox {
    /// Reads a mailbox; `None` if the text is not one.
    fn read(text: &str) -> Option<Self> {
        let (local, host) = match text.strip_prefix('"') {
            Some(quoted) => unquoted(quoted)?,
            None => {
                let (local, host) = text.split_once('@')?;
                let is_proper =
                    |byte: u8| byte.is_ascii_graphic() && !br#"()<>[]:;\,""#.contains(&byte);
                (local.bytes().all(is_proper).then(|| local.to_owned())?, host)
            }
        };
        let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_address = |text: &str| match text.strip_prefix("IPv6:") {
            Some(text) => text.parse::<Ipv6Addr>().is_ok(),
            None => text.parse::<Ipv4Addr>().is_ok(),
        };
        let is_host = literal.map_or_else(|| is_host(host), is_address);
        (is_host && !local.is_empty()).then(|| Self { local, host: host.to_ascii_lowercase() })
    }
}

/// Splits a quoted local part, after its opening quote, from the host after the `@`. Backslashes are resolved.
fn unquoted(quoted: &str) -> Option<(String, &str)> {
    let mut local = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((local, quoted.get(at + 1..)?.strip_prefix('@')?)),
            '\\' => local
                .push(characters.next().map(|(_, of)| of).filter(|of| matches!(of, ' '..='~'))?),
            ' '..='~' => local.push(character),
            _ => return None,
        }
    }
    None
}

/// Whether a DNS name is the domain itself or below it.
fn is_within_domain(name: &str, domain: &str) -> bool {
    name.eq_ignore_ascii_case(domain) || is_below(name, domain)
}

/// Whether a DNS name is below a domain, with at least one more label. The empty domain contains every name.
fn is_below(name: &str, domain: &str) -> bool {
    if domain.is_empty() {
        return true;
    }
    let Some(at) = name.len().checked_sub(domain.len()).filter(|at| *at > 0) else { return false };
    name.get(at..).is_some_and(|end| end.eq_ignore_ascii_case(domain))
        && name.as_bytes().get(at - 1) == Some(&b'.')
}

/// Whether the text is a host name. Underscores are tolerated, because some certificates have them.
fn is_host(name: &str) -> bool {
    let proper = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    name.len() <= 253 && name.split('.').all(proper)
}

/// Splits an iPAddress constraint into address and mask; `None` if it is malformed.
fn subnet(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (address, mask) = octets.split_at_checked(octets.len() / 2)?;
    let bits = match mask.len() {
        4 => u128::from(u32::from_be_bytes(mask.try_into().ok()?)) << 96,
        16 => u128::from_be_bytes(mask.try_into().ok()?),
        _ => return None,
    };
    // The mask must consist of ones followed by zeros (RFC 4632).
    (octets.len() == 2 * mask.len() && bits.leading_ones() + bits.trailing_zeros() >= 128
        || bits == 0)
        .then_some((address, mask))
}

/// The host of a URI; `None` if there is none, or it is an address.
fn host_of(uri: &str) -> Option<&str> {
    let (scheme, rest) = uri.split_once("://")?;
    // RFC 3986 §3.1: a scheme consists of these characters only.
    if !scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) {
        return None;
    }
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = host.split(':').next()?;
    // Constraints of this kind apply to host names, and not to addresses.
    (is_host(host) && host.parse::<IpAddr>().is_err()).then_some(host)
}
