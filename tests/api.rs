//! The administration API, by clients that we did not write: curl, OpenSSL, schemathesis and a validator of OpenAPI documents; and by our own
//! command line, from another folder: who is let in, the forms, the description, and each verb by each role, asked of the running server.
//! tests/api_rights.rs has what a grant reaches, and approvals.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use common::api::{By, Site};
use common::{Instance, tool, tool_ok};
use serde_json::{Value, json};

#[test]
fn an_administrator_enrols_and_works_from_another_machine() {
    let site = Site::start();
    let added =
        site.admin("alice", &["--role", "administrator", "--id", "email:alice@example.net"]);
    site.enrol("alice", &added);
    let alice = By::Login("alice");

    let caller = site.get(alice, "/api/v1/caller").json(200);
    assert_eq!(caller["name"], "alice");
    assert_eq!(caller["grants"], json!([{"role": "administrator", "cas": [], "accounts": []}]));
    let verbs = caller["verbs"].as_array().unwrap();
    assert!(verbs.contains(&json!("peer-add")) && !verbs.contains(&json!("pending-decide")));

    let body = json!({"accounts": [{
        "name": "gw1", "ids": ["fqdn:gw1.example.net"], "profile": "gateway",
        "secret": {"seconds": 3600, "uses": 1},
    }]});
    let created = site.send(alice, "POST", "/api/v1/accounts", &body);
    assert_eq!(created.header("location"), Some("/api/v1/accounts/gw1"));
    assert_eq!(created.header("cache-control"), Some("no-store"));
    let new = created.json(201);
    assert_eq!(new[0]["secret"].as_str().unwrap().len(), 32);
    site.send(alice, "POST", "/api/v1/accounts", &body).is_problem(409, &["exists already"]);
    assert_eq!(site.get(alice, "/api/v1/accounts/gw1").json(200)["ids"][0], "fqdn:gw1.example.net");

    // Our command line runs the same handlers.
    let shown = site.remote(alice, &["peer", "show", "gw1", "--format", "json"]);
    assert!(shown.status.success(), "{}", common::text(&shown));
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["reference"], new[0]["reference"]);
    let gone = site.remote(alice, &["peer", "show", "gw9"]);
    assert_eq!(gone.status.code(), Some(3));
    assert!(common::text(&gone).contains("there is no account `gw9`"), "{}", common::text(&gone));
    let here = site.remote(alice, &["store", "rebuild"]);
    assert_eq!(here.status.code(), Some(2));
    assert!(common::text(&here).contains("run it there"), "{}", common::text(&here));

    // The journal says who, by which proof, and from where.
    let actors = site.actors("peer add");
    let serial = site.instance.certificates("alice")[0]["serial"].as_str().unwrap().to_owned();
    assert_eq!(
        actors.last().unwrap(),
        &format!("alice (certificate {serial}, from 127.0.0.1)"),
        "{actors:?}"
    );
}

