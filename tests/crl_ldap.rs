//! The LDAP bridge with a real slapd. It publishes within a second and recovers from every fault, and slapd then gives the same octets as the
//! built-in directory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use common::cmp::{CertRequest, Draft, IR, Key, REG_CTRL, exchange, oid, plain_request, proven};
use common::hostile::{Hostile, Manner};
use common::openssl::{enrol, key};
use common::slapd::{ADMIN, PASSWORD, Slapd, free_port, values};
use common::{Instance, PATIENCE, peak_memory, tool_ok};
use countersign_ca::Timestamp;
use countersign_ca::record::revoked::RevokedSet;
use countersign_ca::record::{Reason, Revocation, RevokedEntry, Serial};
use countersign_ca::signed::crl::Crl;
use countersign_ldap_bridge::publisher::{Bind, PublisherSettings, Scope, reconcile};
use countersign_ldap_bridge::{Attribute, Entry};
use der::asn1::Any;
use der::{Decode, Encode};
use serde_json::Value;
use x509_cert::attr::AttributeTypeAndValue;

const ISSUING: &str = "cn=issuing,o=Countersign";
const CRL: &str = "certificateRevocationList;binary";

/// An instance that publishes to these servers, and runs.
fn publishing(urls: &[String], more: &str) -> Instance {
    let mut instance = configured(urls, more);
    instance.serve();
    instance
}

fn configured(urls: &[String], more: &str) -> Instance {
    let instance = Instance::empty();
    fs::create_dir(instance.data()).unwrap();
    fs::set_permissions(instance.data(), fs::Permissions::from_mode(0o700)).unwrap();
    let password = instance.data().join("ldap.password");
    fs::write(&password, format!("{PASSWORD}\n")).unwrap();
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
    let bind = match more.contains("certificate =") {
        true => String::new(),
        false => format!("bind_dn = {ADMIN:?}\npassword_file = {password:?}\n"),
    };
    let more = more.replace("{bind}", &bind);
    let config = format!(
        "[[ldap.directories]]\nname = \"main\"\nurls = {urls:?}\ninterval = \"1s\"\ntimeout = \"2s\"\n{bind}{more}"
    );
    fs::write(instance.data().join("countersign.toml"), config).unwrap();
    instance.ok(&["init"]);
    instance
}

fn enrolled(instance: &Instance, name: &str) -> String {
    let known = instance.json(&["peer", "list"]);
    let known = known.as_array().unwrap().iter().any(|peer| peer["name"] == name);
    if known {
        instance.ok(&["peer", "remove", name]);
    }
    let peer = instance.peer(name, &[&format!("fqdn:{name}.example.net")]);
    key(instance, "p256", &format!("{name}.key"));
    enrol(instance, &peer, &format!("{name}.key"), &[]).granted();
    instance.certificates(name).pop().unwrap()["serial"].as_str().unwrap().to_owned()
}

/// The state of the directory, from `publish status`.
fn status(instance: &Instance) -> Value {
    status_of(instance, "main")
}

fn status_of(instance: &Instance, name: &str) -> Value {
    let all = instance.json(&["publish", "status"]);
    all.as_array().unwrap().iter().find(|d| d["directory"] == name).unwrap().clone()
}

/// What an operator fetches, and its HTTP status.
fn get(instance: &Instance, path: &str) -> (u16, String) {
    let answer = instance.http("GET", path, "text/plain", &[]).unwrap();
    (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
}

/// Waits until a condition holds. Gives the time that it took.
#[track_caller]
fn eventually(what: &str, mut holds: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what} did not come true");
        std::thread::sleep(Duration::from_millis(20));
    }
    began.elapsed()
}

/// The octets of an HTTP answer, in base64.
fn over_http(instance: &Instance, path: &str) -> Vec<String> {
    let answer = instance.http("GET", path, "text/plain", &[]).unwrap();
    assert_eq!(answer.status, 200);
    vec![data_encoding::BASE64.encode(&answer.body)]
}

fn peer_dn(name: &str) -> String {
    format!("cn={name},ou=peers,o=Countersign")
}

/// The SHA-1 of a certificate, in hexadecimal digits.
fn sha1(certificate: &[u8]) -> String {
    let hash = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, certificate);
    data_encoding::HEXLOWER.encode(hash.as_ref())
}

