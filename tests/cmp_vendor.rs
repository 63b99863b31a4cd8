//! First enrolments with a certificate of a device's vendor (3GPP TS 33.310, RFC 9483 §4.1.1). `openssl cmp` acts as the device; the tests'
//! own encoder makes the messages that it cannot send. Every chain that must be refused is refused with the right reason.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use std::fs;

use common::cmp::{
    self, CERT_CONF, Draft, ERROR, GENM, Holder, IR, Key, confirmation, exchange, request,
};
use common::openssl::{Run, cmp as openssl_cmp, key};
use common::vendor::{CA, DEVICE, Pki};
use common::{Instance, tool_ok};
use der::Encode;

const FACTORY: [&str; 2] = ["-extracerts", "factory.crt"];

/// Trusts the root in `maker.crt` by serialNumber, and adds the account `gw7` for SN7.
fn trusted(instance: &Instance) {
    instance.ok(&["trust", "add", &file(instance, "maker.crt"), "--map", "serialNumber"]);
    account(instance, "gw7", "maker:SN7", &[]);
}

fn account(instance: &Instance, name: &str, equipment: &str, flags: &[&str]) {
    let id = format!("fqdn:{name}.example.net");
    let all = ["peer", "add", name, "--id", &id, "--equipment", equipment];
    instance.ok(&[&all[..], flags].concat());
}

fn file(instance: &Instance, name: &str) -> String {
    instance.file(name).to_str().unwrap().to_owned()
}

/// A device requests its first certificate, in a message signed with `DEVICE.crt`.
fn first(instance: &Instance, command: &str, device: &str, extra: &[&str]) -> Run {
    key(instance, "p256", "new.key");
    let (certificate, key) = (format!("{device}.crt"), format!("{device}.key"));
    let all = ["-cmd", command, "-newkey", "new.key", "-certout", "new.crt"];
    let by = ["-cert", &certificate, "-key", &key];
    openssl_cmp(instance, &[&all[..], &by, extra].concat())
}

fn statuses(instance: &Instance, account: &str) -> Vec<String> {
    let all = instance.certificates(account);
    all.iter().map(|one| one["status"].as_str().unwrap().to_owned()).collect()
}

/// A device with its key, for messages of the tests' own encoder.
fn holder(instance: &Instance, device: &str) -> Holder {
    let pem = fs::read_to_string(instance.file(&format!("{device}.key"))).unwrap();
    Holder { key: Key::read(&pem), certificate: der(instance, device) }
}

fn der(instance: &Instance, name: &str) -> Vec<u8> {
    let (from, to) = (format!("{name}.crt"), format!("{name}.der"));
    let all = ["x509", "-in", &from, "-outform", "DER", "-out", &to];
    tool_ok("openssl", "openssl", &all, &instance.file("."));
    fs::read(instance.file(&to)).unwrap()
}

/// The status of the answer to an ir of this device, with further certificates in extraCerts.
fn verdict(
    instance: &Instance,
    device: &Holder,
    others: &[Vec<u8>],
) -> (Vec<&'static str>, String) {
    let mut draft = Draft::new(IR, request(&Key::new())).from(device);
    draft.extra_certs.extend(others.iter().cloned());
    let status = exchange(instance, &draft.signed(&device.key)).status().unwrap();
    (status.failures(), status.words())
}

