//! What daemons, and libraries that read our certificates and CRLs, can do and cannot: the one table of it. `check` and `export` read it,
//! `init` and `ca add` warn by it, and a test holds docs/interoperability.md against it.
//!
//! Each row was found by running that program, and says in which version; another version may do better.

use std::fmt;

use countersign_ca::certificate::Facts as Subject;
use countersign_ca::public_key::KeyKind;
use der::Decode;
use x509_cert::Certificate as X509;
use x509_cert::ext::pkix::NameConstraints;
use x509_cert::ext::pkix::name::GeneralName;

use super::{Daemon, Encryption, GatewayError, Hash, Mode, Proposal};

/// A family of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// RSA.
    Rsa,
    /// ECDSA on P-256 and P-384.
    Ecdsa,
    /// ECDSA on P-521 (RFC 7427), which was tried in IKEv2 below CAs with other keys.
    EcdsaP521,
    /// Ed25519.
    Ed25519,
}

impl Family {
    /// That of a kind of key.
    pub const fn of(kind: KeyKind) -> Self {
        match kind {
            KeyKind::Rsa(_) => Self::Rsa,
            KeyKind::P256 | KeyKind::P384 => Self::Ecdsa,
            KeyKind::P521 => Self::EcdsaP521,
            KeyKind::Ed25519 => Self::Ed25519,
        }
    }
}

/// What a daemon verifies certificates and CRLs with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Library {
    /// strongSwan's own.
    Strongswan,
    /// NSS.
    Nss,
    /// OpenSSL.
    OpenSsl,
}

/// What of a gateway has a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The daemon itself.
    Daemon(Daemon),
    /// What some daemons verify with.
    Library(Library),
}

/// What a daemon can do.
#[derive(Debug, Clone, Copy)]
pub struct Abilities {
    /// The daemon.
    pub daemon: Daemon,
    /// The versions with which this was found.
    pub versions: &'static str,
    /// The modes that it speaks.
    pub modes: &'static [Mode],
    /// The modes in which it asks the authorizer.
    pub asks_in: &'static [Mode],
    /// The keys that it signs with in IKEv2. What it can sign with, it can verify, and nothing else.
    pub keys_v2: &'static [Family],
    /// The keys that it signs with in IKEv1.
    pub keys_v1: &'static [Family],
    /// The keys of CAs that it can verify by.
    pub ca_keys: &'static [Family],
    /// What verifies for it.
    pub library: Library,
    /// Whether it fetches CRLs; else it reads files only.
    pub fetches: bool,
    /// The extended key usages of which it wants one, if a certificate has any; empty if it does not look at them.
    pub purposes: &'static [&'static str],
    /// Whether it knows a certificate by its first alternative name only.
    pub first_name_only: bool,
    /// Whether it requests a certificate of each peer in IKEv1, and cannot be told not to.
    pub always_requests: bool,
}

const ALL_MODES: &[Mode] = &[Mode::Ikev2, Mode::Main, Mode::Aggressive];
const IKEV1: &[Mode] = &[Mode::Main, Mode::Aggressive];
const IKEV2: &[Mode] = &[Mode::Ikev2];
const WITH_P521: &[Family] = &[Family::Rsa, Family::Ecdsa, Family::EcdsaP521, Family::Ed25519];
const RSA_ECDSA_P521: &[Family] = &[Family::Rsa, Family::Ecdsa, Family::EcdsaP521];
const ALL_KEYS: &[Family] = &[Family::Rsa, Family::Ecdsa, Family::Ed25519];
const RSA_ECDSA: &[Family] = &[Family::Rsa, Family::Ecdsa];
const RSA: &[Family] = &[Family::Rsa];

