//! What a daemon can do, as far as it matters to a gateway and its peers. Each daemon's folder has a constant `ABILITIES`, which
//! [`Daemon::abilities`] returns. `check` judges by it, and `export` writes by it.
//!
//! Each fact was found by running that daemon in the versions that are named beside it. Other versions may differ.

use std::fmt;

use countersign_ca::key::KeyKind;

use super::daemon::{Daemon, Mode};
use super::error::GatewayError;
use super::material::{Material, NamedCa};
use super::proposal::Proposal;

/// A family of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFamily {
    /// RSA.
    Rsa,
    /// ECDSA on P-256 and P-384.
    Ecdsa,
    /// ECDSA on P-521 (RFC 7427). It was tried in IKEv2, for certificates whose CAs have keys of other families.
    EcdsaP521,
    /// Ed25519.
    Ed25519,
}

impl KeyFamily {
    /// The family of a kind of key.
    pub const fn of(kind: KeyKind) -> Self {
        match kind {
            KeyKind::Rsa(_) => Self::Rsa,
            KeyKind::P256 | KeyKind::P384 => Self::Ecdsa,
            KeyKind::P521 => Self::EcdsaP521,
            KeyKind::Ed25519 => Self::Ed25519,
        }
    }
}

/// The library by which a daemon verifies certificates and CRLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Library {
    /// strongSwan's own code.
    Strongswan,
    /// NSS.
    Nss,
    /// OpenSSL.
    OpenSsl,
}

/// The source from which a daemon gets the status of a peer's certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusSource {
    /// The daemon fetches CRLs and OCSP responses from the URLs in each certificate of the peer's path.
    PeerPath,
    /// The daemon fetches CRLs from the URLs in the certificates of its own database: its own certificate and those of CAs.
    OwnDatabase,
    /// The daemon fetches nothing. It reads the CRLs in its folder.
    Files,
}

/// What a daemon can do.
#[derive(Debug, Clone, Copy)]
pub struct Abilities {
    /// The daemon.
    pub daemon: Daemon,
    /// The versions in which these facts were found.
    pub versions: &'static str,
    /// The modes of phase 1 that the daemon supports.
    pub modes: &'static [Mode],
    /// The modes in which the daemon can ask the authorizer about a peer; empty if it has no hook for that.
    pub asks_in: &'static [Mode],
    /// The keys that the daemon supports in IKEv2. In every daemon, the same keys can sign and be verified.
    pub keys_v2: &'static [KeyFamily],
    /// The keys that the daemon supports in IKEv1.
    pub keys_v1: &'static [KeyFamily],
    /// The keys that the CAs above a peer's certificate may have.
    pub ca_keys: &'static [KeyFamily],
    /// Whether both ends must have RSA keys, or neither, because the daemon authenticates both ends in the same way.
    pub one_key_family: bool,
    /// The library by which the daemon verifies certificates and CRLs.
    pub library: Library,
    /// The source from which the daemon gets the status of a peer's certificates.
    pub status: StatusSource,
    /// Whether the daemon refuses all peers below a CA without a CRL as soon as it has the CRL of another CA.
    pub needs_every_crl: bool,
    /// The extended key usages of which a peer's certificate must have one, if it has any; empty if the daemon ignores them.
    pub purposes: &'static [&'static str],
    /// For a daemon that finds a certificate by its first subject alternative name only: the longest list of names that it reads, in octets
    /// of DER. `None` for the others.
    pub first_name_within: Option<usize>,
    /// Whether the daemon always sends a certificate request in IKEv1, and no setting changes that.
    pub always_requests: bool,
    /// Whether the daemon's configuration must name each peer. At most one peer may then be without an address.
    pub needs_peers: bool,
    /// Whether all proposals of the daemon must have the same group, because it has one setting for perfect forward secrecy.
    pub one_group: bool,
    /// The daemon's default proposals in IKEv2.
    pub default_v2: &'static [Proposal],
    /// Writes a proposal for phase 1 in the daemon's notation; `None` if the daemon does not support the proposal in this mode.
    pub phase_1: fn(&Proposal, Mode) -> Option<String>,
    /// Whether the daemon's exported configuration refuses the peers of this CA although their paths are valid. The caller asks only
    /// about a CA with another name than that of the issuer of the gateway's own certificate.
    pub refuses_peers_of: fn(&Material, &NamedCa) -> Result<bool, GatewayError>,
}