#[test]
fn equipment_of_each_kind_of_key_enrols_once_and_lives_by_its_own_certificate_from_then_on() {
    let mut instance = Instance::start();
    let pki = Pki::new(&instance);
    for (kind, serial) in [("p256", "SN7"), ("rsa2048", "SN8"), ("p521", "SN9")] {
        pki.issue(kind, kind, &format!("/O=Maker/serialNumber={serial}"), "factory", DEVICE);
    }
    trusted(&instance);
    account(&instance, "gw8", "maker:SN8", &[]);
    account(&instance, "gw9", "maker:SN9", &[]);
    for (device, name) in [("p256", "gw7"), ("rsa2048", "gw8"), ("p521", "gw9")] {
        let outputs = ["-extracertsout", "extra.pem", "-cacertsout", "capubs.pem"];
        let run = first(&instance, "ir", device, &[&FACTORY[..], &outputs].concat()).granted();
        assert!(run.text.contains("received PKICONF"), "{}", run.text);
        assert_eq!(statuses(&instance, name), ["valid"]);
        let text = common::openssl::text(&instance, "new.crt");
        assert!(text.contains(&format!("DNS:{name}.example.net")), "{text}");
        // What OpenSSL's client repeats of the vendor's certificate does not come along, and that is said.
        assert!(!text.to_lowercase().contains("maker"), "{text}");

        // The root stands in extraCerts, from where equipment takes it (TS 33.310), and not in caPubs.
        let root = fs::read_to_string(instance.root()).unwrap();
        let extra = fs::read_to_string(instance.file("extra.pem")).unwrap();
        assert!(extra.contains(root.trim()), "{extra}");
        let ca_pubs = fs::read_to_string(instance.file("capubs.pem")).unwrap_or_default();
        assert_eq!(ca_pubs, "", "caPubs are for who shares a secret");

        for (from, to) in [("new.key", "own.key"), ("new.crt", "own.crt")] {
            fs::rename(instance.file(from), instance.file(to)).unwrap();
        }

        // Once, whoever has the vendor's key.
        first(&instance, "ir", device, &FACTORY).refused(&["notAuthorized", "already"]);
        assert_eq!(statuses(&instance, name), ["valid"]);

        key(&instance, "p256", "renewed.key");
        let kur = ["-cmd", "kur", "-newkey", "renewed.key", "-certout", "renewed.crt"];
        openssl_cmp(&instance, &[&kur[..], &["-cert", "own.crt", "-key", "own.key"]].concat())
            .granted();
    }

    // Until an administrator allows it again; all of this survives a restart and a new index.
    instance.stop();
    fs::remove_dir_all(instance.data().join("index")).unwrap();
    instance.serve();
    first(&instance, "ir", "p256", &FACTORY).refused(&["notAuthorized", "already"]);
    instance.ok(&["peer", "set-equipment", "gw7", "maker:SN7"]);
    let implicit = [&FACTORY[..], &["-implicit_confirm"]].concat();
    first(&instance, "ir", "p256", &implicit).granted();
    first(&instance, "ir", "p256", &implicit).refused(&["notAuthorized", "already"]);
    assert_eq!(statuses(&instance, "gw7"), ["valid", "valid", "valid"]);
    let shown = instance.json(&["peer", "show", "gw7"]);
    assert_eq!(shown["equipment"], "maker:SN7");
    assert_eq!(shown["equipment_uses_left"], 0);
    assert_eq!(shown["reference"], serde_json::Value::Null, "no secret was made");
    instance.ok(&["audit", "verify"]);
    let log = instance.log();
    assert!(log.contains("SN7"), "the log says which equipment it was:\n{log}");
}

#[test]
fn the_intermediate_may_be_trusted_with_the_root_and_pkcs_10_is_taken() {
    let instance = Instance::start();
    let pki = Pki::new(&instance);
    pki.issue("device", "p256", "/O=Maker/serialNumber=SN7", "factory", DEVICE);
    let files = [file(&instance, "factory.crt"), file(&instance, "maker.crt")];
    let add = ["trust", "add", &files[0], &files[1], "--name", "maker", "--map", "serialNumber"];
    instance.ok(&add);
    account(&instance, "gw7", "maker:SN7", &["--equipment-uses", "2"]);
    first(&instance, "ir", "device", &[]).granted();
    let csr = ["req", "-new", "-key", "new.key", "-subj", "/CN=gw7.example.net", "-out", "new.csr"];
    tool_ok("openssl", "openssl", &csr, &instance.file("."));
    let p10cr = ["-cmd", "p10cr", "-csr", "new.csr", "-certout", "p10.crt"];
    openssl_cmp(&instance, &[&p10cr[..], &["-cert", "device.crt", "-key", "device.key"]].concat())
        .granted();
    first(&instance, "ir", "device", &[]).refused(&["notAuthorized"]);

    let list = instance.json(&["trust", "list"]);
    assert_eq!(list[0]["name"], "maker");
    assert_eq!(list[0]["map"], "serialNumber");
    let shown = instance.json(&["trust", "show", "maker"]);
    assert_eq!(shown["intermediates"][0]["subject"], "CN=Maker Factory,O=Maker");
    assert!(!instance.run(&add).status.success(), "twice");
}

