//! Information that the authority gives to anybody, or to any peer: its certificates, the URLs of its CRLs, and the
//! names for a request.

use std::collections::BTreeSet;

use super::state::Authority;
use crate::error::Result;
use crate::profile::{Names, Profile, filled_url, subject};
use crate::record::{Account, CrlScope, Label};

/// The placeholder for the number of a partition in a URL.
const PARTITION: &str = "{partition}";

impl Authority {
    /// The certificates between those of peers and the roots, DER, each once: those of issuing CAs, of CAs above them, and those that
    /// link two keys of a root (RFC 9810 §4.4). The certificates of and above an issuing CA that has expired are left out, and the links
    /// to a root key that has expired.
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
        let mut seen = BTreeSet::new();
        found.retain(|der| seen.insert(*der));
        found
    }

    /// The name of the CA, and the scope, of the CRL that a distribution point or freshestCRL names by this URL; `None` if the URL names
    /// no CRL of this instance.
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

    /// The name of an issuing CA: `ca` itself, or without it the newest active key of the default CA.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`] if there is no such issuing CA.
    pub fn issuing_name(&self, ca: Option<&Label>) -> Result<Label> {
        Ok(self.issuing_ca(ca)?.info().name.clone())
    }

    /// The name of the CA that issues to an account now.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`] if there is none.
    pub fn issuer_for(&self, account: &Account) -> Result<Label> {
        Ok(self.ca_for(account, None)?.info().name.clone())
    }

    /// The subject and subjectAltName of a certificate for this account if the request contains no names.
    ///
    /// # Errors
    /// `Denied` if the profile permits no identity of the account.
    pub fn names_for(&self, account: &Account, profile: &Profile) -> Result<Names> {
        subject::decide(account, profile, None, None, &mut Vec::new())
    }
}

/// The partition number in a URL that was made from this template for this CA; `None` if it was not.
fn partition_in(template: &str, ca: &Label, url: &str) -> Option<u16> {
    let (before, _) = template.split_once(PARTITION)?;
    let before = filled_url(before, ca, None)?;
    let digits: String =
        url.strip_prefix(&before)?.chars().take_while(char::is_ascii_digit).collect();
    let number = digits.parse().ok()?;
    (filled_url(template, ca, Some(number))? == url).then_some(number)
}
