//! Paths that NIST's suite and x509-limbo do not have: hostile bundles, flipped octets, CAs of one name, constraints on mail addresses
//! and directory names, key purposes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

use std::sync::Arc;

use countersign_ca::Timestamp;
use countersign_ca::name::same_name;
use countersign_ca::path::{
    Anchors, Certificate, Initial, PathError, PathSettings, ValidPath, object_identifier, validate,
};
use der::asn1::{Any, BitString, ObjectIdentifier};
use der::{Decode, Encode, Tag};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, DnValue,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    NameConstraints, SanType, SigningKey,
};
use x509_cert::name::Name;

const NOW: Timestamp = Timestamp::from_seconds(1_785_000_000);

fn params(name: &str, is_ca: bool) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Example");
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca =
        if is_ca { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::ExplicitNoCa };
    params.use_authority_key_identifier_extension = true;
    params
}

/// A CA: its certificate, its key, and what signs with it.
struct Ca {
    der: Vec<u8>,
    params: CertificateParams,
    key: KeyPair,
}

impl Ca {
    fn root(name: &str) -> Self {
        let (params, key) = (params(name, true), KeyPair::generate().unwrap());
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self { der, params, key }
    }

    fn sign(&self, params: &CertificateParams, key: &KeyPair) -> Vec<u8> {
        params.signed_by(key, &Issuer::from_params(&self.params, &self.key)).unwrap().der().to_vec()
    }

    fn below(&self, params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        Self { der: self.sign(&params, &key), params, key }
    }

    fn leaf(&self, params: &CertificateParams) -> Vec<u8> {
        self.sign(params, &KeyPair::generate().unwrap())
    }
}

fn check(anchors: &[&Ca], chain: Vec<Vec<u8>>) -> Result<ValidPath, PathError> {
    check_with(anchors, chain, &PathSettings::default())
}

fn check_with(
    anchors: &[&Ca],
    chain: Vec<Vec<u8>>,
    settings: &PathSettings,
) -> Result<ValidPath, PathError> {
    let anchors = Anchors::new(anchors.iter().map(|ca| ca.der.clone())).unwrap();
    let chain: Vec<_> = chain
        .into_iter()
        .map(|der| Certificate::from_der(der).map(Arc::new))
        .collect::<Result<_, _>>()?;
    validate(&anchors, settings, &chain, &[], NOW)
}

#[test]
fn no_octet_of_a_certificate_may_change() {
    let root = Ca::root("root");
    let leaf = root.leaf(&params("gw", false));
    check(&[&root], vec![leaf.clone()]).unwrap();
    for position in 0..leaf.len() {
        let mut changed = leaf.clone();
        changed[position] ^= 1 << (position % 8);
        assert!(check(&[&root], vec![changed]).is_err(), "octet {position} of {}", leaf.len());
    }
    for length in 0..leaf.len() {
        assert!(check(&[&root], vec![leaf[..length].to_vec()]).is_err());
    }
}

#[test]
fn a_bundle_of_cas_with_one_name_costs_no_more_than_is_allowed() {
    let root = Ca::root("root");
    let real = root.below(params("many", true));
    let leaf = real.leaf(&params("gw", false));
    // Others of the same name, each certified by the next: none of them signed the leaf.
    let others: Vec<Ca> = (0..200).map(|_| Ca::root("many")).collect();
    let mut chain = vec![leaf.clone()];
    chain.extend(others.windows(2).map(|pair| pair[1].sign(&pair[0].params, &pair[0].key)));
    let error = check(&[&root], chain.clone()).unwrap_err();
    assert!(matches!(error, PathError::TooMuch(_)), "{error}");
    // The right one among a few others is found.
    chain.truncate(20);
    chain.push(real.der.clone());
    assert_eq!(check(&[&root], chain).unwrap().certificates.len(), 2);
    // A circle ends.
    let (a, b) = (Ca::root("a"), Ca::root("b"));
    let chain =
        vec![a.leaf(&params("gw", false)), b.sign(&a.params, &a.key), a.sign(&b.params, &b.key)];
    assert!(matches!(check(&[&root], chain), Err(PathError::NoIssuer { .. })));
}

