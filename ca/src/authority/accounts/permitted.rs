//! Checks that the issuing CA may certify an account's names.

use std::collections::HashMap;

use super::draft::AccountDraft;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::profile::{Profiles, subject};
use crate::record::line::issuing_now;
use crate::record::{Account, CaRecord, Incarnation, Label};
use crate::signed::HandedOut;
use crate::x509::Facts;

/// Refuses accounts whose names their issuing CA may not certify, because of name constraints in its certificate or those above it.
/// `default` is the CA of accounts that name none.
///
/// # Errors
/// `Denied` with [`crate::Denial::Template`] that names the first such account, and what in the path forbids it.
pub fn refuse_outside(
    cas: &[CaRecord],
    default: Option<&Label>,
    profiles: &Profiles,
    drafts: &[AccountDraft],
    now: Timestamp,
) -> Result<()> {
    let mut paths: HashMap<&Label, (HandedOut, Facts)> = HashMap::new();
    for draft in drafts {
        // Other problems of a draft are reported when the account is added.
        let named = draft.ca.as_ref().or(default);
        let Some(ca) = named.and_then(|named| issuing_now(cas.iter(), named)) else { continue };
        let Some(profile) = profiles.named(&draft.profile) else { continue };
        let account = Account {
            name: draft.name.clone(),
            identities: draft.identities.clone(),
            profile: draft.profile.clone(),
            ca: draft.ca.clone(),
            secret: None,
            equipment: None,
            created: now,
            permissions: Default::default(),
            incarnation: Incarnation::NONE,
        };
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
            path.permits(issuer, names, at).map_err(|why| match why {
                Error::Denied { kind, why } => {
                    Error::denied(kind, format!("account `{}`: {why}", draft.name))
                }
                other => other,
            })?;
        }
    }
    Ok(())
}