#[test]
fn each_mapping_finds_the_account_by_its_own_name_and_by_one_name_only() {
    let instance = Instance::start();
    let pki = Pki::new(&instance);
    let san = |names: &str| format!("{DEVICE}subjectAltName={names}\n");
    let subject = "/O=Maker/CN=unit 7/serialNumber=SN7";
    pki.issue(
        "one",
        "p256",
        subject,
        "factory",
        &san("DNS:Unit7.maker.example,email:u7@maker.example"),
    );
    pki.issue(
        "two",
        "p256",
        "/CN=a/CN=unit 7",
        "factory",
        &san("DNS:a.example,DNS:unit7.maker.example,email:a@b.example,email:u7@maker.example"),
    );
    pki.issue("none", "p256", "/O=Maker", "factory", DEVICE);
    for (map, value) in [
        ("commonName", "unit 7"),
        ("subject", "serialNumber=SN7, CN=unit 7, O=Maker"),
        ("fqdn", "unit7.MAKER.example"),
        ("email", "u7@maker.example"),
    ] {
        instance.ok(&["trust", "add", &file(&instance, "maker.crt"), "--map", map]);
        account(&instance, map, &format!("maker:{value}"), &[]);
        first(&instance, "ir", "one", &FACTORY).granted();
        let text = common::openssl::text(&instance, "new.crt");
        assert!(text.contains(&format!("DNS:{}.example.net\n", map.to_lowercase())), "{text}");
        assert_eq!(statuses(&instance, map), ["valid"], "{map}");
        if map != "subject" {
            first(&instance, "ir", "two", &FACTORY).refused(&["notAuthorized", "found 2"]);
            first(&instance, "ir", "none", &FACTORY).refused(&["notAuthorized", "found 0"]);
        }
        instance.ok(&["trust", "remove", "maker"]);
        instance.ok(&["peer", "remove", map]);
    }
}