/// Every daemon, in the order of [`Daemon::ALL`].
const ABILITIES: [Abilities; 5] = [
    Abilities {
        daemon: Daemon::Strongswan,
        versions: "5.9.8, 6.0.6",
        modes: ALL_MODES,
        asks_in: ALL_MODES,
        keys_v2: WITH_P521,
        keys_v1: RSA_ECDSA,
        ca_keys: ALL_KEYS,
        library: Library::Strongswan,
        fetches: true,
        purposes: &[],
        first_name_only: false,
        always_requests: false,
    },
    Abilities {
        daemon: Daemon::Libreswan,
        versions: "4.10, 5.4",
        modes: ALL_MODES,
        asks_in: IKEV2,
        keys_v2: RSA_ECDSA_P521,
        keys_v1: RSA,
        ca_keys: RSA_ECDSA,
        library: Library::Nss,
        fetches: true,
        purposes: &[IPSEC_IKE, ANY, SERVER_AUTH, CLIENT_AUTH],
        first_name_only: false,
        always_requests: true,
    },
    Abilities {
        daemon: Daemon::Iked,
        versions: "7.2, 7.4",
        modes: IKEV2,
        asks_in: &[],
        keys_v2: RSA_ECDSA_P521,
        keys_v1: &[],
        ca_keys: ALL_KEYS,
        library: Library::OpenSsl,
        fetches: false,
        purposes: &[],
        first_name_only: false,
        always_requests: false,
    },
    Abilities {
        daemon: Daemon::Isakmpd,
        versions: "OpenBSD 2020-03",
        modes: IKEV1,
        asks_in: &[],
        keys_v2: &[],
        keys_v1: RSA,
        // The licensee `DN:` of its policy works with an RSA CA only.
        ca_keys: RSA,
        library: Library::OpenSsl,
        fetches: false,
        purposes: &[],
        first_name_only: true,
        always_requests: false,
    },
    Abilities {
        daemon: Daemon::Racoon,
        versions: "0.8.2, 0.9.1",
        modes: IKEV1,
        asks_in: &[],
        keys_v2: &[],
        keys_v1: RSA,
        ca_keys: ALL_KEYS,
        library: Library::OpenSsl,
        fetches: false,
        purposes: &[],
        first_name_only: false,
        always_requests: false,
    },
];

/// Extended key usages: ipsecIKE, iKEIntermediate, anyExtendedKeyUsage, serverAuth, clientAuth.
const IPSEC_IKE: &str = "1.3.6.1.5.5.7.3.17";
pub(super) const IKE_INTERMEDIATE: &str = "1.3.6.1.5.5.8.2.2";
const ANY: &str = "2.5.29.37.0";
const SERVER_AUTH: &str = "1.3.6.1.5.5.7.3.1";
const CLIENT_AUTH: &str = "1.3.6.1.5.5.7.3.2";

impl Abilities {
    /// Those of a daemon.
    pub const fn of(daemon: Daemon) -> &'static Self {
        let [strongswan, libreswan, iked, isakmpd, racoon] = &ABILITIES;
        match daemon {
            Daemon::Strongswan => strongswan,
            Daemon::Libreswan => libreswan,
            Daemon::Iked => iked,
            Daemon::Isakmpd => isakmpd,
            Daemon::Racoon => racoon,
        }
    }

    /// Whether it can sign with a kind of key.
    ///
    /// # Errors
    /// It cannot; in words.
    pub fn signs(&self, mode: Mode, key: KeyKind) -> Result<(), String> {
        let (daemon, family) = (self.daemon, Family::of(key));
        let all = [self.keys_v1, self.keys_v2].concat();
        // A mode that it does not speak at all is told as that.
        let here = match mode {
            _ if !self.modes.contains(&mode) => &all,
            Mode::Ikev2 => self.keys_v2,
            Mode::Main | Mode::Aggressive => self.keys_v1,
        };
        if here.contains(&family) {
            return Ok(());
        }
        if mode != Mode::Ikev2 && self.keys_v2.contains(&family) {
            let (name, mode) = (family, mode.name());
            return Err(format!(
                "{daemon} uses {name} keys with IKEv2 only, found {key} in mode `{mode}`"
            ));
        }
        match all.iter().all(|family| *family == Family::Rsa) {
            true => Err(format!("{daemon} uses RSA keys only, found {key}")),
            false => Err(format!("{daemon} has no {key}")),
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rsa => "RSA",
            Self::Ecdsa => "ECDSA",
            Self::EcdsaP521 => "P-521",
            Self::Ed25519 => "Ed25519",
        })
    }
}

