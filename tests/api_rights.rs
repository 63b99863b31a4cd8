//! What an administrator may do over the administration API: how far a grant reaches, that nobody gives oneself more, and approvals. The callers
//! are curl, and our own command line from another folder.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use std::fs;
use std::process::Command;

use common::api::{By, Site, private};
use common::{COUNTERSIGN, tool_ok};
use serde_json::{Value, json};

#[test]
fn a_grant_is_good_for_its_cas_and_accounts_alone() {
    let site = Site::start();
    for name in ["gw-berlin", "gw-paris"] {
        let peer = site.instance.peer(name, &[&format!("fqdn:{name}.example.net")]);
        site.enrol(name, &json!({"account": {"reference": peer.reference, "secret": peer.secret}}));
    }
    let token = site.token_of("bob", &["--role", "operator", "--account", "*-berlin"]);
    let bob = By::Token(&token);
    let names = |list: Value, key: &str| -> Vec<String> {
        let rows = list.as_array().unwrap().clone();
        rows.iter().map(|row| row[key].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        names(site.get(bob, "/api/v1/accounts").json(200)["items"].clone(), "name"),
        ["gw-berlin"]
    );
    let page = site.get(bob, "/api/v1/certificates").json(200);
    assert_eq!(names(page["items"].clone(), "account"), ["gw-berlin"]);
    site.get(bob, "/api/v1/accounts/gw-paris").is_problem(403, &["no grant covers the account"]);
    let serial =
        |name: &str| site.instance.certificates(name)[0]["serial"].as_str().unwrap().to_owned();
    let (berlin, paris) = (serial("gw-berlin"), serial("gw-paris"));
    let revocation = |serial: &str| format!("/api/v1/certificates/issuing/{serial}/revocation");
    let reason = json!({"reason": "superseded"});
    site.send(bob, "PUT", &revocation(&paris), &reason).is_problem(403, &["gw-paris"]);
    assert_eq!(site.send(bob, "PUT", &revocation(&berlin), &reason).json(200)["status"], "revoked");
    site.send(bob, "PUT", &revocation(&berlin), &reason).is_problem(409, &["revoked"]);
    site.send(bob, "PUT", &revocation("0a"), &reason).is_problem(404, &["no certificate"]);
    // What is about all accounts needs a grant for all of them.
    site.send(bob, "POST", "/api/v1/crls", &json!({"ca": null})).is_problem(403, &["all CAs"]);
    site.send(bob, "POST", "/api/v1/crls", &json!({"ca": "issuing"})).is_problem(403, &["covers"]);
    let account = |name: &str| json!({"accounts": [{"name": name, "ids": ["fqdn:x.example.net"], "profile": "gateway"}]});
    site.send(bob, "POST", "/api/v1/accounts", &account("gw-rome")).is_problem(403, &["gw-rome"]);
    assert_eq!(site.send(bob, "POST", "/api/v1/accounts", &account("x-berlin")).status, 201);

    // An identity that a peer elsewhere holds, and a registration authority, would reach beyond the grant.
    let body = json!({"accounts": [{
        "name": "y-berlin", "ids": ["fqdn:gw-paris.example.net"], "profile": "gateway",
    }]});
    site.send(bob, "POST", "/api/v1/accounts", &body).is_problem(403, &["gw-paris"]);
    let body = json!({"accounts": [{
        "name": "ra-berlin", "ids": ["fqdn:ra.example.net"], "profile": "ra",
    }]});
    site.send(bob, "POST", "/api/v1/accounts", &body).is_problem(403, &["registration authority"]);
    // A certificate of the instance itself belongs to no account.
    let own = site.instance.certificates("_admin")[0]["serial"].as_str().unwrap().to_owned();
    let star = site.token_of("star", &["--role", "revoker", "--account", "*"]);
    site.send(By::Token(&star), "PUT", &revocation(&own), &reason).is_problem(403, &["_admin"]);

    let other = site.token_of("eve", &["--role", "operator", "--ca", "issuing"]);
    assert_eq!(site.get(By::Token(&other), "/api/v1/accounts/gw-paris").status, 200);
    assert_eq!(
        site.send(By::Token(&other), "POST", "/api/v1/crls", &json!({"ca": "issuing"})).status,
        200
    );
}

/// Somebody who keeps accounts could otherwise become an administrator: by the secret of an administrator's account, or a new account of
/// that profile.
#[test]
fn who_keeps_accounts_becomes_no_administrator() {
    let site = Site::start();
    site.admin("alice", &["--role", "administrator"]);
    let token = site.token_of("bob", &["--role", "operator"]);
    let bob = By::Token(&token);
    let secret = json!({"seconds": 3600, "uses": 1});
    site.send(bob, "POST", "/api/v1/accounts/alice/secret", &secret)
        .is_problem(403, &["administrator's account"]);
    site.curl(bob, "/api/v1/accounts/alice", &["-X", "DELETE"])
        .is_problem(403, &["administrator's account"]);
    let account = json!({"accounts": [{
        "name": "mallory", "ids": ["email:m@example.net"], "profile": "administrator", "secret": secret,
    }]});
    site.send(bob, "POST", "/api/v1/accounts", &account)
        .is_problem(403, &["administrator's account"]);
    // An administrator's account goes with the administrator: the tokens would stay.
    let kept = site.instance.run(&["peer", "remove", "alice"]);
    assert_eq!(kept.status.code(), Some(3));
    assert!(
        common::text(&kept).contains("countersign admin remove alice"),
        "{}",
        common::text(&kept)
    );
    // With a certificate for the name of this server, a peer could pass for it, and read tokens.
    let account = json!({"accounts": [{
        "name": "pki", "ids": ["fqdn:localhost"], "profile": "host", "secret": secret,
    }]});
    site.send(bob, "POST", "/api/v1/accounts", &account).is_problem(403, &["server's own name"]);
    // To have CAs certified is a permission that an operator does not give, whichever the door.
    let peer = json!({
        "name": "sub", "ids": ["dn:CN=Mine"], "profile": "gateway", "secret": secret,
        "permissions": ["cross-certification"],
    });
    site.send(bob, "POST", "/api/v1/accounts", &json!({"accounts": [peer]}))
        .is_problem(403, &["peer-permit"]);
    let command = json!({"do": "peer-add", "peers": [peer]});
    site.send(bob, "POST", "/api/v1/command", &command).is_problem(403, &["peer-permit"]);
    // A token has no more than its roles.
    site.admin("carol", &["--role", "administrator", "--role", "viewer"]);
    let narrow = site.token("carol", "monitor", &["--role", "viewer"]);
    assert_eq!(site.get(By::Token(&narrow), "/api/v1/accounts").status, 200);
    site.get(By::Token(&narrow), "/api/v1/administrators").is_problem(403, &["admin-list"]);
    // Files of the server are for those who are there.
    let token = site.token("carol", "all", &[]);
    let carol = By::Token(&token);
    let backup = json!({"do": "backup", "to": "/tmp/x"});
    site.send(carol, "POST", "/api/v1/command", &backup).is_problem(400, &["run it there"]);
    let foreign = site.instance.run(&["admin", "token", "add", "carol", "x", "--role", "approver"]);
    assert_eq!(foreign.status.code(), Some(2), "{}", common::text(&foreign));
}

#[test]
fn a_request_waits_for_an_approver_who_is_somebody_else() {
    let profile =
        "[profiles.administrator]\napproval = true\n[profiles.gateway]\napproval = true\n";
    let site = Site::start_with(&[], profile);
    let added = site.admin("alice", &["--role", "approver"]);
    let (alice, bob) =
        (site.token("alice", "t", &[]), site.token_of("bob", &["--role", "approver"]));
    let text = |key: &str| added["account"][key].as_str().unwrap().to_owned();
    private(&site.instance.file("secret"), &text("secret"));
    let server = format!("http://{}", site.instance.address);
    let enrol = || {
        let mut command = Command::new(COUNTERSIGN);
        command
            .args(["enroll", "--server", &server, "--reference", &text("reference")])
            .args(["--secret-file", "secret", "--trust", &site.root(), "--out", "alice"])
            .args(["--patience", "1s"])
            .current_dir(site.instance.file("."));
        common::output_of(&mut command)
    };
    assert_eq!(enrol().status.code(), Some(7));
    let waiting = site.get(By::Token(&alice), "/api/v1/requests").json(200);
    let id = waiting[0]["id"].as_str().unwrap().to_owned();
    let decision = format!("/api/v1/requests/{id}/decision");
    let approve = json!({"approve": true, "words": "known by voice"});
    site.instance.ok(&["admin", "grant", "alice", "--role", "approver", "--role", "administrator"]);
    site.send(By::Token(&alice), "PUT", &decision, &approve).is_problem(403, &["own"]);
    // Bob may not make an administrator, either: that needs the role that changes administrators.
    site.send(By::Token(&bob), "PUT", &decision, &approve)
        .is_problem(403, &["administrator's account"]);
    let carol = site.token_of("carol", &["--role", "approver", "--role", "administrator"]);
    let decided = site.send(By::Token(&carol), "PUT", &decision, &approve).json(200);
    assert_eq!(
        (&decided["status"], &decided["words"]),
        (&json!("approved"), &json!("known by voice"))
    );
    assert_eq!(decided["decided_by"], "carol (token test, from 127.0.0.1)");
    site.send(By::Token(&carol), "PUT", &decision, &approve)
        .is_problem(409, &["is approved already"]);
    site.send(By::Token(&carol), "PUT", "/api/v1/requests/00000000/decision", &approve)
        .is_problem(404, &["no request"]);
}

/// The two-person rule. One person is one, by whatever proof.
#[test]
fn two_people_must_approve_where_the_profile_says_so() {
    let profile = "[profiles.gateway]\napproval = true\napprovals = 2\n";
    let mut site = Site::start_with(&[], profile);
    let peer = site.instance.peer("gw1", &["fqdn:gw1.example.net"]);
    private(&site.instance.file("secret"), &peer.secret);
    let server = format!("http://{}", site.instance.address);
    let root = site.root();
    let folder = site.instance.file(".");
    let enrol = |server: &str, more: &[&str]| {
        let mut command = Command::new(COUNTERSIGN);
        command
            .args(["enroll", "--server", server, "--out", "gw1", "--patience", "1s"])
            .args(more)
            .current_dir(&folder);
        common::output_of(&mut command)
    };
    let first = ["--reference", &peer.reference, "--secret-file", "secret", "--trust", &root];
    assert_eq!(enrol(&server, &first).status.code(), Some(7));
    let alice = site.token_of("alice", &["--role", "approver"]);
    let other = site.token("alice", "other", &[]);
    let bob = site.token_of("bob", &["--role", "approver"]);
    let waiting = site.get(By::Token(&alice), "/api/v1/requests").json(200);
    let id = waiting[0]["id"].as_str().unwrap().to_owned();
    let decision = format!("/api/v1/requests/{id}/decision");
    let approve = json!({"approve": true, "words": null});
    let first = site.send(By::Token(&alice), "PUT", &decision, &approve).json(200);
    assert_eq!((&first["status"], &first["approvals"]), (&json!("waiting"), &json!(2)));
    assert_eq!(first["approved_by"], json!(["alice"]));
    site.send(By::Token(&other), "PUT", &decision, &approve).is_problem(409, &["another person"]);
    // Nobody goes around it by a request of the own.
    tool_ok(
        "openssl",
        "openssl",
        &[
            "req",
            "-new",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            "/CN=gw1.example.net",
            "-keyout",
            "k",
            "-out",
            "csr",
        ],
        &site.instance.file("."),
    );
    let issued = site.instance.run(&[
        "cert",
        "issue",
        "--csr",
        site.instance.file("csr").to_str().unwrap(),
        "--account",
        "gw1",
        "--out",
        site.instance.file("out").to_str().unwrap(),
    ]);
    assert_eq!(issued.status.code(), Some(4), "{}", common::text(&issued));
    assert!(common::text(&issued).contains("approvals of 2 people"), "{}", common::text(&issued));
    // The approval outlives a restart, and no certificate comes of it.
    site.instance.stop();
    site.instance.serve();
    let server = format!("http://{}", site.instance.address);
    let resumed = enrol(&server, &["--renew"]);
    assert_eq!(resumed.status.code(), Some(7), "{}", common::text(&resumed));
    let second = site.send(By::Token(&bob), "PUT", &decision, &approve).json(200);
    assert_eq!(second["status"], "approved");
    assert!(second["decided_by"].as_str().unwrap().starts_with("bob ("), "{second}");
    let finished = enrol(&server, &["--renew"]);
    assert_eq!(finished.status.code(), Some(0), "{}", common::text(&finished));
    let export = site.instance.ok(&["audit", "export"]);
    assert!(export.contains("\"kind\":\"request-partly-approved\""), "{export}");
    site.instance.ok(&["audit", "verify"]);
}

/// A device that only shows a request: who may have it issued, and that an edit gives no more than an addition.
#[test]
fn requests_of_devices_and_changes_of_accounts_are_within_the_grants() {
    let site = Site::start();
    for name in ["gw-berlin", "gw-paris"] {
        site.instance.peer(name, &[&format!("fqdn:{name}.example.net")]);
    }
    tool_ok(
        "openssl",
        "openssl",
        &[
            "req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-keyout", "k",
            "-outform", "DER", "-out", "csr",
        ],
        &site.instance.file("."),
    );
    let csr = data_encoding::BASE64.encode(&fs::read(site.instance.file("csr")).unwrap());
    let body = json!({"csr": csr, "ca": null});
    let token = site.token_of("rita", &["--role", "requester", "--account", "*-berlin"]);
    let rita = By::Token(&token);
    let issued =
        site.send(rita, "POST", "/api/v1/accounts/gw-berlin/certificates", &body).json(201);
    assert_eq!(issued["alt_names"], json!(["fqdn:gw-berlin.example.net"]));
    assert!(!issued["changes"].as_array().unwrap().is_empty(), "{issued}");
    site.send(rita, "POST", "/api/v1/accounts/gw-paris/certificates", &body)
        .is_problem(403, &["gw-paris"]);
    let junk = json!({"csr": "AAAA", "ca": null});
    site.send(rita, "POST", "/api/v1/accounts/gw-berlin/certificates", &junk).is_problem(400, &[]);

    let token = site.token_of("olga", &["--role", "operator", "--account", "*-berlin"]);
    let olga = By::Token(&token);
    let berlin = "/api/v1/accounts/gw-berlin";
    let edited = site
        .send(olga, "PATCH", berlin, &json!({"labels": ["site=berlin"], "owner": "net"}))
        .json(200);
    assert_eq!((&edited["labels"], &edited["owner"]), (&json!(["site=berlin"]), &json!("net")));
    for (edit, words) in [
        (json!({"add_ids": ["fqdn:gw-paris.example.net"]}), "gw-paris"),
        (json!({"add_ids": ["fqdn:localhost"]}), "server's own name"),
        (json!({"profile": "ra"}), "registration authority"),
        (json!({"profile": "administrator"}), "administrator's account"),
    ] {
        site.send(olga, "PATCH", berlin, &edit).is_problem(403, &[words]);
    }
    site.send(olga, "PATCH", "/api/v1/accounts/gw-paris", &json!({"note": "x"}))
        .is_problem(403, &["gw-paris"]);
    let import = json!({
        "do": "peer-import", "columns": ["name", "ids"], "existing": "update", "dry_run": false,
        "peers": [{"name": "gw-paris", "ids": ["fqdn:x.example.net"], "profile": "gateway", "ca": null, "secret": null}],
    });
    site.send(olga, "POST", "/api/v1/command", &import).is_problem(403, &["gw-paris"]);
    let off =
        site.send(olga, "PUT", "/api/v1/accounts/gw-berlin/disabled", &json!({"disabled": true}));
    assert_eq!(off.json(200)["disabled"], true);
    // Both names must be the grant's, and those of administrators do not change.
    let rename = "/api/v1/accounts/gw-berlin/rename";
    site.send(olga, "POST", rename, &json!({"name": "gw-oslo"})).is_problem(403, &["gw-oslo"]);
    site.send(olga, "POST", "/api/v1/accounts/gw-paris/rename", &json!({"name": "x-berlin"}))
        .is_problem(403, &["gw-paris"]);
    site.send(olga, "POST", rename, &json!({"name": "rita"})).is_problem(403, &["rita"]);
    let renamed = site.send(olga, "POST", rename, &json!({"name": "tor-berlin"})).json(200);
    assert_eq!(
        (&renamed["name"], &renamed["former_names"]),
        (&json!("tor-berlin"), &json!(["gw-berlin"]))
    );
    site.send(olga, "POST", rename, &json!({"name": "gw-berlin"})).is_problem(404, &["gw-berlin"]);
    let back = "/api/v1/accounts/tor-berlin/rename";
    assert_eq!(site.send(olga, "POST", back, &json!({"name": "gw-berlin"})).status, 200);
    let all = json!({"reason": "superseded", "dry_run": true});
    let would = site.send(olga, "POST", "/api/v1/accounts/gw-berlin/revocation", &all).json(200);
    assert_eq!(would["certificates"][0]["done"], "would be revoked");
    site.send(olga, "POST", "/api/v1/accounts/gw-paris/revocation", &all)
        .is_problem(403, &["gw-paris"]);
    // An account of another CA is not given to the default one by who has that other CA alone.
    site.instance.ok(&["peer", "edit", "gw-berlin", "--ca", "issuing"]);
    let token = site.token_of("carl", &["--role", "operator", "--ca", "issuing"]);
    let moved = site.send(By::Token(&token), "PATCH", berlin, &json!({"ca": ""}));
    assert_eq!(moved.status, 200, "the default CA is the one of the grant: {}", moved.body);
    // Whoever revokes removes no account.
    let token = site.token_of("rolf", &["--role", "revoker"]);
    let remove = json!({"reason": "superseded", "remove": true});
    site.send(By::Token(&token), "POST", "/api/v1/accounts/gw-berlin/revocation", &remove)
        .is_problem(403, &["peer-remove"]);
    // Pages.
    let whole = site.token_of("vera", &["--role", "viewer"]);
    let page = site.get(By::Token(&whole), "/api/v1/accounts?limit=2&prefix=gw-").json(200);
    assert_eq!(page["items"].as_array().unwrap().len(), 2);
    let none = site.get(By::Token(&whole), "/api/v1/certificates?status=revoked&limit=5").json(200);
    assert_eq!((&none["items"], &none["next"]), (&json!([]), &Value::Null));
    assert!(site.get(By::Token(&whole), "/api/v1/status").json(200)["findings"].is_array());
}

/// Nobody goes around an approval: by a change of profile, a request of the own, or a new account with a request.
#[test]
fn an_approval_has_no_way_around_it() {
    let profile = "[profiles.field]\nbase = \"gateway\"\napproval = true\n";
    let site = Site::start_with(&[], profile);
    site.instance.ok(&["peer", "add", "gw1", "--id", "fqdn:gw1.example.net", "--profile", "field"]);
    tool_ok(
        "openssl",
        "openssl",
        &[
            "req",
            "-new",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            "/CN=localhost",
            "-keyout",
            "k",
            "-outform",
            "DER",
            "-out",
            "csr",
        ],
        &site.instance.file("."),
    );
    let csr = data_encoding::BASE64.encode(&fs::read(site.instance.file("csr")).unwrap());
    let token = site.token_of("olga", &["--role", "operator"]);
    let olga = By::Token(&token);
    let by_csr = json!({"csr": csr, "ca": null});
    site.send(olga, "POST", "/api/v1/accounts/gw1/certificates", &by_csr)
        .is_problem(403, &["pending-decide"]);
    site.send(olga, "PATCH", "/api/v1/accounts/gw1", &json!({"profile": "gateway"}))
        .is_problem(403, &["pending-decide"]);
    let token = site.token_of("anna", &["--role", "administrator"]);
    let anna = By::Token(&token);
    let peer = |profile: &str| {
        json!({
            "do": "peer-add-by-csr", "csr": csr,
            "peer": {"name": "gw2", "ids": [], "profile": profile, "ca": null, "secret": null},
        })
    };
    site.send(anna, "POST", "/api/v1/command", &peer("field")).is_problem(403, &["pending-decide"]);
    // The name in the request is that of the server, and counts as one that was named.
    let keeper = "roles = { keeper = [\"peer-add-by-csr\", \"cert-issue\"] }";
    let site = Site::start_with(&[("admin", keeper)], "");
    let token = site.token_of("karl", &["--role", "keeper"]);
    site.send(By::Token(&token), "POST", "/api/v1/command", &peer("gateway"))
        .is_problem(403, &["server's own name"]);
    // A number of approvals without an approval is a mistake.
    let config = site.instance.data().join("countersign.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{text}\n[profiles.odd]\napprovals = 2\n")).unwrap();
    let checked = site.instance.run(&["config", "check"]);
    assert!(
        common::text(&checked).contains("set `approval = true`, too"),
        "{}",
        common::text(&checked)
    );
}

