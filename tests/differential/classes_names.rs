//! Classes of names: distinguished names that are compared (RFC 5280 §7.1), and name constraints (§4.2.1.10).

use super::classes::{Class, Group, class};
use super::der::{bmp, boolean, element, integer, oid, sequence, universal};
use super::model::{
    BASIC_CONSTRAINTS, Draft, NAME_CONSTRAINTS, Random, SUBJECT_ALT_NAME, extension, name,
};

const UTF8: u8 = 0x0c;
const PRINTABLE: u8 = 0x13;
const TELETEX: u8 = 0x14;
const UNIVERSAL: u8 = 0x1c;
const BMP: u8 = 0x1e;

/// A string's tag and text.
type Text = (u8, &'static str);
type Octets = &'static [u8];

fn octets(tag: u8, text: &str) -> Vec<u8> {
    match tag {
        BMP => bmp(text),
        UNIVERSAL => universal(text),
        _ => text.as_bytes().to_vec(),
    }
}

/// A name with this organisation, in a string of this tag.
fn organization(tag: u8, text: &str) -> Vec<u8> {
    name(&[("2.5.4.6", PRINTABLE, b"DE".to_vec()), ("2.5.4.10", tag, octets(tag, text))])
}

/// A CA's name as its own certificate and the one below it spell it: class, whether both are equal, tags and texts.
const CHAINS: &[(&str, bool, Text, Text)] = &[
    ("name-in-another-case", true, (UTF8, "Example Org"), (UTF8, "EXAMPLE org")),
    ("name-with-more-blanks", true, (UTF8, "Example Org"), (UTF8, " Example   Org ")),
    ("name-in-a-printable-string", true, (UTF8, "Example Org"), (PRINTABLE, "Example Org")),
    ("name-of-sharp-s", true, (UTF8, "Straße"), (UTF8, "STRASSE")),
    ("name-in-a-composed-form", true, (UTF8, "Caf\u{e9}"), (UTF8, "Cafe\u{301}")),
    ("name-with-a-soft-hyphen", true, (UTF8, "Example"), (UTF8, "Exam\u{ad}ple")),
    ("name-beyond-ascii-in-another-case", true, (UTF8, "MÜLLER"), (UTF8, "müller")),
    ("name-in-a-universal-string", true, (UNIVERSAL, "Example"), (UNIVERSAL, "Example")),
    ("name-in-a-bmp-string", true, (BMP, "Exämple"), (BMP, "Exämple")),
    ("name-in-a-teletex-string", true, (TELETEX, "Example"), (TELETEX, "Example")),
    ("name-with-another-letter", false, (UTF8, "Example"), (UTF8, "Exemple")),
    ("name-without-an-accent", false, (UTF8, "Café"), (UTF8, "Cafe")),
    ("name-without-a-blank", false, (UTF8, "Example Org"), (UTF8, "ExampleOrg")),
    ("name-in-another-script", false, (UTF8, "Aurora"), (UTF8, "\u{410}urora")),
];

pub fn names() -> Vec<Class> {
    let chained = CHAINS.iter().map(|(title, is_good, subject, issuer)| {
        class(title, Group::Names, *is_good, |random: &mut Random, draft: &mut Draft| {
            let at = draft.some_ca(random);
            draft.certificates[at].subject = organization(subject.0, subject.1);
            draft.certificates[at + 1].issuer = Some(organization(issuer.0, issuer.1));
        })
    });
    let types =
        [("name-of-an-oid-of-two-octets", "2.999"), ("name-of-an-oid-in-arc-2-999", "2.999.7")];
    let typed = types.into_iter().map(|(title, id)| {
        class(title, Group::Names, true, move |random, draft| {
            let at = draft.some_ca(random);
            draft.certificates[at].subject =
                name(&[("2.5.4.3", UTF8, b"odd".to_vec()), (id, UTF8, random.word().into_bytes())]);
        })
    });
    let self_issued =
        class("path-length-0-and-a-self-issued-ca-below", Group::Alone, true, |_, draft| {
            let at = draft.last_ca() - 1;
            let basic = sequence(&[boolean(true), integer(0)]);
            draft.certificates[at].set(extension(BASIC_CONSTRAINTS, true, basic));
            draft.certificates[at + 1].subject = draft.certificates[at].subject.clone();
        });
    let wrong = class("wrong-issuer-name", Group::Names, false, |random, draft| {
        let at = draft.some(random);
        let other = name(&[("2.5.4.3", 0x0c, random.word().into_bytes())]);
        draft.certificates[at].issuer = Some(other);
    });
    chained.chain(typed).chain([self_issued, wrong]).collect()
}

const MAIL: u8 = 0x81;
const DNS: u8 = 0x82;
const URI: u8 = 0x86;
const ADDRESS: u8 = 0x87;

/// The classes of name constraints: kind, constraint, name, and whether the name is within the constraint.
const WITHIN: &[(&str, u8, Octets, Octets, bool)] = &[
    ("dns-itself", DNS, b"example.net", b"example.net", true),
    ("dns-below", DNS, b"example.net", b"a.b.example.net", true),
    ("dns-in-another-case", DNS, b"example.net", b"GW.EXAMPLE.NET", true),
    ("dns-beside", DNS, b"example.net", b"example.org", false),
    ("dns-that-ends-alike", DNS, b"example.net", b"badexample.net", false),
    ("dns-above", DNS, b"a.example.net", b"example.net", false),
    ("mail-at-host", MAIL, b"example.net", b"op@example.net", true),
    ("mail-at-host-in-another-case", MAIL, b"example.net", b"op@EXAMPLE.net", true),
    ("mail-below-host", MAIL, b"example.net", b"op@a.example.net", false),
    ("mail-below-domain", MAIL, b".example.net", b"op@a.example.net", true),
    ("mail-at-domain", MAIL, b".example.net", b"op@example.net", false),
    ("mailbox", MAIL, b"op@example.net", b"op@example.net", true),
    ("mailbox-of-another", MAIL, b"op@example.net", b"cp@example.net", false),
    ("mailbox-in-another-case", MAIL, b"op@example.net", b"OP@example.net", false),
    ("mail-with-a-quoted-local-part", MAIL, b"example.net", b"\"a b\"@example.net", true),
    ("mail-with-a-quoted-at", MAIL, b"example.net", b"\"a@b\"@example.net", true),
    ("uri-at-host", URI, b"www.example.net", b"http://www.example.net/x", true),
    ("uri-at-host-with-port", URI, b"www.example.net", b"ldap://www.example.net:389/x", true),
    ("uri-at-another-host", URI, b"www.example.net", b"http://example.net/x", false),
    ("uri-below-domain", URI, b".example.net", b"http://www.example.net/x", true),
    ("uri-at-domain", URI, b".example.net", b"http://example.net/x", false),
    ("address-itself", ADDRESS, &[192, 0, 2, 7, 255, 255, 255, 255], &[192, 0, 2, 7], true),
    ("address-in-network", ADDRESS, &[192, 0, 2, 0, 255, 255, 255, 0], &[192, 0, 2, 9], true),
    ("address-beside-network", ADDRESS, &[192, 0, 2, 0, 255, 255, 255, 0], &[192, 0, 3, 9], false),
    ("address-6-below-network-4", ADDRESS, &[192, 0, 2, 0, 255, 255, 255, 0], &[1; 16], false),
];

/// Names of organisations: the constraint's and the certificate's.
const WITHIN_NAMES: &[(&str, Text, Text, bool)] = &[
    ("dn-itself", (UTF8, "Example"), (UTF8, "Example"), true),
    ("dn-in-another-case", (UTF8, "Example"), (UTF8, "EXAMPLE"), true),
    ("dn-in-another-encoding", (UTF8, "Example"), (PRINTABLE, "Example"), true),
    ("dn-of-sharp-s", (UTF8, "Straße"), (UTF8, "STRASSE"), true),
    ("dn-in-a-composed-form", (UTF8, "Caf\u{e9}"), (UTF8, "CAFE\u{301}"), true),
    ("dn-with-a-soft-hyphen", (UTF8, "Example"), (UTF8, "Exam\u{ad}ple"), true),
    ("dn-in-a-universal-string", (UTF8, "Example"), (UNIVERSAL, "example"), true),
    ("dn-of-another", (UTF8, "Example"), (UTF8, "Other"), false),
    ("dn-that-begins-alike", (UTF8, "Example"), (UTF8, "Example Two"), false),
];

/// Classes for permitted or excluded subtrees only. With the other, another validator would accept a path that it must refuse; the tests of
/// `ca` cover those.
const NOT_ASKED: &[(bool, &str)] = &[
    (true, "mailbox-in-another-case"),
    (false, "mail-with-a-quoted-at"),
    (false, "dn-of-sharp-s"),
    (false, "dn-in-a-composed-form"),
    (false, "dn-with-a-soft-hyphen"),
    (false, "dn-in-a-universal-string"),
];

/// GeneralSubtrees of one name: permitted [0], or excluded [1].
fn constrain(draft: &mut Draft, is_permitted: bool, base: Vec<u8>) {
    let tag = if is_permitted { 0xa0 } else { 0xa1 };
    let constraints = sequence(&[element(tag, &sequence(&[base]))]);
    let at = draft.last_ca();
    draft.certificates[at].set(extension(NAME_CONSTRAINTS, true, constraints));
}

fn title(is_permitted: bool, of: &str) -> &'static str {
    let prefix = if is_permitted { "permitted" } else { "excluded" };
    // A few hundred octets for the run.
    Box::leak(format!("{prefix}-{of}").into_boxed_str())
}