#[test]
fn names_that_are_long_and_many_cost_no_more_than_is_allowed() {
    let root = Ca::root("root");
    // Four CAs of a stranger, each certified by each other one: a few certificates, and many ways through them.
    let cas: Vec<Ca> = (0..4).map(|n| Ca::root(&format!("{n}{}", "long ".repeat(1400)))).collect();
    let web = |cas: &[Ca]| {
        let mut chain = vec![cas[0].leaf(&params("gw", false))];
        for (of, by) in (0..4).flat_map(|of| (0..4).map(move |by| (of, by))) {
            if of != by {
                chain.push(cas[by].sign(&cas[of].params, &cas[of].key));
            }
        }
        chain
    };
    let chain = web(&cas);
    assert!(chain.iter().map(Vec::len).sum::<usize>() < 192 << 10, "it fits in a question");
    let error = check(&[&root], chain).unwrap_err();
    assert!(matches!(error, PathError::TooLong(_)), "{error}");
    // With names as they are there is nothing to it.
    let cas: Vec<Ca> = (0..4).map(|n| Ca::root(&format!("CA {n}"))).collect();
    assert!(matches!(check(&[&root], web(&cas)), Err(PathError::NoIssuer { .. })));
    let mut chain = web(&cas);
    chain.push(root.sign(&cas[3].params, &cas[3].key));
    check(&[&root], chain).unwrap();
}

#[test]
fn names_and_constraints_are_compared_within_what_is_allowed() {
    let constrained = |count: usize| {
        let excluded = (0..count).map(|n| GeneralSubtree::DnsName(format!("no{n}.example.net")));
        let mut params = params("sub", true);
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: Vec::new(),
            excluded_subtrees: excluded.collect(),
        });
        params
    };
    let root = Ca::root("root");
    for (count, is_allowed) in [(200, true), (1500, false)] {
        let sub = root.below(constrained(count));
        let mut leaf = params("gw", false);
        let name = |n| SanType::DnsName(format!("gw{n}.example.net").try_into().unwrap());
        leaf.subject_alt_names = (0..count).map(name).collect();
        let found = check(&[&root], vec![sub.leaf(&leaf), sub.der.clone()]);
        assert_eq!(found.is_ok(), is_allowed, "{count}: {found:?}");
        if let Err(error) = found {
            assert!(matches!(error, PathError::TooLong(_)), "{error}");
        }
    }
}

#[test]
fn of_two_anchors_of_one_name_the_one_that_signed_counts() {
    let (old, new) = (Ca::root("root"), Ca::root("root"));
    for ca in [&old, &new] {
        let path = check(&[&old, &new], vec![ca.leaf(&params("gw", false))]).unwrap();
        assert_eq!(path.anchor.der(), ca.der);
    }
    let error = check(&[&old], vec![new.leaf(&params("gw", false))]).unwrap_err().to_string();
    assert!(error.contains("signature of the anchor"), "{error}");
}