#[test]
fn equipment_that_nobody_knows_and_chains_that_lead_nowhere_are_refused() {
    let instance = Instance::start();
    let pki = Pki::new(&instance);
    pki.issue("device", "p256", "/O=Maker/serialNumber=SN7", "factory", DEVICE);
    // Before any vendor is trusted.
    first(&instance, "ir", "device", &FACTORY).refused(&["signerNotTrusted", "not issued here"]);
    trusted(&instance);

    pki.issue("unknown", "p256", "/O=Maker/serialNumber=SN99", "factory", DEVICE);
    first(&instance, "ir", "unknown", &FACTORY).refused(&["notAuthorized", "SN99"]);
    assert!(instance.log().contains("SN99"), "the log says which value was found");

    pki.root("other", "/O=Maker/CN=Maker Root");
    pki.issue("foreign", "p256", "/O=Maker/serialNumber=SN7", "other", DEVICE);
    first(&instance, "ir", "foreign", &[]).refused(&["signerNotTrusted", "signature"]);
    first(&instance, "ir", "device", &[]).refused(&["signerNotTrusted", "nobody known issued"]);

    pki.issue_at("-100d", "expired", "/O=Maker/serialNumber=SN7", "factory", DEVICE);
    first(&instance, "ir", "expired", &FACTORY).refused(&["signerNotTrusted", "valid until"]);
    pki.issue_at("+2d", "early", "/O=Maker/serialNumber=SN7", "factory", DEVICE);
    first(&instance, "ir", "early", &FACTORY).refused(&["signerNotTrusted", "valid from"]);

    pki.issue_at("-100d", "old", "/O=Maker/CN=Old Factory", "maker", CA);
    pki.issue("of-old", "p256", "/O=Maker/serialNumber=SN7", "old", DEVICE);
    first(&instance, "ir", "of-old", &["-extracerts", "old.crt"]).refused(&[
        "signerNotTrusted",
        "Old Factory",
        "valid until",
    ]);

    let constrained = format!("{CA}nameConstraints=critical,permitted;DNS:maker.example\n");
    pki.issue("narrow", "p256", "/O=Maker/CN=Narrow", "maker", &constrained);
    let outside = format!("{DEVICE}subjectAltName=DNS:gw7.example.net\n");
    pki.issue("outside", "p256", "/O=Maker/serialNumber=SN7", "narrow", &outside);
    first(&instance, "ir", "outside", &["-extracerts", "narrow.crt"])
        .refused(&["signerNotTrusted", "gw7.example.net"]);

    // A CA of the vendor's, and an end entity that makes itself one.
    first(&instance, "ir", "factory", &[]).refused(&["signerNotTrusted", "is a CA's"]);
    pki.issue("below", "p256", "/O=Maker/serialNumber=SN7", "device", DEVICE);
    first(&instance, "ir", "below", &["-extracerts", "device.crt", "-untrusted", "factory.crt"])
        .refused(&["signerNotTrusted"]);

    let encipher = DEVICE.replace("digitalSignature", "keyEncipherment");
    pki.issue("mute", "p256", "/O=Maker/serialNumber=SN7", "factory", &encipher);
    let mute = holder(&instance, "mute");
    let (failures, words) = verdict(&instance, &mute, &[der(&instance, "factory")]);
    assert_eq!(failures, ["signerNotTrusted"]);
    assert!(words.contains("digitalSignature"), "{words}");

    // Nothing of this stood in the way of the right one.
    assert!(instance.certificates("gw7").is_empty());
    first(&instance, "ir", "device", &FACTORY).granted();
    instance.ok(&["audit", "verify"]);
}

#[test]
fn a_serial_number_counts_only_if_nobody_else_can_have_put_it_there() {
    let instance = Instance::start();
    let pki = Pki::new(&instance);
    trusted(&instance);
    for (name, subject, why) in [
        ("two", "/serialNumber=SN1/serialNumber=SN7", "found 2"),
        ("same", "/serialNumber=SN7/serialNumber=SN7", "found 2"),
        ("multi", "/O=Maker/CN=x+serialNumber=SN7", "shares its RDN"),
        ("both", "/serialNumber=SN1/CN=x+serialNumber=SN7", "found 2"),
        ("none", "/CN=SN7", "found 0"),
    ] {
        pki.issue(name, "p256", subject, "factory", DEVICE);
        first(&instance, "ir", name, &FACTORY).refused(&["notAuthorized", why]);
    }
    // What differs is other equipment.
    for (name, serial) in [("case", "sn7"), ("space", "SN7 "), ("long", "SN77")] {
        pki.issue(name, "p256", &format!("/serialNumber={serial}"), "factory", DEVICE);
        first(&instance, "ir", name, &FACTORY).refused(&["notAuthorized", "no account is for"]);
    }
    assert!(instance.certificates("gw7").is_empty());
}

