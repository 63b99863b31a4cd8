//! Logging in to the administration API by OpenID Connect: with an issuer that others wrote, over its own pages, by curl as the browser; and
//! with one that does as it is told, for tokens and answers that nobody must believe.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use common::api::{By, Site, private};
use common::http::{Reply, curl};
use common::{COUNTERSIGN, tool_ok, wait_for};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

/// A header of a request that a page of the server makes.
const OWN: &str = "Sec-Fetch-Site: same-origin";

/// An issuer, which ends with the test.
struct Issuer {
    process: Child,
    /// Its standard output, which it may still write to.
    _output: BufReader<ChildStdout>,
    url: String,
}

impl Drop for Issuer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Issuer {
    /// An issuer that others wrote.
    fn real() -> Self {
        let folder = file("target/test-oidc");
        let program = folder.join("bin/node");
        assert!(program.exists(), "{} is missing: run `make deps`", program.display());
        let mut command = Command::new(program);
        command.arg(file("tests/oidc/issuer.mjs")).arg(folder.join("node_modules"));
        Self::start(&mut command)
    }

    fn start(command: &mut Command) -> Self {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("{command:?}: {e}; run `make deps`"));
        let mut line = String::new();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        assert!(line.starts_with("http"), "the issuer does not start: {line}");
        Self { process, _output: output, url: line.trim().to_owned() }
    }

    /// The section of the configuration for this issuer.
    fn section(&self, client: &str, more: &str) -> String {
        format!("[admin.oidc]\nissuer = \"{}\"\nclient_id = \"{client}\"\n{more}\n", self.url)
    }
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// A secret of a client, in a file that is there before the instance is.
struct Secret(tempfile::TempDir);

impl Secret {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        private(&folder.path().join("secret"), text);
        Self(folder)
    }

    fn line(&self) -> String {
        format!("client_secret_file = {:?}", self.0.path().join("secret"))
    }
}

/// A page, as a browser has it after it followed redirections.
struct Page {
    status: u16,
    url: String,
    /// The lines of the last response before the body.
    head: Vec<String>,
    body: String,
}

impl Page {
    #[track_caller]
    fn has(&self, status: u16, words: &[&str]) {
        assert_eq!(self.status, status, "{} {}", self.url, self.body);
        for word in words {
            assert!(self.body.contains(word), "expected `{word}` in: {}", self.body);
        }
    }
}

/// curl as a browser, with the cookies in a file.
#[track_caller]
fn browse(site: &Site, jar: &str, url: &str, more: &[&str]) -> Page {
    let root = site.root();
    let all = [
        &["-s", "-S", "-L", "--max-redirs", "20", "--cacert", &root, "-b", jar, "-c", jar],
        &["-D", "head", "-w", "\n%{http_code} %{url_effective}"][..],
        more,
        &[url],
    ];
    let text = tool_ok("curl", "curl", &all.concat(), &site.instance.file("."));
    let (body, last) = text.rsplit_once('\n').unwrap();
    let (status, url) = last.split_once(' ').unwrap();
    let head = fs::read_to_string(site.instance.file("head")).unwrap().replace('\r', "");
    let head = head.trim_end().rsplit("\n\n").next().unwrap().lines().map(str::to_owned);
    Page {
        status: status.parse().unwrap(),
        url: url.to_owned(),
        head: head.collect(),
        body: body.to_owned(),
    }
}

/// Logs in over the pages of the issuer, up to the page of our server.
#[track_caller]
fn log_in(site: &Site, jar: &str, user: &str) -> Page {
    let ours = site.url();
    let mut page = browse(site, jar, &format!("{ours}/login?return=/api/v1/accounts"), &[]);
    for _ in 0..5 {
        if page.url.starts_with(&ours) {
            return page;
        }
        let action = page.body.split("action=\"").nth(1).and_then(|rest| rest.split('"').next());
        let action =
            action.unwrap_or_else(|| panic!("no form at {}: {}", page.url, page.body)).to_owned();
        let form = match page.body.contains("name=\"login\"") {
            true => format!("prompt=login&login={user}&password=any"),
            false => "prompt=consent".to_owned(),
        };
        fs::copy(site.instance.file(jar), site.instance.file("jar.before")).unwrap();
        page = browse(site, jar, &action, &["-d", &form]);
    }
    panic!("the login does not end: {} {}", page.url, page.body);
}

/// Logs in, and must succeed.
#[track_caller]
fn session<'a>(site: &Site, jar: &'a str, user: &str) -> By<'a> {
    log_in(site, jar, user).has(200, &["You are logged in", "url=/api/v1/accounts"]);
    By::Session(jar)
}

/// The value of a cookie in a file of curl's.
fn cookie(site: &Site, jar: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(site.instance.file(jar)).unwrap();
    let mut row = text.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    row.rfind(|row| row.len() == 7 && row[5] == name).map(|row| row[6].to_owned())
}

/// The body of a new account.
fn account(name: &str) -> Value {
    json!({"accounts": [{"name": name, "ids": [format!("fqdn:{name}.example.net")], "profile": "gateway"}]})
}