#[test]
fn a_revoked_certificate_ends_at_once_and_so_does_a_removed_administrator() {
    let site = Site::start();
    for name in ["alice", "bob"] {
        let added = site.admin(name, &["--role", "administrator"]);
        site.enrol(name, &added);
        assert_eq!(site.get(By::Login(name), "/api/v1/caller").status, 200);
    }
    let serial = site.instance.certificates("alice")[0]["serial"].as_str().unwrap().to_owned();
    // One connection of TLS, on which the certificate is revoked between two requests.
    let (root, url) = (site.root(), site.url());
    let revoke = format!("{url}/api/v1/certificates/issuing/{serial}/revocation");
    let caller = format!("{url}/api/v1/caller");
    let arguments = [
        "-s",
        "-w",
        "\n%{http_code} %{num_connects}\n",
        "--cacert",
        &root,
        "--cert",
        "alice/enrolment/current/certificate.pem",
        "--key",
        "alice/enrolment/current/key.pem",
        &caller,
        "--next",
        "-s",
        "-w",
        "\n%{http_code} %{num_connects}\n",
        "--cacert",
        &root,
        "--cert",
        "alice/enrolment/current/certificate.pem",
        "--key",
        "alice/enrolment/current/key.pem",
        "-X",
        "PUT",
        "-H",
        "Content-Type: application/json",
        "-d",
        "{\"reason\":\"keyCompromise\"}",
        &revoke,
        "--next",
        "-s",
        "-w",
        "\n%{http_code} %{num_connects}\n",
        "--cacert",
        &root,
        "--cert",
        "alice/enrolment/current/certificate.pem",
        "--key",
        "alice/enrolment/current/key.pem",
        &caller,
    ];
    let text = tool_ok("curl", "curl", &arguments, &site.instance.file("."));
    let codes: Vec<&str> =
        text.lines().filter(|line| line.len() == 5 && line.starts_with(['2', '4'])).collect();
    assert_eq!(codes, ["200 1", "200 0", "401 0"], "{text}");
    site.get(By::Login("alice"), "/api/v1/caller").is_problem(401, &["was revoked"]);

    // A request whose proof ends while its body is on the way is refused, too.
    let port = url.rsplit(':').next().unwrap().to_owned();
    let address = format!("localhost:{port}");
    let mut client = Command::new("openssl")
        .args(["s_client", "-quiet", "-connect", &address, "-CAfile", &root])
        .args(["-cert", "bob/enrolment/current/certificate.pem"])
        .args(["-key", "bob/enrolment/current/key.pem"])
        .current_dir(site.instance.file("."))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("this test needs the package `openssl`: run `make deps`");
    let body = json!({"name": "mallory", "seconds": 3600}).to_string();
    let (begin, end) = body.split_at(body.len() - 1);
    let head = format!(
        "POST /api/v1/administrators/bob/tokens HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let mut stdin = client.stdin.take().unwrap();
    let mut stdout = BufReader::new(client.stdout.take().unwrap());
    stdin.write_all(head.as_bytes()).unwrap();
    stdin.flush().unwrap();
    // The server asks for the body when it has authenticated the client.
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert!(line.contains("100"), "{line}");
    stdin.write_all(begin.as_bytes()).unwrap();
    stdin.flush().unwrap();
    let of_bob = site.instance.certificates("bob")[0]["serial"].as_str().unwrap().to_owned();
    site.instance.ok(&["cert", "hold", &of_bob]);
    stdin.write_all(end.as_bytes()).unwrap();
    stdin.flush().unwrap();
    let mut answer = String::new();
    stdout.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("401") && answer.contains("was revoked"), "{answer}");
    let _ = client.wait();
    site.instance.ok(&["cert", "release", &of_bob]);

    // Bob is the last one with the role.
    site.instance.ok(&["admin", "grant", "alice", "--role", "viewer"]);
    let kept = site.curl(By::Login("bob"), "/api/v1/administrators/bob", &["-X", "DELETE"]);
    kept.is_problem(409, &["last one"]);
    let removed = site.curl(By::Login("bob"), "/api/v1/administrators/alice", &["-X", "DELETE"]);
    assert_eq!(removed.json(200)["administrator"], "alice");
    site.get(By::Login("alice"), "/api/v1/caller").is_problem(401, &[]);
    let accounts = site.instance.json(&["peer", "list"]);
    let names: Vec<&str> =
        accounts.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["bob"]);
}