#[test]
fn a_vendors_certificate_signs_a_first_enrolment_and_nothing_else() {
    let instance = Instance::start();
    let pki = Pki::new(&instance);
    pki.issue("device", "p256", "/O=Maker/serialNumber=SN7", "factory", DEVICE);
    pki.issue("twin", "p256", "/O=Maker/serialNumber=SN7", "factory", DEVICE);
    pki.issue("other", "p256", "/O=Maker/serialNumber=SN9", "factory", DEVICE);
    trusted(&instance);
    account(&instance, "gw9", "maker:SN9", &[]);
    let factory = der(&instance, "factory");
    let [device, twin, other] = ["device", "twin", "other"].map(|name| holder(&instance, name));
    let by = |kind: u8, body: Vec<u8>, holder: &Holder| {
        let mut draft = Draft::new(kind, body).from(holder);
        draft.extra_certs.push(factory.clone());
        draft
    };
    let genm = der::asn1::SequenceOf::<der::asn1::Null, 1>::new().to_der().unwrap();
    let named = cmp::revocation(cmp::named(&device), Vec::new());
    for (kind, body) in [
        (cmp::CR, request(&Key::new())),
        (cmp::KUR, request(&Key::new())),
        (cmp::RR, named),
        (GENM, genm),
    ] {
        let draft = by(kind, body, &device);
        let status = exchange(&instance, &draft.signed(&device.key)).status().unwrap();
        assert_eq!(status.failures(), ["signerNotTrusted"], "kind {kind}: {}", status.words());
    }

    // Its own transaction is confirmed with the same certificate, and with no other.
    let new = Key::new();
    let draft = by(IR, request(&new), &device);
    let answer = exchange(&instance, &draft.signed(&device.key));
    let certificate = answer.certificate();
    let own = Holder { key: new, certificate: certificate.clone() };
    for wrong in [&twin, &other, &own] {
        let mut draft = Draft::after(&answer, CERT_CONF, confirmation(&certificate)).from(wrong);
        draft.extra_certs.push(factory.clone());
        let refused = exchange(&instance, &draft.signed(&wrong.key));
        assert_eq!(refused.kind, ERROR);
    }
    assert_eq!(statuses(&instance, "gw7"), ["unconfirmed"]);
    let mut draft = Draft::after(&answer, CERT_CONF, confirmation(&certificate)).from(&device);
    draft.extra_certs.push(factory.clone());
    let confirmed = exchange(&instance, &draft.signed(&device.key));
    assert_eq!(confirmed.kind, cmp::PKICONF);
    assert_eq!(statuses(&instance, "gw7"), ["valid"]);

    // A signature by another key than the certificate's.
    let draft = by(IR, request(&Key::new()), &other);
    let status = exchange(&instance, &draft.signed(&device.key)).status().unwrap();
    assert_eq!(status.failures(), ["badMessageCheck"]);
    assert!(instance.certificates("gw9").is_empty());
}

#[test]
fn a_vendor_is_trusted_until_it_is_removed_and_for_one_profile_if_so_said() {
    let instance = Instance::start();
    let pki = Pki::new(&instance);
    pki.issue("device", "p256", "/O=Maker/serialNumber=SN7", "factory", DEVICE);
    trusted(&instance);
    instance.ok(&["trust", "remove", "maker"]);
    first(&instance, "ir", "device", &FACTORY).refused(&["signerNotTrusted", "not issued here"]);
    let root = file(&instance, "maker.crt");
    let add = ["trust", "add", &root, "--map", "serialNumber", "--profile"];
    instance.ok(&[&add[..], &["user"]].concat());
    first(&instance, "ir", "device", &FACTORY).refused(&["notAuthorized", "profile `user` only"]);
    instance.ok(&["trust", "remove", "maker"]);
    instance.ok(&[&add[..], &["gateway"]].concat());
    first(&instance, "ir", "device", &FACTORY).granted();
}

