//! Rules about the negotiation: mode, proposals, the initiator, and whether the daemon can ask the authorizer.

use super::findings::{Findings, names, program_of};
use crate::gateway::daemon::Mode;
use crate::gateway::description::{Gateway, Start};
use crate::gateway::limits::{Feature, limit_of};
use crate::gateway::proposal::Proposal;

impl Findings<'_> {
    /// The daemon must support the gateway's mode.
    pub(super) fn mode(&mut self) {
        let Gateway { daemon, mode, .. } = *self.gateway;
        if !daemon.speaks(mode) {
            let others = if mode == Mode::Ikev2 { "IKEv1" } else { "IKEv2" };
            self.error(
                "mode",
                format!(
                    "{daemon} speaks {others} only, found mode `{}`; change `mode` or `daemon`",
                    mode.name()
                ),
            );
        }
    }

    /// The daemon must support each proposal. In aggressive mode, and for some daemons in every mode, all proposals must have the same
    /// group. Warns of algorithms that the daemon cannot use for the traffic.
    pub(super) fn proposals(&mut self, proposals: &[Proposal]) {
        let Gateway { daemon, mode, .. } = *self.gateway;
        for proposal in proposals {
            if (daemon.abilities().phase_1)(proposal, mode).is_none() {
                self.error(
                    "proposal",
                    format!("{daemon} cannot use `{proposal}` in mode `{}`; name another in `proposals`", mode.name()),
                );
                continue;
            }
            let limit =
                Feature::of_esp(proposal).and_then(|feature| limit_of(daemon.abilities(), feature));
            if let Some(limit) = limit.filter(|_| daemon.speaks(mode)) {
                self.warning(
                    limit.feature.code(),
                    format!(
                        "{} {}, found `{proposal}`; on Linux, name `{}` in its place here and among those of its peers; on OpenBSD it is good",
                        program_of(daemon, limit),
                        limit.does,
                        Proposal::DEFAULT_IKED
                    ),
                );
            }
        }
        let mut groups: Vec<_> = proposals.iter().map(|proposal| proposal.group).collect();
        groups.dedup();
        if groups.len() > 1 && mode == Mode::Aggressive {
            self.error(
                "proposal",
                "aggressive mode has no choice of groups: expected one group in all `proposals`, found several".to_owned(),
            );
        } else if groups.len() > 1 && daemon.abilities().one_group {
            self.error(
                "proposal",
                format!(
                    "{daemon} has one group for perfect forward secrecy: expected one group in all `proposals`, found several"
                ),
            );
        }
    }

    /// Warns of an initiator that retries without pause after a refusal. In aggressive mode the initiator has sent its last message before the
    /// responder can refuse it, so that it believes it is connected.
    pub(super) fn retries(&mut self) {
        let Gateway { daemon, mode, start, .. } = *self.gateway;
        let limit = limit_of(daemon.abilities(), Feature::AggressiveRefusal);
        if let Some(limit) = limit.filter(|_| mode == Mode::Aggressive && start != Start::Wait) {
            self.warning(
                limit.feature.code(),
                format!(
                    "refused in mode `aggressive`, {} {}; set `mode = \"main\"`, or `start = \"wait\"` and let its peers begin",
                    program_of(daemon, limit),
                    limit.does
                ),
            );
        }
    }

    /// isakmpd as responder in aggressive mode does not find its own certificate if the initiator sends a certificate request. This is an obstacle
    /// only with daemons that always send one; `export` configures the others not to.
    pub(super) fn begins_with(&mut self, own: &Gateway) {
        let peer = self.gateway;
        let is_aggressive = [own.mode, peer.mode] == [Mode::Aggressive; 2];
        let is_requested = is_aggressive && peer.daemon.abilities().always_requests;
        let limit = limit_of(own.daemon.abilities(), Feature::AggressiveResponder);
        let Some(limit) = limit.filter(|_| is_requested) else { return };
        let message = format!(
            "{} on `{}` {}, and {} always requests it",
            program_of(own.daemon, limit),
            own.name,
            limit.does,
            peer.daemon
        );
        if peer.start != Start::Wait && own.address.is_some() {
            self.error(
                limit.feature.code(),
                format!(
                    "{message}; set `mode = \"main\"` for both, or `start = \"wait\"` for `{}` and let `{}` begin",
                    peer.name, own.name
                ),
            );
        } else {
            self.warning(
                limit.feature.code(),
                format!("{message}: only `{}` can begin; set `mode = \"main\"` for both", own.name),
            );
        }
    }

    /// The daemon must be able to ask the authorizer if the gateway is to ask it.
    pub(super) fn authorizer(&mut self) {
        let Gateway { daemon, mode, authorizer, .. } = *self.gateway;
        let asks = daemon.abilities().asks_in.contains(&mode);
        if authorizer && !asks {
            self.error(
                "authorizer",
                format!(
                    "{daemon} does not ask the authorizer in mode `{}`; set `authorizer = false`",
                    mode.name()
                ),
            );
        }
    }

    /// Both gateways must have the same mode.
    pub(super) fn same_mode(&mut self, other: &Gateway) {
        let (here, there) = (self.gateway.mode, other.mode);
        if here != there {
            self.error(
                "mode",
                format!(
                    "it negotiates by `{}`, its peer `{}` by `{}`; set the same `mode` for both",
                    here.name(),
                    other.name,
                    there.name()
                ),
            );
        }
    }

    /// The gateways must have a proposal in common.
    pub(super) fn common_proposal(&mut self, other: &Gateway) {
        if !self.gateway.proposals.iter().any(|proposal| other.proposals.contains(proposal)) {
            self.error(
                "proposal",
                format!(
                    "it has no proposal in common with `{}`: {} here, {} there",
                    other.name,
                    names(self.gateway.proposals.iter().map(ToString::to_string)),
                    names(other.proposals.iter().map(ToString::to_string))
                ),
            );
        }
    }
}