/// IKEv2, and both modes of IKEv1.
pub(super) const ALL_MODES: &[Mode] = &[Mode::Ikev2, Mode::Main, Mode::Aggressive];
pub(super) const IKEV1: &[Mode] = &[Mode::Main, Mode::Aggressive];
pub(super) const IKEV2: &[Mode] = &[Mode::Ikev2];

pub(super) const WITH_P521: &[KeyFamily] =
    &[KeyFamily::Rsa, KeyFamily::Ecdsa, KeyFamily::EcdsaP521, KeyFamily::Ed25519];
pub(super) const RSA_ECDSA_P521: &[KeyFamily] =
    &[KeyFamily::Rsa, KeyFamily::Ecdsa, KeyFamily::EcdsaP521];
pub(super) const RSA_ECDSA_ED25519: &[KeyFamily] =
    &[KeyFamily::Rsa, KeyFamily::Ecdsa, KeyFamily::Ed25519];
pub(super) const RSA_ECDSA: &[KeyFamily] = &[KeyFamily::Rsa, KeyFamily::Ecdsa];
pub(super) const RSA: &[KeyFamily] = &[KeyFamily::Rsa];

/// The extended key usage id-kp-ipsecIKE (RFC 4945 §5.1.3.12).
pub(super) const IPSEC_IKE: &str = "1.3.6.1.5.5.7.3.17";
/// iKEIntermediate, which older implementations of IKE look for.
pub(super) const IKE_INTERMEDIATE: &str = "1.3.6.1.5.5.8.2.2";
/// anyExtendedKeyUsage (RFC 5280 §4.2.1.12).
pub(super) const ANY: &str = "2.5.29.37.0";
/// id-kp-serverAuth.
pub(super) const SERVER_AUTH: &str = "1.3.6.1.5.5.7.3.1";
/// id-kp-clientAuth.
pub(super) const CLIENT_AUTH: &str = "1.3.6.1.5.5.7.3.2";

/// The value of `refuses_peers_of` for daemons whose configuration accepts the peers of every CA below a trusted root.
pub(super) fn refuses_nobody(_: &Material, _: &NamedCa) -> Result<bool, GatewayError> {
    Ok(false)
}

impl Abilities {
    /// Whether the daemon supports RSA keys only, in every mode.
    pub fn has_rsa_only(&self) -> bool {
        self.keys_v1.iter().chain(self.keys_v2).all(|family| *family == KeyFamily::Rsa)
    }

    /// Whether the daemon fetches CRLs. Otherwise it only reads files.
    pub fn fetches(&self) -> bool {
        self.status != StatusSource::Files
    }

    /// Checks that the daemon supports a kind of key in a mode. If the daemon does not support the mode at all, it must support the key
    /// in another mode.
    ///
    /// # Errors
    /// It does not. The text is a sentence for the operator.
    pub fn check_key(&self, mode: Mode, key: KeyKind) -> Result<(), String> {
        let (daemon, family) = (self.daemon, KeyFamily::of(key));
        let all = [self.keys_v1, self.keys_v2].concat();
        // If it does not support the mode at all, another rule says so.
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
        if self.has_rsa_only() {
            return Err(format!("{daemon} uses RSA keys only, found {key}"));
        }
        Err(format!("{daemon} has no {key}"))
    }
}

impl fmt::Display for KeyFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rsa => "RSA",
            Self::Ecdsa => "ECDSA",
            Self::EcdsaP521 => "P-521",
            Self::Ed25519 => "Ed25519",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_each_daemon_under_its_name() {
        for daemon in Daemon::ALL {
            let abilities = daemon.abilities();
            assert_eq!(abilities.daemon, daemon);
            for mode in [Mode::Ikev2, Mode::Main, Mode::Aggressive] {
                let keys = if mode == Mode::Ikev2 { abilities.keys_v2 } else { abilities.keys_v1 };
                assert_eq!(abilities.modes.contains(&mode), !keys.is_empty(), "{daemon} {mode:?}");
                assert!(abilities.modes.contains(&mode) || !abilities.asks_in.contains(&mode));
            }
        }
    }
}