#[test]
fn what_cannot_be_trusted_or_said_of_an_account_is_refused_with_words() {
    let instance = Instance::start();
    let pki = Pki::new(&instance);
    pki.issue("device", "p256", "/O=Maker/serialNumber=SN7", "factory", DEVICE);
    pki.root("old", "/CN=Old");
    let says = |arguments: &[&str], words: &str| {
        let output = instance.run(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(words), "{arguments:?}: {text}");
    };
    let path = |name: &str| file(&instance, name);
    let own = instance.root().to_str().unwrap().to_owned();
    let add = |name: &str| {
        ["trust".to_owned(), "add".into(), name.into(), "--map".into(), "serialNumber".into()]
    };
    for (name, words) in [
        (path("factory.crt"), "one that names itself as its issuer"),
        (path("device.crt"), "is not a CA's"),
        (path("device.key"), "expected a certificate"),
        (path("nowhere.pem"), "nowhere.pem"),
        (own, "a CA of this instance"),
    ] {
        let all = add(&name);
        says(&all.each_ref().map(String::as_str), words);
    }
    let maker = path("maker.crt");
    says(&["trust", "add", &maker, "--map", "sn"], "serialNumber");
    says(&["trust", "add", &maker, "--map", "fqdn", "--profile", "none"], "no profile `none`");
    says(&["trust", "add", &maker, "--map", "fqdn", "--crl", "none.crl"], "none.crl");
    says(&["trust", "remove", "maker"], "no vendor `maker`");
    says(
        &["peer", "add", "x", "--id", "fqdn:x.example", "--equipment", "maker:1"],
        "no vendor `maker`",
    );
    trusted(&instance);
    says(&["trust", "add", &maker, "--map", "fqdn"], "trusted already");
    says(
        &["trust", "add", &maker, "--map", "fqdn", "--name", "b"],
        "trusted already, as a root of `maker`",
    );
    says(&["peer", "add", "x", "--id", "fqdn:x.example", "--equipment", "SN7"], "VENDOR:");
    says(&["peer", "add", "x", "--id", "fqdn:x.example", "--equipment", "maker:"], "1 to 256");
    says(
        &["peer", "add", "gw8", "--id", "fqdn:gw8.example.net", "--equipment", "maker:SN7"],
        "is the equipment of",
    );
    instance.ok(&["peer", "remove", "gw7"]);
    account(&instance, "gw8", "maker:SN7", &[]);
    instance.ok(&["peer", "set-equipment", "gw8", "--none"]);
    account(&instance, "gw7", "maker:SN7", &[]);
    says(&["peer", "set-equipment", "gw8", "maker:SN7"], "is the equipment of");

    // An import, too.
    fs::write(
        instance.file("peers.csv"),
        "name,ids,equipment\ngw9,fqdn:gw9.example.net,maker:SN9\ngw10,fqdn:gw10.example.net,\n",
    )
    .unwrap();
    let imported = instance.json(&["peer", "import", &path("peers.csv")]);
    assert_eq!(imported[0]["secret"], serde_json::Value::Null);
    assert_eq!(imported[0]["equipment"], "maker:SN9");
    assert!(imported[1]["secret"].is_string());
}