pub fn constraints() -> Vec<Class> {
    let mut all = Vec::new();
    for is_permitted in [true, false] {
        let is_asked = |of: &str| !NOT_ASKED.contains(&(is_permitted, of));
        for (of, kind, base, held, is_within) in WITHIN.iter().filter(|of| is_asked(of.0)) {
            let is_good = is_permitted == *is_within;
            let change = move |_: &mut Random, draft: &mut Draft| {
                constrain(draft, is_permitted, element(*kind, base));
                let names = sequence(&[element(*kind, held)]);
                draft.leaf().set(extension(SUBJECT_ALT_NAME, false, names));
            };
            all.push(class(title(is_permitted, of), Group::Constraints, is_good, change));
        }
        for (of, base, held, is_within) in WITHIN_NAMES.iter().filter(|of| is_asked(of.0)) {
            let is_good = is_permitted == *is_within;
            let change = move |random: &mut Random, draft: &mut Draft| {
                let base = organization(base.0, base.1);
                constrain(draft, is_permitted, element(0xa4, &base));
                let common = ("2.5.4.3", UTF8, random.word().into_bytes());
                let held = ("2.5.4.10", held.0, octets(held.0, held.1));
                let country = ("2.5.4.6", PRINTABLE, b"DE".to_vec());
                draft.leaf().subject = name(&[country, held, common]);
            };
            all.push(class(title(is_permitted, of), Group::Constraints, is_good, change));
        }
    }
    all.extend(other_constraints());
    all
}

