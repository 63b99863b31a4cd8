//! What a CRL says stays true when it has ended, but for a hold; and of CRLs that tell nobody good.

use std::sync::Arc;

use countersign_ca::path::Certificate;
use countersign_ca::path::crl::{Crl, CrlStatus};

use super::draft::{
    Ca, Draft, LATER, ca_params, entry, extension, good, reason, revoked, status, unknown,
};

struct Site {
    root: Ca,
    leaf: Arc<Certificate>,
}

impl Site {
    fn new() -> Self {
        let root = Ca::root();
        let leaf = root.leaf(&[7]);
        Self { root, leaf }
    }

    fn of(&self, drafts: &[Draft]) -> CrlStatus {
        let crls: Vec<Arc<Crl>> = drafts.iter().map(|draft| draft.read(&self.root)).collect();
        status(&self.root, &[], &self.leaf, &self.root, &crls)
    }
}

const YOUNGER: &[u8] = b"260702000000Z";

fn listing(code: u8) -> Draft {
    Draft::of(&[entry(&[7], &[reason(code)])])
}

#[test]
fn whom_an_ended_crl_lists_is_revoked() {
    let site = Site::new();
    revoked(&site.of(&[listing(1).ended()]));
    unknown(&site.of(&[Draft::of(&[entry(&[8], &[])]).ended()]), "it ended at");
    // A hold may have been lifted since.
    unknown(&site.of(&[listing(6).ended()]), "it ended at");
    revoked(&site.of(&[listing(6)]));
    // A later CRL of the key knows better, whether or not the other one has ended.
    let later = Draft::default().from(YOUNGER);
    good(&site.of(&[listing(1).ended(), later.clone()]));
    good(&site.of(&[later.clone(), listing(1)]));
    // The younger of two has ended, and the older one knows no better.
    revoked(&site.of(&[later.ended(), listing(1)]));
    revoked(&site.of(&[listing(1).from(YOUNGER).ended(), Draft::default()]));
    good(&site.of(&[listing(6).from(YOUNGER).ended(), Draft::default()]));
}

#[test]
fn so_is_whom_a_crl_lists_that_does_not_say_until_when() {
    let site = Site::new();
    let endless = |draft: Draft| Draft { next_update: None, ..draft };
    revoked(&site.of(&[endless(listing(1))]));
    revoked(&site.of(&[endless(listing(6))]));
    unknown(&site.of(&[endless(Draft::default())]), "it has no nextUpdate");
    // Our clock may be behind.
    let early = |draft: Draft| draft.from(LATER);
    revoked(&site.of(&[early(listing(1))]));
    unknown(&site.of(&[early(Draft::default())]), "it is of");
}

#[test]
fn deltas_that_ended_or_do_not_fit_still_list() {
    let site = Site::new();
    let full = || Draft::default().numbered(5);
    good(&site.of(&[full()]));
    good(&site.of(&[full(), Draft::default().delta(6, 5)]));
    revoked(&site.of(&[full(), listing(1).delta(6, 5)]));
    // Ended, of a base that is not there, without a complete CRL.
    revoked(&site.of(&[full(), listing(1).delta(6, 5).ended()]));
    revoked(&site.of(&[full(), listing(1).delta(9, 8)]));
    revoked(&site.of(&[listing(1).delta(9, 8)]));
    revoked(&site.of(&[listing(6).delta(9, 8)]));
    unknown(&site.of(&[listing(6).delta(9, 8).ended()]), "expected a current CRL");
    good(&site.of(&[full(), listing(6).delta(6, 5).ended()]));
    // What a later delta that fits says counts, and so does a complete CRL that is as late as the delta.
    good(&site.of(&[full(), listing(1).delta(6, 5).ended(), listing(8).delta(7, 5)]));
    good(&site.of(&[full(), listing(1).delta(5, 4)]));
    good(&site.of(&[full(), listing(1).delta(4, 4)]));
    // With an ended complete CRL there is no good, and a hold of a delta that is current counts.
    revoked(&site.of(&[full().ended(), listing(6).delta(6, 5)]));
    unknown(&site.of(&[full().ended(), Draft::default().delta(6, 5)]), "it ended at");
}

#[test]
fn a_delta_counts_beside_a_complete_crl_that_it_does_not_go_with() {
    let site = Site::new();
    // onlyContainsUserCerts
    let users = |draft: Draft| draft.with(&[extension(28, true, &[0x30, 3, 0x81, 1, 0xff])]);
    let full = || Draft::default().numbered(5);
    good(&site.of(&[users(full())]));
    for code in [1, 6] {
        revoked(&site.of(&[users(full()), listing(code).delta(9, 8)]));
        revoked(&site.of(&[full(), users(listing(code).delta(9, 8))]));
    }
    revoked(&site.of(&[full(), users(listing(1).delta(4, 4)).ended()]));
    // Where one of its scope is at hand and as late, that one knows.
    good(&site.of(&[users(full()), users(listing(1).delta(5, 4))]));
    good(&site.of(&[users(full()), full(), users(listing(1).delta(5, 4))]));
    // Without a number nobody knows which of the two is later.
    let unnumbered = Draft { extensions: Vec::new(), ..Draft::default() };
    revoked(&site.of(&[unnumbered, listing(1).delta(9, 8)]));
}

