//! The certificates of next keys: which of them peers are given, and the evidence that a peer has one.

use super::issuer::Ca;
use super::state::Authority;
use crate::clock::Timestamp;
use crate::error::{Denial, Error, Result};
use crate::record::line::Member;
use crate::record::{Account, AnchorEvidence, AnchorShown, Label};

impl Authority {
    /// An issuing CA's certificate and those above it, root last, and then those of next keys that are to come: of the issuing CA, and of its
    /// root with the certificates that link them (RFC 7030 §4.1.3), DER, each once. `None` means the default CA.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if there is no such issuing CA.
    pub fn chain_and_next(&self, ca: Option<&Label>) -> Result<Vec<&[u8]>> {
        let issuing = self.issuing_ca(ca)?;
        let mut all: Vec<&[u8]> = issuing.chain().iter().map(Vec::as_slice).collect();
        let root = issuing.chain().last();
        let root = self.cas.values().find(|ca| Some(&ca.info().certificate) == root);
        for first in [Some(issuing), root].into_iter().flatten() {
            let mut at = first;
            // A CA has at most one successor and is recorded after its predecessor, so there are no more steps than CAs.
            for _ in 0..self.cas.len() {
                let Some(next) = self.next_key(at) else { break };
                all.push(&next.info().certificate);
                let links = next.succeeds().and_then(|of| of.links.as_ref());
                all.extend(links.iter().flat_map(|links| {
                    [links.new_with_old.as_slice(), links.old_with_new.as_slice()]
                }));
                at = next;
            }
        }
        let mut seen = std::collections::BTreeSet::new();
        all.retain(|der| seen.insert(*der));
        Ok(all)
    }

    /// The CAs with the next key of another one whose own certificates are among these, DER.
    pub fn next_keys_in(&self, certificates: &[&[u8]]) -> Vec<Label> {
        let is_given = |ca: &&Ca| {
            ca.succeeds().is_some() && certificates.contains(&ca.info().certificate.as_slice())
        };
        self.cas.values().filter(is_given).map(|ca| ca.info().name.clone()).collect()
    }

    /// Records that a peer, authenticated as this account, was given the certificates of these CAs. Nothing is waited for, and what is on
    /// record already is not recorded again. `made` is the time in the peer's protected message: a message from before the CA's certificate
    /// was made may be replayed by somebody else, and shows nothing. `None` if a message cannot be replayed.
    pub fn note_shown(
        &self,
        account: &Account,
        cas: &[Label],
        evidence: AnchorEvidence,
        made: Option<Timestamp>,
    ) {
        for ca in cas {
            let begun =
                self.cas.get(ca).filter(|ca| made.is_none_or(|made| made >= ca.facts().not_before));
            if begun.is_none() {
                continue;
            }
            if let Err(error) = self.begin_shown(account, ca, evidence) {
                tracing::debug!(account = %account.name, %ca, "not recorded: {error}");
            }
        }
    }

    fn begin_shown(&self, account: &Account, ca: &Label, evidence: AnchorEvidence) -> Result<()> {
        let known = self.store().anchors_shown(&account.name)?;
        if known.iter().any(|known| known.ca == *ca && known.evidence == evidence) {
            return Err(Error::denied(Denial::Conflict, "it is on record already"));
        }
        let shown = AnchorShown {
            account: account.name.clone(),
            incarnation: Some(account.incarnation),
            ca: ca.clone(),
            evidence,
            actor: None,
        };
        // The answer does not depend on the record, so that nothing waits for the disk.
        drop(self.store().begin_anchor_shown(self.now(), shown)?);
        Ok(())
    }

    /// The CA with the next key, also if it waits to be activated.
    pub(super) fn next_key(&self, ca: &Ca) -> Option<&Ca> {
        self.cas.values().find(|next| next.predecessor() == Some(&ca.info().name))
    }
}