#[test]
fn constraints_on_mail_addresses_and_directory_names() {
    let root = Ca::root("root");
    let constrained = |permitted: Vec<GeneralSubtree>, excluded: Vec<GeneralSubtree>| {
        let mut params = params("constrained", true);
        params.name_constraints =
            Some(NameConstraints { permitted_subtrees: permitted, excluded_subtrees: excluded });
        root.below(params)
    };
    let leaf = |ca: &Ca, name: &str, mail: &str| {
        let mut params = params(name, false);
        params.subject_alt_names = vec![SanType::Rfc822Name(mail.try_into().unwrap())];
        check(&[&root], vec![ca.leaf(&params), ca.der.clone()])
    };
    let mail = |base: &str| GeneralSubtree::Rfc822Name(base.to_owned());
    for (base, address, good) in [
        ("example.net", "op@example.net", true),
        ("example.net", "op@EXAMPLE.net", true),
        ("example.net", "op@sub.example.net", false),
        (".example.net", "op@sub.example.net", true),
        (".example.net", "op@example.net", false),
        ("op@example.net", "op@example.net", true),
        ("op@example.net", "Op@example.net", false),
        ("example.net", "op@notexample.net", false),
    ] {
        let result = leaf(&constrained(vec![mail(base)], Vec::new()), "gw", address);
        assert_eq!(result.is_ok(), good, "{address} in {base}: {result:?}");
        let result = leaf(&constrained(Vec::new(), vec![mail(base)]), "gw", address);
        assert_eq!(result.is_err(), good, "{address} not in {base}: {result:?}");
    }
    let organization = |name: &str| {
        let mut dn = DistinguishedName::new();
        dn.push(DnType::OrganizationName, name);
        GeneralSubtree::DirectoryName(dn)
    };
    leaf(&constrained(vec![organization("EXAMPLE")], Vec::new()), "gw", "op@example.net").unwrap();
    let error = leaf(&constrained(vec![organization("Other")], Vec::new()), "gw", "op@example.net");
    let error = error.unwrap_err().to_string();
    assert!(error.contains("dn:CN=gw,O=Example") && error.contains("dn:O=Other"), "{error}");
}

/// Another encoding of an excluded name is that name.
#[test]
fn names_are_the_same_in_every_encoding() {
    let root = Ca::root("root");
    let name = |value: DnValue| {
        let mut name = DistinguishedName::new();
        name.push(DnType::OrganizationName, value);
        name
    };
    let encodings = || {
        [
            DnValue::Utf8String("Café  Bad".into()),
            DnValue::BmpString("CAFÉ bad".try_into().unwrap()),
            DnValue::TeletexString(rcgen::string::TeletexString::try_from("Cafe Bad").unwrap()),
            DnValue::PrintableString("cafe bad".try_into().unwrap()),
        ]
    };
    for (base, same) in [(0, [0, 1]), (1, [0, 1]), (2, [2, 3]), (3, [2, 3])] {
        let mut constrained = params("constrained", true);
        let base = GeneralSubtree::DirectoryName(name(encodings()[base].clone()));
        constrained.name_constraints =
            Some(NameConstraints { permitted_subtrees: Vec::new(), excluded_subtrees: vec![base] });
        let ca = root.below(constrained);
        for (number, encoding) in encodings().into_iter().enumerate() {
            let mut leaf = params("gw", false);
            leaf.distinguished_name = name(encoding);
            let checked = check(&[&root], vec![ca.leaf(&leaf), ca.der.clone()]);
            assert_eq!(checked.is_err(), same.contains(&number), "{number}: {checked:?}");
            if let Err(error) = checked {
                assert!(error.to_string().contains("which a CA above it excludes"), "{error}");
            }
        }
    }
}

/// A root, and a CA below it that permits or excludes these names.
fn below_constraints(
    root: &Ca,
    permitted: Vec<GeneralSubtree>,
    excluded: Vec<GeneralSubtree>,
) -> Ca {
    let mut params = params("constrained", true);
    params.name_constraints =
        Some(NameConstraints { permitted_subtrees: permitted, excluded_subtrees: excluded });
    root.below(params)
}

fn organization(value: DnValue) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, value);
    name
}

