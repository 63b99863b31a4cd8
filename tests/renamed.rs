//! `peer rename`: the account stays the same. OpenSSL renews, polls and vouches under the new name, ldapsearch finds the entry there, and a
//! new account of the old name owns nothing. Who signed before goes on, over each protocol.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use common::cmp::{CP, CR, Draft, Key, exchange};
use common::est::Site;
use common::gateway::eventually;
use common::nested::{registrar, vouched_for};
use common::openssl::{Run, by_secret, cmp, enrol, key};
use common::scep::{self, Client, ENABLED, RENEWAL, challenge, fetch_certificates};
use common::{Instance, fails, tool_ok};
use serde_json::Value;

const PROFILES: &str = "[profiles.slow]\napproval = true\n";

fn serials(instance: &Instance, account: &str) -> Vec<String> {
    let all = instance.certificates(account);
    all.iter().map(|one| one["serial"].as_str().unwrap().to_owned()).collect()
}

/// The names of the peers that ldapsearch finds.
fn published(instance: &Instance) -> BTreeSet<String> {
    let url = format!("ldap://{}", instance.ldap);
    let search = ["-x", "-LLL", "-o", "ldif-wrap=no", "-H", &url, "-b", "o=Countersign"];
    let filter = ["(userCertificate;binary=*)", "cn"];
    let found =
        tool_ok("ldapsearch", "ldap-utils", &[&search[..], &filter].concat(), &instance.file("."));
    found
        .lines()
        .filter_map(|line| {
            line.strip_prefix("dn: cn=")
                .and_then(|line| line.strip_suffix(",ou=peers,o=Countersign"))
        })
        .map(str::to_owned)
        .collect()
}

fn requests(instance: &Instance) -> Vec<Value> {
    instance.json(&["request", "list"]).as_array().unwrap().clone()
}

