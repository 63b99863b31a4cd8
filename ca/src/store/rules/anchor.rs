//! The rules for evidence that a peer has the certificate of a CA's next key.

use super::super::keys;
use super::super::values::shown;
use super::super::view::View;
use super::Rules;
use super::refusal::conflict;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::record::AnchorShown;

impl<V: View> Rules<'_, V> {
    /// Refuses evidence about another account than the one that was authenticated, about a CA without a predecessor, and what is on record
    /// already: nobody makes the journal grow by asking again.
    pub(super) fn check_anchor_shown(&self, anchor: &AnchorShown) -> Result<()> {
        let AnchorShown { account, incarnation, ca, evidence, .. } = anchor;
        self.check_account(account, *incarnation)?;
        if self.ca(ca)?.is_none_or(|ca| ca.succeeds.is_none()) {
            return Err(conflict(format!(
                "there is no CA `{ca}` with the next key of another one"
            )));
        }
        let value = self.view.value(&keys::shown(account))?.unwrap_or_default();
        let is_known =
            |known: &crate::record::KnownAnchor| known.ca == *ca && known.evidence == *evidence;
        match shown::read(&value)?.iter().any(is_known) {
            true => Err(conflict(format!(
                "that `{account}` has the certificate of `{ca}` is on record already ({})",
                evidence.name()
            ))),
            false => Ok(()),
        }
    }

    pub(super) fn apply_anchor_shown(&mut self, at: Timestamp, anchor: &AnchorShown) -> Result<()> {
        let key = keys::shown(&anchor.account);
        let value = self.view.value(&key)?.unwrap_or_default();
        self.view.put(key, shown::with(&value, at, anchor));
        Ok(())
    }
}