/// RFC 5280 has a CRL for each of several scopes: what one of them lists is revoked, whichever is read first.
#[test]
fn a_crl_of_another_scope_is_read_with_its_deltas_also_when_nothing_is_left_to_cover() {
    let site = Site::new();
    let users = |draft: Draft| draft.with(&[extension(28, true, &[0x30, 3, 0x81, 1, 0xff])]);
    let full = || Draft::default().numbered(5);
    for code in [1, 6] {
        let delta = || users(listing(code).delta(6, 5)).from(YOUNGER);
        revoked(&site.of(&[users(full()), full(), delta()]));
        revoked(&site.of(&[full(), users(full()), delta()]));
        revoked(&site.of(&[full().from(YOUNGER), users(full()), delta()]));
        revoked(&site.of(&[full(), users(listing(code).numbered(5))]));
    }
    let released = || users(listing(8).delta(6, 5)).from(YOUNGER);
    good(&site.of(&[full(), users(listing(6).numbered(5)), released()]));
    // What is listed for good only a later CRL of its own scope takes back; a hold, any later one that tells of holds.
    revoked(&site.of(&[full().from(YOUNGER), users(listing(1).numbered(5))]));
    good(&site.of(&[full().from(YOUNGER), users(listing(6).numbered(5))]));
    good(&site.of(&[full().from(YOUNGER), users(full()), users(listing(6).delta(6, 5))]));
}

#[test]
fn a_hold_of_a_delta_is_lifted_by_a_later_crl_of_its_key() {
    let site = Site::new();
    let users = |draft: Draft| draft.with(&[extension(28, true, &[0x30, 3, 0x81, 1, 0xff])]);
    let later = || users(Draft::default().numbered(5)).from(YOUNGER);
    good(&site.of(&[later(), listing(6).delta(9, 8)]));
    revoked(&site.of(&[later(), listing(1).delta(9, 8)]));
    // One that is as late, or does not tell good itself, lifts nothing; nor does one that tells of other reasons.
    revoked(&site.of(&[later(), listing(6).delta(9, 8).from(YOUNGER)]));
    revoked(&site.of(&[later().ended(), listing(6).delta(9, 8)]));
    // onlySomeReasons: keyCompromise
    let compromises = [extension(28, true, &[0x30, 4, 0x83, 2, 6, 0x40])];
    let compromises = Draft::default().numbered(5).with(&compromises).from(YOUNGER);
    revoked(&site.of(&[compromises, Draft::default(), users(listing(6).delta(9, 8))]));
}

#[test]
fn a_delta_is_later_than_the_complete_crl() {
    let site = Site::new();
    let removed = |of: u8| listing(8).delta(of, 5);
    good(&site.of(&[listing(1).numbered(5), removed(6)]));
    revoked(&site.of(&[listing(1).numbered(5), removed(5)]));
    revoked(&site.of(&[listing(1).numbered(6), removed(5)]));
    // Its base is a later CRL, or it has ended: it does not go with this one.
    revoked(&site.of(&[listing(1).numbered(4), removed(6)]));
    revoked(&site.of(&[listing(1).numbered(5), removed(6).ended()]));
}

#[test]
fn an_ended_crl_of_another_key_lists_too_and_covers_nothing() {
    let root = Ca::root();
    let (old, new) =
        (root.below(ca_params("issuing", &[2])), root.below(ca_params("issuing", &[3])));
    let leaf = old.leaf(&[7]);
    let known = Draft::default().read(&root);
    let ask = |crls: &[Arc<Crl>]| status(&root, &[&old, &new], &leaf, &old, crls);
    let ended = listing(1).ended();
    revoked(&ask(&[ended.read(&new), known.clone()]));
    revoked(&ask(&[Draft::default().from(YOUNGER).read(&new), ended.read(&old), known.clone()]));
    good(&ask(&[ended.read(&old), Draft::default().from(YOUNGER).read(&old), known.clone()]));
    // Nobody who is revoked lists anybody.
    let revokes = Draft::of(&[entry(&[3], &[])]).read(&root);
    unknown(&ask(&[ended.read(&new), revokes]), "is revoked");
    // Nor somebody of the name whom nobody certified.
    let stranger = Ca::root().below(ca_params("issuing", &[2]));
    unknown(&ask(&[listing(1).read(&stranger), known]), "signature");
}