/// RFC 5280 §7.1, RFC 4518 §2: what is the same name is permitted or excluded with it, and what may be is excluded only.
#[test]
fn names_beyond_ascii_are_prepared_before_they_are_compared() {
    let root = Ca::root("root");
    let utf8 = |text: &str| DnValue::Utf8String(text.to_owned());
    let teletex = |text: &str| {
        // rcgen takes ASCII only.
        assert!(text.is_ascii());
        DnValue::TeletexString(text.try_into().unwrap())
    };
    let universal = |text: &str| DnValue::UniversalString(text.try_into().unwrap());
    let bmp = |text: &str| DnValue::BmpString(text.try_into().unwrap());
    for (base, name, permitted, excluded) in [
        (utf8("Straße"), utf8("STRASSE"), true, true),
        (utf8("Strasse"), bmp("straße"), true, true),
        (utf8("Caf\u{e9}"), utf8("CAFE\u{301}"), true, true),
        (utf8("Example"), utf8("Exam\u{ad}ple"), true, true),
        (utf8("Exam\u{ad}ple"), teletex("example"), true, true),
        (utf8("Example"), utf8("Exam\u{200b}ple\u{feff}"), true, true),
        (utf8("Two Words"), utf8("two\u{a0}\u{2003}words "), true, true),
        (universal("Straße"), utf8("STRASSE"), true, true),
        (utf8("Straße"), universal("STRASSE"), true, true),
        // Younger than Unicode 3.2.
        (utf8("Strasse"), utf8("Stra\u{1e9e}e"), false, true),
        (utf8("Example"), utf8("Example \u{1f600}"), false, true),
        (utf8("Example \u{1f600}"), utf8("Example \u{1f600}"), true, true),
        (utf8("Other"), utf8("Example \u{1f600}"), false, false),
        (utf8("Cafe"), utf8("Caf\u{e9}"), false, false),
        (utf8("Strase"), utf8("Straße"), false, false),
    ] {
        let subtree = || vec![GeneralSubtree::DirectoryName(organization(base.clone()))];
        let mut leaf = params("gw", false);
        leaf.distinguished_name = organization(name.clone());
        for (ca, good) in [
            (below_constraints(&root, subtree(), Vec::new()), permitted),
            (below_constraints(&root, Vec::new(), subtree()), !excluded),
        ] {
            let checked = check(&[&root], vec![ca.leaf(&leaf), ca.der.clone()]);
            assert_eq!(checked.is_ok(), good, "{base:?}, {name:?}: {checked:?}");
        }
    }
    // A chain joins the same names, and only those that certainly are.
    for (subject, issuer, good) in [
        ("Straße", "STRASSE", true),
        ("Caf\u{e9}", "CAFE\u{301}", true),
        ("Exam\u{ad}ple", "example", true),
        ("Example \u{1f600}", "Example \u{1f600}", true),
        ("Example \u{1f600}", "EXAMPLE \u{1f600}", false),
        ("Stra\u{1e9e}e", "Strasse", false),
    ] {
        let mut ca = params("ca", true);
        ca.distinguished_name = organization(utf8(subject));
        let ca = root.below(ca);
        let mut written = ca.params.clone();
        written.distinguished_name = organization(utf8(issuer));
        let key = KeyPair::generate().unwrap();
        let leaf = params("gw", false).signed_by(&key, &Issuer::from_params(&written, &ca.key));
        let checked = check(&[&root], vec![leaf.unwrap().der().to_vec(), ca.der.clone()]);
        assert_eq!(checked.is_ok(), good, "{subject}, {issuer}: {checked:?}");
    }
}

/// What a TeletexString has beyond ASCII is read in several ways: it is compared to the octet, unless it is excluded.
#[test]
fn teletex_beyond_ascii_is_not_certain() {
    let root = Ca::root("root");
    // `Knöll`, as Latin-1 has it.
    let subject = |tag: u8, octets: &[u8]| {
        let length = |of: &[u8]| u8::try_from(of.len()).unwrap();
        let element = |tag: u8, content: &[u8]| [&[tag, length(content)], content].concat();
        let attribute = element(0x30, &[element(6, &[0x55, 4, 10]), element(tag, octets)].concat());
        Name::from_der(&element(0x30, &element(0x31, &attribute))).unwrap()
    };
    let latin = subject(0x14, b"Kn\xf6ll");
    assert!(same_name(&latin, &subject(0x14, b"Kn\xf6ll")));
    assert!(!same_name(&latin, &subject(0x14, b"Kn\xf6LL")));
    assert!(!same_name(&latin, &subject(0x0c, "Knöll".as_bytes())));
    for (base, excluded) in [("Knöll", true), ("K", true), ("Kaiser", true), ("Schmidt", false)] {
        let base = GeneralSubtree::DirectoryName(organization(DnValue::Utf8String(base.into())));
        let ca = below_constraints(&root, Vec::new(), vec![base.clone()]);
        let mut leaf = params("gw", false);
        // rcgen checks that it is ASCII, and writes it as it is: of the same length, and replaced in what is signed.
        leaf.distinguished_name = organization(DnValue::TeletexString("Kn?ll".try_into().unwrap()));
        let der = signed_again(&ca, &ca.leaf(&leaf), b"\x14\x05Kn?ll", b"\x14\x05Kn\xf6ll");
        let checked = check(&[&root], vec![der, ca.der.clone()]);
        assert_eq!(checked.is_err(), excluded, "{base:?}: {checked:?}");
    }
}