#[test]
fn what_is_not_to_be_published_is_in_no_directory() {
    let folder = tempfile::tempdir().unwrap();
    let slapd = Slapd::start(folder.path(), "");
    let mut instance = publishing(&[slapd.url()], "");
    // pkiPublicationInfo: SEQUENCE { action dontPublish (0) or pleasePublish (1) } (RFC 4211 §6.3).
    let asked = |name: &str, action: u8| {
        let peer = instance.peer(name, &[&format!("fqdn:{name}.example.net")]);
        let key = Key::new();
        let value = Any::from_der(&[0x30, 3, 2, 1, action]).unwrap();
        let control = AttributeTypeAndValue { oid: oid(&format!("{REG_CTRL}.3")), value };
        let request = CertRequest { controls: Some(vec![control]), ..plain_request(&key) };
        let body = vec![proven(&key, request)].to_der().unwrap();
        exchange(&instance, &Draft::new(IR, body).implicit().by_secret(&peer)).certificate()
    };
    let hidden = asked("gw1", 0);
    let shown = asked("gw2", 1);
    for _ in ["as it is issued", "with the index made anew"] {
        let built_in = format!("ldap://{}", instance.ldap);
        for url in [slapd.url(), built_in] {
            let certificates = |name: &str| values(&url, &peer_dn(name), "userCertificate;binary");
            // What was issued later is there, and so would this one be.
            eventually("gw2", || certificates("gw2").len() == 1);
            assert_eq!(certificates("gw1"), [""; 0], "{url}");
        }
        let found = |path: String| instance.http("GET", &path, "", &[]).unwrap().status;
        for (name, certificate, status) in [("gw1", &hidden, 404), ("gw2", &shown, 200)] {
            let search = "/certificates/search.cgi?name";
            assert_eq!(found(format!("{search}={name}.example.net")), status, "{name}");
            assert_eq!(found(format!("/hash/{}", sha1(certificate))), status, "{name}");
        }
        // It is as good as any other.
        assert_eq!(instance.certificates("gw1")[0]["status"], "valid");
        instance.stop();
        instance.ok(&["store", "rebuild"]);
        slapd.load(&format!("dn: {}\nchangetype: delete\n", peer_dn("gw2")));
        instance.serve();
    }
}

#[test]
fn a_place_that_becomes_free_is_given_to_a_certificate_that_was_left_out() {
    let instance = Instance::start_with(&[("ldap", "max_peers = 2")]);
    let serials = ["gw1", "gw2", "gw3", "gw4"].map(|name| enrolled(&instance, name));
    let url = format!("ldap://{}", instance.ldap);
    let published = || {
        let is_there =
            |name: &&&str| !values(&url, &peer_dn(name), "userCertificate;binary").is_empty();
        ["gw1", "gw2", "gw3", "gw4"].iter().filter(is_there).copied().collect::<Vec<_>>()
    };
    let left_out = |count: usize| {
        let line = format!("countersign_ldap_left_out {count}\n");
        eventually(&line, || get(&instance, "/metrics").1.contains(&line));
    };
    left_out(2);
    assert_eq!(published(), ["gw1", "gw2"]);
    // One that is left out is revoked, and nobody else is published for that.
    instance.ok(&["cert", "revoke", &serials[2]]);
    left_out(1);
    assert_eq!(published(), ["gw1", "gw2"]);
    instance.ok(&["cert", "revoke", &serials[0]]);
    left_out(0);
    eventually("gw4", || published() == ["gw2", "gw4"]);
}

