//! Policies after the examples of isakmpd.policy(5): the authorizer answers as the manual promises for each.
//!
//! isakmpd asks its policy only in phase 2; here, a daemon asks in phase 1 too. There is no ESP and no filter yet in phase 1: an assertion
//! that requires ESP denies phase 1, unless the operator adds [`gateway::phase_1`] to the policy.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod gateway;

use std::fs;
use std::path::Path;
use std::process::Command;

use countersign_ike_plugin::wire::{Step, Verdict};
use countersign_policy::ipsec::vocabulary::attribute;
use data_encoding::BASE64;
use serde_json::{Value, json};

use gateway::{
    AES, BLOWFISH, Ca, Gateway, MD5, NULL, Peer, SHA, SHA256, TRIPLE_DES, broken, but, phase_1,
    principal,
};

#[test]
fn an_assertion_with_nothing_but_an_authorizer_accepts_everything() {
    let (ca, stranger) = (Ca::root("Yard CA", None), Ca::root("Yard CA", None));
    let gateway = Gateway::new(
        "Authorizer: \"POLICY\"\nComment: whoever proves who it is may do all\n",
        &[&ca],
    );
    let peer = ca.peer("gw2.example");
    for peer in [&peer, &Peer::knows("anything")] {
        for question in [peer.phase1(), peer.esp(AES), peer.esp(NULL), peer.ah(MD5)] {
            gateway.allows(&question);
        }
    }
    // It does not replace the proof itself.
    for question in [peer.phase1(), peer.esp(AES)] {
        let other =
            but(&question, "/chain/0", stranger.peer("gw2.example").phase1()["chain"][0].clone());
        assert_eq!(gateway.ask(&other).step, Step::Path);
        let other = but(&question, "/remote/id/data", json!(BASE64.encode(b"gw3.example")));
        assert_eq!(gateway.ask(&other).step, Step::Identity);
    }
    // No peer can be POLICY.
    for nobody in ["", "Comment: nothing\nAuthorizer: \"policy\"\n"] {
        let gateway = Gateway::new(nobody, &[&ca]);
        gateway.denies(&peer.phase1());
        gateway.denies(&peer.esp(AES));
    }
}

/// isakmpd's policy decides about traffic only; path, status and identity are checked before.
#[test]
fn a_policy_may_be_asked_when_isakmpd_asks_it() {
    let (ca, stranger) = (Ca::root("Yard CA", None), Ca::root("Another CA", None));
    let policy =
        format!("Authorizer: \"POLICY\"\nLicensees: \"DN:/CN=Yard CA\"\nConditions: {ENCRYPTED}\n");
    let gateway = Gateway::as_isakmpd(&policy, &[&ca]);
    let peer = ca.peer("gw2.example");
    let answer = gateway.ask(&peer.phase1());
    assert_eq!(
        (answer.decision, answer.step),
        (Verdict::Allow, Step::Identity),
        "{}",
        answer.reason
    );
    assert!(answer.reason.contains("phase 2 only"), "{}", answer.reason);
    gateway.allows(&peer.esp(AES));
    gateway.denies(&peer.esp(NULL));
    // Phase 1 is not allowed to all peers.
    let other = stranger.peer("gw2.example");
    assert_eq!(gateway.ask(&other.phase1()).step, Step::Path);
    let other = but(&peer.phase1(), "/remote/id/data", json!(BASE64.encode(b"gw3.example")));
    assert_eq!(gateway.ask(&other).step, Step::Identity);
    assert_eq!(gateway.ask(&other).decision, Verdict::Deny);
    // By default, the same policy denies phase 1.
    Gateway::new(&policy, &[&ca]).denies(&peer.phase1());
}

/// The condition of the manual's examples: the packets are encrypted.
const ENCRYPTED: &str = "app_domain == \"IPsec policy\" &&\n   esp_present == \"yes\" &&\n   esp_enc_alg != \"null\" -> \"true\";";

