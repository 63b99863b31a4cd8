//! SCEP's algorithms: what only an operator's setting permits, what is never accepted, and RSAES-OAEP for clients that use it. An answer has
//! the algorithms of its request.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use std::fs;

use common::cms::openssl;
use common::scep::{
    Client, Draft, ENABLED, REQUEST, challenge, fetch_certificates, logged, refused, site, tampered,
};
use common::{Instance, tool};

/// How OpenSSL names the algorithms of the envelope that was decrypted last.
fn algorithms(instance: &Instance) -> String {
    let all = openssl(instance, "cms -cmsout -print -noout -inform DER -in answer.p7");
    let names = [
        "rsaEncryption",
        "rsaesOaep",
        "des-ede3-cbc",
        "aes-128-cbc",
        "sha1",
        "sha256",
        "sha384",
        "sha512",
    ];
    names
        .into_iter()
        .filter(|name| all.contains(&format!(": {name} ")) || all.contains(&format!(":{name}\n")))
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn triple_des_and_sha_1_are_accepted_where_the_operator_says_so_and_logged() {
    let instance = Instance::start_with(&[ENABLED, ("scep", "legacy_algorithms = true")]);
    fetch_certificates(&instance, "/scep");
    let offered = instance.http("GET", "/scep?operation=GetCACaps", "", &[]).unwrap().body;
    let offered = String::from_utf8(offered).unwrap();
    assert!(offered.contains("\nSHA-1\n") && offered.contains("\nDES3\n"), "{offered}");
    let peer = instance.peer_with("gw1", &["fqdn:gw1.example.net"], &["--uses", "9"]);
    let client = Client::rsa(&instance, "gw1");
    let csr = || client.csr("gw1.example.net", "DNS:gw1.example.net", &challenge(&peer));
    let old = Draft { digest: "sha1", cipher: "-des3", ..Draft::new(REQUEST, "A1", csr()) };
    let issued = client.send(&client.message(&old));
    assert_eq!(client.certificates(&issued).len(), 1);
    assert_eq!(algorithms(&instance), "rsaEncryption des-ede3-cbc", "as it was asked");
    logged(&instance, &["transaction=A1", "WARN", "triple DES"]);
    logged(&instance, &["transaction=A1", "WARN", "SHA-1"]);
    // What is wrong inside is told as with AES: not at all.
    let wrong = Draft { cipher: "-des3", ..Draft::new(REQUEST, "A2", csr()) };
    let wrong = client.send(&tampered(&client, &wrong));
    refused(&wrong, "1", "cannot be decrypted");
    let aes = client.send(&tampered(&client, &Draft::new(REQUEST, "A3", csr())));
    assert_eq!(aes.text, wrong.text);
    // AES is answered with AES, and nobody gets anything older.
    let issued = client.send(&client.message(&Draft::new(REQUEST, "A4", csr())));
    assert_eq!(client.certificates(&issued).len(), 1);
    assert_eq!(algorithms(&instance), "rsaEncryption aes-128-cbc");
    let des = "-des-cbc -provider legacy -provider default";
    let des = Draft { cipher: des, ..Draft::new(REQUEST, "A5", csr()) };
    refused(&client.send(&client.message(&des)), "0", "single DES");
    logged(&instance, &["transaction=A5", "BadAlg", "single DES"]);
    let md5 = Draft { digest: "md5", ..Draft::new(REQUEST, "A6", csr()) };
    refused(&client.send(&client.message(&md5)), "0", "MD5");
    logged(&instance, &["transaction=A6", "BadAlg", "MD5"]);

    // strongSwan, told to use triple DES.
    let all = format!(
        "--scep --url http://{}/scep --in gw1.key --dn CN=gw1.example.net --san gw1.example.net --password {} --cacert-enc ra-enc.crt \
         --cacert-sig ra-sig.crt --cacert above.crt --cacert data/keys/root.crt --cipher des3 --outform pem",
        instance.address,
        challenge(&peer)
    );
    let all: Vec<&str> = all.split(' ').collect();
    let run = tool("pki", "strongswan-pki", &all, &instance.file("."));
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{said}\n{}", instance.log());
    fs::write(instance.file("by-strongswan.crt"), &run.stdout).unwrap();
    openssl(&instance, "verify -CAfile data/keys/root.crt -untrusted above.crt by-strongswan.crt");
    let warnings = instance.log().lines().filter(|line| line.contains("triple DES")).count();
    assert_eq!(warnings, 3, "{}", instance.log());
}

#[test]
fn oaep_is_answered_with_oaep_and_teaches_no_more_than_the_other_padding() {
    let instance = site();
    let peer = instance.peer_with("gw1", &["fqdn:gw1.example.net"], &["--uses", "9"]);
    let client = Client::rsa(&instance, "gw1");
    let csr = || client.csr("gw1.example.net", "DNS:gw1.example.net", &challenge(&peer));
    let oaep = |hash: &str| {
        format!(
            " -keyopt rsa_padding_mode:oaep -keyopt rsa_oaep_md:{hash} -keyopt rsa_mgf1_md:{hash}"
        )
    };
    for hash in ["sha1", "sha256", "sha384", "sha512"] {
        let transport = oaep(hash);
        let draft = Draft { transport: &transport, ..Draft::new(REQUEST, hash, csr()) };
        let issued = client.send(&client.message(&draft));
        assert_eq!(client.certificates(&issued).len(), 1, "{hash}");
        let found = algorithms(&instance);
        assert!(found.contains("rsaesOaep") && !found.contains("rsaEncryption"), "{hash}: {found}");
        let is_named = found.split(' ').any(|name| name == hash);
        assert!(is_named || hash == "sha1", "{hash}: {found}");
    }
    // Whoever did not use it does not get it.
    let issued = client.send(&client.message(&Draft::new(REQUEST, "B1", csr())));
    assert_eq!(client.certificates(&issued).len(), 1);
    assert_eq!(algorithms(&instance), "rsaEncryption aes-128-cbc");
    // A wrong padding of either kind, and a wrong padding of the content, have one answer.
    let expected = client.send(&tampered(&client, &Draft::new(REQUEST, "B2", csr())));
    refused(&expected, "1", "cannot be decrypted");
    for transport in ["", &oaep("sha256")] {
        let draft = Draft { transport, ..Draft::new(REQUEST, "B3", csr()) };
        client.message(&draft);
        let mut enveloped = fs::read(instance.file("enveloped")).unwrap();
        // The encrypted key: an OCTET STRING of 384 octets.
        let at = enveloped.windows(4).position(|octets| octets == [4, 0x82, 1, 0x80]).unwrap();
        enveloped[at + 100] ^= 1;
        let answer = client.send(&client.signed(&draft, &enveloped));
        assert_eq!(
            (answer.fail_info, answer.text),
            (expected.fail_info.clone(), expected.text.clone())
        );
    }
    // Parameters that no client needs.
    let mixed =
        " -keyopt rsa_padding_mode:oaep -keyopt rsa_oaep_md:sha256 -keyopt rsa_mgf1_md:sha1";
    let label = format!("{} -keyopt rsa_oaep_label:0102", oaep("sha256"));
    for transport in [mixed, &label] {
        let draft = Draft { transport, ..Draft::new(REQUEST, "B4", csr()) };
        refused(&client.send(&client.message(&draft)), "0", "RSAES-OAEP");
    }
    logged(&instance, &["transaction=B4", "BadAlg", "RSAES-OAEP"]);
    assert_eq!(instance.certificates("gw1").len(), 5);
}
