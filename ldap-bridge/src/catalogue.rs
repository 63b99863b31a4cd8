//! What is to be published, kept in step with the authority's records by its history: nothing is asked twice, and nothing
//! is missed while nobody looks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use countersign_ca::record::{
    CertificateRecord, CrlScope, Incarnation, Issued, Label, OWN_ACCOUNT_PREFIX, Serial,
};
use countersign_ca::store::{Change, History, Mark, Page};
use countersign_ca::{Authority, Identity, Timestamp};

use crate::entry::Entry;
use crate::error::Result;
use crate::tree::{self, CaView, Layout, PeerView};

/// Certificates that are read at once while the catalogue is begun.
const PAGE: usize = 1000;

/// The entries that there shall be, and how far in the history they are.
pub struct Catalogue {
    authority: Arc<Authority>,
    layout: Layout,
    limit: usize,
    mark: Mark,
    peers: BTreeMap<Owner, Peer>,
    /// Certificates by their end, the soonest first.
    ends: BTreeSet<(Timestamp, CertificateId)>,
    /// Where each certificate is, and when it ends.
    owners: BTreeMap<CertificateId, (Owner, Timestamp)>,
    left_out: u64,
}

/// The issuing CA and the serial number.
type CertificateId = (Label, Serial);
/// The account and the profile.
type Owner = (Label, Label);

struct Peer {
    /// Which account of its name it is; `None` when it was gone already.
    incarnation: Option<Incarnation>,
    id: String,
    certificates: BTreeMap<CertificateId, Bytes>,
}

impl Catalogue {
    /// Reads every certificate that is in use. `limit` is how many certificates of peers are held; 0 for none.
    ///
    /// # Errors
    /// Those of the store.
    pub fn open(authority: Arc<Authority>, layout: Layout, limit: usize) -> Result<Self> {
        // The mark first: what is recorded while the pages are read is looked at again.
        let mark = authority.store().mark();
        let mut catalogue = Self {
            authority,
            layout,
            limit,
            mark,
            peers: BTreeMap::new(),
            ends: BTreeSet::new(),
            owners: BTreeMap::new(),
            left_out: 0,
        };
        let mut cursor = (limit > 0).then_some(0);
        while let Some(at) = cursor {
            let Page { records: page, next } =
                catalogue.authority.store().certificates(None, at, PAGE)?;
            for record in page {
                if catalogue.is_in_use(&record) && !catalogue.is_anothers(&record)? {
                    catalogue.add_record(record)?;
                }
            }
            cursor = next;
        }
        Ok(catalogue)
    }

    /// Where in the history it is.
    pub const fn mark(&self) -> Mark {
        self.mark
    }

    /// How many certificates of peers it holds, and how many it left out because of its limit.
    pub fn counts(&self) -> (usize, u64) {
        (self.owners.len(), self.left_out)
    }

    /// Takes over what changed, and whether anything that is published did.
    ///
    /// # Errors
    /// Those of the store.
    pub fn update(&mut self) -> Result<bool> {
        let mut changed = self.drop_expired();
        loop {
            let History { changes, next } = self.authority.store().changes_since(self.mark)?;
            if next == self.mark {
                return Ok(changed);
            }
            for change in changes {
                changed |= self.take(change)?;
            }
            self.mark = next;
        }
    }

    /// Every entry that there shall be, those above before those below.
    ///
    /// # Errors
    /// Those of the store, and of names that no entry can have.
    pub fn entries(&self) -> Result<Vec<Entry>> {
        let cas = self.cas()?;
        let peers: Vec<PeerView> = self
            .peers
            .iter()
            .map(|((account, profile), peer)| PeerView {
                account: account.clone(),
                profile: profile.clone(),
                id: peer.id.clone(),
                certificates: peer.certificates.values().cloned().collect(),
            })
            .collect();
        tree::entries(&self.layout, &cas, peers.iter())
    }

    fn cas(&self) -> Result<Vec<CaView>> {
        let mut cas = Vec::new();
        for info in self.authority.cas() {
            let mut view = CaView {
                name: info.name.clone(),
                is_root: info.is_root,
                certificate: Bytes::from(info.certificate.clone()),
                crl: None,
                delta: None,
                partitions: Vec::new(),
            };
            for scope in self.authority.crl_scopes(&info.name)? {
                let der = self.authority.crl(&info.name, scope)?.map(|crl| crl.der.clone());
                match scope {
                    CrlScope::Full => view.crl = der,
                    CrlScope::Delta => view.delta = der,
                    CrlScope::Partition(number) => {
                        view.partitions.extend(der.map(|der| (number, der)));
                    }
                }
            }
            cas.push(view);
        }
        Ok(cas)
    }

    fn take(&mut self, change: Change) -> Result<bool> {
        match change {
            Change::Crl { .. } | Change::Ca(_) => Ok(true),
            _ if self.limit == 0 => Ok(false),
            // What it replaces is good until it ends or is revoked.
            Change::Issued(issued) => self.take_issued(*issued),
            Change::Status { ca, serial } => self.look_again(&ca, &serial),
            // It may have been withheld until then.
            Change::Confirmed { transaction } => {
                let now = self.authority.now();
                match self.authority.store().issued_in(now, &transaction)? {
                    Some(id) => self.look_again(&id.ca, &id.serial),
                    None => Ok(false),
                }
            }
        }
    }

