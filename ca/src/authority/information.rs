//! What anybody, or any peer, may learn of the authority: its certificates, how its keys followed each other, where its
//! CRLs are, and what a request should say.

use super::Authority;
use super::issuer::Ca;
use crate::error::Result;
use crate::profile::{Profile, filled_url};
use crate::record::{Account, CrlScope, Label};
use crate::subject::{self, Names};

/// The place of a partition's number in a URL.
const PARTITION: &str = "{partition}";

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
    /// The certificates that stand between those of peers and roots, DER: of issuing CAs, of CAs above them, and those
    /// that lead from one key of a root to another. What ended is left out.
    pub fn ca_certificates(&self) -> Vec<&[u8]> {
        let now = self.now();
        let mut found: Vec<&[u8]> = Vec::new();
        let lasting = || self.cas.values().filter(|ca| ca.facts().not_after > now);
        for ca in lasting().filter(|ca| !ca.info().is_root) {
            let below_root = ca.chain().len().saturating_sub(1);
            found.extend(ca.chain().iter().take(below_root).map(Vec::as_slice));
        }
        for links in lasting().filter_map(|ca| ca.succeeds()?.links.as_ref()) {
            found.extend([links.new_with_old.as_slice(), &links.old_with_new]);
        }
        let mut seen = std::collections::BTreeSet::new();
        found.retain(|der| seen.insert(*der));
        found
    }

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
            Some(known) => self.cas.values().find(|ca| ca.info().certificate == known),
            None => self.last_root(ca)?.and_then(|last| self.predecessor(last)),
        };
        let next = next.filter(|ca| ca.info().is_root).and_then(|ca| self.successor(ca));
        Ok(next.and_then(|next| {
            let links = next.succeeds()?.links.as_ref()?;
            Some(RootUpdate {
                new_with_new: &next.info().certificate,
                new_with_old: &links.new_with_old,
                old_with_new: &links.old_with_new,
            })
        }))
    }

    /// The CA and the scope of the CRL that a distribution point or freshestCRL names by this URL.
    pub fn crl_at(&self, url: &str) -> Option<(Label, CrlScope)> {
        let profiles = self.profiles();
        let settings = &self.settings.crl;
        let is_at = |template: &String, ca: &Label| {
            filled_url(template, ca, None).is_some_and(|filled| filled == url)
        };
        self.cas.keys().find_map(|ca| {
            let scope = if settings.full_urls.iter().any(|template| is_at(template, ca))
                || profiles
                    .iter()
                    .any(|profile| profile.crl_urls(ca, None).iter().any(|u| u == url))
            {
                CrlScope::Full
            } else if settings.delta_urls.iter().any(|template| is_at(template, ca)) {
                CrlScope::Delta
            } else {
                let mut templates = settings.partition_urls.iter();
                CrlScope::Partition(templates.find_map(|template| partition_in(template, ca, url))?)
            };
            Some((ca.clone(), scope))
        })
    }

    /// The name of an issuing CA; `None` means the default one.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`] when there is none.
    pub fn issuing_name(&self, ca: Option<&Label>) -> Result<Label> {
        Ok(self.issuing_ca(ca)?.info().name.clone())
    }

    /// The names that a certificate of this account carries when its request names none.
    ///
    /// # Errors
    /// `Denied` when no identity of the account can stand in a certificate of the profile.
    pub fn names_for(&self, account: &Account, profile: &Profile) -> Result<Names> {
        subject::decide(account, profile, None, &[])
    }

    /// The CA whose key follows this one's.
    pub(super) fn successor(&self, ca: &Ca) -> Option<&Ca> {
        self.cas.values().find(|next| {
            next.succeeds().is_some_and(|succession| succession.predecessor == ca.info().name)
        })
    }

    fn predecessor(&self, ca: &Ca) -> Option<&Ca> {
        self.cas.get(&ca.succeeds()?.predecessor)
    }

    /// The last key of the root above an issuing CA.
    fn last_root(&self, ca: Option<&Label>) -> Result<Option<&Ca>> {
        let Some(root) = self.issuing_ca(ca)?.chain().last() else { return Ok(None) };
        let mut last = self.cas.values().find(|ca| ca.info().certificate == *root);
        // Each key has one successor at most, and none follows itself: there are no more steps than CAs.
        for _ in 0..self.cas.len() {
            match last.and_then(|ca| self.successor(ca)) {
                Some(next) => last = Some(next),
                None => break,
            }
        }
        Ok(last)
    }
}

/// The number of the partition that a URL of this form names.
fn partition_in(template: &str, ca: &Label, url: &str) -> Option<u16> {
    let (before, _) = template.split_once(PARTITION)?;
    let before = filled_url(before, ca, None)?;
    let digits: String =
        url.strip_prefix(&before)?.chars().take_while(char::is_ascii_digit).collect();
    let number = digits.parse().ok()?;
    (filled_url(template, ca, Some(number))? == url).then_some(number)
}