#[test]
fn a_passphrase_is_licensed_by_its_hash_for_encrypted_packets() {
    // `printf %s 'larch under snow' | md5sum`, and so on.
    let cases = [
        ("larch under snow", "passphrase-md5-hex:dfde8c95e798bfefca5c993081e39e91"),
        ("Harbour-Master 9", "passphrase-sha1-hex:7e57d54f5294cd2c54c90b577a8e65b4a61b3f05"),
        ("spare key 3", "passphrase:spare key 3"),
    ];
    for (phrase, licensee) in cases {
        let policy = format!(
            "Authorizer: \"POLICY\"\nLicensees: \"{licensee}\"\nComment: whoever knows the phrase,\n  and encrypts\nConditions: {ENCRYPTED}\n"
        );
        let peer = Peer::knows(phrase);
        let bare = Gateway::new(&policy, &[]);
        bare.allows(&peer.esp(AES));
        bare.denies(&peer.phase1());
        let gateway = Gateway::new(&(policy + &phase_1(&format!("\"{licensee}\""))), &[]);
        gateway.allows(&peer.phase1());
        gateway.allows(&but(&peer.phase1(), "/mode", json!("aggressive")));
        for cipher in [TRIPLE_DES, BLOWFISH, AES] {
            gateway.allows(&peer.esp(cipher));
        }
        gateway.denies(&peer.esp(NULL));
        gateway.denies(&peer.ah(SHA));
        for wrong in [phrase.to_uppercase(), format!("{phrase} "), licensee.to_owned()] {
            gateway.denies(&Peer::knows(&wrong).phase1());
            gateway.denies(&Peer::knows(&wrong).esp(AES));
        }
        // The manual requires lower case, and a hash is compared as it is written.
        if let Some((kind, hash)) = licensee.split_once("-hex:") {
            let upper = format!("{kind}-hex:{}", hash.to_uppercase());
            let gateway =
                Gateway::new(&format!("Authorizer: \"POLICY\"\nLicensees: \"{upper}\"\n"), &[]);
            gateway.denies(&peer.phase1());
            gateway.denies(&peer.esp(AES));
        }
    }
}

#[test]
fn any_licensee_of_several_may_ask() {
    let ca = Ca::root("Yard CA", None);
    let [licensed, other] = ["gw2.example", "gw3.example"].map(|name| ca.peer(name));
    let licensees = format!(
        "\"passphrase:spare key 3\" || \"{}\" ||\n  \"passphrase-md5-hex:dfde8c95e798bfefca5c993081e39e91\" ||\n  \"passphrase-sha1-hex:7e57d54f5294cd2c54c90b577a8e65b4a61b3f05\"",
        principal(&licensed.chain[0])
    );
    let policy =
        format!("Authorizer: \"POLICY\"\nLicensees: {licensees}\nConditions: {ENCRYPTED}\n");
    let gateway = Gateway::new(&(policy + &phase_1(&licensees)), &[&ca]);
    let phrases = ["spare key 3", "larch under snow", "Harbour-Master 9"].map(Peer::knows);
    for peer in phrases.iter().chain([&licensed]) {
        gateway.allows(&peer.phase1());
        gateway.allows(&peer.esp(AES));
        gateway.denies(&peer.esp(NULL));
        gateway.denies(&peer.ah(SHA256));
    }
    // Certified by the same CA, with another key.
    for peer in [&other, &Peer::knows("spare key 4")] {
        gateway.denies(&peer.phase1());
        gateway.denies(&peer.esp(AES));
    }
}

/// Two sub-policies with their fields in different orders; the second has nested clauses.
const SUB_POLICIES: &str = r#"Authorizer: "POLICY"
Licensees: "north yard" || "south yard"
Comment: the yards have their own rules, here, because no
    key signs for them
Conditions: app_domain == "IPsec policy";



