//! No CRL makes the key good that signed it, and no two make each other so (RFC 5280 §6.1.3 (a)(3), §6.3.3 (f)); with cases that another
//! program wrote (`data/paths`).

use std::path::Path;
use std::sync::Arc;

use countersign_ca::Timestamp;
use countersign_ca::path::crl::{Crl, CrlStatus, status_by_crls};
use countersign_ca::path::{Anchors, Certificate, PathSettings, ValidPath, validate};

use super::draft::{
    Ca, Draft, ca_params, entry, extension, good, indirect, params, revoked, status, unknown,
};

/// 2026-11-30 06:00:00, when the cases in `data/paths` are valid.
const THEN: Timestamp = Timestamp::from_seconds(1_796_018_400);

const YOUNGER: &[u8] = b"260702000000Z";
const YOUNGEST: &[u8] = b"260703000000Z";

struct Case {
    anchors: Anchors,
    path: ValidPath,
    crls: Vec<Arc<Crl>>,
}

impl Case {
    fn read(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/paths").join(name);
        let file = |name: &str| std::fs::read(folder.join(name)).ok();
        let several = |kind: &str| {
            (0..).map_while(|number| file(&format!("{kind}{number}.der"))).collect::<Vec<_>>()
        };
        let certificate = |der| Arc::new(Certificate::from_der(der).unwrap());
        let anchors = Anchors::new([file("root.der").unwrap()]).unwrap();
        let leaf = certificate(file("leaf.der").unwrap());
        let others: Vec<_> = several("ca").into_iter().map(certificate).collect();
        let path = validate(&anchors, &PathSettings::default(), &[leaf], &others, THEN).unwrap();
        let crls = several("crl").iter().map(|der| Arc::new(Crl::from_der(der).unwrap())).collect();
        Self { anchors, path, crls }
    }

    /// From the leaf up, what these CRLs say.
    fn statuses(&self, crls: &[Arc<Crl>]) -> Vec<CrlStatus> {
        let others: Vec<_> =
            self.path.certificates.iter().skip(1).chain([&self.path.anchor]).cloned().collect();
        let of = |(certificate, issuer): (&Arc<Certificate>, &Arc<Certificate>)| {
            status_by_crls(&self.anchors, &others, certificate, issuer, crls, THEN)
        };
        self.path.pairs().map(of).collect()
    }
}

#[test]
fn cases_of_another_program_come_out() {
    for (name, is_revoked) in [
        ("v1-CRL-lists-leaf", true),
        ("delta-number-EQUALS-full-number-5-base-5-removeFromCRL-full", true),
        ("control-delta-number-6", false),
        ("control-c-CRL-good-all-there", false),
    ] {
        let case = Case::read(name);
        let statuses = case.statuses(&case.crls);
        let found = statuses.iter().any(|of| matches!(of, CrlStatus::Revoked { .. }));
        let all_good = statuses.iter().all(|of| matches!(of, CrlStatus::Good(_)));
        assert_eq!((found, all_good), (is_revoked, !is_revoked), "{name}: {statuses:?}");
    }
}

#[test]
fn a_new_key_does_not_speak_for_itself() {
    // root → c → s, of c's name and with a new key, → leaf: without c's own CRL nobody says that s is good.
    let case = Case::read("control-c-CRL-good-all-there");
    let [leaf, s, c] = case.path.certificates.as_slice() else { panic!("{:?}", case.path) };
    assert!(s.is_self_issued() && !leaf.is_self_issued() && !c.is_self_issued());
    let without: Vec<_> = case.crls.iter().filter(|crl| !crl.is_signed_by(c)).cloned().collect();
    assert_eq!(without.len(), 2);
    let statuses = case.statuses(&without);
    good(&statuses[0]);
    unknown(&statuses[1], "found one of its own key");
    good(&statuses[2]);
}

#[test]
fn nor_at_a_root() {
    let root = Ca::root();
    let next = root.below(ca_params("root", &[2]));
    let own = Draft::default().read(&next);
    let ask = |crls: &[Arc<Crl>]| status(&root, &[&next], &next.certificate, &root, crls);
    unknown(&ask(std::slice::from_ref(&own)), "found one of its own key");
    good(&ask(&[own.clone(), Draft::default().read(&root)]));
    // What it says against itself counts.
    revoked(&ask(&[Draft::of(&[entry(&[2], &[])]).read(&next)]));
    // Below it, its CRL is the one that is asked for.
    let leaf = next.leaf(&[7]);
    good(&status(&root, &[&next], &leaf, &next, &[own]));
}

