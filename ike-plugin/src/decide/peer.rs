//! What is found out about a peer, whatever it asks for: path, status and identity, and in whose name it asks the policy. It costs
//! milliseconds, so that [`Authorizer`](super::Authorizer) caches it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_ca::Timestamp;

use super::answer::Denial;
use super::recent::Key;
use crate::decision_log::PeerCertificate;
use crate::identity::{Mapping, Names, PeerId};
use crate::path::ValidPath;
use crate::policy::proof::Proof;
use crate::policy::{RequestingPeer, LoadedPolicy};
use crate::status::{Lack, Status};
use crate::trust::Trust;
use crate::wire::Step;

/// How long a denial is cached: what was wrong may be mended any time, and a peer that is refused may come again at once.
pub(super) const DENIAL: Duration = Duration::from_secs(2);
/// The longest time for which a certificate that was looked up is cached: another certificate may be there.
const LOOKED_UP: Duration = Duration::from_secs(60);
/// The most certificates of an identity that are tried.
const MAX_FOUND: usize = 8;

/// How often the statuses and the policy have changed. What was found out before holds as long as this is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Generation {
    /// The number of [`Trust::generation`].
    pub trust: u64,
    /// The number of [`LoadedPolicy::number`].
    pub policy: u64,
}

/// For how long something that was found out counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lifetime {
    pub generation: Generation,
    pub from: Timestamp,
    pub until: Timestamp,
}

impl Lifetime {
    /// Whether it still counts.
    pub fn is_live(&self, generation: Generation, at: Timestamp) -> bool {
        self.generation == generation && (self.from..self.until).contains(&at)
    }
}

/// A question of a daemon that was read: who asks, and what it has proved.
pub(super) struct Asking<'q> {
    pub proof: Proof<'q>,
    pub peer: PeerId,
    pub policy: Arc<LoadedPolicy>,
    pub generation: Generation,
    /// The peer: its identity and what it has proved.
    pub key: Key,
}

/// What was found out about a peer. The path is not among it: certificates need more memory than all the rest.
pub(super) struct Known {
    pub lifetime: Lifetime,
    /// The trace of the decision for which it was found out.
    pub trace: String,
    pub policy: Arc<LoadedPolicy>,
    pub certificate: Option<Arc<PeerCertificate>>,
    /// The identity used in the policy query. If a certificate contains it, the certificate's spelling is used.
    pub peer: PeerId,
    /// Whether a certificate was judged.
    pub by_certificate: bool,
    /// What of the status is not known, and was let pass.
    pub lack: Option<Lack>,
    /// In whose name the policy is asked, or why nobody is to be let in.
    pub found: Result<RequestingPeer, Denial>,
}

/// What was found out, and the path by which it was, which only the decision log needs.
pub(super) struct Discovery {
    pub known: Known,
    pub path: Option<Arc<ValidPath>>,
}

/// A peer's valid path, until when its status counts, and what of the status is not known.
struct Trusted {
    path: ValidPath,
    until: Timestamp,
    lack: Option<Lack>,
}

/// What finds out about peers, at one moment.
pub(super) struct Inquirer<'a> {
    pub trust: &'a dyn Trust,
    pub mapping: &'a Mapping,
    pub at: Timestamp,
    /// What is waited for must be there by then.
    pub deadline: Instant,
}

impl Inquirer<'_> {
    /// Finds out about a peer. `trace` is that of the decision for which it is done.
    pub fn find_out(&self, asking: Asking<'_>, trace: &str) -> Discovery {
        let Asking { proof, mut peer, policy, generation, .. } = asking;
        let mut certificate = None;
        let mut until = Timestamp::from_millis(i64::MAX);
        // 1. Path, status and identity, if a certificate proves who the peer is.
        let judged = match proof {
            Proof::Chain(chain) => {
                let chain: Vec<Vec<u8>> = chain.iter().map(|of| of.0.clone()).collect();
                self.trusted(&chain, &peer, &mut certificate).map(Some)
            }
            Proof::UntoldCertificate => {
                until = self.at.plus(LOOKED_UP);
                self.looked_up(&peer, &mut certificate).map(Some)
            }
            // The daemon knows whose secret or key it is; the policy names it.
            Proof::Secret(_) | Proof::Key(_) | Proof::User(_) => Ok(None),
        };
        // 2. In whose name the policy is asked: the peer as its certificate writes it.
        let (mut trusted, mut lack) = (None, None);
        let found = judged.and_then(|judged| {
            if let Some(Trusted { path, until: good_until, lack: missing }) = judged {
                until = until.min(good_until);
                lack = missing;
                let leaf = path.certificates.first();
                if let Some(names) = leaf.and_then(|of| Names::of(of.der()).ok()) {
                    peer = names.as_held(peer.clone());
                }
                trusted = Some(Arc::new(path));
            }
            let id = peer.to_string();
            policy.requesting_peer(trusted.as_deref(), &proof, &id).map_err(Denial::by(Step::Policy))
        });
        if found.is_err() {
            until = self.at.plus(DENIAL);
        }
        let known = Known {
            lifetime: Lifetime { generation, from: self.at, until },
            trace: trace.to_owned(),
            policy,
            certificate: certificate.map(Arc::new),
            peer,
            by_certificate: trusted.is_some(),
            lack,
            found,
        };
        Discovery { known, path: trusted }
    }

    /// Path, status, identity. `certificate` becomes what the log says of the certificate, also where it is refused.
    fn trusted(
        &self,
        chain: &[Vec<u8>],
        peer: &PeerId,
        certificate: &mut Option<PeerCertificate>,
    ) -> Result<Trusted, Denial> {
        *certificate = chain.first().and_then(|leaf| PeerCertificate::of(leaf));
        let path = self.trust.path(chain, self.at).map_err(Denial::by(Step::Path))?;
        let (good_until, lack) = match self.trust.status(&path, self.at, self.deadline) {
            Status::Good(until) => (until, None),
            Status::Passed(until, lack) => (until, Some(lack)),
            Status::Revoked(why) | Status::Unknown(why) => {
                return Err(Denial { step: Step::Status, reason: why });
            }
        };
        let leaf = path.certificates.first().map(|leaf| leaf.der()).unwrap_or_default();
        let names = Names::of(leaf)
            .map_err(|e| Denial { step: Step::Identity, reason: e.to_string() })?;
        names.check(peer, self.mapping).map_err(Denial::by(Step::Identity))?;
        let until = path
            .pairs()
            .fold(good_until, |until, (of, issuer)| until.min(of.not_after).min(issuer.not_after));
        Ok(Trusted { path, until, lack })
    }

    /// Of the certificates that the peer may have, the first that is good.
    fn looked_up(
        &self,
        peer: &PeerId,
        certificate: &mut Option<PeerCertificate>,
    ) -> Result<Trusted, Denial> {
        let found =
            self.trust.look_up(peer, self.deadline).map_err(Denial::by(Step::Question))?;
        let mut first = None;
        for chain in found.into_iter().take(MAX_FOUND) {
            match self.trusted(&chain, peer, certificate) {
                Ok(path) => return Ok(path),
                Err(denial) => first = first.or(Some(denial)),
            }
        }
        Err(first.unwrap_or_else(|| Denial {
            step: Step::Question,
            reason: format!(
                "expected a certificate of the {} `{}`, found none: the daemon told none, and none is on record",
                peer.kind(),
                peer.to_string().escape_debug()
            ),
        }))
    }
}