KeyNote-Version: 2
Licensees: "passphrase-md5-hex:dfde8c95e798bfefca5c993081e39e91"
Conditions: esp_present == "yes" -> "true";
Authorizer: "north yard"


CONDITIONS: ah_present == "yes" ->
      {
          ah_auth_alg == "hmac-md5" -> "true";
          ah_auth_alg == "hmac-sha" &&
          esp_present == "no" -> "true";
      };
licensees: "passphrase:spare key 3" ||
   "passphrase-sha1-hex:7e57d54f5294cd2c54c90b577a8e65b4a61b3f05"
AUTHORIZER: "south yard"
"#;

#[test]
fn sub_policies_decide_in_the_name_of_policy() {
    let everybody = "\"passphrase:larch under snow\" || \"passphrase:spare key 3\" || \"passphrase:Harbour-Master 9\"";
    let gateway = Gateway::new(&(SUB_POLICIES.to_owned() + &phase_1(everybody)), &[]);
    let bare = Gateway::new(SUB_POLICIES, &[]);
    let north = Peer::knows("larch under snow");
    for gateway in [&gateway, &bare] {
        gateway.allows(&north.esp(AES));
        gateway.allows(&north.esp(NULL));
        gateway.denies(&north.ah(MD5));
        for south in ["spare key 3", "Harbour-Master 9"].map(Peer::knows) {
            gateway.allows(&south.ah(MD5));
            gateway.allows(&south.ah(SHA));
            gateway.denies(&south.ah(SHA256));
            gateway.denies(&south.esp(AES));
        }
        gateway.denies(&Peer::knows("elsewhere").esp(AES));
    }
    for phrase in ["larch under snow", "spare key 3", "Harbour-Master 9"] {
        gateway.allows(&Peer::knows(phrase).phase1());
        bare.denies(&Peer::knows(phrase).phase1());
    }
    gateway.denies(&Peer::knows("elsewhere").phase1());
    // The manual's own example has `ah_auth_alg` equal `md5`, which is not one of the values that it lists.
    let printed = SUB_POLICIES.replace("\"hmac-", "\"");
    let south = Peer::knows("spare key 3");
    Gateway::new(&printed, &[]).denies(&south.ah(MD5));
    let auth = attribute("ah_auth_alg").unwrap();
    assert!(auth.check("md5").is_err() && auth.check("hmac-md5").is_ok());
    // The attribute of the transform has this name.
    let transform = printed.replace("ah_auth_alg", "ah_hash_alg");
    Gateway::new(&transform, &[]).allows(&south.ah(MD5));
    Gateway::new(&transform, &[]).denies(&south.ah(SHA256));
}

#[test]
fn nobody_names_itself_into_a_sub_policy() {
    // Unsigned assertions count only in the policy: a credential without a signature is dropped.
    let forged = "Authorizer: \"south yard\"\nLicensees: \"passphrase:elsewhere\"\n";
    let gateway = Gateway::with(SUB_POLICIES, &[], &[("gw2.example", forged)], true);
    gateway.denies(&Peer::knows("elsewhere").phase1());
    gateway.denies(&Peer::knows("elsewhere").ah(MD5));
    let gateway = Gateway::new(&format!("{SUB_POLICIES}\n{forged}"), &[]);
    gateway.allows(&Peer::knows("elsewhere").phase1());
    gateway.allows(&Peer::knows("elsewhere").ah(MD5));
}

