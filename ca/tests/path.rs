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
use countersign_ca::path::{Anchors, Certificate, PathError, PathSettings, ValidPath, validate};
use der::asn1::ObjectIdentifier;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, DnValue,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    NameConstraints, SanType,
};

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
    let mut leaf = params("gw", false);
    leaf.distinguished_name = name(DnValue::UniversalString("bad".try_into().unwrap()));
    let error = check(&[&root], vec![root.leaf(&leaf)]).unwrap_err();
    assert!(matches!(error, PathError::Malformed(_)), "{error}");
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