/// Own roles, and settings that are none.
#[test]
fn roles_of_the_operator_are_verbs() {
    let roles = ("admin", "roles = { helpdesk = [\"peer-show\", \"peer-reset-secret\"] }");
    let site = Site::start_with(&[roles], "");
    site.instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let token = site.token_of("dora", &["--role", "helpdesk"]);
    let dora = By::Token(&token);
    assert_eq!(site.get(dora, "/api/v1/accounts/gw1").status, 200);
    site.get(dora, "/api/v1/accounts").is_problem(403, &["peer-list"]);
    let secret = json!({"seconds": 3600, "uses": 1});
    assert_eq!(site.send(dora, "POST", "/api/v1/accounts/gw1/secret", &secret).status, 200);
    let config = site.instance.data().join("countersign.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("peer-reset-secret", "peer-eat")).unwrap();
    let checked = site.instance.run(&["config", "check"]);
    assert!(!checked.status.success());
    assert!(common::text(&checked).contains("admin.roles.helpdesk: expected a verb"));
}

/// Who audits from another machine reads what the files say: whole, by account through its names, by actor, and page by page.
#[test]
fn an_auditor_reads_from_another_machine_who_did_what() {
    let mut site = Site::start();
    for name in ["gw1", "gw2"] {
        let peer = site.instance.peer(name, &[&format!("fqdn:{name}.example.net")]);
        site.enrol(name, &json!({"account": {"reference": peer.reference, "secret": peer.secret}}));
    }
    let serial =
        |name: &str| site.instance.certificates(name)[0]["serial"].as_str().unwrap().to_owned();
    let (first, second) = (serial("gw1"), serial("gw2"));
    // What is done to certificates names no account, and theirs get other names meanwhile.
    site.instance.ok(&["peer", "rename", "gw1", "berlin"]);
    site.instance.ok(&["cert", "hold", &first]);
    site.instance.ok(&["peer", "rename", "berlin", "oslo"]);
    site.instance.ok(&["cert", "release", &first]);
    site.instance.ok(&["peer", "add", "gw1", "--id", "fqdn:x.example.net", "--no-secret"]);
    site.instance.ok(&["peer", "rename", "gw1", "berlin"]);
    site.instance.ok(&["cert", "revoke", &first, "--reason", "superseded"]);
    site.instance.ok(&["peer", "remove", "gw2"]);
    site.instance.ok(&["cert", "revoke", &second, "--reason", "keyCompromise"]);
    let added = site.admin("audrey", &["--role", "auditor"]);
    site.enrol("audrey", &added);
    let token = site.token("audrey", "test", &[]);
    let boss = site.token_of("boss", &["--role", "administrator"]);
    let path = "/api/v1/accounts/oslo/disabled";
    assert_eq!(site.send(By::Token(&boss), "PUT", path, &json!({"disabled": true})).status, 200);
    let operator = site.token_of("otto", &["--role", "operator"]);
    let bounded = site.token_of("bea", &["--role", "auditor", "--account", "berlin*"]);
    let of_ca = site.token_of("carl", &["--role", "auditor", "--ca", "issuing"]);
    for (by, why) in [(&operator, "no grant has it"), (&bounded, "all CAs"), (&of_ca, "all CAs")] {
        site.get(By::Token(by), "/api/v1/audit/report").is_problem(403, &["audit-report", why]);
        let refused = site.remote(By::Token(by), &["audit", "report"]);
        common::fails(&refused, 4, &["may not `audit-report`", why]);
    }
    common::gateway::eventually("the refusals are recorded", || {
        site.actors("request refused").len() == 6
    });

    for round in ["first", "restarted"] {
        let all: &[&[&str]] = &[
            &[],
            &["--format", "json"],
            &["--format", "csv"],
            &["--account", "oslo", "--format", "json"],
            &["--account", "berlin", "--format", "csv"],
            &["--account", "gw1"],
            &["--account", "gw2", "--format", "json"],
            &["--account", "nobody", "--format", "json"],
            &["--actor", "instance"],
            &["--actor", "gw2", "--format", "json"],
            &["--actor", "boss", "--format", "json"],
            &["--since", "7d", "--format", "csv"],
            &["--since", "2100-01-01", "--format", "json"],
        ];
        for (at, flags) in all.iter().enumerate() {
            let arguments = [&["audit", "report"], *flags].concat();
            let by = if at % 2 == 0 { By::Token(&token) } else { By::Login("audrey") };
            // The instance may sign a CRL in between.
            let mut pair = (String::new(), String::new());
            common::gateway::eventually("the journal rests", || {
                let here = site.instance.ok(&arguments);
                let there = site.remote(by, &arguments);
                assert!(there.status.success(), "{}", common::text(&there));
                pair = (here.clone(), String::from_utf8(there.stdout).unwrap());
                site.instance.ok(&arguments) == here
            });
            assert_eq!(pair.0, pair.1, "{round}: {flags:?}");
        }
        // Page by page, and each page within its bound.
        for query in ["", "&account=oslo", "&actor=instance"] {
            let filter = query.trim_start_matches('&').replace('=', " ");
            let flags: Vec<String> =
                filter.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            let mut arguments = vec!["audit".to_owned(), "report".to_owned()];
            if let [name, value] = flags.as_slice() {
                arguments.extend([format!("--{name}"), value.clone()]);
            }
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let whole = site.instance.json(&arguments).as_array().unwrap().clone();
            let (mut rows, mut next, mut pages) = (Vec::new(), json!(0), 0);
            while !next.is_null() && rows.len() < whole.len() {
                let path = format!("/api/v1/audit/report?limit=2&after={next}{query}");
                let page = site.get(By::Token(&token), &path).json(200);
                let items = page["items"].as_array().unwrap().clone();
                assert!(items.len() <= 2, "{page}");
                rows.extend(items);
                (next, pages) = (page["next"].clone(), pages + 1);
            }
            rows.truncate(whole.len());
            assert_eq!(rows, whole, "{round}: {query}");
            assert!(pages >= whole.len() / 2 && pages > 2, "{pages} pages of {query}");
        }
        site.instance.stop();
        site.instance.serve();
    }
    // What the lines say: the account at that time, and the proof of an administrator.
    let oslo = site.instance.json(&["audit", "report", "--account", "oslo"]);
    let of = |action: &str| {
        let lines = oslo.as_array().unwrap().iter();
        let line = lines.clone().find(|line| line["action"] == action);
        line.unwrap_or_else(|| panic!("no `{action}` in {oslo:#}")).clone()
    };
    assert_eq!(of("certificate confirmed")["account"], "gw1");
    assert_eq!(of("certificate revoked")["account"], "berlin");
    assert_eq!(of("certificate released")["account"], "oslo");
    let done = of("peer disable");
    assert_eq!((&done["proof"], &done["from"]), (&json!("token test"), &json!("127.0.0.1")));
    assert_eq!(done["actor"], "boss (token test, from 127.0.0.1)");
    // Beyond the end is nothing, and what is no number is said.
    let far = "/api/v1/audit/report?after=18446744073709551615";
    let end = site.get(By::Token(&token), far).json(200);
    assert_eq!((&end["items"], &end["next"]), (&json!([]), &Value::Null));
    site.get(By::Token(&token), "/api/v1/audit/report?after=x").is_problem(400, &["query"]);
    let wrong = site.instance.run(&["audit", "report", "--since", "7"]);
    common::fails(&wrong, 2, &["2026-01-31", "2026-01-31T12:00:00Z", "7d"]);
}

/// What an administrator was refused is in the journal, but nobody fills the disk with it.
#[test]
fn refused_requests_are_in_the_journal_so_often_and_no_more() {
    let site = Site::start();
    let token = site.token_of("vera", &["--role", "viewer"]);
    let bounded = site.token_of("otto", &["--role", "operator", "--account", "berlin-*"]);
    let edit = json!({"note": "x"});
    for _ in 0..12 {
        site.send(By::Token(&token), "PATCH", "/api/v1/accounts/gw1", &edit)
            .is_problem(403, &["peer-edit"]);
    }
    site.instance.peer("gw1", &["fqdn:gw1.example.net"]);
    site.send(By::Token(&bounded), "PATCH", "/api/v1/accounts/gw1", &edit)
        .is_problem(403, &["gw1"]);
    // Who proves nothing, and who asks for what there is not, leaves nothing.
    site.send(By::Nothing, "PATCH", "/api/v1/accounts/gw1", &edit).is_problem(401, &[]);
    site.send(By::Token(&bounded), "PATCH", "/api/v1/accounts/berlin-9", &edit)
        .is_problem(404, &[]);
    common::gateway::eventually("the refusals are recorded", || {
        site.actors("request refused").len() >= 11
    });
    let actors = site.actors("request refused");
    let of = |name: &str| actors.iter().filter(|actor| actor.starts_with(name)).count();
    assert_eq!(
        (of("vera (token test, from 127.0.0.1)"), of("otto (token"), actors.len()),
        (10, 1, 11)
    );
    let report = site.instance.json(&["audit", "report", "--actor", "otto"]);
    let line = &report
        .as_array()
        .unwrap()
        .iter()
        .find(|line| line["action"] == "request refused")
        .unwrap();
    assert!(line["detail"].as_str().unwrap().contains("`otto` may not `peer-edit`"), "{line}");
}

/// The CRL of a root that is kept elsewhere may have many entries: it is no small request.
#[test]
fn a_crl_that_is_brought_may_be_large() {
    let site = Site::start();
    let token = site.token_of("alice", &["--role", "operator"]);
    let crl = json!({"crl": format!("-----BEGIN X509 CRL-----\n{}", "A".repeat(80 << 10))});
    let reply = site.send(By::Token(&token), "POST", "/api/v1/cas/root/crl", &crl);
    assert_eq!(reply.status, 400, "it is no CRL: {}", reply.body);
    let small = json!({"expires": "A".repeat(80 << 10)});
    site.send(By::Token(&token), "POST", "/api/v1/accounts/gw1/secret", &small)
        .is_problem(413, &["65536"]);
}