#[test]
fn clauses_within_clauses_speak_of_algorithms() {
    let policy = r#"Authorizer: "POLICY"
Licensees: "passphrase:spare key 3"
Conditions: app_domain == "IPsec policy" && doi == "ipsec" -> {
        esp_present == "yes" -> {
            esp_enc_alg == "aes" && @esp_key_length >= 192 -> "true";
            esp_enc_alg == "3des" -> {
                esp_auth_alg == "hmac-sha" && @esp_life_seconds <= 3600 -> "true";
            };
        };
        ah_present == "yes" && ah_hash_alg == "sha2-256" && ah_encapsulation == "transport" -> "true";
        phase_1 == "main" && phase1_group_desc == "2" && esp_present == "no" && ah_present == "no" -> "true";
    };
"#;
    let gateway = Gateway::new(policy, &[]);
    let peer = Peer::knows("spare key 3");
    gateway.allows(&peer.phase1());
    gateway.denies(&but(&peer.phase1(), "/mode", json!("aggressive")));
    gateway.denies(&but(&peer.phase1(), "/proposal/group", json!(1)));
    let aes = but(&peer.esp(AES), "/child/proposal/key_length", json!(256));
    gateway.allows(&aes);
    gateway.denies(&but(&aes, "/child/proposal/key_length", json!(128)));
    gateway.denies(&but(&aes, "/child/proposal/encryption", json!(BLOWFISH)));
    let old = but(&peer.esp(TRIPLE_DES), "/child/proposal/life_seconds", json!(3600));
    gateway.allows(&old);
    gateway.denies(&but(&old, "/child/proposal/life_seconds", json!(3601)));
    gateway.denies(&but(&old, "/child/proposal/integrity", json!(MD5)));
    let ah = but(&peer.ah(SHA256), "/child/mode", json!("transport"));
    gateway.allows(&ah);
    gateway.denies(&but(&ah, "/child/mode", json!("tunnel")));
    gateway.denies(&but(&ah, "/child/proposal/integrity", json!(SHA)));
}

#[test]
fn the_name_of_a_ca_licenses_whom_it_certified() {
    let ca = Ca::root("Rollout CA", Some("pki@depot.example"));
    let other = Ca::root("Rollout CA", Some("pki@rival.example"));
    let nameless = Ca::root("Rollout CA", None);
    let below = ca.below("Depot 7");
    let policy = "keynote-version: 2\ncomment: whom the depot certified.\nauthorizer: \"POLICY\"\n\
                  licensees: \"DN:/CN=Rollout CA/emailAddress=pki@depot.example\"\n";
    let anchors = [&ca, &other, &nameless];
    let gateway = Gateway::new(policy, &anchors);
    // Certificates of a CA below it too: authority is delegated.
    for peer in [ca.peer("gw2.example"), below.peer_with_chain("gw2.example")] {
        gateway.allows(&peer.phase1());
        gateway.allows(&peer.esp(AES));
        gateway.allows(&peer.ah(SHA));
    }
    for peer in [other.peer("gw2.example"), nameless.peer("gw2.example")] {
        gateway.denies(&peer.phase1());
        gateway.denies(&peer.esp(AES));
    }
    gateway.denies(&Peer::knows("DN:/CN=Rollout CA/emailAddress=pki@depot.example").phase1());
    // If there are conditions, they hold for everything below the CA.
    let gateway = Gateway::new(&format!("{policy}conditions: {ENCRYPTED}\n"), &anchors);
    let peer = below.peer_with_chain("gw2.example");
    gateway.allows(&peer.esp(AES));
    gateway.denies(&peer.esp(NULL));
    gateway.denies(&peer.phase1());
    // A peer's own name is a principal as well.
    let gateway =
        Gateway::new("Authorizer: \"POLICY\"\nLicensees: \"DN:/CN=gw2.example\"\n", &anchors);
    gateway.allows(&peer.phase1());
    gateway.allows(&peer.esp(AES));
    let other = below.peer_with_chain("gw3.example");
    gateway.denies(&other.phase1());
    gateway.denies(&other.esp(AES));
}

/// The condition of the manual's example of a key.
const WITH_PFS: &str = "app_domain == \"IPsec policy\" && doi == \"ipsec\" &&\n   pfs == \"yes\" && esp_present == \"yes\" && ah_present == \"no\" &&\n   \
                        (esp_enc_alg == \"3des\" || esp_enc_alg == \"aes\") -> \"true\";";