#[test]
fn nor_do_two_keys_speak_for_each_other() {
    let root = Ca::root();
    let (one, two) = (root.below(ca_params("root", &[2])), root.below(ca_params("root", &[3])));
    let (by_one, by_two) = (Draft::default().read(&one), Draft::default().read(&two));
    let ask =
        |of: &Ca, crls: &[Arc<Crl>]| status(&root, &[&one, &two], &of.certificate, &root, crls);
    for of in [&one, &two] {
        unknown(&ask(of, &[by_one.clone(), by_two.clone()]), "");
        good(&ask(of, &[by_one.clone(), by_two.clone(), Draft::default().read(&root)]));
    }
    // The root says of one that it is good. That one may speak for the other, if the root's CRL is for CAs of such a kind only.
    let scope = extension(28, true, &[0x30, 3, 0x81, 1, 0xff]);
    let users = Draft::default().with(&[scope]).read(&root);
    unknown(&ask(&one, &[by_one, by_two, users]), "");
}

#[test]
fn nor_does_whom_a_ca_certified_speak_for_the_ca() {
    // root → c → x; c's certificate names x as the issuer of its CRL.
    let root = Ca::root();
    let name = root.below(ca_params("x", &[9]));
    let mut below_root = ca_params("c", &[2]);
    below_root.custom_extensions = vec![indirect(&name)];
    let c = root.below(below_root);
    let x = c.below(ca_params("x", &[3]));
    let scope = extension(28, true, &[0x30, 3, 0x84, 1, 0xff]);
    let by = |signer: &Ca| Draft::default().with(std::slice::from_ref(&scope)).read(signer);
    let ask = |crls: &[Arc<Crl>]| status(&root, &[&c, &x], &c.certificate, &root, crls);
    unknown(&ask(&[by(&x), Draft::default().read(&c)]), "is not known");
    // An indirect CRL of somebody else whom the root certified, and says to be good, does.
    let crls = [by(&name), Draft::default().read(&root)];
    good(&status(&root, &[&c, &name], &c.certificate, &root, &crls));
}

/// What is not looked at any more may list the certificate.
#[test]
fn nobody_is_good_while_there_are_more_signers_than_are_looked_at() {
    let root = Ca::root();
    let [old, new, third] = [2, 3, 4].map(|serial| root.below(ca_params("issuing", &[serial])));
    let leaf = old.leaf(&[7]);
    let own = [Draft::default().read(&root), Draft::default().read(&old)];
    let ask = |count: u8, last: &Draft| {
        let later = (1..=count).map(|number| Draft::default().numbered(number).from(YOUNGER));
        let crls: Vec<_> = later.map(|draft| draft.read(&new)).collect();
        let crls = [&own[..], &crls, &[last.read(&third)]].concat();
        status(&root, &[&old, &new, &third], &leaf, &old, &crls)
    };
    let (clean, listing) = (Draft::default(), Draft::of(&[entry(&[7], &[])]));
    good(&ask(60, &clean));
    revoked(&ask(60, &listing));
    for draft in [&clean, &listing] {
        let found = ask(70, draft);
        let CrlStatus::Unsettled(why) = &found else { panic!("{found:?}") };
        assert!(why.contains("more than 64 signers"), "{why}");
    }
    // Whom one lists that was looked at is revoked.
    revoked(&ask(70, &listing.from(YOUNGEST)));
}

#[test]
fn an_anchor_speaks_for_others_without_a_crl_about_itself() {
    let root = Ca::root();
    let c = root.below(ca_params("c", &[2]));
    let mut leaf = params("gw", &[7]);
    leaf.custom_extensions = vec![indirect(&root)];
    let leaf = c.certify(&leaf, &rcgen::KeyPair::generate().unwrap());
    let scope = extension(28, true, &[0x30, 3, 0x84, 1, 0xff]);
    let by_root =
        |entries: &[Vec<u8>]| Draft::of(entries).with(std::slice::from_ref(&scope)).read(&root);
    good(&status(&root, &[&c], &leaf, &c, &[by_root(&[])]));
    let name = der::Encode::to_der(&c.certificate.subject_name).unwrap();
    let issuer = super::draft::seq(&[&super::draft::tlv(0xa4, &name)]);
    let listed = entry(&[7], &[extension(29, true, &issuer)]);
    revoked(&status(&root, &[&c], &leaf, &c, &[by_root(&[listed])]));
    // A serial number alone is one of the root's own.
    good(&status(&root, &[&c], &leaf, &c, &[by_root(&[entry(&[7], &[])])]));
}