#[test]
fn a_root_is_a_name_and_a_key_whatever_signature_stands_on_it() {
    let instance = Instance::start();
    let folder = instance.file(".");
    let make = |arguments: &[&str]| drop(tool_ok("openssl", "openssl", arguments, &folder));
    make(&[
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-sha1",
        "-nodes",
        "-keyout",
        "maker.key",
        "-out",
        "maker.crt",
        "-days",
        "3650",
        "-subj",
        "/O=Maker/CN=Maker Root",
    ]);
    fs::write(
        folder.join("ext"),
        "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n",
    )
    .unwrap();
    key(&instance, "p256", "device.key");
    make(&[
        "req",
        "-new",
        "-key",
        "device.key",
        "-subj",
        "/O=Maker/serialNumber=SN7",
        "-out",
        "device.csr",
    ]);
    make(&[
        "x509",
        "-req",
        "-in",
        "device.csr",
        "-CA",
        "maker.crt",
        "-CAkey",
        "maker.key",
        "-CAcreateserial",
        "-sha256",
        "-days",
        "365",
        "-extfile",
        "ext",
        "-out",
        "device.crt",
    ]);
    trusted(&instance);
    first(&instance, "ir", "device", &[]).granted();
    // A self-issued certificate that another key of the name signed leads from that key, and is no root.
    make(&[
        "req",
        "-new",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "next.key",
        "-subj",
        "/O=Two/CN=Root",
        "-out",
        "next.csr",
    ]);
    make(&[
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "two.key",
        "-out",
        "two.crt",
        "-days",
        "365",
        "-subj",
        "/O=Two/CN=Root",
    ]);
    fs::write(folder.join("ca"), "basicConstraints=critical,CA:TRUE\nsubjectKeyIdentifier=hash\n")
        .unwrap();
    make(&[
        "x509",
        "-req",
        "-in",
        "next.csr",
        "-CA",
        "two.crt",
        "-CAkey",
        "two.key",
        "-CAcreateserial",
        "-days",
        "365",
        "-extfile",
        "ca",
        "-out",
        "next.crt",
    ]);
    let (two, next) = (file(&instance, "two.crt"), file(&instance, "next.crt"));
    let added =
        instance.json(&["trust", "add", &two, &next, "--map", "serialNumber", "--name", "two"]);
    assert_eq!(
        (added["roots"].as_array().map(Vec::len), &added["intermediates"]),
        (Some(1), &1.into()),
        "{added}"
    );
}

#[test]
fn a_vendors_crls_are_asked_and_must_be_current() {
    let instance = Instance::start();
    let pki = Pki::new(&instance);
    for (name, serial) in [("good", "SN7"), ("stolen", "SN8"), ("later", "SN9")] {
        pki.issue(name, "p256", &format!("/serialNumber={serial}"), "factory", DEVICE);
    }
    pki.crl("factory", &["stolen"], None);
    pki.crl("maker", &[], None);
    let bundle = |of: &[&str]| {
        let all = of.iter().map(|ca| fs::read_to_string(instance.file(&format!("{ca}.crl"))));
        let all = all.collect::<Result<Vec<_>, _>>().unwrap().concat();
        fs::write(instance.file("vendor.crl"), all).unwrap();
    };
    bundle(&["factory", "maker"]);
    let crls = file(&instance, "vendor.crl");
    let root = file(&instance, "maker.crt");
    instance.ok(&["trust", "add", &root, "--map", "serialNumber", "--crl", &crls]);
    for (name, equipment) in [("gw7", "maker:SN7"), ("gw8", "maker:SN8"), ("gw9", "maker:SN9")] {
        account(&instance, name, equipment, &[]);
    }
    first(&instance, "ir", "good", &FACTORY).granted();
    first(&instance, "ir", "stolen", &FACTORY).refused(&["certRevoked"]);

    // A CRL of one CA is missing, ended, or not there at all: that is not the equipment's fault, and the log says what to do.
    let later = |why: &str| {
        let run = first(&instance, "ir", "later", &FACTORY).refused(&["systemUnavail"]);
        assert!(!run.text.contains("vendor.crl"), "{}", run.text);
        assert!(instance.log().contains(why), "{}", instance.log());
    };
    bundle(&["factory"]);
    later("expected a current CRL");
    pki.crl("factory", &[], Some("-10d"));
    bundle(&["factory", "maker"]);
    later("it ended at");
    fs::write(instance.file("vendor.crl"), "no CRL").unwrap();
    later("found none");
    fs::remove_file(instance.file("vendor.crl")).unwrap();
    later("No such file");
    assert!(instance.certificates("gw9").is_empty());
    // Equipment that was enrolled already is told so, and no CRL is read for it.
    first(&instance, "ir", "good", &FACTORY).refused(&["notAuthorized", "already"]);

    // The factory itself is revoked.
    pki.crl("factory", &[], None);
    pki.crl("maker", &["factory"], None);
    bundle(&["factory", "maker"]);
    first(&instance, "ir", "later", &FACTORY).refused(&["certRevoked", "Factory"]);
    pki.crl("maker", &[], None);
    bundle(&["factory", "maker"]);
    first(&instance, "ir", "later", &FACTORY).granted();

    // What has ended cannot be named in the first place.
    pki.crl("factory", &[], Some("-10d"));
    bundle(&["factory", "maker"]);
    instance.ok(&["trust", "remove", "maker"]);
    let add = ["trust", "add", &root, "--map", "serialNumber", "--crl", &crls];
    let output = instance.run(&add);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("put a current one there"));
}

