//! What strongSwan's charon can do.

use super::proposal;
use crate::gateway::abilities::{
    ALL_MODES, Abilities, Library, RSA_ECDSA, RSA_ECDSA_ED25519, StatusSource, WITH_P521,
    refuses_nobody,
};
use crate::gateway::daemon::Daemon;
use crate::gateway::proposal::Proposal;

/// What strongSwan's charon can do.
pub const ABILITIES: Abilities = Abilities {
    daemon: Daemon::Strongswan,
    versions: "5.9.8, 6.0.6",
    modes: ALL_MODES,
    asks_in: ALL_MODES,
    keys_v2: WITH_P521,
    keys_v1: RSA_ECDSA,
    ca_keys: RSA_ECDSA_ED25519,
    one_key_family: false,
    library: Library::Strongswan,
    status: StatusSource::PeerPath,
    needs_every_crl: false,
    purposes: &[],
    first_name_within: None,
    always_requests: false,
    needs_peers: false,
    one_group: false,
    default_v2: &Proposal::DEFAULT_V2,
    phase_1: proposal::ike,
    refuses_peers_of: refuses_nobody,
};
