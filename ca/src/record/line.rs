//! The line of a CA: the succession of its keys, each a CA with a record of its own, and which of them issues now.

use std::collections::BTreeSet;

use super::ca::CaRecord;
use super::label::Label;

/// A CA as a member of a line.
pub trait Member {
    /// The CA's name.
    fn name(&self) -> &Label;
    /// The CA with the previous key; `None` for the first key.
    fn predecessor(&self) -> Option<&Label>;
    /// Whether the predecessor continues to issue in this CA's place.
    fn waits(&self) -> bool;
}

impl Member for CaRecord {
    fn name(&self) -> &Label {
        &self.name
    }

    fn predecessor(&self) -> Option<&Label> {
        self.succeeds.as_ref().map(|succession| &succession.predecessor)
    }

    fn waits(&self) -> bool {
        self.succeeds.as_ref().is_some_and(|succession| succession.waits)
    }
}

/// The CA that issues for requests that name the CA `name`: a CA and its successors with newer keys form a line, of which the newest
/// active one issues. `None` if there is no CA of that name.
pub fn issuing_now<'a, C: Member>(
    cas: impl Iterator<Item = &'a C> + Clone,
    name: &Label,
) -> Option<&'a C> {
    let named = |name: &Label| cas.clone().find(|ca| ca.name() == name);
    let mut issuing = named(name)?;
    // A CA has at most one successor and is recorded after its predecessor, so there are no more steps than CAs. The
    // bound also ends the search in records that contradict themselves.
    for _ in cas.clone() {
        // A waiting key does not issue, whichever member of the line is named; its predecessor issues.
        let before = issuing.predecessor().filter(|_| issuing.waits());
        match before.and_then(named) {
            Some(before) => issuing = before,
            None => break,
        }
    }
    for _ in cas.clone() {
        match successor(cas.clone(), issuing) {
            Some(next) => issuing = next,
            None => break,
        }
    }
    Some(issuing)
}

/// The CA that issues in place of `ca`: a successor that does not wait; `None` if there is none.
pub fn successor<'a, C: Member>(mut cas: impl Iterator<Item = &'a C>, ca: &C) -> Option<&'a C> {
    cas.find(|next| !next.waits() && next.predecessor() == Some(ca.name()))
}

/// The issuing CAs for whose accounts nothing issues: the CA that issues for their line is one of `retired`.
pub fn retired_lines(cas: &[CaRecord], retired: &BTreeSet<Label>) -> BTreeSet<Label> {
    let is_retired = |ca: &&CaRecord| {
        issuing_now(cas.iter(), &ca.name).is_some_and(|now| retired.contains(&now.name))
    };
    cas.iter().filter(|ca| !ca.is_root).filter(is_retired).map(|ca| ca.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Succession;

    fn ca(name: &str, predecessor: Option<&str>, waits: bool) -> CaRecord {
        let succeeds = predecessor.map(|name| Succession {
            predecessor: name.parse().unwrap(),
            links: None,
            waits,
        });
        let (certificate, chain) = (Vec::new(), Vec::new());
        CaRecord { name: name.parse().unwrap(), is_root: false, certificate, chain, succeeds }
    }

    #[test]
    fn the_last_of_a_line_that_does_not_wait_issues_whichever_of_it_is_named() {
        let cas = [
            ca("a", None, false),
            ca("a.2", Some("a"), false),
            ca("a.3", Some("a.2"), true),
            ca("b", None, false),
        ];
        let issuing = |name: &str| {
            issuing_now(cas.iter(), &name.parse().unwrap()).map(|ca| ca.name.to_string())
        };
        for name in ["a", "a.2", "a.3"] {
            assert_eq!(issuing(name).as_deref(), Some("a.2"), "{name}");
        }
        assert_eq!((issuing("b").as_deref(), issuing("c")), (Some("b"), None));
        // The search ends although the records contradict themselves.
        let circle = [ca("a", Some("b"), true), ca("b", Some("a"), true)];
        assert!(issuing_now(circle.iter(), &circle[0].name).is_some());
        let circle = circle.map(|ca| CaRecord {
            succeeds: ca.succeeds.map(|of| Succession { waits: false, ..of }),
            ..ca
        });
        assert!(issuing_now(circle.iter(), &circle[0].name).is_some());
    }
}