#[test]
fn bundles_made_to_keep_the_server_busy_are_refused_at_once() {
    let instance = Instance::start();
    let pki = Pki::new(&instance);
    trusted(&instance);
    pki.issue("device", "p256", "/O=Maker/serialNumber=SN7", "factory", DEVICE);

    // Sixteen CAs of one name and one key identifier, which sign each other's keys in every way: each looks like an issuer of each.
    let ski = "01:02:03:04:05:06:07:08:09:0a:0b:0c:0d:0e:0f:10";
    let looping = format!(
        "basicConstraints=critical,CA:true\nsubjectKeyIdentifier={}\n",
        ski.replace(':', "")
    );
    let mut ring = Vec::new();
    for n in 0..14 {
        let name = format!("loop{n}");
        let issuer = if n == 0 { "maker".to_owned() } else { format!("loop{}", n - 1) };
        // The first is signed by another root of the maker's name.
        if n == 0 {
            pki.root("fake", "/O=Maker/CN=Maker Root");
        }
        let issuer = if n == 0 { "fake" } else { &issuer };
        pki.issue(&name, "p256", "/CN=Loop", issuer, &looping);
        ring.push(der(&instance, &name));
    }
    let leaf = DEVICE.replace("authorityKeyIdentifier=keyid\n", "");
    pki.issue("lost", "p256", "/O=Maker/serialNumber=SN7", "loop13", &leaf);
    let lost = holder(&instance, "lost");
    let (failures, words) = verdict(&instance, &lost, &ring);
    assert_eq!(failures, ["signerNotTrusted"], "{words}");

    // Two that issued each other.
    pki.root("a", "/CN=A");
    pki.root("b", "/CN=B");
    let (a, b) = (der(&instance, "a"), der(&instance, "b"));
    pki.issue("a", "p256", "/CN=A", "b", CA);
    pki.issue("b", "p256", "/CN=B", "a", CA);
    pki.issue("circle", "p256", "/O=Maker/serialNumber=SN7", "a", DEVICE);
    let circle = [der(&instance, "a"), der(&instance, "b"), a, b];
    let (failures, _) = verdict(&instance, &holder(&instance, "circle"), &circle);
    assert_eq!(failures, ["signerNotTrusted"]);

    // Too many, too large, and no certificates at all.
    let device = holder(&instance, "device");
    let factory = der(&instance, "factory");
    let many = vec![factory.clone(); 16];
    assert_eq!(verdict(&instance, &device, &many).0, ["badDataFormat"]);
    let huge = common::der::seq(&[&common::der::tlv(0x04, &vec![0; 200_000])]);
    let noise = common::der::seq(&[b"\x02\x01\x05"]);
    let only = [huge.clone(), noise.clone()];
    assert_eq!(verdict(&instance, &device, &only).0, ["signerNotTrusted"]);
    let mut draft = Draft::new(IR, request(&Key::new())).from(&device);
    draft.extra_certs[0] = huge;
    let status = exchange(&instance, &draft.signed(&device.key)).status().unwrap();
    assert_eq!(status.failures(), ["badDataFormat"]);
    assert!(instance.certificates("gw7").is_empty());

    // What leads nowhere beside what leads to the root does no harm.
    let mut draft = Draft::new(IR, request(&Key::new())).from(&device).implicit();
    draft.extra_certs.extend([noise, ring[3].clone(), factory]);
    exchange(&instance, &draft.signed(&device.key)).certificate();
    assert_eq!(statuses(&instance, "gw7"), ["valid"]);
}