#[test]
fn what_is_revoked_is_in_the_directory_within_a_second_and_every_loss_heals() {
    let folder = tempfile::tempdir().unwrap();
    let mut slapd = Slapd::start(folder.path(), "");
    let instance = publishing(&[slapd.url()], "");
    let built_in = format!("ldap://{}", instance.ldap);
    let serials: Vec<String> = ["gw1", "gw2", "gw3"].map(|name| enrolled(&instance, name)).to_vec();
    eventually("three peers", || {
        ["gw1", "gw2", "gw3"]
            .iter()
            .all(|n| slapd.values(&peer_dn(n), "userCertificate;binary").len() == 1)
    });

    // Published: the same octets over HTTP, from slapd and from the built-in directory, to ldapsearch and to curl.
    let same = |ca: &str| {
        let dn = format!("cn={ca},o=Countersign");
        let http = over_http(&instance, &format!("/crl/{ca}.crl"));
        let both = [slapd.url(), built_in.clone()].map(|url| values(&url, &dn, CRL));
        both.iter().all(|found| *found == http)
    };
    eventually("the same CRL everywhere", || same("issuing") && same("root"));
    for (ca, attribute, count) in [
        ("root", "authorityRevocationList;binary", 1),
        ("issuing", "authorityRevocationList;binary", 0),
        ("issuing", "crossCertificatePair;binary", 1),
        ("root", "crossCertificatePair;binary", 0),
    ] {
        let dn = format!("cn={ca},o=Countersign");
        for url in [slapd.url(), built_in.clone()] {
            assert_eq!(values(&url, &dn, attribute).len(), count, "{url} {ca} {attribute}");
        }
    }
    assert_eq!(
        slapd.values(ISSUING, "cACertificate;binary"),
        over_http(&instance, "/ca/issuing.cer")
    );
    for url in [slapd.url(), built_in.clone()] {
        let url = format!("{url}/{ISSUING}?{CRL}?base");
        let text = tool_ok("curl", "curl", &["-s", "-S", &url], &instance.file("."));
        let (_, value) = text.split_once(&format!("{CRL}:: ")).unwrap();
        assert_eq!(
            vec![value.trim().to_owned()],
            over_http(&instance, "/crl/issuing.crl"),
            "{url}"
        );
    }
    // In step, nothing is done again.
    eventually("in step", || status(&instance)["state"] == "in step");
    let operations = status(&instance)["operations"].clone();
    let last = status(&instance)["last_success"].clone();
    eventually("another full look", || status(&instance)["last_success"] != last);
    assert_eq!(status(&instance)["operations"], operations);
    instance.ok(&["publish", "verify"]);
    assert_eq!(instance.json(&["publish", "verify"])["in_step"], true);

    // Revoked. The polls are 20 ms apart, and each takes some itself.
    let before = slapd.values(ISSUING, CRL);
    let began = Instant::now();
    instance.ok(&["cert", "revoke", &serials[0], "--reason", "keyCompromise"]);
    eventually("the new CRL", || slapd.values(ISSUING, CRL) != before);
    eventually("the certificate is gone", || {
        slapd.values(&peer_dn("gw1"), "userCertificate;binary").is_empty()
    });
    let took = began.elapsed();
    println!("revoked, signed, published and read again in {took:?}");
    assert_eq!(slapd.values(ISSUING, CRL), over_http(&instance, "/crl/issuing.crl"));

    // Killed, revoked more, back with an empty database: enrolments go on meanwhile, and all is there again.
    slapd.kill();
    instance.ok(&["cert", "revoke", &serials[1]]);
    enrolled(&instance, "gw4");
    eventually("the failure shows", || status(&instance)["state"] == "fails");
    let why = status(&instance)["error"].as_str().unwrap().to_owned();
    assert!(why.contains("127.0.0.1"), "{why}");
    let ready = instance.http("GET", "/readyz", "text/plain", &[]).unwrap();
    let text = String::from_utf8_lossy(&ready.body).into_owned();
    assert!(ready.status == 503 && text.contains("the directory `main` is not in step"), "{text}");
    let metrics = instance.http("GET", "/metrics", "text/plain", &[]).unwrap();
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    assert!(metrics.contains("countersign_publish_in_step{directory=\"main\"} 0"), "{metrics}");
    slapd.run_empty();
    eventually("all there again", || {
        slapd.values(ISSUING, CRL) == over_http(&instance, "/crl/issuing.crl")
            && slapd.values(&peer_dn("gw2"), "userCertificate;binary").is_empty()
            && slapd.values(&peer_dn("gw3"), "userCertificate;binary").len() == 1
            && slapd.values(&peer_dn("gw4"), "userCertificate;binary").len() == 1
    });
    eventually("ready", || {
        instance.http("GET", "/readyz", "text/plain", &[]).unwrap().status == 200
    });

    // Edited by hand: an entry deleted, a CRL replaced by an older one, an attribute emptied.
    let old = &before[0];
    let removed = slapd.client("ldapdelete", &[&peer_dn("gw3")]);
    assert!(removed.0, "{}", removed.1);
    slapd.load(&format!(
        "dn: {ISSUING}\nchangetype: modify\nreplace: {CRL}\n{CRL}:: {old}\n-\ndelete: cACertificate;binary\n\n\
         dn: {}\nchangetype: modify\nadd: objectClass\nobjectClass: uidObject\n-\nadd: uid\nuid: kept\n",
        peer_dn("gw4")
    ));
    eventually("healed", || {
        slapd.values(ISSUING, CRL) == over_http(&instance, "/crl/issuing.crl")
            && slapd.values(ISSUING, "cACertificate;binary").len() == 1
            && slapd.values(&peer_dn("gw3"), "userCertificate;binary").len() == 1
    });
    let kept = slapd.client("ldapsearch", &["-LLL", "-s", "base", "-b", &peer_dn("gw4"), "uid"]);
    assert!(kept.1.contains("uid: kept"), "{}", kept.1);
}