#[test]
fn a_renamed_account_keeps_what_is_its_own_and_the_old_name_is_free() {
    let mut instance = Instance::start_with_profile(&[("cmp", "poll_after = \"1s\"")], PROFILES);
    let gw1 = instance.peer_with(
        "gw1",
        &["fqdn:gw1.example.net"],
        &["--uses", "9", "--label", "site=berlin"],
    );
    key(&instance, "p256", "gw1.key");
    enrol(&instance, &gw1, "gw1.key", &[]).granted();
    // Another one waits for its approval.
    let slow = instance.peer_with("slow", &["fqdn:slow.example.net"], &["--profile", "slow"]);
    key(&instance, "p256", "slow.key");
    let secret = by_secret(&slow);
    let waiting = Command::new("openssl")
        .args(["cmp", "-server", &instance.address, "-path", ".well-known/cmp", "-trusted"])
        .arg(instance.root())
        .args(["-cmd", "ir", "-newkey", "slow.key", "-certout", "slow.crt", "-msg_timeout", "60"])
        .args(&secret)
        .current_dir(instance.file("."))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    eventually("the request waits", || requests(&instance).len() == 1);
    let ra = registrar(&instance, "ra1");
    let first = serials(&instance, "gw1");
    eventually("gw1 is published", || published(&instance).contains("gw1"));

    // 1. The accounts are renamed, while the server runs.
    let renamed = instance.json(&["peer", "rename", "gw1", "berlin-gw1"]);
    assert_eq!(
        (renamed["name"].as_str(), renamed["former_names"][0].as_str()),
        (Some("berlin-gw1"), Some("gw1"))
    );
    assert_eq!(renamed["certificate"].as_str(), Some(&*first[0]));
    for (from, to) in [("slow", "berlin-slow"), ("ra1", "berlin-ra1")] {
        instance.ok(&["peer", "rename", from, to]);
    }
    let missing = instance.run(&["peer", "show", "gw1"]);
    fails(&missing, 3, &["there is no account `gw1`"]);
    fails(&instance.run(&["peer", "rename", "gw1", "gw9"]), 3, &["there is no account `gw1`"]);
    fails(&instance.run(&["peer", "rename", "berlin-gw1", "berlin-slow"]), 3, &["exists already"]);
    fails(&instance.run(&["peer", "rename", "berlin-gw1", "_own"]), 3, &["the instance itself"]);
    instance.ok(&["admin", "add", "alice", "--role", "administrator"]);
    fails(&instance.run(&["peer", "rename", "alice", "bob"]), 3, &["administrator"]);
    fails(&instance.run(&["peer", "rename", "berlin-gw1", "alice"]), 3, &["administrator"]);

    // 2. What is the account's is its own: the certificate renews and its secret enrols, over CMP; the request is approved.
    let kur = ["-cmd", "kur", "-cert", "gw1.crt", "-key", "gw1.key", "-newkey", "gw1.key"];
    cmp(&instance, &[&kur[..], &["-certout", "next.crt"]].concat()).granted();
    enrol(&instance, &gw1, "gw1.key", &[]).granted();
    let own = serials(&instance, "berlin-gw1");
    assert_eq!((own.len(), &own[0], serials(&instance, "gw1").len()), (3, &first[0], 0));
    let by_label = instance.json(&["cert", "list", "--label", "site=berlin"]);
    assert_eq!(by_label.as_array().unwrap().len(), 3);
    let found = instance.json(&["peer", "list", "--id", "fqdn:gw1.example.net"]);
    assert_eq!(found[0]["name"], "berlin-gw1");
    let request = requests(&instance).remove(0);
    assert_eq!(request["account"], "berlin-slow");
    instance.ok(&["request", "approve", request["id"].as_str().unwrap()]);
    Run::from(waiting.wait_with_output().unwrap()).granted();
    assert_eq!(serials(&instance, "berlin-slow").len(), 1);
    // The registration authority goes on vouching: for a peer's own key, by a certificate that it got under its old name.
    instance.peer("gw2", &["fqdn:gw2.example.net"]);
    let vouched = Draft::new(CR, vouched_for(&Key::new(), "CN=gw2.example.net")).implicit();
    let answer = exchange(&instance, &vouched.by(&ra));
    assert_eq!(answer.kind, CP, "{:?}", answer.status().map(|status| status.words()));
    let serial = serials(&instance, "gw2").remove(0);
    assert_eq!(instance.json(&["cert", "show", &serial])["account"], "gw2");

    // 3. The directory shows the new name.
    eventually("the entry moved", || {
        let found = published(&instance);
        found.contains("berlin-gw1") && !found.contains("gw1")
    });

    // 4. A new account of the old name owns nothing, and may do nothing with the certificate.
    instance.ok(&["peer", "add", "gw1", "--id", "fqdn:other.example.net", "--no-secret"]);
    assert!(serials(&instance, "gw1").is_empty());
    let shown = instance.json(&["cert", "show", &first[0]]);
    assert_eq!(
        (shown["account"].as_str(), shown["holder"].as_str()),
        (Some("berlin-gw1"), Some("the account"))
    );
    instance.ok(&["cert", "revoke", "--account", "gw1", "--all"]);
    assert!(instance.certificates("berlin-gw1").iter().all(|one| one["status"] == "valid"));
    cmp(&instance, &[&kur[..], &["-certout", "after.crt"]].concat()).granted();
    assert_eq!(serials(&instance, "berlin-gw1").len(), 4);

    // 5. The report follows the account through its names; and all of it is the same after a rebuild.
    let actions = |account: &str| -> Vec<String> {
        let report = instance.json(&["audit", "report", "--account", account]);
        let lines = report.as_array().unwrap().iter();
        lines.map(|line| line["action"].as_str().unwrap().to_owned()).collect()
    };
    let before = actions("berlin-gw1");
    let count = |action: &str| before.iter().filter(|one| *one == action).count();
    assert_eq!(
        (count("accounts added"), count("account renamed"), count("certificate issued")),
        (1, 1, 4)
    );
    let (rows, entries) = (instance.json(&["cert", "list"]), published(&instance));
    instance.stop();
    instance.ok(&["store", "rebuild"]);
    instance.serve();
    assert_eq!(instance.json(&["cert", "list"]), rows);
    eventually("the directory has the same entries", || published(&instance) == entries);
    let done = instance.json(&["audit", "report", "--actor", "uid 0"]);
    let is_rebuild = |line: &Value| line["action"] == "store rebuild";
    assert!(done.as_array().unwrap().iter().any(is_rebuild), "{done}");
    instance.ok(&["audit", "verify"]);
}

