//! The part of a decision that does not depend on the negotiation: path, status and identity of a peer, and the principals in whose name it asks
//! the policy. It takes milliseconds, so that [`Authorizer`](super::Authorizer) caches the result.

use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_ca::Timestamp;

use super::answer::Denial;
use super::recent::Key;
use super::trace::Trace;
use crate::decision_log::PeerCertificate;
use crate::identity::{Mapping, Names, PeerId};
use crate::policy::proof::Proof;
use crate::policy::{LoadedPolicy, RequestingPeer};
use crate::status::{Lack, Status};
use crate::trust::Trust;
use crate::wire::Step;
use countersign_ca::path::ValidPath;

/// The longest time for which a denial is cached. It is short, because the cause may be mended at any time.
pub(super) const DENIAL: Duration = Duration::from_secs(2);
/// The longest time for which the result for a looked-up certificate is cached. The store may have a newer certificate by then.
const LOOKED_UP: Duration = Duration::from_secs(60);
/// The most certificates that are tried of those that were looked up for one identity.
const MAX_FOUND: usize = 8;

/// Two numbers that change with the statuses and with the policy. A cached result counts only while both are as they were when it was
/// judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Generation {
    /// The number of [`Trust::generation`].
    pub trust: u64,
    /// The number of [`LoadedPolicy::number`].
    pub policy: u64,
}

/// The conditions under which a cached result counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lifetime {
    /// The generation in which the result was judged.
    pub generation: Generation,
    /// The first moment at which the result counts.
    pub from: Timestamp,
    /// The first moment at which the result does not count any more.
    pub until: Timestamp,
}

impl Lifetime {
    /// Whether the result counts in this generation, at this time.
    pub fn is_live(&self, generation: Generation, at: Timestamp) -> bool {
        self.generation == generation && (self.from..self.until).contains(&at)
    }
}

/// A daemon's question after parsing: the peer and its proof.
pub(super) struct Asking<'q> {
    /// The proof that the peer has given.
    pub proof: Proof<'q>,
    /// The identity that the peer claims.
    pub peer: PeerId,
    /// The policy in force.
    pub policy: Arc<LoadedPolicy>,
    /// The generation of trust and policy when the question came.
    pub generation: Generation,
    /// The key under which the peer is cached: a hash of its identity and its proof.
    pub key: Key,
}

/// The cached facts about a peer. Certificates are not kept, because they would need more memory than all the rest. Nothing that the
/// question repeats is kept either: the cache's key covers identity and proof, and its generation covers the policy.
pub(super) struct PeerFacts {
    /// When the result counts.
    pub lifetime: Lifetime,
    /// The trace of the decision for which this was judged.
    pub trace: Trace,
    /// The peer's certificate, for the decision log; `None` if there is none, or it cannot be read.
    pub certificate: Option<Arc<PeerCertificate>>,
    /// The identity in the certificate's spelling, if that is another one than the peer's.
    pub spelled: Option<Box<PeerId>>,
    /// Whether the peer has a certificate whose path, status and identity were accepted.
    pub by_certificate: bool,
    /// Why the status is not known, if it is not and the settings accept that.
    pub lack: Option<Lack>,
    /// The peer as it asks the policy, or why it is denied.
    pub found: Result<RequestingPeer, Denial>,
}

/// The result for a peer, and its valid path, which only the decision log needs.
pub(super) struct Discovery {
    /// The result, which is cached.
    pub known: PeerFacts,
    /// The valid path; `None` without a certificate, or if there is none.
    pub path: Option<Arc<ValidPath>>,
}

/// A valid path whose status and identity were accepted.
struct Trusted {
    path: ValidPath,
    /// The identity in the certificate's spelling, if that is another one than the peer's.
    spelled: Option<PeerId>,
    /// When the status or a certificate of the path or its anchor expires, whichever is first.
    until: Timestamp,
    /// Why the status is not known, if it is not and the settings accept that.
    lack: Option<Lack>,
}

/// Judges peers at one moment.
pub(super) struct Inquirer<'a> {
    /// Finds paths and statuses.
    pub trust: &'a dyn Trust,
    /// The identities that the operator assigned to key IDs, subnets and ranges.
    pub mapping: &'a Mapping,
    /// The moment of the decision.
    pub at: Timestamp,
    /// When waiting for statuses and for looked-up certificates ends.
    pub deadline: Instant,
}

