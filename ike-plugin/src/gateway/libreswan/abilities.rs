//! What libreswan's pluto can do.

use super::{peers, proposal};
use crate::gateway::abilities::{
    ALL_MODES, ANY, Abilities, CLIENT_AUTH, IKEV2, IPSEC_IKE, Library, RSA, RSA_ECDSA,
    RSA_ECDSA_P521, SERVER_AUTH, StatusSource,
};
use crate::gateway::daemon::Daemon;
use crate::gateway::proposal::Proposal;

/// What libreswan's pluto can do.
pub const ABILITIES: Abilities = Abilities {
    daemon: Daemon::Libreswan,
    versions: "4.10, 5.4",
    modes: ALL_MODES,
    asks_in: IKEV2,
    keys_v2: RSA_ECDSA_P521,
    keys_v1: RSA,
    ca_keys: RSA_ECDSA,
    one_key_family: true,
    library: Library::Nss,
    status: StatusSource::OwnDatabase,
    needs_every_crl: false,
    purposes: &[IPSEC_IKE, ANY, SERVER_AUTH, CLIENT_AUTH],
    first_name_within: None,
    always_requests: true,
    needs_peers: false,
    one_group: false,
    default_v2: &Proposal::DEFAULT_V2,
    phase_1: proposal::ike,
    refuses_peers_of: |material, _| peers::is_bound_to_issuer(material),
};