/// A certificate of this CA with other octets of the same length, signed again.
fn signed_again(ca: &Ca, der: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let certificate = x509_cert::Certificate::from_der(der).unwrap();
    let mut signed = certificate.tbs_certificate.to_der().unwrap();
    let at = signed.windows(from.len()).position(|window| window == from).unwrap();
    signed[at..at + from.len()].copy_from_slice(to);
    let signature = ca.key.sign(&signed).unwrap();
    let signature = BitString::from_bytes(&signature).unwrap();
    let rest = [certificate.signature_algorithm.to_der().unwrap(), signature.to_der().unwrap()];
    Any::new(Tag::Sequence, [signed, rest.concat()].concat()).unwrap().to_der().unwrap()
}

/// An empty name is no form of RFC 5280 §4.2.1.10: it permits nothing, and excludes all of its kind.
#[test]
fn an_empty_mail_or_uri_name_permits_nothing() {
    let root = Ca::root("root");
    let mail = SanType::Rfc822Name("op@example.net".try_into().unwrap());
    let uri = SanType::URI("http://example.net/".try_into().unwrap());
    let dns = SanType::DnsName("gw.example.net".try_into().unwrap());
    let empty_mail = || GeneralSubtree::Rfc822Name(String::new());
    let with = |ca: &Ca, der: Vec<u8>, name: &SanType| {
        let mut leaf = params("gw", false);
        leaf.subject_alt_names = vec![name.clone()];
        check(&[&root], vec![ca.leaf(&leaf), der])
    };
    for is_permitted in [true, false] {
        let constrained = |base: GeneralSubtree| match is_permitted {
            true => below_constraints(&root, vec![base], Vec::new()),
            false => below_constraints(&root, Vec::new(), vec![base]),
        };
        let ca = constrained(empty_mail());
        let error = with(&ca, ca.der.clone(), &mail).unwrap_err().to_string();
        let words = if is_permitted { "is not within" } else { "may be within" };
        assert!(error.contains(words), "{error}");
        with(&ca, ca.der.clone(), &uri).unwrap();
        with(&ca, ca.der.clone(), &dns).unwrap();
        // rcgen has no constraint on URIs: what it writes for mail, with the other tag.
        let ca = constrained(empty_mail());
        let der = signed_again(&root, &ca.der, &[0x30, 2, 0x81, 0], &[0x30, 2, 0x86, 0]);
        let error = with(&ca, der.clone(), &uri).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        with(&ca, der.clone(), &mail).unwrap();
        with(&ca, der, &dns).unwrap();
    }
}

