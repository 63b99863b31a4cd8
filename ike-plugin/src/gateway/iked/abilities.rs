//! What OpenIKED's iked can do.

use super::proposal;
use crate::gateway::abilities::{
    Abilities, IKEV2, Library, RSA_ECDSA_ED25519, RSA_ECDSA_P521, StatusSource, refuses_nobody,
};
use crate::gateway::daemon::Daemon;
use crate::gateway::proposal::Proposal;

/// What OpenIKED's iked can do.
pub const ABILITIES: Abilities = Abilities {
    daemon: Daemon::Iked,
    versions: "7.2, 7.4",
    modes: IKEV2,
    asks_in: &[],
    keys_v2: RSA_ECDSA_P521,
    keys_v1: &[],
    ca_keys: RSA_ECDSA_ED25519,
    one_key_family: false,
    library: Library::OpenSsl,
    status: StatusSource::Files,
    needs_every_crl: true,
    purposes: &[],
    first_name_within: None,
    always_requests: false,
    needs_peers: false,
    one_group: false,
    default_v2: &[Proposal::DEFAULT_IKED],
    phase_1: |proposal, _| proposal::ikesa(proposal),
    refuses_peers_of: refuses_nobody,
};
