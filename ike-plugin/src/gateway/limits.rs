//! The table of features of our CAs, certificates, CRLs and gateways that some program does not support. `check` and `export` read it, `init` and
//! `ca add` warn by it, and a test compares docs/interoperability.md with it.
//!
//! Each row was found by running that program, in the version that the row names. It is one table, and not one for each daemon, because most rows
//! are about a library that several daemons use, or about a program that is not a daemon.

use super::abilities::{Abilities, Library};
use super::daemon::Daemon;
use super::proposal::{Encryption, Hash, Proposal};

/// The part of a gateway that has a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The daemon itself.
    Daemon(Daemon),
    /// The library by which some daemons verify.
    Library(Library),
}

/// A feature of a CA, a certificate, a CRL or a gateway's description that some program does not support.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// A certificate without a DNS name whose common name looks like a host name, below a CA with name constraints on DNS names.
    CommonName,
    /// A CA whose critical name constraints have IP addresses.
    AddressConstraints,
    /// A CA with an Ed25519 key.
    Ed25519Ca,
    /// The CRL of a partition: its issuingDistributionPoint is critical (RFC 5280 §5.2.5).
    Partition,
    /// Two CAs of one name with different keys.
    SameName,
    /// AES-GCM for the traffic (ESP).
    EspAead,
    /// HMAC-SHA2-256 for the traffic (ESP).
    EspSha256,
    /// The role of the responder in aggressive mode, with certificates.
    AggressiveResponder,
    /// The responder's refusal of an initiator in aggressive mode, which comes after the initiator's last message.
    AggressiveRefusal,
    /// An identity that is a distinguished name, which the certificate has in another spelling, equal by RFC 5280 §7.1.
    Spelling,
}

impl Feature {
    /// The code of the obstacle that `check` reports about the feature, for programs.
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

    /// The feature of a proposal's algorithms for the traffic (ESP) that some daemon does not support, if there is one.
    pub const fn of_esp(proposal: &Proposal) -> Option<Self> {
        match (proposal.encryption, proposal.hash) {
            (Encryption::Gcm(_), _) => Some(Self::EspAead),
            (Encryption::Cbc(_), Hash::Sha256) => Some(Self::EspSha256),
            (Encryption::Cbc(_), Hash::Sha384 | Hash::Sha512) => None,
        }
    }
}

/// What a program does with a feature that it does not support.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The program refuses the object, or cannot use it.
    Refuses,
    /// The program accepts the object and treats it wrongly, or behaves wrongly otherwise.
    Misreads,
}

/// A program in the version with which a limit was found.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// The name of the program.
    pub name: &'static str,
    /// The version.
    pub version: &'static str,
    /// The part of a gateway that the program is; `None` if it is neither a daemon nor the library of one.
    pub part: Option<Part>,
}

/// A feature that a program does not support.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// What the program does not support.
    pub feature: Feature,
    /// The program.
    pub program: &'static Program,
    /// What the program does with the feature.
    pub effect: Effect,
    /// The effect in words: the rest of a sentence that begins with the program's name.
    pub does: &'static str,
    /// The way in which the limit was found: a test of this repository, a tool, or by hand.
    pub seen: &'static str,
}

const OPENSSL: Program =
    Program { name: "OpenSSL", version: "3.0.19", part: Some(Part::Library(Library::OpenSsl)) };
const GNUTLS: Program = Program { name: "GnuTLS", version: "3.7.9", part: None };
const STRONGSWAN: Program = Program {
    name: "strongSwan",
    version: "5.9.8",
    part: Some(Part::Library(Library::Strongswan)),
};
const STRONGSWAN_6: Program = Program {
    name: "strongSwan",
    version: "5.9.8, 6.0.6",
    part: Some(Part::Library(Library::Strongswan)),
};
const NSS: Program =
    Program { name: "NSS", version: "3.87.1", part: Some(Part::Library(Library::Nss)) };
const WOLFSSL: Program = Program { name: "wolfSSL", version: "5.5.4", part: None };
const MBED_TLS: Program = Program { name: "mbed TLS", version: "2.28.3", part: None };
const DIRMNGR: Program = Program { name: "dirmngr", version: "2.2.40", part: None };
const IKED: Program =
    Program { name: "OpenIKED", version: "7.2, 7.4", part: Some(Part::Daemon(Daemon::Iked)) };
const ISAKMPD: Program = Program {
    name: "isakmpd",
    version: "OpenBSD 2020-03",
    part: Some(Part::Daemon(Daemon::Isakmpd)),
};

const COMMON_NAME: &str = "takes the common name for a DNS name, and refuses the certificate";
const SKIPPED: &str =
    "takes the CRL of a partition for the whole list, so that what other partitions list comes in";

