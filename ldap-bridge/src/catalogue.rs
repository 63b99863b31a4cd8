//! The entries to be published, which follow the authority's records. After a first reading, only changes in the history of the store are
//! read, so that an update costs little and no change is missed.

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
use crate::layout::Layout;
use crate::tree;
use crate::views::{CaView, PeerView};

/// The most certificates that are read at a time while the catalogue is built.
const PAGE: usize = 1000;

/// The entries to be published, and the position in the store's history up to which they include all changes.
pub struct Catalogue {
    authority: Arc<Authority>,
    layout: Layout,
    /// The most certificates of peers that are published; 0 publishes none.
    limit: usize,
    mark: Mark,
    peers: BTreeMap<Owner, Peer>,
    /// Certificates by their notAfter, the soonest first.
    ends: BTreeSet<(Timestamp, CertificateId)>,
    /// The owner and the notAfter of each certificate.
    owners: BTreeMap<CertificateId, (Owner, Timestamp)>,
    /// The certificates that the limit leaves out. They take the places that become free.
    left_out: LeftOut,
}

/// A certificate, named by its issuing CA and its serial number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct CertificateId {
    /// The name of the issuing CA.
    ca: Label,
    serial: Serial,
}

/// The account and the profile of a certificate. The certificates of each such pair are published together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Owner {
    account: Label,
    profile: Label,
}

/// The entry of a peer: its published certificates of one account and profile.
struct Peer {
    /// The account that the entry was made for, as distinct from accounts that had the same name before or after. `None` if there was no
    /// account of this name then.
    incarnation: Option<Incarnation>,
    /// The first identity of the account, without its kind.
    id: String,
    certificates: BTreeMap<CertificateId, Bytes>,
}

/// The certificates that the limit leaves out. There may be many more of them than are published, so each takes few octets.
#[derive(Default)]
struct LeftOut {
    /// NotAfter, the position of the issuing CA in `cas`, and serial number.
    by_end: BTreeSet<(Timestamp, usize, Serial)>,
    cas: Vec<Label>,
    /// Whether a certificate was ever left out, so that it was logged.
    is_known: bool,
}

impl LeftOut {
    fn insert(&mut self, not_after: Timestamp, id: CertificateId) {
        let known = self.cas.iter().position(|ca| *ca == id.ca);
        let ca = known.unwrap_or_else(|| {
            self.cas.push(id.ca);
            self.cas.len().saturating_sub(1)
        });
        self.by_end.insert((not_after, ca, id.serial));
    }

    fn remove(&mut self, not_after: Timestamp, ca: &Label, serial: Serial) {
        if let Some(ca) = self.cas.iter().position(|known| known == ca) {
            self.by_end.remove(&(not_after, ca, serial));
        }
    }

    /// Takes the certificate that is valid for the longest.
    fn take_last(&mut self) -> Option<CertificateId> {
        let (_, ca, serial) = self.by_end.pop_last()?;
        Some(CertificateId { ca: self.cas.get(ca)?.clone(), serial })
    }

    fn drop_expired(&mut self, now: Timestamp) {
        while self.by_end.first().is_some_and(|(end, ..)| *end < now) {
            self.by_end.pop_first();
        }
    }
}