/// What a CA, a certificate, a CRL or a gateway's description may have that some program cannot take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// A common name that looks like a host name, without a DNS name beside it, below a CA with constraints on DNS names.
    CommonName,
    /// A CA whose name constraints have addresses.
    AddressConstraints,
    /// A CA with an Ed25519 key.
    Ed25519Ca,
    /// The CRL of a partition: its issuingDistributionPoint is critical (RFC 5280 §5.2.5).
    Partition,
    /// Two CAs of one name with different keys.
    SameName,
    /// AES-GCM for the traffic.
    EspAead,
    /// HMAC-SHA2-256 for the traffic.
    EspSha256,
    /// Being the responder in aggressive mode, with certificates.
    AggressiveResponder,
    /// Being refused as the initiator in aggressive mode.
    AggressiveRefusal,
    /// A distinguished name as identity that the certificate spells in another way, the same by RFC 5280 §7.1.
    Spelling,
}

impl Feature {
    /// As `check` calls it.
    pub const fn code(self) -> &'static str {
        match self {
            Self::CommonName => "common-name",
            Self::AddressConstraints => "address-constraints",
            Self::Ed25519Ca => "ca-key-kind",
            Self::Partition => "partition",
            Self::SameName => "ca-name",
            Self::EspAead | Self::EspSha256 => "esp-on-linux",
            Self::AggressiveResponder => "aggressive-responder",
            Self::AggressiveRefusal => "aggressive-retries",
            Self::Spelling => "dn-spelling",
        }
    }

    /// Which one of a proposal's algorithms for the traffic some daemon may not have.
    pub const fn of_esp(proposal: &Proposal) -> Option<Self> {
        match (proposal.encryption, proposal.hash) {
            (Encryption::Gcm(_), _) => Some(Self::EspAead),
            (Encryption::Cbc(_), Hash::Sha256) => Some(Self::EspSha256),
            (Encryption::Cbc(_), Hash::Sha384 | Hash::Sha512) => None,
        }
    }
}

/// What a program does with a feature, if it is not what RFC 5280 says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It refuses it.
    Refuses,
    /// It takes it for something else.
    Misreads,
}

/// A program that cannot take something.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// What it cannot take.
    pub feature: Feature,
    /// The program.
    pub program: &'static str,
    /// The version with which it was found.
    pub version: &'static str,
    /// The daemon or the library that it is, for gateways.
    pub part: Option<Part>,
    /// What it does.
    pub effect: Effect,
    /// What it does, in words that go on from the program's name.
    pub does: &'static str,
    /// How it was found: a test of this repository, or a tool.
    pub seen: &'static str,
}

const fn limit(
    feature: Feature,
    (program, version): (&'static str, &'static str),
    part: Option<Part>,
    effect: Effect,
    does: &'static str,
    seen: &'static str,
) -> Limit {
    Limit { feature, program, version, part, effect, does, seen }
}

const STRONGSWAN: Option<Part> = Some(Part::Library(Library::Strongswan));
const NSS: Option<Part> = Some(Part::Library(Library::Nss));
const OPENSSL: Option<Part> = Some(Part::Library(Library::OpenSsl));
const IKED: Option<Part> = Some(Part::Daemon(Daemon::Iked));

const COMMON_NAME: &str = "takes the common name for a DNS name, and refuses the certificate";
const SKIPPED: &str =
    "takes the CRL of a partition for the whole list, so that what other partitions list comes in";