fn other_constraints() -> Vec<Class> {
    let class = |name, is_good, change: fn(&mut Random, &mut Draft)| {
        class(name, Group::Constraints, is_good, change)
    };
    vec![
        class("empty-subject", true, |random, draft| {
            let host = format!("{}.example.net", random.word());
            let names = sequence(&[element(0x82, host.as_bytes())]);
            draft.leaf().subject = sequence(&[]);
            draft.leaf().set(extension(SUBJECT_ALT_NAME, true, names));
        }),
        class("registered-id", true, |random, draft| {
            let id = *random.of(&["1.2.3.4", "1.2.3", "2.999.1"]);
            let octets = oid(id)[2..].to_vec();
            let names = sequence(&[element(0x88, &octets)]);
            draft.leaf().set(extension(SUBJECT_ALT_NAME, false, names));
        }),
        class("permitted-of-another-kind", true, |_, draft| {
            constrain(draft, true, element(MAIL, b"example.net"));
        }),
        class("excluded-of-another-kind", true, |_, draft| {
            constrain(draft, false, element(ADDRESS, &[0; 8]));
        }),
        class("permitted-mail-in-subject", true, |_, draft| {
            constrain(draft, true, element(MAIL, b"example.net"));
            in_subject(draft, "op@example.net");
        }),
        class("not-permitted-mail-in-subject", false, |_, draft| {
            constrain(draft, true, element(MAIL, b"example.net"));
            in_subject(draft, "op@example.org");
        }),
        class("excluded-mail-in-subject", false, |_, draft| {
            constrain(draft, false, element(MAIL, b"example.net"));
            in_subject(draft, "op@example.net");
        }),
        class("permitted-empty-mail", false, |_, draft| {
            constrain(draft, true, element(MAIL, b""));
            let names = sequence(&[element(MAIL, b"op@example.net")]);
            draft.leaf().set(extension(SUBJECT_ALT_NAME, false, names));
        }),
        class("permitted-empty-uri", false, |_, draft| {
            constrain(draft, true, element(URI, b""));
            let names = sequence(&[element(URI, b"http://example.net/")]);
            draft.leaf().set(extension(SUBJECT_ALT_NAME, false, names));
        }),
        class("constraint-on-registered-ids", true, |_, draft| {
            constrain(draft, true, element(0x88, &oid("1.2.3.4")[2..]));
        }),
        class("constraint-on-registered-ids-and-one-is-there", false, |_, draft| {
            constrain(draft, true, element(0x88, &oid("1.2.3.4")[2..]));
            let names = sequence(&[element(0x88, &oid("1.2.3.5")[2..])]);
            draft.leaf().set(extension(SUBJECT_ALT_NAME, false, names));
        }),
        class("excluded-in-a-ca-above", false, |_, draft| {
            let at = draft.last_ca();
            constrain(draft, false, element(DNS, b"example.com"));
            let moved = draft.certificates[at].extensions.pop().unwrap();
            draft.certificates[at - 1].set(moved);
        }),
    ]
}

/// A mail address in the subject, without an alternative name.
fn in_subject(draft: &mut Draft, mail: &str) {
    draft.leaf().subject = name(&[("1.2.840.113549.1.9.1", 0x16, mail.as_bytes().to_vec())]);
    draft.leaf().remove(SUBJECT_ALT_NAME);
}