#[test]
fn a_hostile_directory_is_named_and_harms_neither_the_server_nor_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let slapd = Slapd::start(folder.path(), "");
    let hostile = [
        ("long", Manner::TooLong, "expected frames of at most"),
        ("deep", Manner::TooDeep, "expected the tag 0x04, found 0x31"),
        ("endless", Manner::Endless, "the directory holds more than"),
        ("silent", Manner::Silent, "no answer within 2s"),
    ];
    let hostile = hostile.map(|(name, manner, words)| (name, Hostile::start(manner), words));
    let more: String = hostile
        .iter()
        .map(|(name, directory, _)| {
            format!(
                "\n[[ldap.directories]]\nname = {name:?}\nurls = [\"ldap://127.0.0.1:{}\"]\ninterval = \"1s\"\n\
                 timeout = \"2s\"\nmax_read_mib = 1\n{{bind}}",
                directory.port
            )
        })
        .collect();
    let instance = publishing(&[slapd.url()], &more);
    let pid = instance.pid();
    for (name, _, words) in &hostile {
        eventually(&format!("the failure of `{name}`"), || {
            let status = status_of(&instance, name);
            let why = status["error"].as_str().unwrap_or_default();
            status["state"] == "fails" && why.contains("127.0.0.1") && why.contains(words)
        });
    }
    // The good one goes on.
    enrolled(&instance, "gw1");
    eventually("the certificate in the good one", || {
        slapd.values(&peer_dn("gw1"), "userCertificate;binary").len() == 1
            && status(&instance)["state"] == "in step"
    });
    let (code, text) = get(&instance, "/readyz");
    let metrics = get(&instance, "/metrics").1;
    assert!(code == 503 && !text.contains("`main`"), "{code} {text}");
    assert!(metrics.contains("countersign_publish_in_step{directory=\"main\"} 1\n"), "{metrics}");
    for (name, ..) in &hostile {
        assert!(text.contains(&format!("the directory `{name}` is not in step")), "{text}");
        let line = format!("countersign_publish_in_step{{directory=\"{name}\"}} 0\n");
        assert!(metrics.contains(&line), "{metrics}");
        let none = format!("countersign_publish_failures{{directory=\"{name}\"}} 0\n");
        assert!(!metrics.contains(&none), "{metrics}");
    }
    // Nothing of theirs was kept, and nothing ended by them.
    let most = peak_memory(pid);
    assert!(most < 160 << 10, "{most} KiB at most");
    assert!(metrics.lines().all(|line| !line.starts_with("countersign_thread_panics{")));
    for (_, directory, _) in &hostile {
        directory.become_like(slapd.port);
    }
    eventually("all in step", || {
        hostile.iter().all(|(name, ..)| status_of(&instance, name)["state"] == "in step")
    });
    eventually("ready", || get(&instance, "/readyz").0 == 200);
    let metrics = get(&instance, "/metrics").1;
    for (name, ..) in &hostile {
        let line = format!("countersign_publish_in_step{{directory=\"{name}\"}} 1\n");
        assert!(metrics.contains(&line), "{metrics}");
    }
    assert_eq!(instance.pid(), pid);
}

/// A self-signed CA of another PKI: its certificate and its CRL, in base64.
fn stranger(folder: &Path) -> (String, String) {
    let openssl = |arguments: &[&str]| tool_ok("openssl", "openssl", arguments, folder);
    fs::write(folder.join("index.txt"), "").unwrap();
    fs::write(
        folder.join("ca.cnf"),
        "[ca]\ndefault_ca=a\n[a]\ndatabase=index.txt\ndefault_md=sha256\ndefault_crl_days=7\n",
    )
    .unwrap();
    openssl(&[
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/CN=Stranger",
        "-keyout",
        "s.key",
        "-out",
        "s.crt",
    ]);
    openssl(&[
        "ca", "-gencrl", "-config", "ca.cnf", "-cert", "s.crt", "-keyfile", "s.key", "-out",
        "s.pem",
    ]);
    openssl(&["x509", "-in", "s.crt", "-outform", "DER", "-out", "s.der"]);
    openssl(&["crl", "-in", "s.pem", "-outform", "DER", "-out", "s.crl"]);
    let base64 = |file: &str| data_encoding::BASE64.encode(&fs::read(folder.join(file)).unwrap());
    (base64("s.der"), base64("s.crl"))
}