impl Inquirer<'_> {
    /// Judges path, status and identity of a peer. `trace` is that of the present decision.
    pub fn find_out(&self, asking: &Asking<'_>, trace: Trace) -> Discovery {
        let Asking { proof, peer, policy, generation, .. } = asking;
        let mut certificate = None;
        let mut until = Timestamp::from_millis(i64::MAX);
        // 1. Path, status and identity, if a certificate authenticated the peer.
        let judged = match proof {
            Proof::Chain(chain) => {
                let chain: Vec<Vec<u8>> = chain.iter().map(|of| of.0.clone()).collect();
                self.trusted(&chain, peer, &mut certificate).map(Some)
            }
            Proof::UntoldCertificate => {
                until = self.at.plus(LOOKED_UP);
                self.looked_up(peer, &mut certificate).map(Some)
            }
            // The daemon has checked that the secret, key or user belongs to the identity. The policy must license the proof.
            Proof::Secret(_) | Proof::Key(_) | Proof::User(_) => Ok(None),
        };
        // 2. The principals in whose name the peer asks, with the identity in the certificate's spelling.
        let (mut path, mut spelled, mut lack) = (None, None, None);
        let found = judged.and_then(|judged| {
            if let Some(trusted) = judged {
                until = until.min(trusted.until);
                lack = trusted.lack;
                spelled = trusted.spelled.map(Box::new);
                path = Some(Arc::new(trusted.path));
            }
            let id = spelled.as_deref().unwrap_or(peer).to_string();
            policy.requesting_peer(path.as_deref(), proof, &id).map_err(Denial::by(Step::Policy))
        });
        if found.is_err() {
            until = self.at.plus(DENIAL);
        }
        let issuer = found.as_ref().ok().and_then(RequestingPeer::issuer);
        if let (Some(certificate), Some(issuer)) = (&mut certificate, issuer) {
            certificate.share_issuer(issuer);
        }
        let known = PeerFacts {
            lifetime: Lifetime { generation: *generation, from: self.at, until },
            trace,
            certificate: certificate.map(Arc::new),
            spelled,
            by_certificate: path.is_some(),
            lack,
            found,
        };
        Discovery { known, path }
    }

    /// Judges one chain: path, status, identity. `certificate` receives the log's description of the certificate, whether or not it is accepted.
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
        let names =
            Names::of(leaf).map_err(|e| Denial { step: Step::Identity, reason: e.to_string() })?;
        names.check(peer, self.mapping).map_err(Denial::by(Step::Identity))?;
        let spelled = Some(names.as_held(peer.clone())).filter(|spelled| spelled != peer);
        let until = path
            .pairs()
            .fold(good_until, |until, (of, issuer)| until.min(of.not_after).min(issuer.not_after));
        Ok(Trusted { path, spelled, until, lack })
    }

    /// Looks up the peer's certificates, and takes the first one that is accepted. If none is accepted, the denial of the first one
    /// counts. `certificate` receives the description of the accepted one, or else of the one that the denial is about.
    fn looked_up(
        &self,
        peer: &PeerId,
        certificate: &mut Option<PeerCertificate>,
    ) -> Result<Trusted, Denial> {
        let found = self.trust.look_up(peer, self.deadline).map_err(Denial::by(Step::Question))?;
        let mut first: Option<(Denial, Option<PeerCertificate>)> = None;
        for chain in found.into_iter().take(MAX_FOUND) {
            match self.trusted(&chain, peer, certificate) {
                Ok(path) => return Ok(path),
                Err(denial) => {
                    first.get_or_insert_with(|| (denial, certificate.take()));
                }
            }
        }
        let (denial, described) = first.unwrap_or_else(|| {
            let reason = format!(
                "expected a certificate of the {} `{}`, found none: the daemon told none, and none is on record",
                peer.kind(),
                peer.to_string().escape_debug()
            );
            (Denial { step: Step::Question, reason }, None)
        });
        *certificate = described;
        Err(denial)
    }
}
