//! Facts for the policy that the peers of one CA have in common. They are held once for all these peers, because they would otherwise be
//! most of what is cached of a peer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use countersign_ca::path::ValidPath;
use countersign_policy::ipsec::{Delegation, Party};

/// The number of entries from which on the table is searched for entries that nobody uses any more. It is then searched whenever it has
/// twice as many as were in use at the last search.
const FEW: usize = 64;

/// The facts about the part of a path above the peer's own certificate.
pub(super) struct Issuers {
    /// The delegations that the certificates of this part express.
    pub delegations: Box<[Delegation]>,
    /// The issuer of the peer's certificate; `None` if the policy can say nothing about a certificate of that issuer.
    pub issuer: Option<Party>,
    /// The issuer's name, for people.
    pub name: Arc<str>,
}

/// The fingerprints of a path's certificates above the peer's own, and of its anchor.
type Key = Box<[[u8; 32]]>;

/// The facts that a cached peer uses, by the part of the path that they are about.
#[derive(Default)]
pub(super) struct IssuerTable(Mutex<Table>);

#[derive(Default)]
struct Table {
    known: HashMap<Key, Weak<Issuers>>,
    /// How many entries were in use at the last search.
    used: usize,
}

impl IssuerTable {
    /// The facts about the issuers on this path, shared with other peers if these have been asked for and are still in use. `own` is the
    /// delegation that the peer's own certificate expresses.
    pub fn of(&self, path: &ValidPath, own: Option<&Delegation>) -> Arc<Issuers> {
        let above = path.certificates.iter().skip(1).chain([&path.anchor]);
        let key: Key = above.map(|of| *of.fingerprint()).collect();
        let found = self.lock().known.get(&key).and_then(Weak::upgrade);
        if let Some(issuers) = found {
            return issuers;
        }
        // Two threads may read one path at the same time. The second one's facts then take the place of the first one's, which are the same.
        let issuers = Arc::new(Issuers::read(path, own));
        let mut table = self.lock();
        if table.known.len() >= FEW.max(table.used.saturating_mul(2)) {
            table.known.retain(|_, of| of.strong_count() > 0);
            table.used = table.known.len();
        }
        table.known.insert(key, Arc::downgrade(&issuers));
        issuers
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Issuers {
    fn read(path: &ValidPath, own: Option<&Delegation>) -> Self {
        let above = path.pairs().skip(1);
        let delegations = above.filter_map(|(of, by)| delegation(of.der(), by.spki())).collect();
        let name = path.certificates.first().map(|leaf| leaf.issuer_name.to_string());
        Self {
            delegations,
            issuer: own.map(|own| own.issuer().clone()),
            name: name.unwrap_or_default().into(),
        }
    }
}

/// The delegation that a certificate expresses for the policy; `None` if the policy language cannot express it.
pub(super) fn delegation(certificate: &[u8], issuer: &[u8]) -> Option<Delegation> {
    let read = Delegation::of(certificate, issuer);
    read.inspect_err(|e| tracing::debug!("a certificate gives no assertion: {e}")).ok()
}

#[cfg(test)]
mod tests {
    use countersign_ca::path::Certificate;
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn path(anchor: &Arc<Certificate>) -> ValidPath {
        ValidPath { certificates: vec![Arc::clone(anchor)], anchor: Arc::clone(anchor) }
    }

    #[test]
    fn what_is_used_is_shared_and_the_rest_is_forgotten() {
        let certificate = || {
            let params = CertificateParams::new(vec!["ca.example".to_owned()]).unwrap();
            let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
            Arc::new(Certificate::from_der(made.der().to_vec()).unwrap())
        };
        let table = IssuerTable::default();
        let used = certificate();
        let first = table.of(&path(&used), None);
        for _ in 0..1000 {
            assert!(Arc::ptr_eq(&first, &table.of(&path(&used), None)));
            table.of(&path(&certificate()), None);
            assert!(table.lock().known.len() <= FEW, "{}", table.lock().known.len());
        }
    }
}