/// Every limit.
pub const LIMITS: &[Limit] = &[
    limit(
        Feature::CommonName,
        ("OpenSSL", "3.0.19"),
        OPENSSL,
        Effect::Refuses,
        COMMON_NAME,
        "tests/export.rs::what_daemons_cannot_take_is_known_beforehand",
    ),
    limit(
        Feature::CommonName,
        ("GnuTLS", "3.7.9"),
        None,
        Effect::Refuses,
        COMMON_NAME,
        "certtool --verify",
    ),
    limit(
        Feature::AddressConstraints,
        ("strongSwan", "5.9.8"),
        STRONGSWAN,
        Effect::Refuses,
        "cannot read a CA certificate whose critical name constraints have addresses",
        "tests/export.rs::what_daemons_cannot_take_is_known_beforehand",
    ),
    limit(
        Feature::Ed25519Ca,
        ("NSS", "3.87.1"),
        NSS,
        Effect::Refuses,
        "does not take an Ed25519 CA into its database",
        "tests/export.rs::what_daemons_cannot_take_is_known_beforehand",
    ),
    limit(
        Feature::Partition,
        ("strongSwan", "5.9.8"),
        STRONGSWAN,
        Effect::Misreads,
        SKIPPED,
        "a charon with `revocation = strict`",
    ),
    limit(
        Feature::Partition,
        ("GnuTLS", "3.7.9"),
        None,
        Effect::Misreads,
        SKIPPED,
        "certtool --verify",
    ),
    limit(
        Feature::Partition,
        ("wolfSSL", "5.5.4"),
        None,
        Effect::Misreads,
        SKIPPED,
        "wolfSSL_CertManagerVerifyBuffer",
    ),
    limit(
        Feature::Partition,
        ("NSS", "3.87.1"),
        NSS,
        Effect::Refuses,
        "refuses every CRL with a critical issuingDistributionPoint",
        "tests/export.rs::what_daemons_cannot_take_is_known_beforehand",
    ),
    limit(
        Feature::Partition,
        ("mbed TLS", "2.28.3"),
        None,
        Effect::Refuses,
        "refuses every CRL with a critical issuingDistributionPoint",
        "mbedtls_x509_crl_parse_file",
    ),
    limit(
        Feature::Partition,
        ("dirmngr", "2.2.40"),
        None,
        Effect::Refuses,
        "refuses every CRL with a critical issuingDistributionPoint",
        "dirmngr --load-crl",
    ),
    limit(
        Feature::SameName,
        ("NSS", "3.87.1"),
        NSS,
        Effect::Misreads,
        "keeps one CRL for each name of a CA, so that whom the CRL of the other key revokes comes in",
        "tests/ca_roll.rs::nss_and_gnutls_keep_the_revocations_of_both_keys",
    ),
    limit(
        Feature::EspAead,
        ("OpenIKED", "7.2, 7.4"),
        IKED,
        Effect::Misreads,
        "passes over AES-GCM for the traffic in silence on Linux, so that no CHILD_SA comes up by it",
        "tests/ike_export.rs::iked_has_a_child_sa_with_its_default_and_with_no_other",
    ),
    limit(
        Feature::EspSha256,
        ("OpenIKED", "7.2, 7.4"),
        IKED,
        Effect::Refuses,
        "cannot load HMAC-SHA2-256 over PF_KEY on Linux, so that no CHILD_SA comes up by it",
        "tests/ike_export.rs::iked_has_a_child_sa_with_its_default_and_with_no_other",
    ),
    limit(
        Feature::AggressiveResponder,
        ("isakmpd", "OpenBSD 2020-03"),
        Some(Part::Daemon(Daemon::Isakmpd)),
        Effect::Misreads,
        "looks for its own certificate under the peer's identity as responder in aggressive mode, and is silent, if the peer requests a \
         certificate",
        "by hand, isakmpd",
    ),
    limit(
        Feature::AggressiveRefusal,
        ("strongSwan", "5.9.8, 6.0.6"),
        STRONGSWAN,
        Effect::Misreads,
        "takes itself for connected before it is refused, and tries again some nine times a second as long as a CHILD_SA waits",
        "by hand, charon",
    ),
    limit(
        Feature::Spelling,
        ("strongSwan", "5.9.8"),
        STRONGSWAN,
        Effect::Refuses,
        "compares distinguished names octet by octet, case and blanks included",
        "by hand, charon",
    ),
];

/// The limit of a daemon, if it has this one.
pub fn limit_of(daemon: Daemon, feature: Feature) -> Option<&'static Limit> {
    let parts = [Part::Daemon(daemon), Part::Library(Abilities::of(daemon).library)];
    let is_of_it = |limit: &&Limit| limit.part.is_some_and(|part| parts.contains(&part));
    LIMITS.iter().filter(|limit| limit.feature == feature).find(is_of_it)
}

