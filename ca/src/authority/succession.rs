//! How the keys of a CA follow each other, each a CA with a name and a subject of its own (RFC 9810 §4.4).

use std::collections::BTreeMap;

use super::issuer::Ca;
use super::state::Authority;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::name::Name;
use crate::record::line::{issuing_now, successor};
use crate::record::{CaRecord, Label, Serial};
use crate::x509::Facts;

/// What leads from a root to the next one (RFC 9810 §4.4). All three are DER.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RootUpdate<'a> {
    /// The new root.
    pub new_with_new: &'a [u8],
    /// The new key, signed by the old one.
    pub new_with_old: &'a [u8],
    /// The old key, signed by the new one.
    pub old_with_new: &'a [u8],
}

impl Authority {
    /// What leads from the root `known` to the one after it; without `known`, from the last but one root above `ca`
    /// (`None` means the default CA) to the last. `None` when there is no such root or nothing came after it.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`] when there is no such CA.
    pub fn root_update(
        &self,
        known: Option<&[u8]>,
        ca: Option<&Label>,
    ) -> Result<Option<RootUpdate<'_>>> {
        let next = match known {
            Some(known) => {
                let known = self.cas.values().find(|ca| ca.info().certificate == known);
                known.and_then(|known| self.successor(known))
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

    /// Whether another key followed this CA's.
    pub fn is_succeeded(&self, ca: &Label) -> bool {
        self.cas.get(ca).is_some_and(|ca| self.successor(ca).is_some())
    }

    /// The CA with this subject that issued a certificate of this serial number; where none did, the first with this
    /// subject.
    ///
    /// # Errors
    /// [`crate::Error::Internal`] when the store fails.
    pub fn ca_of(&self, issuer: &Name, serial: &Serial) -> Result<Option<Label>> {
        let named = self.cas.values().filter(|ca| ca.facts().subject == *issuer);
        let named: Vec<&Label> = named.map(|ca| &ca.info().name).collect();
        // One alone needs no look-up.
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
    /// [`Error::Unavailable`] when there is none.
    pub fn chain(&self, ca: Option<&Label>) -> Result<&[Vec<u8>]> {
        Ok(self.issuing_ca(ca)?.chain())
    }

    /// The CA of this very name; without one, what issues for the default CA now.
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

    /// The last one of the line that begins with this CA and does not wait: the one that issues.
    pub(super) fn latest<'a>(&'a self, ca: &'a Ca) -> &'a Ca {
        issuing_now(self.cas.values(), &ca.info().name).unwrap_or(ca)
    }

    fn successor(&self, ca: &Ca) -> Option<&Ca> {
        successor(self.cas.values(), ca)
    }

    /// The last key of the root above an issuing CA.
    fn last_root(&self, ca: Option<&Label>) -> Result<Option<&Ca>> {
        let root = self.issuing_ca(ca)?.chain().last();
        let root =
            root.and_then(|root| self.cas.values().find(|ca| ca.info().certificate == *root));
        Ok(root.map(|root| self.latest(root)))
    }
}

/// The records with the certificates by which who trusts an earlier key of a root verifies what is below a later one: they
/// stand before the root in the chain of each CA below it.
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