#[test]
fn the_key_in_a_certificate_licenses_whom_it_certified() {
    let (ca, namesake) = (Ca::root("Rollout CA", None), Ca::root("Rollout CA", None));
    let key = ca.principal();
    let policy = format!(
        "keynote-version: 2\ncomment: to a key, not to a name.\nauthorizer: \"POLICY\"\nlicensees: \"{key}\"\nconditions: {WITH_PFS}\n"
    );
    let gateway = Gateway::new(&(policy + &phase_1(&format!("\"{key}\""))), &[&ca, &namesake]);
    let peer = ca.peer("gw2.example");
    gateway.allows(&peer.phase1());
    for cipher in [AES, TRIPLE_DES] {
        let question = but(&peer.esp(cipher), "/child/group", json!(2));
        gateway.allows(&question);
        gateway.denies(&but(&question, "/child/group", Value::Null));
        gateway.denies(&but(&question, "/child/proposal/encryption", json!(BLOWFISH)));
        gateway.denies(&but(&question, "/child/proposal/protocol", json!("ah")));
    }
    // The same name is not the same key.
    let peer = namesake.peer("gw2.example");
    gateway.denies(&peer.phase1());
    gateway.denies(&but(&peer.esp(AES), "/child/group", json!(2)));
}

/// A policy that licenses the key of one CA, which may delegate that.
fn licensing(ca: &str) -> String {
    format!(
        "Authorizer: \"POLICY\"\nLicensees: \"{ca}\"\nConditions: app_domain == \"IPsec policy\";\n"
    )
}

#[test]
fn a_credential_hands_on_what_its_signer_may() {
    let [head, yard, depot] = ["Head CA", "Yard CA", "Depot CA"].map(|name| Ca::root(name, None));
    let anchors = [&head, &yard, &depot];
    let to = |ca: &Ca, conditions: &str| {
        format!("licensees: \"{}\"\nconditions: {conditions}\n", ca.principal())
    };
    let to_yard = head
        .credential(&to(&yard, &format!("{WITH_PFS}\n   remote_filter_type == \"\" -> \"true\";")));
    let peer = yard.peer("gw2.example");
    let traffic = but(&peer.esp(AES), "/child/group", json!(2));
    let policy = licensing(&head.principal());

    let gateway = Gateway::with(&policy, &anchors, &[("gw2.example", &to_yard)], false);
    gateway.allows(&peer.phase1());
    gateway.allows(&traffic);
    // The CA delegates no more than its credential says.
    gateway.denies(&but(&traffic, "/child/group", Value::Null));
    gateway.denies(&but(&traffic, "/child/proposal/encryption", json!(BLOWFISH)));
    // The credential belongs to that peer: other peers do not have it, and it does not apply to peers of another CA.
    for other in [yard.peer("gw3.example"), depot.peer("gw2.example")] {
        gateway.denies(&other.phase1());
        gateway.denies(&but(&other.esp(AES), "/child/group", json!(2)));
    }
    // The signer itself may do as much as the policy allows.
    gateway.allows(&head.peer("gw2.example").esp(BLOWFISH));

    // Two delegations together allow it; one alone does not.
    let to_depot = yard.credential(&to(&depot, "esp_enc_alg != \"3des\";"));
    let both = format!("{to_yard}\n{to_depot}");
    let peer = depot.peer("gw2.example");
    let traffic = but(&peer.esp(AES), "/child/group", json!(2));
    let gateway = Gateway::with(&policy, &anchors, &[("gw2.example", &both)], false);
    gateway.allows(&peer.phase1());
    gateway.allows(&traffic);
    gateway.denies(&but(&traffic, "/child/proposal/encryption", json!(TRIPLE_DES)));
    for credentials in [&to_yard, &to_depot] {
        let gateway = Gateway::with(&policy, &anchors, &[("gw2.example", credentials)], false);
        gateway.denies(&peer.phase1());
        gateway.denies(&traffic);
    }
}