/// Who cannot take a feature, in words: program, version, what it does.
pub fn limits(feature: Feature) -> String {
    let mut sentences: Vec<(&str, Vec<String>)> = Vec::new();
    for limit in LIMITS.iter().filter(|limit| limit.feature == feature) {
        let name = format!("{} {}", limit.program, limit.version);
        match sentences.iter_mut().find(|(does, _)| *does == limit.does) {
            Some((_, names)) => names.push(name),
            None => sentences.push((limit.does, vec![name])),
        }
    }
    let each = sentences.into_iter().map(|(does, names)| format!("{} {does}", names.join(", ")));
    each.collect::<Vec<_>>().join("; ")
}

/// Which of these a certificate of a CA has, and who cannot take it, for whoever makes the CA.
///
/// # Errors
/// It is no certificate.
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

/// What of a CA's certificate some daemon may not take.
#[derive(Debug, Clone)]
pub struct CaFacts {
    /// The subject (RFC 4514).
    pub subject: String,
    /// The key.
    pub key: KeyKind,
    permitted: Vec<GeneralName>,
    excluded: Vec<GeneralName>,
    has_critical_constraints: bool,
}

impl CaFacts {
    /// Those of a certificate.
    ///
    /// # Errors
    /// It is none.
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

    /// Whether its name constraints are critical, and have addresses.
    pub fn has_addresses(&self) -> bool {
        let is_address = |name: &GeneralName| matches!(name, GeneralName::IpAddress(_));
        self.has_critical_constraints && self.names().any(is_address)
    }

    /// Whether its name constraints have DNS names.
    pub fn has_dns(&self) -> bool {
        self.names().any(|name| matches!(name, GeneralName::DnsName(_)))
    }

    /// Whether it lets a DNS name pass.
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

/// RFC 5280 §4.2.1.10: any name that is made by adding labels to the left side.
fn is_within(host: &str, domain: &str) -> bool {
    let (host, domain) = (host.to_ascii_lowercase(), domain.to_ascii_lowercase());
    let domain = domain.trim_start_matches('.');
    domain.is_empty()
        || host == domain
        || host.strip_suffix(domain).is_some_and(|labels| labels.ends_with('.'))
}

/// Whether OpenSSL takes a common name for a host name (`cn2dnsid` there): letters, digits, `-` and `_`, with a point that is neither at
/// an end nor beside another or beside a `-`.
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
    fn the_table_has_each_daemon_under_its_name() {
        for daemon in Daemon::ALL {
            let abilities = Abilities::of(daemon);
            assert_eq!(abilities.daemon, daemon);
            for mode in [Mode::Ikev2, Mode::Main, Mode::Aggressive] {
                let keys = if mode == Mode::Ikev2 { abilities.keys_v2 } else { abilities.keys_v1 };
                assert_eq!(abilities.modes.contains(&mode), !keys.is_empty(), "{daemon} {mode:?}");
                assert!(abilities.modes.contains(&mode) || !abilities.asks_in.contains(&mode));
            }
        }
        let said = limits(Feature::Partition);
        for program in
            ["strongSwan 5.9.8, GnuTLS 3.7.9, wolfSSL 5.5.4 takes", "dirmngr 2.2.40 refuses"]
        {
            assert!(said.contains(program), "{said}");
        }
    }

    /// docs/interoperability.md has each row, and each test that it names is there.
    #[test]
    fn the_page_says_what_the_table_says() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let page = std::fs::read_to_string(root.join("docs/interoperability.md")).unwrap();
        let rows: Vec<&str> = page.lines().filter(|line| line.starts_with('|')).collect();
        let has =
            |cells: &[&str]| rows.iter().any(|row| cells.iter().all(|cell| row.contains(cell)));
        for limit in LIMITS {
            assert!(has(&[limit.program, limit.version, limit.seen]), "no row for {limit:?}");
        }
        for daemon in Daemon::ALL {
            for version in Abilities::of(daemon).versions.split(", ") {
                assert!(has(&[&format!("`{daemon}`"), version]), "no row for {daemon} {version}");
            }
        }
        let named = page.split('`').filter_map(|word| word.split_once(".rs::"));
        for (file, test) in named {
            let file = format!("{file}.rs");
            let text =
                std::fs::read_to_string(root.join(&file)).unwrap_or_else(|e| panic!("{file}: {e}"));
            assert!(text.contains(&format!("fn {test}(")), "`{file}` has no test `{test}`");
        }
    }

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