#[test]
fn an_administrator_logs_in_at_a_real_issuer_and_works_by_a_session() {
    let issuer = Issuer::real();
    let secret = Secret::new("a:secret/with%signs\n");
    let site = Site::start_with(&[], &issuer.section("countersign", &secret.line()));
    let added = site.admin("alice", &["--role", "operator", "--oidc", "alice"]);
    assert_eq!(
        added["administrator"]["oidc"],
        json!({"issuer": issuer.url, "subject": "alice"}),
        "{added}"
    );
    let page = log_in(&site, "jar", "alice");
    page.has(200, &["You are logged in", "content=\"0; url=/api/v1/accounts\""]);
    let callback = page.url.clone();
    // The session's cookie is for this host, TLS and its own pages alone; that of the login is gone.
    let set: Vec<&String> =
        page.head.iter().filter(|line| line.to_lowercase().starts_with("set-cookie")).collect();
    let id = cookie(&site, "jar", "__Host-countersign").expect("a session");
    assert_eq!(
        set[0].split_once(": ").unwrap().1,
        format!(
            "__Host-countersign={id}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=28800"
        )
    );
    assert!(
        set[1].contains("__Host-countersign-login=; ") && set[1].contains("Max-Age=0"),
        "{set:?}"
    );
    assert_eq!(cookie(&site, "jar", "__Host-countersign-login"), None);
    assert!(
        page.head.iter().any(|line| line.contains("frame-ancestors 'none'")),
        "{:?}",
        page.head
    );
    assert_eq!(id.len(), 43, "256 bits in base64url");

    let alice = By::Session("jar");
    assert_eq!(site.get(alice, "/api/v1/accounts").json(200)["items"][0]["name"], "alice");
    let caller = site.get(alice, "/api/v1/caller").json(200);
    let described = format!("alice (oidc alice@{}, from 127.0.0.1)", issuer.url);
    assert_eq!((&caller["name"], &caller["described"]), (&json!("alice"), &json!(described)));
    // A page of another site, or a program that does not say where it asks from, changes nothing.
    let accounts = "/api/v1/accounts";
    let url = site.url();
    let own_origin = format!("Origin: {url}");
    for (number, (headers, status)) in [
        (&[][..], 403),
        (&["Sec-Fetch-Site: cross-site"], 403),
        (&["Sec-Fetch-Site: same-site"], 403),
        (&["Sec-Fetch-Site: none"], 403),
        (&["Origin: https://evil.example.net"], 403),
        (&["Origin: null"], 403),
        (&["Sec-Fetch-Site: cross-site", &own_origin], 403),
        (&[OWN], 201),
        (&[&own_origin], 201),
    ]
    .into_iter()
    .enumerate()
    {
        let reply =
            site.send_with(alice, "POST", accounts, &account(&format!("gw{number}")), headers);
        assert_eq!(reply.status, status, "{headers:?} {}", reply.body);
    }
    assert_eq!(site.actors("peer add").last(), Some(&described));
    assert_eq!(site.actors("session begin"), [described.as_str()]);
    // A token decides before a session, and needs no header.
    let token = site.token_of("bob", &["--role", "viewer"]);
    let both = site.curl(By::Token(&token), "/api/v1/caller", &["-b", "jar"]);
    assert_eq!(both.json(200)["name"], "bob");
    // A session makes no token that would outlive it.
    let token = json!({"name": "t", "seconds": 3600});
    let kept = site.send_with(alice, "POST", "/api/v1/administrators/alice/tokens", &token, &[OWN]);
    kept.is_problem(403, &[]);

    // The answer of the issuer again: in this browser, in the one that began, and in another.
    let again = |jar: &str| browse(&site, jar, &callback, &[]);
    again("jar").has(403, &["did not begin this login"]);
    again("jar.before").has(403, &["has ended already"]);
    again("jar.other").has(403, &["did not begin this login"]);
    assert_eq!(site.get(By::Session("jar.before"), "/api/v1/caller").status, 401);

    // Logging out needs the page of the server, too.
    let logout =
        |headers: &[&str]| site.curl(alice, "/logout", &[&["-X", "POST"], headers].concat());
    logout(&[]).is_problem(403, &["Sec-Fetch-Site"]);
    assert_eq!(site.curl(alice, "/logout", &[]).header("allow"), Some("POST"));
    assert_eq!(site.get(alice, "/api/v1/caller").status, 200);
    let out = logout(&["-H", OWN]);
    assert_eq!(out.status, 204, "{}", out.body);
    assert!(out.header("set-cookie").unwrap().starts_with("__Host-countersign=; "));
    let gone = site.get(alice, "/api/v1/caller");
    gone.is_problem(401, &["has ended", "/login"]);
    assert!(gone.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert_eq!(site.actors("session end"), [described.as_str()]);
    site.instance.ok(&["audit", "verify"]);
    site.instance.holds_nowhere(id.as_bytes());
    site.instance.holds_nowhere(b"a:secret/with%signs");

    // The description says how a session is presented, and a validator of others takes it.
    let document = site.get(By::Nothing, "/api/openapi.json");
    let scheme = &document.json(200)["components"]["securitySchemes"]["session"];
    assert_eq!(
        (&scheme["type"], &scheme["in"], &scheme["name"]),
        (&json!("apiKey"), &json!("cookie"), &json!("__Host-countersign"))
    );
    fs::write(site.instance.file("openapi.json"), &document.body).unwrap();
    let validator = file("target/test-api/bin/openapi-spec-validator");
    let name = validator.to_str().unwrap();
    tool_ok(name, "openapi-spec-validator", &["openapi.json"], &site.instance.file("."));
}

/// Not even one that may change administrators: it would outlive the session or the token.
#[test]
fn neither_a_session_nor_a_token_makes_a_credential_for_itself() {
    let issuer = Issuer::real();
    let site = Site::start_with(&[], &issuer.section("public", ""));
    site.admin("bob", &["--role", "viewer"]);
    let added = site.admin("alice", &["--role", "administrator", "--oidc", "alice"]);
    site.enrol("alice", &added);
    let by_token = site.token("alice", "first", &[]);
    let by_session = session(&site, "jar", "alice");
    let tokens = |name: &str| format!("/api/v1/administrators/{name}/tokens");
    let secret = |name: &str| format!("/api/v1/accounts/{name}/secret");
    let policy = json!({"seconds": 3600, "uses": 1});
    for (number, by) in [by_session, By::Token(&by_token)].into_iter().enumerate() {
        let ask = |path: &str, body: &Value| site.send_with(by, "POST", path, body, &[OWN]);
        let token = json!({"name": format!("t{number}"), "seconds": 3600});
        ask(&tokens("alice"), &token).is_problem(403, &["only by certificate"]);
        ask(&secret("alice"), &policy).is_problem(403, &["only by certificate"]);
        assert_eq!(ask(&tokens("bob"), &token).status, 201, "for another one");
    }
    let token = json!({"name": "second", "seconds": 3600});
    let made = site.send(By::Login("alice"), "POST", &tokens("alice"), &token);
    assert_eq!(made.status, 201, "{}", made.body);
}

/// A public client, ES256, and rights by groups; who is also an administrator is that administrator.
#[test]
fn groups_have_grants_and_an_administrator_is_one_by_any_door() {
    let issuer = Issuer::real();
    let more = "scopes = [\"openid\", \"groups\"]\n[admin.oidc.grants]\n\
                operators = [{ role = \"operator\", accounts = [\"berlin-*\"] }]\nauditors = [{ role = \"auditor\" }]";
    let site = Site::start_with(&[], &issuer.section("public", more));
    let olga = session(&site, "olga", "olga.operators.auditors.others");
    let caller = site.get(olga, "/api/v1/caller").json(200);
    let name = format!("oidc:olga.operators.auditors.others@{}", issuer.url);
    assert_eq!(caller["name"], name);
    assert_eq!(
        caller["grants"],
        json!([
            {"role": "operator", "cas": [], "accounts": ["berlin-*"]},
            {"role": "auditor", "cas": [], "accounts": []},
        ])
    );
    let add =
        |by, name: &str| site.send_with(by, "POST", "/api/v1/accounts", &account(name), &[OWN]);
    assert_eq!(add(olga, "berlin-1").status, 201);
    add(olga, "paris-1").is_problem(403, &["paris-1", &name]);
    assert_eq!(site.actors("peer add"), [format!("{name} (oidc, from 127.0.0.1)")]);
    // Nobody without a group that has grants; the page says who that is.
    log_in(&site, "mallory", "mallory.others").has(403, &["`mallory.others` is no administrator"]);
    assert_eq!(cookie(&site, "mallory", "__Host-countersign"), None);
    log_in(&site, "plain", "plain").has(403, &["`plain` is no administrator"]);

    // An administrator who is the same user is that administrator, with the grants of the record, and at once.
    site.admin("bob", &["--role", "viewer"]);
    let bound = ["admin", "bind", "bob", "--oidc", "olga.operators.auditors.others"];
    site.instance.ok(&bound);
    site.get(olga, "/api/v1/caller").is_problem(401, &["has changed"]);
    site.get(olga, "/api/v1/caller").is_problem(401, &["unknown or has ended"]);
    let bob = session(&site, "bob", "olga.operators.auditors.others");
    let caller = site.get(bob, "/api/v1/caller").json(200);
    assert_eq!(caller["name"], "bob");
    assert_eq!(caller["grants"], json!([{"role": "viewer", "cas": [], "accounts": []}]));
    add(bob, "berlin-2").is_problem(403, &["`bob` may not"]);
    // One user is one administrator; and to say who that is needs the right to change administrators.
    let carol = site.token_of("carol", &["--role", "administrator"]);
    let oidc = |by, name: &str, subject: Value| {
        let path = format!("/api/v1/administrators/{name}/oidc");
        site.send(by, "PUT", &path, &json!({"subject": subject}))
    };
    oidc(By::Token(&carol), "carol", json!(bound[4])).is_problem(409, &["`bob` is this user"]);
    oidc(By::Token(&carol), "carol", json!("é")).is_problem(400, &["255 characters of ASCII"]);
    let weak = ("admin", "roles = { binder = [\"admin-bind\"] }");
    assert_eq!(oidc(By::Token(&carol), "bob", Value::Null).json(200)["oidc"], Value::Null);
    site.get(bob, "/api/v1/caller").is_problem(401, &["has changed"]);
    assert_eq!(site.actors("admin bind").len(), 2);
    let site = Site::start_with(&[weak], &issuer.section("public", ""));
    let dan = site.token_of("dan", &["--role", "binder"]);
    site.send(By::Token(&dan), "PUT", "/api/v1/administrators/dan/oidc", &json!({"subject": "x"}))
        .is_problem(403, &["admin-grant"]);
}

#[test]
fn a_session_ends_when_it_must() {
    let issuer = Issuer::real();
    let secret = Secret::new("secret");
    let mut site = Site::start_with(&[], &issuer.section("posting", &secret.line()));
    site.admin("root", &["--role", "administrator"]);
    let caller = "/api/v1/caller";
    // Each change of what is recorded of the administrator counts at the next request.
    let bind = ["admin", "bind", "alice", "--oidc", "alice"];
    site.admin("alice", &["--role", "viewer"]);
    let fresh = |site: &Site| {
        site.instance.ok(&bind);
        let alice = session(site, "jar", "alice");
        assert_eq!(site.get(alice, caller).status, 200);
        alice
    };
    for (change, back) in [
        (&["admin", "grant", "alice", "--role", "operator"][..], &["status"][..]),
        (&["peer", "disable", "alice"], &["peer", "enable", "alice"]),
        (&["admin", "bind", "alice", "--none"], &bind),
        (
            &["admin", "remove", "alice"],
            &["admin", "add", "alice", "--role", "operator", "--oidc", "alice"],
        ),
    ] {
        let alice = fresh(&site);
        site.instance.ok(change);
        site.get(alice, caller).is_problem(401, &["has changed"]);
        site.instance.run(back);
        site.get(alice, caller).is_problem(401, &["unknown or has ended"]);
    }
    // A token that is added changes nothing of the session. A restart ends it.
    let alice = fresh(&site);
    site.token("alice", "t", &[]);
    assert_eq!(site.get(alice, caller).status, 200);
    // Whoever has the account disabled is told at the login.
    site.instance.ok(&["peer", "disable", "alice"]);
    log_in(&site, "late", "alice").has(403, &["is disabled"]);
    site.instance.ok(&["peer", "enable", "alice"]);
    let alice = fresh(&site);
    site.instance.stop();
    site.instance.serve();
    site.get(alice, caller).is_problem(401, &["unknown or has ended"]);

    // A session without a request ends; one with requests lasts no longer than its life.
    for (idle, life, uses) in [("1s", "1h", false), ("1h", "5s", true)] {
        let more =
            format!("{}\nsession_idle = \"{idle}\"\nsession_lifetime = \"{life}\"", secret.line());
        let site = Site::start_with(&[], &issuer.section("posting", &more));
        site.admin("alice", &["--role", "viewer", "--oidc", "alice"]);
        session(&site, "jar", "alice");
        // curl forgets a cookie when its time is over; who stole it does not.
        let id = cookie(&site, "jar", "__Host-countersign").expect("a session");
        let stolen = format!("__Host-countersign={id}");
        let alice = By::Session(&stolen);
        wait_for("the end of the session", || {
            let has_ended = site.instance.log().contains("a session has ended: its time is over");
            if uses && site.get(alice, caller).status == 401 {
                return Some(());
            }
            (has_ended && !uses).then_some(())
        });
        site.get(alice, caller).is_problem(401, &["unknown or has ended"]);
    }
}

/// The two-person rule: one person by two doors, and by two names in succession, is one.
#[test]
fn one_person_by_two_doors_does_not_approve_twice() {
    let issuer = Issuer::real();
    let more = "scopes = [\"openid\", \"groups\"]\ngrants = { approvers = [{ role = \"approver\" }] }\n\
                [profiles.gateway]\napproval = true\napprovals = 3";
    let site = Site::start_with(&[], &issuer.section("public", more));
    let peer = site.instance.peer("gw1", &["fqdn:gw1.example.net"]);
    private(&site.instance.file("secret"), &peer.secret);
    let mut enrol = Command::new(COUNTERSIGN);
    enrol
        .args(["enroll", "--server", &format!("http://{}", site.instance.address)])
        .args(["--reference", &peer.reference, "--secret-file", "secret", "--trust", &site.root()])
        .args(["--out", "gw1", "--patience", "1s"])
        .current_dir(site.instance.file("."));
    assert_eq!(common::output_of(&mut enrol).status.code(), Some(7));
    site.admin("alice", &["--role", "approver", "--oidc", "alice"]);
    let alice = session(&site, "alice", "alice");
    let waiting = site.get(alice, "/api/v1/requests").json(200);
    let decision = format!("/api/v1/requests/{}/decision", waiting[0]["id"].as_str().unwrap());
    let approve = json!({"approve": true, "words": null});
    let decide = |by| site.send_with(by, "PUT", &decision, &approve, &[OWN]);
    assert_eq!(decide(alice).json(200)["approved_by"], json!(["alice"]));
    let token = site.token("alice", "t", &[]);
    decide(By::Token(&token)).is_problem(409, &["`alice` approved", "another person"]);
    // A member of a group is a person, too, who becomes an administrator later.
    let olga = session(&site, "olga", "olga.approvers");
    let second = decide(olga).json(200);
    let name = format!("oidc:olga.approvers@{}", issuer.url);
    assert_eq!(second["approved_by"], json!(["alice", name]));
    decide(olga).is_problem(409, &["another person"]);
    site.admin("bob", &["--role", "approver", "--oidc", "olga.approvers"]);
    let token = site.token("bob", "t", &[]);
    decide(By::Token(&token)).is_problem(409, &["`bob` approved", "another person"]);
    let token = site.token_of("carol", &["--role", "approver"]);
    assert_eq!(decide(By::Token(&token)).json(200)["status"], "approved");
}

/// Three must approve: one person is one of them, by whatever names in succession, also when the names are said to be one person's only
/// later, and when the administrator is no more.
#[test]
fn a_person_whose_names_change_between_approvals_is_still_one() {
    let issuer = Issuer::real();
    let more = "scopes = [\"openid\", \"groups\"]\ngrants = { approvers = [{ role = \"approver\" }] }\n\
                [profiles.gateway]\napproval = true\napprovals = 3";
    let site = Site::start_with(&[], &issuer.section("public", more));
    let request = |name: &str| {
        let peer = site.instance.peer(name, &[&format!("fqdn:{name}.example.net")]);
        private(&site.instance.file("secret"), &peer.secret);
        let mut enrol = Command::new(COUNTERSIGN);
        enrol
            .args(["enroll", "--server", &format!("http://{}", site.instance.address)])
            .args(["--reference", &peer.reference, "--secret-file", "secret"])
            .args(["--trust", &site.root(), "--out", name, "--patience", "1s"])
            .current_dir(site.instance.file("."));
        assert_eq!(common::output_of(&mut enrol).status.code(), Some(7));
        let waiting = site.instance.json(&["request", "list"]);
        let waiting = waiting.as_array().unwrap().iter().find(|one| one["account"] == name);
        format!("/api/v1/requests/{}/decision", waiting.unwrap()["id"].as_str().unwrap())
    };
    let approve = json!({"approve": true, "words": null});
    let decide = |by, path: &str| site.send_with(by, "PUT", path, &approve, &[OWN]);
    let user = "olga.approvers";
    let name = format!("oidc:{user}@{}", issuer.url);
    let alice = site.token_of("alice", &["--role", "approver"]);
    let bob = site.token_of("bob", &["--role", "approver"]);
    let carol = site.token_of("carol", &["--role", "approver"]);

    // alice and the user approve it, and turn out to be one.
    let first = request("gw1");
    assert_eq!(decide(By::Token(&alice), &first).json(200)["approved_by"], json!(["alice"]));
    let olga = session(&site, "olga", user);
    decide(olga, &first).json(200);
    site.instance.ok(&["admin", "bind", "alice", "--oidc", user]);
    let state = decide(By::Token(&bob), &first).json(200);
    assert_eq!(state["status"], "waiting", "{state}");
    assert_eq!(state["approved_by"], json!(["alice", name, "bob"]));
    assert_eq!(decide(By::Token(&carol), &first).json(200)["status"], "approved");

    // alice is the user when she approves it, by a session or a token, and is not any more when the user does.
    for (account, by_token, change) in [
        ("gw2", false, &["admin", "bind", "alice", "--none"][..]),
        ("gw3", true, &["admin", "remove", "alice"]),
    ] {
        let path = request(account);
        site.instance.ok(&["admin", "bind", "alice", "--oidc", user]);
        let by_session = session(&site, "alice", user);
        let by = if by_token { By::Token(&alice) } else { by_session };
        assert_eq!(decide(by, &path).json(200)["approved_by"], json!(["alice"]));
        site.instance.ok(change);
        let olga = session(&site, "olga", user);
        decide(olga, &path).is_problem(409, &[&name, "another person"]);
        assert_eq!(decide(By::Token(&bob), &path).json(200)["status"], "waiting");
        assert_eq!(decide(By::Token(&carol), &path).json(200)["status"], "approved");
    }
}

/// An issuer that does as it is told.
struct Hostile {
    issuer: Issuer,
    folder: tempfile::TempDir,
}

impl Hostile {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
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
                "/CN=localhost",
                "-addext",
                "subjectAltName=DNS:localhost",
                "-addext",
                "basicConstraints=critical,CA:FALSE",
                "-keyout",
                "key.pem",
                "-out",
                "root.pem",
            ],
            folder.path(),
        );
        let mut command = Command::new("/usr/bin/python3");
        command
            .arg(file("tests/oidc/hostile.py"))
            .args(["root.pem", "key.pem"])
            .current_dir(folder.path());
        Self { issuer: Issuer::start(&mut command), folder }
    }

    /// A server whose issuer this is, at a path of it.
    fn site(&self, path: &str) -> Site {
        let roots = self.folder.path().join("root.pem");
        let section = format!(
            "[admin.oidc]\nissuer = \"{}{path}\"\nclient_id = \"countersign\"\nca_file = {roots:?}\n\
             grants = {{ operators = [{{ role = \"viewer\" }}] }}\n",
            self.issuer.url
        );
        Site::start_with(&[], &section)
    }

    /// Asks the issuer something.
    fn ask(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.issuer.url);
        let all = ["-s", "-S", "--cacert", "root.pem", &url];
        serde_json::from_str(&tool_ok("curl", "curl", &all, self.folder.path())).unwrap()
    }
}