#[test]
fn only_our_own_values_are_touched_and_a_dry_run_is_ldif_that_does_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let slapd = Slapd::start(&folder.path().join("slapd"), "");
    let instance = configured(&[slapd.url()], "");
    let (certificate, crl) = stranger(folder.path());
    // Before anything is published, an operator's own entries stand there, with a stranger's values.
    slapd.load(&format!(
        "dn: o=Countersign\nchangetype: add\nobjectClass: organization\no: Countersign\n\n\
         dn: ou=peers,o=Countersign\nchangetype: add\nobjectClass: organizationalUnit\nou: peers\ndescription: ours\n\n\
         dn: {}\nchangetype: add\nobjectClass: device\nobjectClass: pkiUser\ncn: gw1\nserialNumber: 7\n\
         userCertificate;binary:: {certificate}\n\n\
         dn: cn=Old, o=Countersign\nchangetype: add\nobjectClass: certificationAuthority\nobjectClass: device\ncn: Old\n\
         cACertificate;binary:: {certificate}\ncertificateRevocationList;binary:: {crl}\n\
         authorityRevocationList;binary:: {crl}\n",
        peer_dn("gw1")
    ));
    let mut instance = instance;
    instance.serve();
    let first = enrolled(&instance, "gw1");
    eventually("both certificates", || {
        slapd.values(&peer_dn("gw1"), "userCertificate;binary").len() == 2
    });
    instance.ok(&["cert", "revoke", &first]);
    eventually("the stranger's alone", || {
        slapd.values(&peer_dn("gw1"), "userCertificate;binary") == [certificate.clone()]
    });
    assert_eq!(slapd.values("cn=Old,o=Countersign", CRL), [crl]);
    let kept = slapd.client(
        "ldapsearch",
        &["-LLL", "-b", "o=Countersign", "(|(serialNumber=7)(description=ours))"],
    );
    assert!(
        kept.1.contains("serialNumber: 7") && kept.1.contains("description: ours"),
        "{}",
        kept.1
    );
    enrolled(&instance, "gw2");
    eventually("in step", || status(&instance)["state"] == "in step");
    instance.stop();

    // Without a server: what is to be done as LDIF, applied by ldapmodify, leaves nothing to do.
    slapd.load(&format!(
        "dn: {}\nchangetype: delete\n\ndn: {ISSUING}\nchangetype: delete\n",
        peer_dn("gw2")
    ));
    let behind = instance.run(&["publish", "verify"]);
    let why = String::from_utf8_lossy(&behind.stderr).into_owned();
    assert!(behind.status.code() == Some(1) && why.contains("lacks 2 operations"), "{why}");
    let ldif = instance.ok(&["publish", "run", "--dry-run"]);
    assert!(
        ldif.contains("changetype: add") && ldif.lines().all(|line| line.len() <= 200),
        "{ldif}"
    );
    slapd.load(&ldif);
    instance.ok(&["publish", "verify"]);
    slapd.load(&format!("dn: {ISSUING}\nchangetype: delete\n"));
    let report = instance.json(&["publish", "run", "--directory", "main"]);
    assert_eq!(
        (&report[0]["operations"], &report[0]["problems"]),
        (&Value::from(1), &Value::Array(vec![]))
    );
    instance.ok(&["publish", "verify"]);
    let missing = instance.run(&["publish", "run", "--directory", "other"]);
    assert_eq!(missing.status.code(), Some(3));
}

