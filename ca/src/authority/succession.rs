//! How the keys of a CA succeed each other (RFC 9810 §4.4). Each key is a CA with a name and a subject of its own.

use std::collections::BTreeMap;

use super::issuer::Ca;
use super::state::Authority;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::name::Name;
use crate::record::line::{issuing_now, successor};
use crate::record::{CaRecord, Label, Serial};
use crate::x509::Facts;

/// The certificates that lead from a root's key to its next key (RFC 9810 §4.4), DER.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RootUpdate<'a> {
    /// newWithNew: the self-signed certificate of the new key.
    pub new_with_new: &'a [u8],
    /// newWithOld: the new key, signed by the old one.
    pub new_with_old: &'a [u8],
    /// oldWithNew: the old key, signed by the new one.
    pub old_with_new: &'a [u8],
}

impl Authority {
    /// The update from the root with the certificate `known` (DER) to its next key. Without `known`, the update to the newest key of the
    /// root above `ca` from the key before it; `None` as `ca` means the default CA. Returns `None` if there is no such root, or it has no
    /// such next key.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`] if `known` is `None` and there is no such issuing CA.
    pub fn root_update(
        &self,
        known: Option<&[u8]>,
        ca: Option<&Label>,
    ) -> Result<Option<RootUpdate<'_>>> {
        let next = match known {
            Some(known) => {
                let known = self.cas.values().find(|ca| ca.info().certificate == known);
                // Also one that waits: that peers have it is what it waits for.
                known.and_then(|known| self.next_key(known))
            }
            None => self.last_root(ca)?,
        };
        Ok(next.and_then(|next| {
            let links = next.succeeds()?.links.as_ref()?;
            Some(RootUpdate {
                new_with_new: &next.info().certificate,
                new_with_old: &links.new_with_old,
                old_with_new: &links.old_with_new,
            })
        }))
    }

    /// Whether a CA with the next key issues in place of this CA.
    pub fn is_succeeded(&self, ca: &Label) -> bool {
        self.cas.get(ca).is_some_and(|ca| self.successor(ca).is_some())
    }

    /// Whether an administrator retired this CA.
    pub fn is_retired(&self, ca: &Label) -> bool {
        self.cas.get(ca).is_some_and(|ca| ca.is_retired())
    }

    /// The name of the CA with this subject that issued a certificate with this serial number. If none did, the first CA, by name, with
    /// this subject; `None` if no CA has it.
    ///
    /// # Errors
    /// [`crate::Error::Internal`] if the store fails.
    pub fn ca_of(&self, issuer: &Name, serial: &Serial) -> Result<Option<Label>> {
        let named = self.cas.values().filter(|ca| ca.facts().subject == *issuer);
        let named: Vec<&Label> = named.map(|ca| &ca.info().name).collect();
        // If only one CA has the subject, no look-up is needed.
        if let [first, _, ..] = named.as_slice() {
            for ca in &named {
                if self.store().certificate(ca, serial)?.is_some() {
                    return Ok(Some((*ca).clone()));
                }
            }
            return Ok(Some((*first).clone()));
        }
        Ok(named.first().map(|ca| (*ca).clone()))
    }

    /// An issuing CA's certificate and those above it, DER, root last. `None` means the default CA.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if there is no such issuing CA.
    pub fn chain(&self, ca: Option<&Label>) -> Result<&[Vec<u8>]> {
        Ok(self.issuing_ca(ca)?.chain())
    }

    /// The issuing CA of exactly this name. Without a name, the newest active key of the default CA. [`Error::Unavailable`] if there is
    /// none.
    pub(super) fn issuing_ca(&self, name: Option<&Label>) -> Result<&Ca> {
        let default = self.default_ca().and_then(|name| self.cas.get(&name));
        let ca = match name {
            Some(name) => self.cas.get(name),
            None => default.map(|ca| self.latest(ca)),
        };
        ca.filter(|ca| !ca.info().is_root).ok_or_else(|| match name {
            Some(name) => Error::unavailable(format!("there is no issuing CA `{name}`")),
            None => {
                Error::unavailable("there is no issuing CA yet; `countersign ca add` makes one")
            }
        })
    }

    /// The CA that issues in place of this one: of this CA and the CAs with its earlier and later keys, the newest that is active.
    pub(super) fn latest<'a>(&'a self, ca: &'a Ca) -> &'a Ca {
        issuing_now(self.cas.values(), &ca.info().name).unwrap_or(ca)
    }

    /// The CA with the next key, if it is active.
    fn successor(&self, ca: &Ca) -> Option<&Ca> {
        successor(self.cas.values(), ca)
    }

    /// The CA with the newest key of the root above an issuing CA; `None` if that root is not recorded.
    fn last_root(&self, ca: Option<&Label>) -> Result<Option<&Ca>> {
        let root = self.issuing_ca(ca)?.chain().last();
        let root =
            root.and_then(|root| self.cas.values().find(|ca| ca.info().certificate == *root));
        let mut last = root;
        for _ in 0..self.cas.len() {
            match last.and_then(|root| self.next_key(root)) {
                Some(next) => last = Some(next),
                None => break,
            }
        }
        Ok(last)
    }
}

/// Adds the newWithOld link certificates to each CA's chain, before the root, so that a peer that trusts an older root
/// key can verify certificates below the newer one. Links that have expired at `now` are left out.
pub(super) fn connected(cas: Vec<CaRecord>, now: Timestamp) -> Vec<CaRecord> {
    let by_certificate: BTreeMap<&[u8], &CaRecord> =
        cas.iter().map(|ca| (ca.certificate.as_slice(), ca)).collect();
    let by_name: BTreeMap<&Label, &CaRecord> = cas.iter().map(|ca| (&ca.name, ca)).collect();
    let links = |ca: &CaRecord| {
        let mut links = Vec::new();
        let mut root =
            ca.chain.last().and_then(|root| by_certificate.get(root.as_slice())).copied();
        for _ in 0..cas.len() {
            let Some(succession) = root.and_then(|root| root.succeeds.as_ref()) else { break };
            let lasting =
                |link: &&Vec<u8>| Facts::of(link).is_ok_and(|facts| now < facts.not_after);
            links.extend(
                succession.links.iter().map(|links| &links.new_with_old).filter(lasting).cloned(),
            );
            root = by_name.get(&succession.predecessor).copied();
        }
        links
    };
    let connected = |ca: &CaRecord| {
        let mut ca = ca.clone();
        let links = links(&ca);
        let above = ca.chain.len().saturating_sub(1);
        ca.chain.splice(above..above, links);
        ca
    };
    cas.iter().map(connected).collect()
}