#[test]
fn nobody_else_is_let_in() {
    let site = Site::start();
    let path = "/api/v1/accounts";
    let challenge = site.get(By::Nothing, path);
    challenge.is_problem(401, &["client certificate", "Bearer"]);
    assert!(challenge.header("www-authenticate").unwrap().starts_with("Bearer"));
    // A path that is none is not told to a stranger, either.
    site.get(By::Nothing, "/api/v1/none").is_problem(401, &[]);
    site.get(By::Nothing, "/none").is_problem(401, &[]);

    let token = site.token_of("alice", &["--role", "viewer"]);
    assert_eq!(site.get(By::Token(&token), path).status, 200);
    let (start, end) = token.split_at(token.len() - 1);
    let other = if end == "a" { "b" } else { "a" };
    for wrong in [&format!("{start}{other}"), start, "cst_alice:test:", "cst_bob:test:x", "x"] {
        site.get(By::Token(wrong), path).is_problem(401, &["token"]);
    }
    site.curl(By::Nothing, path, &["-u", "alice:x"]).is_problem(401, &["Bearer"]);

    // A gateway's certificate is no administrator's, although it is of an account with an administrator's name.
    let peer = site.instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let added = json!({"account": {"reference": peer.reference, "secret": peer.secret}});
    site.enrol("gw1", &added);
    site.get(By::Login("gw1"), path).is_problem(401, &["not an administrator's"]);
    // A stranger's certificate.
    tool_ok(
        "openssl",
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            "/CN=alice",
            "-keyout",
            "stranger.key",
            "-out",
            "stranger.crt",
        ],
        &site.instance.file("."),
    );
    site.curl(By::Nothing, path, &["--cert", "stranger.crt", "--key", "stranger.key"])
        .is_problem(401, &["was not issued here"]);

    // A disabled account is that of a disabled administrator.
    site.instance.ok(&["peer", "disable", "alice"]);
    site.get(By::Token(&token), path).is_problem(401, &["unknown or has ended"]);
    site.instance.ok(&["peer", "enable", "alice"]);
    assert_eq!(site.get(By::Token(&token), path).status, 200);
    site.instance.ok(&["admin", "token", "remove", "alice", "test"]);
    site.get(By::Token(&token), path).is_problem(401, &["unknown or has ended"]);
    // Plain HTTP is told what is wrong, and nothing else is served on this port.
    let plain = site.url().replace("https://", "http://");
    let text = tool_ok("curl", "curl", &["-s", &plain], &site.instance.file("."));
    assert!(text.contains("administration API is served over TLS"), "{text}");
    let log = site.instance.log();
    assert!(log.contains("no administrator: the token is unknown or has ended"), "{log}");
    assert!(!log.contains(&token), "a token is in the log");
}

/// Each path by each role: the first word of a refusal is 403, whatever the path's objects are; and what is allowed is not refused.
#[test]
fn each_verb_is_allowed_to_its_roles_and_refused_to_others() {
    let site = Site::start();
    let document = site.get(By::Nothing, "/api/openapi.json").json(200);
    let roles =
        ["viewer", "auditor", "requester", "approver", "revoker", "operator", "administrator"];
    let tokens: BTreeMap<&str, String> =
        roles.into_iter().map(|role| (role, site.token_of(role, &["--role", role]))).collect();
    let expected = |method: &str, path: &str| -> Vec<&str> {
        let everybody = roles.to_vec();
        let inventory =
            vec!["viewer", "auditor", "requester", "approver", "operator", "administrator"];
        let revoking = vec!["revoker", "operator", "administrator"];
        let state = vec!["viewer", "auditor", "operator", "administrator"];
        let keeping = vec!["operator", "administrator"];
        match (
            method,
            path.trim_start_matches("/api/v1/").split('/').collect::<Vec<_>>().as_slice(),
        ) {
            (_, ["caller" | "command"]) => everybody,
            ("get", ["certificates", ..]) => everybody,
            ("put", ["certificates", _, _, "revocation"])
            | ("post", ["accounts", _, "revocation"] | ["revocations"]) => revoking,
            ("post", ["accounts", _, "certificates"]) => {
                vec!["requester", "operator", "administrator"]
            }
            ("get", ["cas", _, "plan"]) => state,
            (_, ["cas", _, "plan" | "crl"]) => keeping,
            ("get", ["accounts" | "requests" | "cas" | "crls", ..]) => inventory,
            (
                "get",
                [
                    "vendors" | "directories" | "receivers" | "store" | "status" | "roles"
                    | "documents",
                    ..,
                ],
            ) => state,
            ("get", ["administrators" | "audit", ..]) => vec!["auditor", "administrator"],
            (_, ["requests", _, "decision"]) => vec!["approver"],
            (
                _,
                ["accounts", _, "permissions"]
                | ["vendors", ..]
                | ["cas", ..]
                | ["administrators", ..],
            ) => {
                vec!["administrator"]
            }
            (_, ["accounts" | "certificates" | "crls" | "directories" | "receivers", ..]) => {
                keeping
            }
            other => panic!("nobody has decided about {other:?}"),
        }
    };
    let mut asked = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, _) in item.as_object().unwrap() {
            if path == "/api/v1/command" {
                continue;
            }
            let allowed = expected(method, path);
            let concrete = path
                .replace("{name}", "none")
                .replace("{token}", "none")
                .replace("{ca}", "issuing")
                .replace("{serial}", "01")
                .replace("{id}", "0123456789");
            for (role, token) in &tokens {
                let upper = method.to_uppercase();
                let mut arguments = vec!["-X", &upper];
                if upper != "GET" {
                    arguments.extend(["-H", "Content-Type: application/json", "-d", "[]"]);
                }
                let reply = site.curl(By::Token(token), &concrete, &arguments);
                let is_allowed = reply.status != 403;
                assert_eq!(
                    is_allowed,
                    allowed.contains(role),
                    "{method} {path} as {role}: {} {}",
                    reply.status,
                    reply.body
                );
                assert!(reply.status < 500, "{method} {path}: {}", reply.body);
                asked += 1;
            }
        }
    }
    assert!(asked > 150, "{asked}");
    // Over the command line's door, the same.
    let refused = site.remote(By::Token(&tokens["viewer"]), &["peer", "remove", "gw1"]);
    assert_eq!(refused.status.code(), Some(4), "{}", common::text(&refused));
    assert!(common::text(&refused).contains("`viewer` may not `peer-remove`"));
}