#[test]
fn who_signed_under_one_name_signs_under_the_next_over_each_protocol_and_is_answered_again() {
    let site = Site::start_with(&[ENABLED], "");
    let instance = &site.instance;
    fetch_certificates(instance, "/scep");
    let peer = |name: &str, flags: &[&str]| {
        instance.peer_with(name, &[&format!("fqdn:{name}.example.net")], flags)
    };
    // CMP, EST and SCEP, by OpenSSL and curl; and a registration authority.
    let by_cmp = peer("gw1", &[]);
    key(instance, "p256", "gw1.key");
    enrol(instance, &by_cmp, "gw1.key", &[]).granted();
    let by_est = peer("gw2", &["--uses", "1"]);
    site.enrol(&by_est, "p256");
    let first = site.der("gw2");
    let by_scep = peer("gw3", &[]);
    let client = Client::rsa(instance, "gw3");
    let csr = client.csr("gw3.example.net", "DNS:gw3.example.net", &challenge(&by_scep));
    client.enrol("first", csr);
    let csr = client.csr("gw3.example.net", "DNS:gw3.example.net", "");
    let ra = registrar(instance, "ra1");
    peer("gw4", &[]);

    let mut names = ["gw1", "gw2", "gw3", "ra1"].map(str::to_owned);
    for (round, prefix) in ["", "berlin-", "paris-", ""].into_iter().enumerate() {
        for (name, first) in names.iter_mut().zip(["gw1", "gw2", "gw3", "ra1"]) {
            let next = format!("{prefix}{first}");
            if *name != next {
                instance.ok(&["peer", "rename", name, &next]);
            }
            *name = next;
        }
        let kur = ["-cmd", "kur", "-cert", "gw1.crt", "-key", "gw1.key", "-newkey", "gw1.key"];
        cmp(instance, &[&kur[..], &["-certout", "next.crt"]].concat()).granted();
        let next = format!("next{round}");
        site.request(&next, "p256", "/CN=gw2.example.net", "DNS:gw2.example.net");
        let by = ["--cert", "gw2.crt", "--key", "gw2.key"];
        site.keep(&site.post("/.well-known/est/simplereenroll", &next, &by), &next);
        let id = format!("renewal{round}");
        let renewed = client.send(&client.message(&scep::Draft::new(RENEWAL, &id, csr.clone())));
        assert_eq!(client.certificates(&renewed).len(), 1);
        let vouched = Draft::new(CR, vouched_for(&Key::new(), "CN=gw4.example.net")).implicit();
        let answer = exchange(instance, &vouched.by(&ra));
        assert_eq!(answer.kind, CP, "{:?}", answer.status().map(|status| status.words()));
        // Who lost the first answer gets it again, though the secret is used up.
        let again = site.post_as("/.well-known/est/simpleenroll", "gw2", &by_est);
        assert_eq!(site.keep(&again, "again"), first);
        let counts =
            ["gw4", &names[0], &names[1], &names[2]].map(|name| serials(instance, name).len());
        assert_eq!(counts, [round + 1, round + 2, round + 2, round + 2]);
    }

    // Whoever gets the name of an account that was removed is told of that one's certificates, as one who is added.
    instance.ok(&["peer", "rename", "gw1", "berlin-gw1"]);
    instance.ok(&["peer", "remove", "berlin-gw1"]);
    let left = serials(instance, "berlin-gw1");
    let warned = instance.json(&["peer", "rename", "gw2", "berlin-gw1"]);
    assert_eq!((warned["name"].as_str(), left.len()), (Some("berlin-gw1"), 5));
    let warning = warned["warnings"][0].as_str().unwrap();
    assert!(left.iter().all(|serial| warning.contains(serial)), "{warning}");
    assert_eq!(instance.json(&["peer", "rename", "gw3", "berlin-gw3"])["warnings"], Value::Null);
    // And they can all be revoked by the name, also those that were issued under a former one.
    instance.ok(&["cert", "revoke", "--account", "berlin-gw1", "--all"]);
    let all = instance.certificates("berlin-gw1");
    let revoked: BTreeSet<&str> = all
        .iter()
        .filter(|one| one["status"] == "revoked")
        .map(|one| one["serial"].as_str().unwrap())
        .collect();
    assert!(left.iter().all(|serial| revoked.contains(&**serial)));
}