/// RFC 5321 §4.1.2 in RFC 5280 §4.2.1.6.
#[test]
fn a_quoted_local_part_is_a_mailbox() {
    let root = Ca::root("root");
    for (base, address, good) in [
        ("example.net", r#""a b"@example.net"#, true),
        ("example.net", r#""a@b"@example.net"#, true),
        ("example.net", r#""a\"b"@example.net"#, true),
        ("example.net", r#""a@example.net"@example.org"#, false),
        (".example.net", r#""a b"@sub.example.net"#, true),
        ("op@example.net", r#""op"@EXAMPLE.net"#, true),
        (r#""o\p"@example.net"#, "op@example.net", true),
        ("op@example.net", r#""Op"@example.net"#, false),
        ("example.net", "op@[192.0.2.1]", false),
        ("op@[192.0.2.1]", "op@[192.0.2.1]", true),
    ] {
        let subtree = || vec![GeneralSubtree::Rfc822Name(base.to_owned())];
        let mut leaf = params("gw", false);
        leaf.subject_alt_names = vec![SanType::Rfc822Name(address.try_into().unwrap())];
        for (ca, good) in [
            (below_constraints(&root, subtree(), Vec::new()), good),
            (below_constraints(&root, Vec::new(), subtree()), !good),
        ] {
            let checked = check(&[&root], vec![ca.leaf(&leaf), ca.der.clone()]);
            assert_eq!(checked.is_ok(), good, "{base}, {address}: {checked:?}");
        }
    }
    // What is no mailbox is refused below any constraint on mail, and what is no constraint for whatever stands below it.
    let ca = below_constraints(
        &root,
        Vec::new(),
        vec![GeneralSubtree::Rfc822Name("example.org".to_owned())],
    );
    for address in [
        r#""a"b@example.net"#,
        r#""a@example.net"#,
        r#""a"@"#,
        "a@b@example.net",
        "a b@example.net",
        "@example.net",
        "op@[example.net]",
        r#"a"b"@example.net"#,
    ] {
        let mut leaf = params("gw", false);
        leaf.subject_alt_names = vec![SanType::Rfc822Name(address.try_into().unwrap())];
        let error = check(&[&root], vec![ca.leaf(&leaf), ca.der.clone()]).unwrap_err().to_string();
        assert!(error.contains("cannot be held against"), "{address}: {error}");
    }
    for base in ["op@", "@example.net", "exam ple.net", "..example.net", "."] {
        let ca =
            below_constraints(&root, Vec::new(), vec![GeneralSubtree::Rfc822Name(base.to_owned())]);
        let error = check(&[&root], vec![ca.leaf(&params("gw", false)), ca.der.clone()]);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("is no mail address, host or domain"), "{base}: {error}");
    }
}

/// X.690 §8.19: object identifiers of every length, with arcs of every size, wherever they stand.
#[test]
fn object_identifiers_of_all_kinds_are_read() {
    let root = Ca::root("root");
    let long = ["1.3.6.1.4.1.99", &".4000000000".repeat(9)].concat();
    let very_long = ["1.2", &".5".repeat(500)].concat();
    for text in [
        "1.2.3",
        "1.2",
        "2.999",
        "2.999.1",
        "2.40.5",
        "2.25.340282366920938463463374607431768211455",
        &long,
        &very_long,
    ] {
        // rcgen has numbers of 64 bits only, and no OID of one octet.
        let octets = encoded(text);
        let oid = element(6, &octets);
        let extension = |id: &[u64], content: &[u8]| {
            CustomExtension::from_oid_content(id, element(0x30, content))
        };
        let settings = |purpose: &str, policy: &str| PathSettings {
            key_purposes: vec![object_identifier(purpose).unwrap()],
            initial: Initial {
                policies: vec![object_identifier(policy).unwrap()],
                explicit_policy: true,
                ..Initial::default()
            },
            ..PathSettings::default()
        };
        let mut leaf = params("gw", false);
        let policy = element(0x30, &oid);
        let registered = element(0x88, &octets);
        leaf.custom_extensions = vec![
            extension(&[2, 5, 29, 37], &oid),
            extension(&[2, 5, 29, 32], &policy),
            extension(&[2, 5, 29, 17], &registered),
            // id-pe-authorityInfoAccess, by a method that nobody knows
            extension(
                &[1, 3, 6, 1, 5, 5, 7, 1, 1],
                &element(0x30, &[oid.clone(), element(0x86, b"http://example.com")].concat()),
            ),
        ];
        let der = root.leaf(&leaf);
        check_with(&[&root], vec![der.clone()], &settings(text, text)).expect(text);
        for (purpose, policy) in [(text, "2.999.2"), ("2.999.2", text)] {
            check_with(&[&root], vec![der.clone()], &settings(purpose, policy)).unwrap_err();
        }
    }
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let head = match length {
        0..=0x7f => vec![tag, u8::try_from(length).unwrap()],
        0x80..=0xff => vec![tag, 0x81, u8::try_from(length).unwrap()],
        _ => [&[tag, 0x82][..], &u16::try_from(length).unwrap().to_be_bytes()].concat(),
    };
    [head, content.to_vec()].concat()
}

/// X.690 §8.19.2, written another way than the code that is tested.
fn encoded(text: &str) -> Vec<u8> {
    let arcs: Vec<u128> = text.split('.').map(|arc| arc.parse().unwrap()).collect();
    let first = arcs[0] * 40 + arcs[1];
    let octets = |arc: u128| {
        let digits = (128 - arc.leading_zeros()).div_ceil(7).max(1);
        (0..digits).rev().map(move |digit| {
            let bits = u8::try_from(arc >> (7 * digit) & 0x7f).unwrap();
            if digit == 0 { bits } else { bits | 0x80 }
        })
    };
    // 128 bits and 80 more would not fit, and no test has them.
    std::iter::once(first).chain(arcs[2..].iter().copied()).flat_map(octets).collect()
}

/// RFC 4945 §5.1.3.2; without keyUsage anything is allowed, and where no signer is meant nothing is asked.
#[test]
fn a_peer_has_a_key_for_signatures() {
    let root = Ca::root("root");
    let peer = PathSettings { signs: true, ..PathSettings::default() };
    let with = |usages: &[KeyUsagePurpose], settings: &PathSettings| {
        let mut params = params("gw", false);
        params.key_usages = usages.to_vec();
        check_with(&[&root], vec![root.leaf(&params)], settings)
    };
    with(&[], &peer).unwrap();
    with(&[KeyUsagePurpose::DigitalSignature], &peer).unwrap();
    with(&[KeyUsagePurpose::ContentCommitment, KeyUsagePurpose::KeyEncipherment], &peer).unwrap();
    for usage in [KeyUsagePurpose::KeyEncipherment, KeyUsagePurpose::KeyAgreement] {
        let error = with(&[usage], &peer).unwrap_err().to_string();
        assert!(error.contains("neither digitalSignature nor nonRepudiation"), "{error}");
        with(&[usage], &PathSettings::default()).unwrap();
    }
}

#[test]
fn key_purposes_and_unknown_critical_extensions() {
    let root = Ca::root("root");
    let ipsec = PathSettings {
        key_purposes: vec![ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.17")],
        ..PathSettings::default()
    };
    let with = |purposes: Vec<ExtendedKeyUsagePurpose>| {
        let mut params = params("gw", false);
        params.extended_key_usages = purposes;
        check_with(&[&root], vec![root.leaf(&params)], &ipsec)
    };
    with(Vec::new()).unwrap();
    with(vec![ExtendedKeyUsagePurpose::Any]).unwrap();
    with(vec![ExtendedKeyUsagePurpose::Other(vec![1, 3, 6, 1, 5, 5, 7, 3, 17])]).unwrap();
    let error = with(vec![ExtendedKeyUsagePurpose::CodeSigning]).unwrap_err().to_string();
    assert!(error.contains("1.3.6.1.5.5.7.3.17") && error.contains("1.3.6.1.5.5.7.3.3"), "{error}");

    let mut unknown = params("gw", false);
    let mut extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99], vec![5, 0]);
    extension.set_criticality(true);
    unknown.custom_extensions = vec![extension];
    let error = check(&[&root], vec![root.leaf(&unknown)]).unwrap_err().to_string();
    assert!(error.contains("`1.3.6.1.4.1.99` is unknown"), "{error}");
}