#[test]
fn a_credential_whose_signature_does_not_verify_is_none() {
    let [head, yard, depot] = ["Head CA", "Yard CA", "Depot CA"].map(|name| Ca::root(name, None));
    let fields =
        format!("Licensees: \"{}\"\nConditions: esp_enc_alg != \"null\";\n", yard.principal());
    let good = head.credential(&fields);
    let signature = |credential: &str| credential.split_once("Signature:").unwrap().1.to_owned();
    let signed_by_other = format!(
        "{}Signature:{}",
        good.split_once("Signature:").unwrap().0,
        signature(&yard.credential(&fields))
    );
    let widened = good.replace("\"null\"", "\"none\"");
    let unsigned = good.split_once("Signature:").unwrap().0.to_owned();
    let by_the_wrong_one = depot.credential(&fields);
    let policy = licensing(&head.principal());
    let peer = yard.peer("gw2.example");
    let answers = |credential: &str| {
        let of = [("gw2.example", credential)];
        let gateway = Gateway::with(&policy, &[&head, &yard, &depot], &of, true);
        // Those of the policy itself still count.
        gateway.allows(&head.peer("gw2.example").phase1());
        [peer.phase1(), peer.esp(AES)].map(|question| gateway.ask(&question))
    };
    for answer in answers(&good) {
        assert_eq!(answer.decision, Verdict::Allow, "{}", answer.reason);
    }
    for bad in [&signed_by_other, &widened, &unsigned, &by_the_wrong_one] {
        assert_ne!(*bad, good);
        for answer in answers(bad) {
            assert_eq!((answer.decision, answer.step), (Verdict::Deny, Step::Policy), "{bad}");
        }
    }
    // An invalid credential does not invalidate another.
    for answer in answers(&format!("{widened}\n{good}")) {
        assert_eq!(answer.decision, Verdict::Allow, "{}", answer.reason);
    }
}

/// Runs OpenSSL with this input; returns its output.
fn openssl(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn a_credential_as_openbsd_signs_it_counts_where_old_signatures_do() {
    let folder = tempfile::tempdir().unwrap();
    let request =
        "req -x509 -newkey rsa:2048 -nodes -keyout key -subj /CN=Head -out crt -outform DER";
    openssl(folder.path(), &request.split(' ').collect::<Vec<_>>());
    let head = principal(&fs::read(folder.path().join("crt")).unwrap());
    let yard = Ca::root("Yard CA", None);
    let body = format!(
        "keynote-version: 2\nlicensees: \"{}\"\nauthorizer: \"{head}\"\nconditions: app_domain == \"IPsec policy\" -> \"true\";\n",
        yard.principal()
    );
    fs::write(folder.path().join("body"), format!("{body}sig-x509-sha1-base64:")).unwrap();
    let signature = openssl(folder.path(), &["dgst", "-sha1", "-sign", "key", "body"]);
    let signature = broken(&format!("sig-x509-sha1-base64:{}", BASE64.encode(&signature)));
    let credential = format!("{body}Signature: \"{signature}\"\n");
    let peer = yard.peer("gw2.example");
    for legacy in [true, false] {
        let of = [("gw2.example", credential.as_str())];
        let gateway = Gateway::with(&licensing(&head), &[&yard], &of, legacy);
        for question in [peer.phase1(), peer.esp(AES)] {
            if legacy { gateway.allows(&question) } else { gateway.denies(&question) }
        }
        // The log records whether they counted, so that an explanation gives the same answer.
        let traces = [peer.phase1(), peer.esp(AES)].map(|question| gateway.ask(&question).trace);
        for explanations in gateway.explained(&traces) {
            for trace in explanations {
                assert_eq!(trace.value == "true", legacy, "{trace}");
            }
        }
    }
}