impl Catalogue {
    /// Reads all certificates that are in use: neither expired nor revoked, and public. `limit` is the most certificates of peers that are
    /// published; 0 publishes none.
    ///
    /// # Errors
    /// Those of the store.
    pub fn open(authority: Arc<Authority>, layout: Layout, limit: usize) -> Result<Self> {
        // The mark is read first, so that entries that are recorded while the pages are read are seen again later.
        let mark = authority.store().mark();
        let mut catalogue = Self {
            authority,
            layout,
            limit,
            mark,
            peers: BTreeMap::new(),
            ends: BTreeSet::new(),
            owners: BTreeMap::new(),
            left_out: LeftOut::default(),
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

    /// The position in the store's history up to which changes were read.
    pub const fn mark(&self) -> Mark {
        self.mark
    }

    /// The number of peers' certificates that are published now, and of those that the limit leaves out now.
    pub fn counts(&self) -> (usize, usize) {
        (self.owners.len(), self.left_out.by_end.len())
    }

    /// Reads the changes since the last call, removes certificates that have expired, and gives their places to others. True if an entry
    /// to be published may have changed.
    ///
    /// # Errors
    /// Those of the store.
    pub fn update(&mut self) -> Result<bool> {
        let mut changed = self.drop_expired();
        loop {
            let History { changes, next } = self.authority.store().changes_since(self.mark)?;
            if next == self.mark {
                return Ok(self.fill_places()? || changed);
            }
            for change in changes {
                changed |= self.take(change)?;
            }
            self.mark = next;
        }
    }

    /// All entries to be published. Each comes after the entry above it.
    ///
    /// # Errors
    /// Those of the store, and of names that no entry can have.
    pub fn entries(&self) -> Result<Vec<Entry>> {
        let cas = self.cas()?;
        let peers: Vec<PeerView> = self
            .peers
            .iter()
            .map(|(owner, peer)| PeerView {
                account: owner.account.clone(),
                profile: owner.profile.clone(),
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
            // A renewed certificate stays valid until it expires or is revoked, so that both are published.
            Change::Issued(issued) => self.take_issued(*issued),
            Change::Renamed { from } => self.take_renamed(&from),
            Change::Status { ca, serial } => self.look_again(&ca, &serial),
            // The certificate may have been withheld until it was confirmed.
            Change::Confirmed { transaction } => {
                let now = self.authority.now();
                match self.authority.store().issued_in(now, &transaction)? {
                    Some(id) => self.look_again(&id.ca, &id.serial),
                    None => Ok(false),
                }
            }
        }
    }

    /// Adds a certificate that was issued. The journal's entry has everything but a later revocation.
    fn take_issued(&mut self, issued: Issued) -> Result<bool> {
        // A withheld certificate is added when it is confirmed.
        let is_hidden = issued.withheld || issued.unpublished;
        let Issued { ca, serial, account, profile, not_after, certificate, .. } = issued;
        let revoked = self.authority.store().revocation(&ca, &serial)?.is_some();
        if revoked || is_hidden || !self.is_published(&ca, &account, not_after) {
            self.left_out.remove(not_after, &ca, serial);
            return Ok(self.remove(&CertificateId { ca, serial }));
        }
        let id = CertificateId { ca, serial };
        self.add(id, Owner { account, profile }, not_after, certificate)
    }

    /// Publishes the certificates of an account that had this name under its present one.
    fn take_renamed(&mut self, from: &Label) -> Result<bool> {
        let own = self.peers.iter().filter(|(owner, _)| owner.account == *from);
        let own: Vec<CertificateId> =
            own.flat_map(|(_, peer)| peer.certificates.keys().cloned()).collect();
        for id in &own {
            self.remove(id);
        }
        for id in &own {
            self.look_again(&id.ca, &id.serial)?;
        }
        Ok(!own.is_empty())
    }

    fn look_again(&mut self, ca: &Label, serial: &Serial) -> Result<bool> {
        match self.authority.store().certificate(ca, serial)? {
            Some(record) if self.is_in_use(&record) && !self.is_anothers(&record)? => {
                self.add_record(record)
            }
            record => {
                if let Some(record) = record {
                    self.left_out.remove(record.not_after, ca, *serial);
                }
                Ok(self.remove(&CertificateId { ca: ca.clone(), serial: *serial }))
            }
        }
    }

    /// Publishes certificates that were left out, as long as there are places. Those that are valid for the longest come first.
    fn fill_places(&mut self) -> Result<bool> {
        let mut filled = false;
        while self.owners.len() < self.limit {
            let Some(CertificateId { ca, serial }) = self.left_out.take_last() else { break };
            filled |= self.look_again(&ca, &serial)?;
        }
        Ok(filled)
    }

    fn is_in_use(&self, record: &CertificateRecord) -> bool {
        record.revocation.is_none()
            && record.is_public()
            && self.is_published(&record.ca, &record.account, record.not_after)
    }

    /// Whether the name of the certificate's account now belongs to another account. The entry of that name must then not have the
    /// certificate.
    fn is_anothers(&self, record: &CertificateRecord) -> Result<bool> {
        let now = self.authority.store().incarnation(&record.account)?;
        Ok(now.is_some() && now != record.incarnation)
    }

    fn is_published(&self, ca: &Label, account: &Label, not_after: Timestamp) -> bool {
        not_after >= self.authority.now()
            && !account.as_str().starts_with(OWN_ACCOUNT_PREFIX)
            // A certificate that a root signed for an account is that of another CA, and not a userCertificate.
            && self.authority.is_ca(ca)
    }

    fn add_record(&mut self, record: CertificateRecord) -> Result<bool> {
        let CertificateRecord { ca, serial, account, profile, not_after, certificate, .. } = record;
        let id = CertificateId { ca, serial };
        self.add(id, Owner { account, profile }, not_after, certificate)
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
            if !self.left_out.is_known {
                self.left_out.is_known = true;
                tracing::warn!(
                    limit = self.limit,
                    "more certificates than ldap.max_peers: the further ones are not published"
                );
            }
            self.left_out.insert(not_after, id);
            return Ok(false);
        }
        self.left_out.remove(not_after, &id.ca, id.serial);
        self.own(&owner)?;
        if let Some(peer) = self.peers.get_mut(&owner) {
            peer.certificates.insert(id.clone(), Bytes::from(certificate));
        }
        self.ends.insert((not_after, id.clone()));
        self.owners.insert(id, (owner, not_after));
        Ok(true)
    }

    /// Ensures that there is an entry for an account and profile. If the entry belongs to another account that had the name before, its
    /// certificates leave it: they get to the entry of that account's present name, if it has one.
    fn own(&mut self, owner: &Owner) -> Result<()> {
        let incarnation = self.authority.store().incarnation(&owner.account)?;
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
        let id = self.first_identity(&owner.account)?;
        let peer = Peer { incarnation, id, certificates: BTreeMap::new() };
        self.peers.insert(owner.clone(), peer);
        // The account was removed, or the history tells of its rename later.
        for CertificateId { ca, serial } in &before {
            self.look_again(ca, serial)?;
        }
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
        self.left_out.drop_expired(now);
        let mut dropped = false;
        while let Some((_, id)) = self.ends.first().filter(|(end, _)| *end < now).cloned() {
            dropped |= self.remove(&id);
        }
        dropped
    }

    /// The first identity of an account, without its kind; or the account's name if it no longer exists or has no identity.
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