#[test]
fn entries_that_may_not_be_made_are_named_and_certificates_may_stay() {
    let folder = tempfile::tempdir().unwrap();
    let slapd = Slapd::start(folder.path(), "");
    let instance =
        publishing(&[slapd.url()], "create_missing = false\nremove_certificates = false\n");
    let serial = enrolled(&instance, "gw1");
    eventually("the refusal", || {
        status(&instance)["error"]
            .as_str()
            .is_some_and(|why| why.contains("does not exist") && why.contains("create_missing"))
    });
    slapd.load(&format!(
        "dn: o=Countersign\nchangetype: add\nobjectClass: organization\no: Countersign\n\n\
         dn: ou=peers,o=Countersign\nchangetype: add\nobjectClass: organizationalUnit\nou: peers\n\n\
         dn: {}\nchangetype: add\nobjectClass: device\ncn: gw1\n\n\
         dn: {ISSUING}\nchangetype: add\nobjectClass: applicationProcess\ncn: issuing\n\n\
         dn: cn=root,o=Countersign\nchangetype: add\nobjectClass: applicationProcess\ncn: root\n",
        peer_dn("gw1")
    ));
    eventually("in step", || status(&instance)["state"] == "in step");
    let own = slapd.values(&peer_dn("gw1"), "userCertificate;binary");
    assert_eq!(own.len(), 1);
    instance.ok(&["cert", "revoke", &serial]);
    eventually("the CRL", || {
        slapd.values(ISSUING, CRL) == over_http(&instance, "/crl/issuing.crl")
    });
    assert_eq!(slapd.values(&peer_dn("gw1"), "userCertificate;binary"), own, "it stays");
}

/// A CA for TLS, a server's certificate for 127.0.0.1 and a publisher's, in PEM files of a folder.
fn tls(folder: &Path) {
    let openssl = |arguments: &[&str]| tool_ok("openssl", "openssl", arguments, folder);
    let new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    openssl(
        &[
            &["req", "-x509", "-subj", "/CN=TLS CA", "-keyout", "ca.key", "-out", "ca.crt"][..],
            &new_key,
        ]
        .concat(),
    );
    for (name, extension) in
        [("server", "subjectAltName=IP:127.0.0.1"), ("publisher", "extendedKeyUsage=clientAuth")]
    {
        fs::write(folder.join("ext"), extension).unwrap();
        let (key, request, certificate) =
            (format!("{name}.key"), format!("{name}.csr"), format!("{name}.crt"));
        let subject = format!("/O=Countersign/CN={name}");
        openssl(
            &[&["req", "-subj", &subject, "-keyout", &key, "-out", &request][..], &new_key]
                .concat(),
        );
        openssl(&[
            "x509",
            "-req",
            "-in",
            &request,
            "-CA",
            "ca.crt",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-extfile",
            "ext",
            "-out",
            &certificate,
            "-days",
            "10",
        ]);
        fs::set_permissions(folder.join(&key), fs::Permissions::from_mode(0o600)).unwrap();
    }
}

#[test]
fn every_way_in_works_and_wrong_ones_say_why() {
    let folder = tempfile::tempdir().unwrap();
    tls(folder.path());
    let file = |name: &str| folder.path().join(name).display().to_string();
    let more = format!(
        "TLSCACertificateFile {}\nTLSCertificateFile {}\nTLSCertificateKeyFile {}\nTLSVerifyClient try\n\
         authz-regexp \"cn=publisher,o=Countersign\" \"{ADMIN}\"\n",
        file("ca.crt"),
        file("server.crt"),
        file("server.key")
    );
    let mut slapd = Slapd::start(&folder.path().join("slapd"), &more);
    let secure = format!("ldaps://127.0.0.1:{}", slapd.tls_port);
    let ca = format!("ca_file = {:?}\n", file("ca.crt"));
    let external =
        format!("certificate = {:?}\nkey = {:?}\n", file("publisher.crt"), file("publisher.key"));
    for (urls, more) in [
        (vec![slapd.url()], format!("starttls = true\n{ca}")),
        (vec![secure.clone()], ca.clone()),
        (vec![slapd.url()], format!("starttls = true\n{ca}{external}")),
        (vec![secure.clone()], format!("{ca}{external}")),
        // A dead server first: the other one takes its place.
        (vec![format!("ldap://127.0.0.1:{}", free_port()), slapd.url()], String::new()),
    ] {
        slapd.kill();
        slapd.run_empty();
        let instance = configured(&urls, &more);
        let report = instance.json(&["publish", "run"]);
        assert_eq!(report[0]["problems"], Value::Array(vec![]), "{urls:?} {more}");
        assert!(report[0]["operations"].as_u64().unwrap() >= 3, "{report}");
        assert_eq!(report[0]["url"], *urls.last().unwrap());
        instance.ok(&["publish", "verify"]);
    }
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_url = format!("ldap://{}", silent.local_addr().unwrap());
    for (urls, more, word) in [
        (vec![secure], String::new(), "certificate"),
        (
            vec![slapd.url()],
            format!("bind_dn = \"{ADMIN}\"\npassword_file = {:?}\n", file("wrong")),
            "invalidCredentials (49)",
        ),
        (vec![silent_url], String::new(), "within 2s"),
        (vec![format!("ldap://127.0.0.1:{}", free_port())], String::new(), "refused"),
    ] {
        fs::write(file("wrong"), "wrong horse\n").unwrap();
        fs::set_permissions(file("wrong"), fs::Permissions::from_mode(0o600)).unwrap();
        let instance = configured(&urls, "");
        let config = instance.data().join("countersign.toml");
        let mut text = fs::read_to_string(&config).unwrap();
        if more.contains("bind_dn") {
            text = text
                .lines()
                .filter(|line| !line.starts_with("bind_dn") && !line.starts_with("password"))
                .map(|line| format!("{line}\n"))
                .collect();
        }
        fs::write(&config, text + &more).unwrap();
        let began = Instant::now();
        let refused = instance.run(&["publish", "run"]);
        let why = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && why.contains(word), "{urls:?}: {why}");
        assert!(began.elapsed() < Duration::from_secs(30));
    }
}

