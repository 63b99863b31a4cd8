//! What racoon can do.

use crate::gateway::abilities::{
    Abilities, IKEV1, Library, RSA, RSA_ECDSA_ED25519, StatusSource, refuses_nobody,
};
use crate::gateway::daemon::Daemon;
use crate::gateway::proposal::Proposal;

/// What racoon can do.
pub const ABILITIES: Abilities = Abilities {
    daemon: Daemon::Racoon,
    versions: "0.8.2, 0.9.1",
    modes: IKEV1,
    asks_in: &[],
    keys_v2: &[],
    keys_v1: RSA,
    ca_keys: RSA_ECDSA_ED25519,
    one_key_family: false,
    library: Library::OpenSsl,
    status: StatusSource::Files,
    needs_every_crl: false,
    purposes: &[],
    first_name_within: None,
    always_requests: false,
    needs_peers: true,
    one_group: true,
    default_v2: &Proposal::DEFAULT_V2,
    phase_1: |proposal, _| proposal.classic().map(|classic| classic.to_string()),
    refuses_peers_of: refuses_nobody,
};