/// Every known limit. Several rows may have the same feature or the same program.
pub const LIMITS: &[Limit] = &[
    Limit {
        feature: Feature::CommonName,
        program: &OPENSSL,
        effect: Effect::Refuses,
        does: COMMON_NAME,
        seen: "tests/check.rs::what_daemons_cannot_take_is_known_beforehand",
    },
    Limit {
        feature: Feature::CommonName,
        program: &GNUTLS,
        effect: Effect::Refuses,
        does: COMMON_NAME,
        seen: "certtool --verify",
    },
    Limit {
        feature: Feature::AddressConstraints,
        program: &STRONGSWAN,
        effect: Effect::Refuses,
        does: "cannot read a CA certificate whose critical name constraints have addresses",
        seen: "tests/check.rs::what_daemons_cannot_take_is_known_beforehand",
    },
    Limit {
        feature: Feature::Ed25519Ca,
        program: &NSS,
        effect: Effect::Refuses,
        does: "does not take an Ed25519 CA into its database",
        seen: "tests/check.rs::what_daemons_cannot_take_is_known_beforehand",
    },
    Limit {
        feature: Feature::Partition,
        program: &STRONGSWAN,
        effect: Effect::Misreads,
        does: SKIPPED,
        seen: "a charon with `revocation = strict`",
    },
    Limit {
        feature: Feature::Partition,
        program: &GNUTLS,
        effect: Effect::Misreads,
        does: SKIPPED,
        seen: "certtool --verify",
    },
    Limit {
        feature: Feature::Partition,
        program: &WOLFSSL,
        effect: Effect::Misreads,
        does: SKIPPED,
        seen: "wolfSSL_CertManagerVerifyBuffer",
    },
    Limit {
        feature: Feature::Partition,
        program: &NSS,
        effect: Effect::Refuses,
        does: "refuses every CRL with a critical issuingDistributionPoint",
        seen: "tests/check.rs::what_daemons_cannot_take_is_known_beforehand",
    },
    Limit {
        feature: Feature::Partition,
        program: &MBED_TLS,
        effect: Effect::Refuses,
        does: "refuses every CRL with a critical issuingDistributionPoint",
        seen: "mbedtls_x509_crl_parse_file",
    },
    Limit {
        feature: Feature::Partition,
        program: &DIRMNGR,
        effect: Effect::Refuses,
        does: "refuses every CRL with a critical issuingDistributionPoint",
        seen: "dirmngr --load-crl",
    },
    Limit {
        feature: Feature::SameName,
        program: &NSS,
        effect: Effect::Misreads,
        does: "keeps one CRL for each name of a CA, so that whom the CRL of the other key revokes comes in",
        seen: "tests/ca_roll.rs::nss_and_gnutls_keep_the_revocations_of_both_keys",
    },
    Limit {
        feature: Feature::EspAead,
        program: &IKED,
        effect: Effect::Misreads,
        does: "passes over AES-GCM for the traffic in silence on Linux, so that no CHILD_SA comes up by it",
        seen: "tests/ike_export.rs::iked_has_a_child_sa_with_its_default_and_with_no_other",
    },
    Limit {
        feature: Feature::EspSha256,
        program: &IKED,
        effect: Effect::Refuses,
        does: "cannot load HMAC-SHA2-256 over PF_KEY on Linux, so that no CHILD_SA comes up by it",
        seen: "tests/ike_export.rs::iked_has_a_child_sa_with_its_default_and_with_no_other",
    },
    Limit {
        feature: Feature::AggressiveResponder,
        program: &ISAKMPD,
        effect: Effect::Misreads,
        does: "looks for its own certificate under the peer's identity as responder in aggressive mode, and is silent, if the peer requests a \
         certificate",
        seen: "by hand, isakmpd",
    },
    Limit {
        feature: Feature::AggressiveRefusal,
        program: &STRONGSWAN_6,
        effect: Effect::Misreads,
        does: "takes itself for connected before it is refused, and tries again some nine times a second as long as a CHILD_SA waits",
        seen: "by hand, charon",
    },
    Limit {
        feature: Feature::Spelling,
        program: &STRONGSWAN,
        effect: Effect::Refuses,
        does: "compares distinguished names octet by octet, case and blanks included",
        seen: "by hand, charon",
    },
];

/// The limit of a daemon or of its library for a feature, if there is one.
pub fn limit_of(abilities: &Abilities, feature: Feature) -> Option<&'static Limit> {
    let parts = [Part::Daemon(abilities.daemon), Part::Library(abilities.library)];
    let is_of_it = |limit: &&Limit| limit.program.part.is_some_and(|part| parts.contains(&part));
    LIMITS.iter().filter(|limit| limit.feature == feature).find(is_of_it)
}

/// Whether a daemon itself, whatever its library is, has this limit.
pub fn has_own_limit(daemon: Daemon, feature: Feature) -> bool {
    let part = Some(Part::Daemon(daemon));
    LIMITS.iter().any(|limit| limit.feature == feature && limit.program.part == part)
}

/// The programs that do not support a feature, as text: program, version, and what it does.
pub fn limits(feature: Feature) -> String {
    let mut sentences: Vec<(&str, Vec<String>)> = Vec::new();
    for limit in LIMITS.iter().filter(|limit| limit.feature == feature) {
        let name = format!("{} {}", limit.program.name, limit.program.version);
        match sentences.iter_mut().find(|(does, _)| *does == limit.does) {
            Some((_, names)) => names.push(name),
            None => sentences.push((limit.does, vec![name])),
        }
    }
    let each = sentences.into_iter().map(|(does, names)| format!("{} {does}", names.join(", ")));
    each.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_with_the_same_fault_share_a_sentence() {
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
            assert!(
                has(&[limit.program.name, limit.program.version, limit.seen]),
                "no row for {limit:?}"
            );
        }
        for daemon in Daemon::ALL {
            for version in daemon.abilities().versions.split(", ") {
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
}
