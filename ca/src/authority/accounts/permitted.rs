//! Checks that the issuing CA may certify an account's names.

use std::collections::HashMap;

use super::draft::AccountDraft;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::profile::{Profiles, subject};
use crate::record::line::issuing_now;
use crate::record::{CaRecord, Label};
use crate::signed::HandedOut;
use crate::x509::Facts;

/// The most accounts that one refusal names.
const MAX_TOLD: usize = 100;

/// Refuses accounts whose names their issuing CA may not certify, because of name constraints in its certificate or those above it.
/// `default` is the CA of accounts that name none.
///
/// # Errors
/// `Denied` with [`crate::Denial::Template`] that names each such account, and what in the path forbids it.
pub fn refuse_outside(
    cas: &[CaRecord],
    default: Option<&Label>,
    profiles: &Profiles,
    drafts: &[AccountDraft],
    now: Timestamp,
) -> Result<()> {
    let mut paths: HashMap<&Label, (HandedOut, Facts)> = HashMap::new();
    let mut refused = Vec::new();
    for draft in drafts {
        // Other problems of a draft are reported when the account is added.
        let named = draft.ca.as_ref().or(default);
        let Some(ca) = named.and_then(|named| issuing_now(cas.iter(), named)) else { continue };
        let Some(profile) = profiles.named(&draft.profile) else { continue };
        let account = draft.account();
        let names = subject::decide(&account, profile, None, None, &mut Vec::new());
        let Ok(names) = names else { continue };
        if !paths.contains_key(&ca.name) {
            let chain: Vec<Vec<u8>> =
                std::iter::once(&ca.certificate).chain(&ca.chain).cloned().collect();
            paths.insert(&ca.name, (HandedOut::of(&chain)?, Facts::of(&ca.certificate)?));
        }
        if let Some((path, issuer)) = paths.get(&ca.name) {
            // An ended CA is reported by `readyz` and at the enrolment. This check is only about names, so it is made
            // as of the CA's end.
            let at = now.min(issuer.not_after);
            match path.permits(issuer, names, at) {
                Ok(()) => {}
                Err(Error::Denied { kind, why }) => {
                    refused.push((kind, format!("{}: {why}", draft.place())));
                }
                Err(other) => return Err(other),
            }
        }
    }
    let Some((kind, _)) = refused.first() else { return Ok(()) };
    let kind = *kind;
    let more = refused.len().saturating_sub(MAX_TOLD);
    let mut texts: Vec<String> = refused.into_iter().take(MAX_TOLD).map(|(_, why)| why).collect();
    if more > 0 {
        texts.push(format!("and {more} more"));
    }
    Err(Error::denied(kind, texts.join("\n")))
}