#[test]
fn hostile_names_stay_one_entry_in_both_directories() {
    let folder = tempfile::tempdir().unwrap();
    let slapd = Slapd::start(folder.path(), "");
    let more = "[ldap]\npeer_dn = \"cn={id},ou=peers\"\n";
    let mut instance = configured(&[slapd.url()], "");
    let config = instance.data().join("countersign.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{more}{text}")).unwrap();
    instance.serve();
    let built_in = format!("ldap://{}", instance.ldap);
    for (n, id) in [
        r#"dn:CN=gw\, ou\=admins\+cn\=root \"x\" \<y\>\;,O=Example"#,
        r"dn:CN=\#1 Lu\C4\8Di\C4\87 *)(cn=*\\\20 ",
        "email:o'brien+vpn@example.net",
        "dn:CN=a,CN=b,DC=example,DC=net",
    ]
    .iter()
    .enumerate()
    {
        let name = format!("h{n}");
        let peer = instance.peer(&name, &[id, &format!("fqdn:h{n}.example.net")]);
        key(&instance, "p256", "h.key");
        enrol(&instance, &peer, "h.key", &[]).granted();
        let certificate = fs::read_to_string(instance.file(&format!("{name}.crt"))).unwrap();
        let base64: String = certificate.lines().filter(|line| !line.starts_with("---")).collect();
        for url in [slapd.url(), built_in.clone()] {
            // One level below `ou=peers`, one entry more each time, with this very certificate.
            let search = [
                "-x",
                "-LLL",
                "-o",
                "ldif-wrap=no",
                "-H",
                &url,
                "-s",
                "one",
                "-b",
                "ou=peers,o=Countersign",
            ];
            let search =
                [&search[..], &["(objectClass=pkiUser)", "cn", "userCertificate;binary"]].concat();
            eventually("the entry", || {
                let found = common::tool("ldapsearch", "ldap-utils", &search, Path::new("/"));
                let text = String::from_utf8_lossy(&found.stdout).into_owned();
                text.matches("dn:").count() == n + 1 && text.contains(&base64)
            });
        }
    }
    eventually("in step", || status(&instance)["state"] == "in step");
    instance.ok(&["publish", "verify"]);
    let ldif = instance.ok(&["publish", "run", "--dry-run"]);
    assert!(!ldif.contains("changetype"), "{ldif}");
}

/// A CRL of some 5 MiB.
fn large_crl() -> Vec<u8> {
    let key = countersign_ca::FileKey::generate(countersign_ca::KeyAlgorithm::P256).unwrap();
    let mut set = RevokedSet::default();
    for n in 1..=130_000u128 {
        set.insert(&RevokedEntry {
            serial: Serial::new((n << 100).to_be_bytes()).unwrap(),
            not_after: Timestamp::from_seconds(2_000_000_000),
            partition: None,
            revocation: Revocation {
                at: Timestamp::from_seconds(1_700_000_000),
                reason: Reason::Superseded,
                invalidity: None,
            },
        });
    }
    let issuer = "CN=Issuing".parse().unwrap();
    let crl = Crl {
        issuer: &issuer,
        issuer_key_identifier: &[7; 20],
        number: 1,
        this_update: Timestamp::from_seconds(1_800_000_000),
        next_update: Timestamp::from_seconds(1_900_000_000),
        base: None,
        distribution_point: &[],
        freshest: &[],
    };
    let mut out = std::io::Cursor::new(Vec::new());
    crl.sign(&key, set.listed(None, Timestamp::default(), &Default::default()), &mut out).unwrap();
    out.into_inner()
}

