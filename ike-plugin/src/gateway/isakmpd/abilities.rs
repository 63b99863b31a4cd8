//! What OpenBSD's isakmpd can do.

use crate::gateway::abilities::{Abilities, IKEV1, Library, RSA, StatusSource};
use crate::gateway::daemon::Daemon;
use crate::gateway::proposal::Proposal;

/// The longest list of subject alternative names that isakmpd reads, in octets of DER.
const MAX_NAMES: usize = 127;

/// What OpenBSD's isakmpd can do.
pub const ABILITIES: Abilities = Abilities {
    daemon: Daemon::Isakmpd,
    versions: "OpenBSD 2020-03",
    modes: IKEV1,
    asks_in: &[],
    keys_v2: &[],
    keys_v1: RSA,
    // The licensee `DN:` in its policy works only if the CA has an RSA key.
    ca_keys: RSA,
    one_key_family: false,
    library: Library::OpenSsl,
    status: StatusSource::Files,
    needs_every_crl: true,
    purposes: &[],
    first_name_within: Some(MAX_NAMES),
    always_requests: false,
    needs_peers: true,
    one_group: false,
    default_v2: &Proposal::DEFAULT_V2,
    phase_1: |proposal, _| proposal.classic().map(|classic| classic.to_string()),
    // Its policy names the CAs whose peers it accepts.
    refuses_peers_of: |material, ca| Ok(!material.issuers().contains(&ca)),
};
