//! The administration API, by clients that we did not write: curl, OpenSSL, schemathesis and a validator of OpenAPI documents; and by our own
//! command line, from another folder. Who may do what is asked of the running server: each verb by each role.
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
use std::process::{Command, Output, Stdio};

use common::{COUNTERSIGN, Instance, tool, tool_ok};
use serde_json::{Value, json};

/// The configuration of the API on a free port.
const LISTEN: (&str, &str) = ("admin", "listen = \"127.0.0.1:0\"");

/// An instance with the administration API.
struct Site {
    instance: Instance,
}

/// An answer to curl.
struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Reply {
    /// The value of a header field.
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The body as JSON, after the status was checked.
    #[track_caller]
    fn json(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    /// Asserts problem details with this status, and that their text has each of these words.
    #[track_caller]
    fn is_problem(&self, status: u16, words: &[&str]) {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let problem = self.json(status);
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], "about:blank");
        let detail = problem["detail"].as_str().unwrap();
        for word in words {
            assert!(detail.contains(word), "expected `{word}` in: {detail}");
        }
    }
}

/// How a caller proves who it is.
#[derive(Clone, Copy)]
enum By<'a> {
    Token(&'a str),
    Login(&'a str),
    Nothing,
}

impl Site {
    fn start() -> Self {
        Self { instance: Instance::start_with(&[LISTEN]) }
    }

    fn start_with(lines: &[(&str, &str)], profile: &str) -> Self {
        let lines = [&[LISTEN], lines].concat();
        Self { instance: Instance::start_with_profile(&lines, profile) }
    }

    /// The URL of the API, with a name that its certificate has.
    fn url(&self) -> String {
        let file = self.instance.data().join("listen.admin");
        let url = fs::read_to_string(file).expect("listen.admin");
        let port = url.trim().rsplit(':').next().expect("a port").to_owned();
        format!("https://localhost:{port}")
    }

    fn root(&self) -> String {
        self.instance.root().to_str().expect("a path in UTF-8").to_owned()
    }

    /// Adds an administrator with these roles.
    fn admin(&self, name: &str, flags: &[&str]) -> Value {
        self.instance.json(&[&["admin", "add", name], flags].concat())
    }

    /// Adds an administrator with this role, and gives the text of a token.
    fn token_of(&self, name: &str, flags: &[&str]) -> String {
        self.admin(name, flags);
        self.token(name, "test", &[])
    }

    fn token(&self, name: &str, token: &str, flags: &[&str]) -> String {
        let made = self.instance.json(&[&["admin", "token", "add", name, token], flags].concat());
        made["token"].as_str().expect("a token").to_owned()
    }

    /// Enrols an administrator, into the folder of that name.
    fn enrol(&self, name: &str, added: &Value) {
        let text = |key: &str| added["account"][key].as_str().expect("a text").to_owned();
        private(&self.instance.file("secret"), &text("secret"));
        let root = self.root();
        let output = Command::new(COUNTERSIGN)
            .args(["enroll", "--server", &format!("http://{}", self.instance.address)])
            .args(["--reference", &text("reference"), "--secret-file", "secret"])
            .args(["--trust", &root, "--out", name, "--name", name])
            .current_dir(self.instance.file("."))
            .output()
            .expect("our program runs");
        assert!(output.status.success(), "{}", common::text(&output));
    }

    /// A request by curl.
    #[track_caller]
    fn curl(&self, by: By<'_>, path: &str, arguments: &[&str]) -> Reply {
        let (root, url) = (self.root(), format!("{}{path}", self.url()));
        let mut all: Vec<String> =
            ["-s", "-S", "-i", "--cacert", &root].map(str::to_owned).to_vec();
        match by {
            By::Token(token) => {
                all.extend(["-H".to_owned(), format!("Authorization: Bearer {token}")]);
            }
            By::Login(folder) => all.extend([
                "--cert".to_owned(),
                format!("{folder}/enrolment/current/certificate.pem"),
                "--key".to_owned(),
                format!("{folder}/enrolment/current/key.pem"),
            ]),
            By::Nothing => {}
        }
        all.extend(arguments.iter().map(|text| (*text).to_owned()));
        all.push(url);
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let text = tool_ok("curl", "curl", &all, &self.instance.file("."));
        let text = text.replace("\r\n", "\n");
        let text = text.strip_prefix("HTTP/1.1 100 Continue\n\n").unwrap_or(&text);
        let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status");
        let headers = lines.filter_map(|line| line.split_once(": "));
        Reply {
            status: status.parse().expect("a status"),
            headers: headers.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            body: body.to_owned(),
        }
    }

    #[track_caller]
    fn get(&self, by: By<'_>, path: &str) -> Reply {
        self.curl(by, path, &[])
    }

    /// A request with a body.
    #[track_caller]
    fn send(&self, by: By<'_>, method: &str, path: &str, body: &Value) -> Reply {
        self.send_with(by, method, path, body, &[])
    }

    #[track_caller]
    fn send_with(
        &self,
        by: By<'_>,
        method: &str,
        path: &str,
        body: &Value,
        headers: &[&str],
    ) -> Reply {
        let body = body.to_string();
        let mut all = vec!["-X", method, "-H", "Content-Type: application/json", "-d", &body];
        for header in headers {
            all.extend(["-H", header]);
        }
        self.curl(by, path, &all)
    }

    /// Our command line, which works from another folder.
    fn remote(&self, by: By<'_>, arguments: &[&str]) -> Output {
        let url = self.url();
        let mut command = Command::new(COUNTERSIGN);
        command.args(arguments).args(["--server", &url]).current_dir(self.instance.file("."));
        match by {
            By::Login(folder) => command.args(["--login", folder]),
            By::Token(token) => {
                private(&self.instance.file("token"), token);
                let root = self.root();
                command.args(["--token-file", "token", "--server-ca", &root])
            }
            By::Nothing => &mut command,
        };
        common::output_of(&mut command)
    }

    /// The actors in the journal who did this.
    fn actors(&self, action: &str) -> Vec<String> {
        let export = self.instance.ok(&["audit", "export"]);
        let lines = export.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let done = lines.filter(|line| line["action"] == action);
        done.map(|line| line["actor"].as_str().expect("an actor").to_owned()).collect()
    }
}

/// Writes a file that only its owner may read.
fn private(file: &std::path::Path, text: &str) {
    fs::write(file, text).expect("a file");
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).expect("its mode");
}

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
            ("get", ["accounts" | "requests" | "cas" | "crls", ..]) => inventory,
            (
                "get",
                ["vendors" | "directories" | "store" | "status" | "roles" | "documents", ..],
            ) => state,
            ("get", ["administrators", ..]) => vec!["auditor", "administrator"],
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
            (_, ["accounts" | "certificates" | "crls" | "directories", ..]) => keeping,
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