#[test]
fn a_crl_beyond_slapds_limit_is_explained_and_passes_when_that_is_raised() {
    let der = large_crl();
    assert!(der.len() > 5 << 20, "{}", der.len());
    let text = |name, value: &'static str| Attribute::new(name, [value.into()]);
    let entries = [
        Entry {
            dn: "o=Countersign".parse().unwrap(),
            classes: vec!["organization"],
            attributes: vec![text("o", "Countersign")],
        },
        Entry {
            dn: ISSUING.parse().unwrap(),
            classes: vec!["applicationProcess", "pkiCA"],
            attributes: vec![
                text("cn", "issuing"),
                Attribute::new("certificateRevocationList", [der.clone().into()]),
            ],
        },
    ];
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    fs::write(&password, PASSWORD).unwrap();
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
    let publish = |slapd: &Slapd| {
        let settings = PublisherSettings {
            name: "main".into(),
            urls: vec![slapd.url()],
            starttls: false,
            bind: Bind::Simple(ADMIN.into(), password.clone()),
            ca_file: None,
            create_missing: true,
            remove_certificates: true,
            interval: Duration::from_secs(60),
            timeout: Duration::from_secs(30),
            max_read: 64 << 20,
        };
        let scope = Scope { base: "o=Countersign".parse().unwrap(), owners: Default::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(reconcile(&settings, &scope, &entries, false))
    };
    let slapd = Slapd::start(&folder.path().join("small"), "sockbuf_max_incoming_auth 4194303");
    let Err(refusal) = publish(&slapd) else { panic!("slapd took it") };
    let why = refusal.to_string();
    assert!(why.contains("was not changed") && why.contains("sockbuf_max_incoming_auth"), "{why}");
    let slapd = Slapd::start(&folder.path().join("large"), "sockbuf_max_incoming_auth 16777216");
    assert_eq!(publish(&slapd).map(|report| report.problems), Ok(Vec::new()));
    assert!(slapd.values(ISSUING, CRL) == [data_encoding::BASE64.encode(&der)]);
    assert_eq!(publish(&slapd).unwrap().operations.len(), 0);
}

#[test]
fn certificates_of_peers_and_cas_name_both_places() {
    let instance = Instance::empty();
    fs::create_dir(instance.data()).unwrap();
    let config = "[http]\npublic_url = \"http://pki.example.net\"\n[ldap]\npublic_url = \"ldap://ldap.example.net\"\n\
                  base = \"o=Example \\\\2C Inc.,c=DE\"\n";
    fs::write(instance.data().join("countersign.toml"), config).unwrap();
    instance.ok(&["init"]);
    let mut instance = instance;
    instance.serve();
    enrolled(&instance, "gw1");
    let base = "o=Example%20%5C,%20Inc.,c=DE";
    for (file, ca) in [("gw1.crt", "issuing"), ("data/keys/issuing.crt", "root")] {
        let text = common::openssl::text(&instance, file);
        for expected in [
            format!("URI:http://pki.example.net/crl/{ca}.crl"),
            format!(
                "URI:ldap://ldap.example.net/cn={ca},{base}?certificateRevocationList;binary?base"
            ),
            "OCSP - URI:http://pki.example.net/ocsp".to_owned(),
            format!("CA Issuers - URI:http://pki.example.net/ca/{ca}.cer"),
            format!(
                "CA Issuers - URI:ldap://ldap.example.net/cn={ca},{base}?cACertificate;binary?base"
            ),
        ] {
            assert!(text.contains(&expected), "{file}: {expected}: {text}");
        }
        let lint = concat!(env!("CARGO_MANIFEST_DIR"), "/target/test-tools/bin/lint_pkix_cert");
        let found = tool_ok(lint, "pkilint", &["lint", "-s", "WARNING", file], &instance.file("."));
        assert_eq!(found.trim(), "", "{file}");
    }
    // What a certificate names is there: the same URL at the address where the directory really is.
    for (ca, attribute) in [("issuing", "certificateRevocationList"), ("root", "cACertificate")] {
        let url = format!("ldap://{}/cn={ca},{base}?{attribute};binary?base", instance.ldap);
        let text = tool_ok("curl", "curl", &["-s", "-S", &url], &instance.file("."));
        assert!(text.contains(&format!("{attribute};binary:: MI")), "{url}: {text}");
    }
}