/// A login that begins in a browser of its own: its state, its nonce and its challenge.
fn begin(site: &Site) -> (String, String, String) {
    let url = format!("{}/login", site.url());
    let begun = curl(&site.instance, &["--cacert", &site.root(), "-c", "jar", &url]);
    assert_eq!(begun.status, 303, "{}", begun.body);
    let set = begun.header("set-cookie").unwrap();
    assert!(set.starts_with("__Host-countersign-login="), "{set}");
    assert!(set.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600"), "{set}");
    let location = begun.header("location").unwrap().to_owned();
    let part = |name: &str| {
        let value = location.split(['?', '&']).find_map(|pair| pair.strip_prefix(name));
        value.unwrap_or_else(|| panic!("no {name} in {location}")).to_owned()
    };
    assert!(location.contains("/auth?tenant=1&response_type=code&"), "{location}");
    assert_eq!(part("code_challenge_method="), "S256");
    assert!(part("redirect_uri=").ends_with("%2Flogin%2Fcallback"), "{location}");
    (part("state="), part("nonce="), part("code_challenge="))
}

/// Logs in with a token of which `told` says what it has.
fn forged(site: &Site, hostile: &Hostile, mut told: Value) -> Reply {
    let (state, nonce, challenge) = begin(site);
    told["challenge"] = json!(challenge);
    let claims = told["claims"].as_object().cloned().unwrap_or_default();
    told["claims"] = json!({"nonce": nonce});
    told["claims"].as_object_mut().unwrap().extend(claims);
    let code = BASE64URL_NOPAD.encode(told.to_string().as_bytes());
    answer(site, &format!("code={code}&state={state}&iss={}", hostile.issuer.url))
}

/// Brings an answer of the issuer to the server.
fn answer(site: &Site, query: &str) -> Reply {
    let url = format!("{}/login/callback?{query}", site.url());
    curl(&site.instance, &["--cacert", &site.root(), "-b", "jar", "-c", "jar", &url])
}

#[test]
fn nobody_believes_a_token_that_is_not_as_it_must_be() {
    let hostile = Hostile::start();
    let site = hostile.site("");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let forged = |told: Value| forged(&site, &hostile, told);
    // What is right: both algorithms, an audience in a list, and a key without a name where there is but one.
    for told in [
        json!({}),
        json!({"alg": "ES256", "kid": "ec", "key": "ec"}),
        json!({"claims": {"aud": ["countersign"], "azp": "countersign"}}),
        json!({"alg": "ES256", "kid": null, "key": "ec"}),
    ] {
        forged(told.clone()).is(200, &["You are logged in"]);
        let caller = site.get(By::Session("jar"), "/api/v1/caller").json(200);
        assert_eq!(caller["name"], format!("oidc:eve.operators@{}", hostile.issuer.url), "{told}");
        assert!(cookie(&site, "jar", "__Host-countersign").is_some());
        fs::remove_file(site.instance.file("jar")).unwrap();
    }
    let stranger = json!("evil");
    for (told, word) in [
        (json!({"alg": "none", "key": null}), "cannot be read"),
        (json!({"alg": "none", "header": {"alg": "None"}}), "cannot be read"),
        (json!({"alg": "HS256"}), "RS256 or ES256, found one with HS256"),
        (json!({"header": {"alg": "RS512"}}), "RS256 or ES256"),
        // A key of the other kind, one that nobody publishes under a name that is published, and a damaged signature.
        (json!({"alg": "ES256", "key": "ec"}), "does not publish"),
        (json!({"key": "stranger"}), "InvalidSignature"),
        (json!({"damaged": true}), "InvalidSignature"),
        (json!({"claims": {"iss": stranger}}), "InvalidIssuer"),
        (json!({"claims": {"iss": null}}), "iss"),
        (json!({"claims": {"aud": "other"}}), "InvalidAudience"),
        (json!({"claims": {"aud": null}}), "aud"),
        (json!({"claims": {"aud": ["countersign", "other"]}}), "other clients, too"),
        (json!({"claims": {"azp": "other"}}), "azp"),
        (json!({"claims": {"nonce": stranger}}), "nonce"),
        (json!({"claims": {"nonce": null}}), "nonce"),
        (json!({"claims": {"exp": now - 120}}), "ExpiredSignature"),
        (json!({"claims": {"exp": null}}), "exp"),
        (json!({"claims": {"nbf": now + 600}}), "ImmatureSignature"),
        (json!({"claims": {"iat": now - 3600}}), "compare the clocks"),
        (json!({"claims": {"iat": now + 3600}}), "compare the clocks"),
        (json!({"claims": {"iat": null}}), "iat"),
        (json!({"claims": {"sub": null}}), "sub"),
        (json!({"claims": {"sub": ""}}), "1 to 255 characters"),
        (json!({"claims": {"sub": "x".repeat(256)}}), "1 to 255 characters"),
        (json!({"header": {"crit": ["b64"], "b64": false}}), "the ID token"),
        (json!({"claims": {"groups": "others"}}), "is no administrator"),
        (json!({"claims": {"groups": {"operators": true}}}), "is no administrator"),
        (json!({"raw": "x.y"}), "cannot be read"),
        (json!({"raw": null}), "no ID token"),
    ] {
        let refused = forged(told.clone());
        assert_eq!(refused.status, 403, "{told}: {}", refused.body);
        assert!(refused.body.contains(word), "{told}: expected `{word}` in {}", refused.body);
        assert_eq!(cookie(&site, "jar", "__Host-countersign"), None, "{told}");
    }
    // An answer without end is not read to its end.
    forged(json!({"large": 1 << 20})).is(503, &["the log of the server"]);
    // Who tried is in the log, as fail2ban wants it, and what the user is told is no markup.
    let log = site.instance.log();
    assert!(log.contains("no administrator: the ID token is not valid: InvalidSignature"), "{log}");
    forged(json!({"claims": {"sub": "<b>x</b>", "groups": []}})).is(403, &["&lt;b&gt;x"]);

    // A key that is new is fetched when a token names it, but not for each unknown one.
    let before = hostile.ask("/asked");
    forged(json!({"kid": "gone", "key": "stranger"})).is(403, &["does not publish"]);
    assert_eq!(hostile.ask("/asked"), before, "one was sought above, less than half a minute ago");
    let site = hostile.site("");
    let forged = |told: Value| self::forged(&site, &hostile, told);
    forged(json!({})).is(200, &["You are logged in"]);
    let before = hostile.ask("/asked").as_u64().unwrap();
    hostile.ask("/rotate");
    forged(json!({"kid": "next", "key": "next"})).is(200, &["You are logged in"]);
    for _ in 0..3 {
        forged(json!({"kid": "gone", "key": "stranger"})).is(403, &["does not publish"]);
    }
    assert_eq!(hostile.ask("/asked"), before + 1);
}

#[test]
fn nobody_believes_an_answer_to_another_login() {
    let hostile = Hostile::start();
    let site = hostile.site("");
    let iss = format!("iss={}", hostile.issuer.url);
    let other = "did not begin this login";
    let code = |challenge: &str, nonce: &str| {
        let told = json!({"challenge": challenge, "claims": {"nonce": nonce}});
        BASE64URL_NOPAD.encode(told.to_string().as_bytes())
    };
    // Another state, none, and none at all in a browser that began nothing.
    let (state, nonce, challenge) = begin(&site);
    let good = code(&challenge, &nonce);
    let (first, rest) = state.split_at(1);
    let wrong = format!("{}{rest}", if first == "A" { "B" } else { "A" });
    let jar = fs::read(site.instance.file("jar")).unwrap();
    let keep = || fs::write(site.instance.file("jar"), &jar).unwrap();
    for query in [format!("code={good}&state={wrong}&{iss}"), format!("code={good}&{iss}")] {
        answer(&site, &query).is(403, &[other]);
        keep();
    }
    // The answer of another issuer, and one that does not say whose it is although the issuer says that it does.
    for query in [
        format!("code={good}&state={state}&iss=https://evil.example.net"),
        format!("code={good}&state={state}"),
    ] {
        answer(&site, &query).is(403, &["RFC 9207"]);
        keep();
    }
    answer(&site, &format!("state={state}&error=access_denied&error_description=%3Cb%3E&{iss}"))
        .is(403, &["access_denied &lt;b&gt;"]);
    keep();
    answer(&site, &format!("state={state}&{iss}")).is(403, &["no code"]);
    keep();
    answer(&site, &format!("state={state}&state={state}&{iss}")).is(400, &["cannot be read"]);
    keep();
    // The code of another login, which another verifier began. The issuer is asked once for each login.
    let foreign = code(&begin(&site).2, &nonce);
    let (spoiled, _, _) = begin(&site);
    let spoilt = fs::read(site.instance.file("jar")).unwrap();
    let exchanged = || hostile.ask("/exchanged").as_u64().unwrap();
    let before = exchanged();
    for words in ["does not take the code", "has ended already", "has ended already"] {
        fs::write(site.instance.file("jar"), &spoilt).unwrap();
        answer(&site, &format!("code={foreign}&state={spoiled}&{iss}")).is(403, &[words]);
    }
    assert_eq!(exchanged(), before + 1);
    keep();
    answer(&site, &format!("code={good}&state={state}&{iss}")).is(200, &["You are logged in"]);
    keep();
    answer(&site, &format!("code={good}&state={state}&{iss}")).is(403, &["has ended already"]);
    // Where a login leads to is a path of this server.
    for to in
        ["//evil.example.net", "https://evil.example.net", "/%5Cevil.example.net", "/login", "x"]
    {
        site.get(By::Nothing, &format!("/login?return={to}")).is(400, &["a path of this server"]);
    }
    site.get(By::Nothing, "/login?x=1").is(400, &["a path of this server"]);
    for (path, method) in [("/login", "POST"), ("/login/callback", "POST"), ("/logout", "GET")] {
        let wrong = site.curl(By::Nothing, path, &["-X", method]);
        wrong.is_problem(405, &["expected one of the methods"]);
    }
    // A session that nobody has, and a login without a session to end.
    let unknown = site.curl(By::Nothing, "/api/v1/caller", &["-b", "__Host-countersign=x"]);
    unknown.is_problem(401, &["unknown or has ended"]);
    site.get(By::Nothing, "/api/v1/caller").is_problem(401, &["a session, which begins at /login"]);
    assert_eq!(site.curl(By::Nothing, "/logout", &["-X", "POST", "-H", OWN]).status, 204);
}

/// The server remembers each login of which the issuer was asked, and the journal has each session for ever.
#[test]
fn neither_a_stranger_nor_a_person_logs_in_without_end() {
    let hostile = Hostile::start();
    let site = hostile.site("");
    let forged = |told: Value| forged(&site, &hostile, told);
    for number in 0..30 {
        assert_eq!(forged(json!({})).status, 200, "{number}");
    }
    let refused = forged(json!({}));
    assert_eq!(refused.status, 429, "{}", refused.body);
    assert!(refused.body.contains("logged in 30 times within an hour"), "{}", refused.body);
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3600).contains(&seconds), "{seconds}");
    assert_eq!(cookie(&site, "jar", "__Host-countersign"), None);
    assert_eq!(site.actors("session begin").len(), 30);
    // It is one person's bound, and logging out twice is in the journal once.
    forged(json!({"claims": {"sub": "other"}})).is(200, &["You are logged in"]);
    fs::copy(site.instance.file("jar"), site.instance.file("twice")).unwrap();
    for jar in ["jar", "twice"] {
        let out = site.curl(By::Session(jar), "/logout", &["-X", "POST", "-H", OWN]);
        assert_eq!(out.status, 204, "{}", out.body);
    }
    assert_eq!(site.actors("session end").len(), 1);
    // A stranger with codes that the issuer never made. Somebody at another address logs in all the same.
    let exchanged = || hostile.ask("/exchanged").as_u64().unwrap();
    for _ in exchanged()..64 {
        forged(json!({"challenge": "no", "raw": "x.y"})).is(403, &[]);
    }
    let refused = forged(json!({"raw": "x.y"}));
    assert_eq!(refused.status, 429, "{}", refused.body);
    assert!(
        refused.body.contains("64 logins from `127.0.0.1` ended within ten minutes"),
        "{}",
        refused.body
    );
    assert_eq!((refused.header("retry-after"), exchanged()), (Some("600"), 64));
    let (state, nonce, challenge) = begin(&site);
    let told = json!({"challenge": challenge, "claims": {"nonce": nonce, "sub": "other"}});
    let code = BASE64URL_NOPAD.encode(told.to_string().as_bytes());
    let query = format!("code={code}&state={state}&iss={}", hostile.issuer.url);
    let url = format!("{}/login/callback?{query}", site.url());
    let elsewhere = ["--interface", "127.0.0.2", "-4", "--cacert", &site.root(), "-b", "jar", &url];
    curl(&site.instance, &elsewhere).is(200, &["You are logged in"]);
}

