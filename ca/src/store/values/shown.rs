//! The certificates of next keys that an account has shown to have: for each the CA's name and its length (1), the evidence (1), the moment
//! (`ordered`, 8), and the administrator's text and its length (2).

use super::read::damaged;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::record::{AnchorEvidence, AnchorShown, KnownAnchor};
use crate::store::numbers::{from_ordered, ordered};

/// The value with this evidence, recorded at `at`, at the end.
pub fn with(value: &[u8], at: Timestamp, shown: &AnchorShown) -> Vec<u8> {
    let name = shown.ca.as_str().as_bytes();
    let actor = shown.actor.as_deref().unwrap_or_default().as_bytes();
    let actor = actor.get(..actor.len().min(usize::from(u16::MAX))).unwrap_or_default();
    let mut next = value.to_vec();
    // A label has at most 64 octets.
    next.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
    next.extend_from_slice(name);
    next.push(shown.evidence.number());
    next.extend_from_slice(&ordered(at));
    next.extend_from_slice(&u16::try_from(actor.len()).unwrap_or(u16::MAX).to_be_bytes());
    next.extend_from_slice(actor);
    next
}

/// What a value says.
///
/// # Errors
/// [`crate::Error::Internal`] if it is damaged.
pub fn read(value: &[u8]) -> Result<Vec<KnownAnchor>> {
    let mut rest = value;
    let mut known = Vec::new();
    while !rest.is_empty() {
        known.push(one(&mut rest).ok_or_else(damaged)?);
    }
    Ok(known)
}

fn one(rest: &mut &[u8]) -> Option<KnownAnchor> {
    let (length, after) = rest.split_first()?;
    let (name, after) = after.split_at_checked(usize::from(*length))?;
    let (evidence, after) = after.split_first()?;
    let (at, after) = after.split_first_chunk()?;
    let (length, after) = after.split_first_chunk()?;
    let (actor, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    *rest = after;
    let actor = std::str::from_utf8(actor).ok()?;
    Some(KnownAnchor {
        ca: std::str::from_utf8(name).ok()?.parse().ok()?,
        evidence: AnchorEvidence::from_number(*evidence)?,
        at: from_ordered(*at),
        actor: Some(actor.to_owned()).filter(|actor| !actor.is_empty()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_kept_in_its_order_and_damage_is_found() {
        let shown = |ca: &str, evidence, actor: Option<&str>| AnchorShown {
            account: "gw1".parse().unwrap(),
            incarnation: None,
            ca: ca.parse().unwrap(),
            evidence,
            actor: actor.map(str::to_owned),
        };
        let (first, second) = (Timestamp::from_millis(7), Timestamp::from_millis(-3));
        let value = with(&[], first, &shown("root.2", AnchorEvidence::General, None));
        let value = with(&value, second, &shown("a", AnchorEvidence::Marked, Some("uid 0")));
        let known = read(&value).unwrap();
        let of = |ca: &str, evidence, at, actor: Option<&str>| KnownAnchor {
            ca: ca.parse().unwrap(),
            evidence,
            at,
            actor: actor.map(str::to_owned),
        };
        let expected = [
            of("root.2", AnchorEvidence::General, first, None),
            of("a", AnchorEvidence::Marked, second, Some("uid 0")),
        ];
        assert_eq!(known, expected);
        assert!(read(value.get(..value.len() - 1).unwrap()).is_err());
    }
}
