//! The body about a peer that has shown that it has the certificate of a CA's next key.

use minicbor::{Decode, Encode};

use super::super::entry::Entry;
use crate::error::{Error, Result};
use crate::record::{AnchorEvidence, AnchorShown};

/// The evidence. The incarnation of the account is checked when the entry is recorded and never again, and is not in it.
#[derive(Encode, Decode)]
pub struct AnchorShownBody<'a> {
    #[b(0)]
    account: &'a str,
    #[b(1)]
    ca: &'a str,
    /// The number of the [`AnchorEvidence`].
    #[n(2)]
    evidence: u8,
    /// The administrator, if the evidence is an administrator's.
    #[b(3)]
    actor: Option<&'a str>,
}

impl<'a> AnchorShownBody<'a> {
    /// The body for evidence.
    pub fn new(shown: &'a AnchorShown) -> Self {
        Self {
            account: shown.account.as_str(),
            ca: shown.ca.as_str(),
            evidence: shown.evidence.number(),
            actor: shown.actor.as_deref(),
        }
    }

    /// The entry in the body.
    pub fn entry(self) -> Result<Entry> {
        let evidence = AnchorEvidence::from_number(self.evidence).ok_or_else(|| {
            Error::internal(format!("the evidence `{}` is unknown", self.evidence))
        })?;
        Ok(Entry::AnchorShown(AnchorShown {
            account: self.account.parse()?,
            incarnation: None,
            ca: self.ca.parse()?,
            evidence,
            actor: self.actor.map(str::to_owned),
        }))
    }
}