/// A restore goes back to what was: a token that was ended since must not act again.
#[test]
fn no_token_outlives_a_restore() {
    let site = Site::start();
    let token = site.token_of("alice", &["--role", "viewer"]);
    let backup = site.instance.file("backup");
    site.instance.ok(&["backup", backup.to_str().unwrap()]);
    site.instance.ok(&["admin", "token", "remove", "alice", "test"]);
    let mut restored = Instance::empty();
    restored.ok(&["restore", backup.to_str().unwrap(), "--keep-uses"]);
    let passphrase = fs::read(site.instance.data().join("passphrase")).unwrap();
    fs::write(restored.data().join("passphrase"), passphrase).unwrap();
    fs::set_permissions(restored.data().join("passphrase"), fs::Permissions::from_mode(0o600))
        .unwrap();
    let shown = restored.json(&["admin", "show", "alice"]);
    assert_eq!(shown["tokens"], json!([]), "{shown}");
    restored.serve();
    let restored = Site { instance: restored };
    restored.get(By::Token(&token), "/api/v1/accounts").is_problem(401, &["unknown or has ended"]);
}

#[test]
fn two_who_change_the_same_and_one_who_asks_twice() {
    let site = Site::start();
    let token = site.token_of("alice", &["--role", "administrator"]);
    let alice = By::Token(&token);
    site.admin("bob", &["--role", "viewer"]);
    let shown = site.get(alice, "/api/v1/administrators/bob");
    let tag = format!("If-Match: {}", shown.header("etag").expect("an ETag"));
    let grants = |role: &str| json!({"grants": [{"role": role}]});
    let path = "/api/v1/administrators/bob/grants";
    let changed = site.send_with(alice, "PUT", path, &grants("operator"), &[&tag]);
    assert_eq!(changed.json(200)["grants"][0]["role"], "operator");
    assert_ne!(changed.header("etag"), shown.header("etag"));
    site.send_with(alice, "PUT", path, &grants("auditor"), &[&tag]).is_problem(412, &["meanwhile"]);
    for wrong in ["If-Match: W/\"x\"", "If-Match: x", "If-Match: \"é\""] {
        site.send_with(alice, "PUT", path, &grants("auditor"), &[wrong])
            .is_problem(400, &["If-Match"]);
    }
    assert_eq!(site.send(alice, "PUT", path, &grants("auditor")).status, 200);
    site.send(alice, "PUT", path, &grants("king")).is_problem(400, &["there is no role `king`"]);

    let body = json!({"accounts": [{
        "name": "gw1", "ids": ["fqdn:gw1.example.net"], "profile": "gateway",
        "secret": {"seconds": 3600, "uses": 1},
    }]});
    let key = "Idempotency-Key: 5f0c";
    let first = site.send_with(alice, "POST", "/api/v1/accounts", &body, &[key]);
    let again = site.send_with(alice, "POST", "/api/v1/accounts", &body, &[key]);
    assert_eq!(first.json(201), again.json(201));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    let other = json!({"accounts": [{"name": "gw2", "ids": ["fqdn:gw2.example.net"], "profile": "gateway"}]});
    site.send_with(alice, "POST", "/api/v1/accounts", &other, &[key])
        .is_problem(422, &["another request"]);
}