#[test]
fn an_issuer_that_cannot_be_used_is_named_in_the_log() {
    let hostile = Hostile::start();
    for (path, words) in [
        ("/other", "expected the issuer"),
        ("/plain", "expected endpoints with `https:`"),
        ("/weak", "PKCE"),
    ] {
        let site = hostile.site(path);
        site.get(By::Nothing, "/login").is(503, &["the log of the server says why"]);
        let log = site.instance.log();
        assert!(log.contains("nobody logs in") && log.contains(words), "{path}: {log}");
    }
    // A certificate that nobody certifies, and an issuer that is away; the server works all the same.
    let section = hostile.issuer.section("countersign", "");
    let site = Site::start_with(&[], &section);
    site.get(By::Nothing, "/login").is(503, &[]);
    assert!(site.instance.log().contains("invalid peer certificate"), "{}", site.instance.log());
    drop(hostile);
    let token = site.token_of("alice", &["--role", "viewer"]);
    assert_eq!(site.get(By::Token(&token), "/api/v1/accounts").status, 200);
    // Without the section there is no login, and nobody can be said to be a user.
    let site = Site::start();
    site.get(By::Nothing, "/login").is_problem(401, &["Bearer"]);
    let document = site.get(By::Nothing, "/api/openapi.json").json(200);
    assert_eq!(document["components"]["securitySchemes"]["session"], Value::Null);
    let bound = site.instance.run(&["admin", "add", "bob", "--role", "viewer", "--oidc", "bob"]);
    assert_eq!(bound.status.code(), Some(2));
    assert!(common::text(&bound).contains("[admin.oidc]"), "{}", common::text(&bound));
}