    /// The journal said everything of it but whether it was revoked since.
    fn take_issued(&mut self, issued: Issued) -> Result<bool> {
        // What is withheld is looked at again when it is confirmed.
        let is_hidden = issued.withheld || issued.unpublished;
        let Issued { ca, serial, account, profile, not_after, certificate, .. } = issued;
        let revoked = self.authority.store().revocation(&ca, &serial)?.is_some();
        if revoked || is_hidden || !self.is_published(&ca, &account, not_after) {
            return Ok(self.remove(&(ca, serial)));
        }
        self.add((ca, serial), (account, profile), not_after, certificate)
    }

    fn look_again(&mut self, ca: &Label, serial: &Serial) -> Result<bool> {
        match self.authority.store().certificate(ca, serial)? {
            Some(record) if self.is_in_use(&record) && !self.is_anothers(&record)? => {
                self.add_record(record)
            }
            _ => Ok(self.remove(&(ca.clone(), *serial))),
        }
    }

    fn is_in_use(&self, record: &CertificateRecord) -> bool {
        record.revocation.is_none()
            && record.is_public()
            && self.is_published(&record.ca, &record.account, record.not_after)
    }

    /// Whether another account has the name now of the one that a certificate was issued to: what is found under that name is no
    /// longer this certificate.
    fn is_anothers(&self, record: &CertificateRecord) -> Result<bool> {
        let now = self.authority.store().incarnation(&record.account)?;
        Ok(now.is_some_and(|account| !account.precedes(record.offset)))
    }

    fn is_published(&self, ca: &Label, account: &Label, not_after: Timestamp) -> bool {
        not_after >= self.authority.now()
            && !account.as_str().starts_with(OWN_ACCOUNT_PREFIX)
            // What a root signed for an account is the certificate of another CA, and nobody's userCertificate.
            && self.authority.is_ca(ca)
    }

    fn add_record(&mut self, record: CertificateRecord) -> Result<bool> {
        let CertificateRecord { ca, serial, account, profile, not_after, certificate, .. } = record;
        self.add((ca, serial), (account, profile), not_after, certificate)
    }

    fn add(
        &mut self,
        id: CertificateId,
        owner: Owner,
        not_after: Timestamp,
        certificate: Vec<u8>,
    ) -> Result<bool> {
        if self.owners.contains_key(&id) {
            return Ok(false);
        }
        if self.owners.len() >= self.limit {
            if self.left_out == 0 {
                tracing::warn!(
                    limit = self.limit,
                    "more certificates than ldap.max_peers: the further ones are not published"
                );
            }
            self.left_out = self.left_out.saturating_add(1);
            return Ok(false);
        }
        self.own(&owner)?;
        if let Some(peer) = self.peers.get_mut(&owner) {
            peer.certificates.insert(id.clone(), Bytes::from(certificate));
        }
        self.ends.insert((not_after, id.clone()));
        self.owners.insert(id, (owner, not_after));
        Ok(true)
    }

    /// Has an entry for an account. That of one that had its name before goes.
    fn own(&mut self, owner: &Owner) -> Result<()> {
        let incarnation = self.authority.store().incarnation(&owner.0)?;
        let known = self.peers.get(owner);
        let is_known =
            known.is_some_and(|peer| incarnation.is_none() || peer.incarnation == incarnation);
        if is_known {
            return Ok(());
        }
        let before: Vec<CertificateId> =
            known.map(|peer| peer.certificates.keys().cloned().collect()).unwrap_or_default();
        for id in &before {
            self.remove(id);
        }
        let id = self.first_identity(&owner.0)?;
        let peer = Peer { incarnation, id, certificates: BTreeMap::new() };
        self.peers.insert(owner.clone(), peer);
        Ok(())
    }

    fn remove(&mut self, id: &CertificateId) -> bool {
        let Some((owner, end)) = self.owners.remove(id) else { return false };
        self.ends.remove(&(end, id.clone()));
        if let Some(peer) = self.peers.get_mut(&owner) {
            peer.certificates.remove(id);
            if peer.certificates.is_empty() {
                self.peers.remove(&owner);
            }
        }
        true
    }

    fn drop_expired(&mut self) -> bool {
        let now = self.authority.now();
        let mut dropped = false;
        while let Some((_, id)) = self.ends.first().filter(|(end, _)| *end < now).cloned() {
            dropped |= self.remove(&id);
        }
        dropped
    }

    /// The first identity of an account, or its name when it is gone.
    fn first_identity(&self, account: &Label) -> Result<String> {
        let known = self.authority.store().account(account)?;
        Ok(match known.and_then(|account| account.identities.into_iter().next()) {
            Some(Identity::Fqdn(name)) => name,
            Some(Identity::Email(mailbox)) => mailbox,
            Some(Identity::Ip(address)) => address.to_string(),
            Some(Identity::Dn(name)) => name.to_string(),
            None => account.to_string(),
        })
    }
}