#[test]
fn what_cannot_be_read_is_said() {
    let site = Site::start_with(&[("admin", "max_bytes = 4096")], "");
    let token = site.token_of("alice", &["--role", "administrator"]);
    let alice = By::Token(&token);
    let accounts = "/api/v1/accounts";
    site.get(alice, "/api/v1/none").is_problem(404, &["openapi.json"]);
    let wrong = site.curl(alice, accounts, &["-X", "PATCH"]);
    wrong.is_problem(405, &["GET, HEAD, OPTIONS, POST"]);
    assert_eq!(wrong.header("allow"), Some("GET, HEAD, OPTIONS, POST"));
    site.get(alice, "/api/v1/accounts?x=1").is_problem(400, &["query"]);
    site.get(alice, "/api/v1/certificates?limit=x").is_problem(400, &["query"]);
    site.get(alice, "/api/v1/accounts/..gw").is_problem(404, &["expected a name"]);
    site.curl(alice, accounts, &["-d", "{}"]).is_problem(415, &["application/json"]);
    site.send(alice, "POST", accounts, &json!({"accounts": [], "more": 1}))
        .is_problem(400, &["more"]);
    site.send(alice, "POST", accounts, &json!({"accounts": [{"name": "a b"}]}))
        .is_problem(400, &["expected a name"]);
    let large = json!({"accounts": "x".repeat(5000)});
    site.send(alice, "POST", accounts, &large).is_problem(413, &["4096"]);
    // A page of another site makes a browser ask; a page of this server and a program may.
    site.send(alice, "POST", accounts, &json!({"accounts": []})).is_problem(400, &["found none"]);
    let body = json!({"ca": "issuing"});
    for (headers, status) in [
        (&["Sec-Fetch-Site: cross-site"][..], 403),
        (&["Sec-Fetch-Site: same-site"], 403),
        (&["Origin: https://evil.example.net"], 403),
        (&["Origin: null"], 403),
        (&["Sec-Fetch-Site: same-origin"], 200),
        (&[], 200),
    ] {
        let reply = site.send_with(alice, "POST", "/api/v1/crls", &body, headers);
        assert_eq!(reply.status, status, "{headers:?} {}", reply.body);
    }
}

/// The description is one by a validator of others, and the server does what it says: schemathesis finds no server error, no undocumented
/// answer and no answer that is not as described.
#[test]
fn the_description_is_valid_and_the_server_keeps_to_it() {
    let site = Site::start();
    site.instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let document = site.get(By::Nothing, "/api/openapi.json");
    assert_eq!(document.json(200)["openapi"], "3.1.0");
    let file = site.instance.file("openapi.json");
    fs::write(&file, &document.body).unwrap();
    let venv = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-api");
    let validator = venv.join("bin/openapi-spec-validator");
    tool_ok(
        validator.to_str().unwrap(),
        "openapi-spec-validator",
        &["openapi.json"],
        &site.instance.file("."),
    );
    // An administrator who may see and keep, but not change administrators: the generated requests must not lock the test out.
    let token =
        site.token_of("fuzz", &["--role", "operator", "--role", "auditor", "--role", "approver"]);
    let header = format!("Authorization: Bearer {token}");
    let root = site.root();
    let url = site.url();
    let output = tool(
        venv.join("bin/schemathesis").to_str().unwrap(),
        "schemathesis",
        &[
            "run",
            "openapi.json",
            "--url",
            &url,
            "-H",
            &header,
            "--tls-verify",
            &root,
            "--phases",
            "examples,coverage,fuzzing",
            "--max-examples",
            "8",
            "--no-shrink",
            "--seed",
            "1",
            "--continue-on-failure",
            // A schema cannot say all that makes a value wrong; that a wrong one is answered by 400 is in the description.
            "--exclude-checks",
            "positive_data_acceptance",
        ],
        &site.instance.file("."),
    );
    assert!(output.status.success(), "{}", common::text(&output));
    assert_eq!(site.get(By::Token(&token), "/api/v1/cas").status, 200);
}
