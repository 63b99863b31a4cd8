//! Notifications: webhooks and mail servers of others take them (`tests/notify/`), each once, also across restarts and while one is down.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::openssl::{enrol, key};
use common::{COUNTERSIGN, Instance, Process, at_another_time, fails, text, tool_ok, wait_for};
use serde_json::{Value, json};

/// The watch looks each second, so that a test need not wait a minute for each event.
const SOON: (&str, &str) = ("notify", "interval = \"1s\"");

/// A program in `tests/notify`, which writes lines of JSON to a file.
struct Stranger {
    record: PathBuf,
    _process: Process,
}

impl Stranger {
    /// Starts it, and waits until it listens.
    fn start(script: &str, record: PathBuf, arguments: &[&str]) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = root.join("target/test-tools/bin/python");
        let mut command = Command::new(&python);
        command.arg(root.join("tests/notify").join(script));
        if script != "liar.py" {
            command.arg(&record);
        }
        let mut child = command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("`{}`: {e}; run `make deps`", python.display()));
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "{script} did not start");
        Self { record, _process: Process(child) }
    }

    fn webhook(instance: &Instance, name: &str, port: u16, more: &[&str]) -> Self {
        let port = port.to_string();
        Self::start("webhook.py", instance.file(name), &[&[port.as_str()], more].concat())
    }

    /// What it has written.
    fn lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.record).unwrap_or_default();
        // The last line may be written at this moment.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Waits until it has so many lines.
    #[track_caller]
    fn wait(&self, count: usize) -> Vec<Value> {
        wait_for(&format!("{count} messages in {}", self.record.display()), || {
            Some(self.lines()).filter(|lines| lines.len() >= count)
        })
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A file with mode 0600.
fn private(path: &Path, content: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// A CA and a certificate of `localhost` and 127.0.0.1, by OpenSSL: `ca.pem`, `server.pem`, `server.key`.
fn server_certificate(instance: &Instance) {
    let run = |arguments: &str| {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        tool_ok("openssl", "openssl", &arguments, &instance.file("."));
    };
    let curve = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    run(&format!("req -x509 {curve} -keyout ca.key -out ca.pem -days 30 -subj /CN=receivers"));
    run(&format!("req {curve} -keyout server.key -out server.csr -subj /CN=localhost"));
    fs::write(instance.file("san"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n").unwrap();
    run(
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile san -out server.pem",
    );
}

/// Writes this in place of the receivers that the configuration has.
fn set_receivers(instance: &Instance, receivers: &str) {
    let path = instance.data().join("countersign.toml");
    let text = fs::read_to_string(&path).unwrap();
    let text = text.split("# receivers of the test").next().unwrap();
    fs::write(&path, format!("{text}# receivers of the test\n{receivers}")).unwrap();
}

/// A founded instance whose watch looks each second.
fn instance(receivers: &str) -> Instance {
    let instance = Instance::init(&[]);
    let path = instance.data().join("countersign.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("[notify]\n", &format!("[notify]\n{}\n", SOON.1), 1)).unwrap();
    set_receivers(&instance, receivers);
    instance
}

fn webhook(name: &str, port: u16, path: &str, more: &str) -> String {
    format!(
        "[[notify.receivers]]\nname = \"{name}\"\nwebhook = \"http://127.0.0.1:{port}/{path}\"\n{more}\n"
    )
}

/// The changes of a message, each as its kind and code.
fn changes(message: &Value) -> Vec<(String, String)> {
    let changes = message["body"]["data"]["changes"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    changes.map(|change| (text(&change["change"]), text(&change["code"]))).collect()
}

fn told(kind: &str, code: &str) -> Vec<(String, String)> {
    vec![(kind.to_owned(), code.to_owned())]
}

/// The state of the only receiver.
fn shown(instance: &Instance) -> Value {
    instance.json(&["notify", "show"])[0].clone()
}

fn backup(instance: &Instance) {
    instance.ok(&["backup", instance.file("backup").to_str().unwrap()]);
}

fn metrics(instance: &Instance) -> String {
    String::from_utf8(instance.http("GET", "/metrics", "", &[]).unwrap().body).unwrap()
}

#[test]
fn a_signed_webhook_is_told_once_and_a_restart_repeats_nothing() {
    let port = free_port();
    let mut instance = instance("");
    server_certificate(&instance);
    let file = |name: &str| instance.file(name).to_str().unwrap().to_owned();
    let made = tool_ok("openssl", "openssl", &["rand", "-base64", "32"], &instance.file("."));
    let secret = format!("whsec_{}", made.trim());
    private(&instance.file("secret"), &format!("{secret}\n"));
    let settings = format!(
        "[[notify.receivers]]\nname = \"ops\"\nwebhook = \"https://localhost:{port}/pki?key=hidden\"\nsecret_file = {:?}\nca_file = {:?}\n",
        file("secret"),
        file("ca.pem")
    );
    set_receivers(&instance, &settings);
    let (certificate, private_key) = (file("server.pem"), file("server.key"));
    let tls = ["--secret", &secret, "--certificate", &certificate, "--key", &private_key];
    let ops = Stranger::webhook(&instance, "ops", port, &tls);
    instance.serve();
    let first = ops.wait(1);
    assert_eq!(first[0]["verified"], true, "{}", first[0]);
    assert_eq!(first[0]["path"], "/pki?key=hidden");
    let body = &first[0]["body"];
    assert_eq!(body["type"], "countersign.findings");
    assert_eq!(changes(&first[0]), told("new", "backup-none"));
    assert_eq!(body["data"]["changes"][0]["severity"], "warning");
    assert_eq!(body["data"]["open"], 1);
    wait_for("the outcome", || (shown(&instance)["outcome"] == "delivered").then_some(()));
    let state = shown(&instance);
    assert_eq!((&state["kind"], &state["delivered"]), (&json!("webhook"), &json!(1)), "{state}");
    assert_eq!(state["to"], format!("https://localhost:{port}"), "the rest may be a secret");
    let page = metrics(&instance);
    let counted = "countersign_notifications_total{receiver=\"ops\",outcome=\"delivered\"} 1\n";
    assert!(page.contains(counted), "{page}");
    // Across a restart and a power cut, only what changed is told.
    instance.stop();
    instance.serve();
    let tested = instance.json(&["notify", "test", "ops"]);
    let lines = ops.wait(2);
    assert_eq!(lines[1]["body"]["type"], "countersign.test");
    assert_eq!(lines[1]["headers"]["webhook-id"], tested["message"]);
    assert_eq!(lines[1]["verified"], true);
    instance.kill();
    instance.serve();
    backup(&instance);
    let lines = ops.wait(3);
    assert_eq!((lines.len(), changes(&lines[2])), (3, told("over", "backup-none")));
    // The library that checks signatures does refuse one by another key.
    let other = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
    private(&instance.file("secret"), other);
    instance.ok(&["notify", "test", "ops"]);
    assert_ne!(ops.wait(4)[3]["verified"], true);
    // Our own mistakes are told with what to do.
    private(&instance.file("secret"), "short");
    fails(&instance.run(&["notify", "test", "ops"]), 5, &["expected `whsec_`", "head -c 32"]);
    fails(&instance.run(&["notify", "test", "none"]), 3, &["no receiver `none`", "`ops`"]);
    assert!(!instance.log().contains("hidden"), "{}", instance.log());
    let audit = instance.ok(&["audit", "report"]);
    assert!(audit.contains("notify test"), "{audit}");
}

#[test]
fn a_receiver_that_is_down_stops_nobody_and_is_told_once_when_it_is_up() {
    let (port, mail_port) = (free_port(), free_port());
    // One that takes connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_port = silent.local_addr().unwrap().port();
    let noc = format!(
        "[[notify.receivers]]\nname = \"noc\"\nto = [\"noc@example.net\"]\nfrom = \"pki@example.net\"\nsmtp = \"127.0.0.1:{mail_port}\"\ntls = \"none\"\n"
    );
    let receivers = [
        webhook("ops", port, "ok", ""),
        webhook("silent", silent_port, "", "codes = [\"backup-none\"]"),
        noc,
    ]
    .concat();
    let mut instance = instance(&receivers);
    let mails =
        Stranger::start("smtp.py", instance.file("mails"), &[&mail_port.to_string(), "none"]);
    instance.serve();
    let failing = wait_for("the failure in the state", || {
        let state = instance.json(&["status"]);
        let findings = state["findings"].as_array().unwrap().clone();
        findings.into_iter().find(|f| f["code"] == "notify" && f["subject"] == "ops")
    });
    assert_eq!(failing["severity"], "warning", "{failing}");
    assert!(failing["message"].as_str().unwrap().contains("refused"), "{failing}");
    assert!(instance.log().contains("a notification was not taken"), "{}", instance.log());
    // Others are told of it, in one mail with whatever else there is.
    wait_for("a mail about the receiver", || {
        let texts = mails.lines();
        texts.iter().any(|m| m["text"].as_str().unwrap().contains("receiver `ops`")).then_some(())
    });
    // Meanwhile the server does its work.
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    key(&instance, "p256", "gw1.key");
    enrol(&instance, &peer, "gw1.key", &[]).granted();
    let page = metrics(&instance);
    let value = |name: &str| -> f64 {
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {page}")).parse().unwrap()
    };
    assert!(value("countersign_notification_failures{receiver=\"ops\"}") >= 1.0);
    assert!(value("countersign_notifications_total{receiver=\"ops\",outcome=\"failed\"}") >= 1.0);
    assert!(
        value("countersign_notification_last_success_timestamp_seconds{receiver=\"ops\"}") == 0.0
    );
    let ops = Stranger::webhook(&instance, "ops", port, &[]);
    let first = ops.wait(1);
    assert!(changes(&first[0]).contains(&told("new", "backup-none")[0]), "{}", first[0]);
    // It is not told of itself.
    let text = first[0]["body"].to_string();
    assert!(!text.contains("receiver `ops`"), "{text}");
    wait_for("the end of the finding", || {
        let state = instance.json(&["status"]);
        let findings = state["findings"].as_array().unwrap().clone();
        (!findings.iter().any(|f| f["subject"] == "ops")).then_some(())
    });
    backup(&instance);
    let all = wait_for("the end of the other finding", || {
        let lines = ops.lines();
        let is_over = lines.iter().any(|l| changes(l).contains(&told("over", "backup-none")[0]));
        is_over.then_some(lines)
    });
    let again = all.iter().flat_map(changes).filter(|c| *c == told("new", "backup-none")[0]);
    assert_eq!(again.count(), 1, "{all:?}");
    // One attempt at the silent one is under way: the server does not wait for it.
    instance.stop();
    drop(silent);
}

#[test]
fn what_a_webhook_answers_counts_and_a_redirect_is_not_followed() {
    let port = free_port();
    let receivers = ["ok", "broken", "moved"]
        .map(|name| webhook(name, port, name, "codes = [\"clock\"]"))
        .concat();
    let mut instance = instance(&receivers);
    let strangers = Stranger::webhook(&instance, "record", port, &[]);
    // Without a server, the command itself sends.
    instance.ok(&["notify", "test", "ok"]);
    assert_eq!(shown(&instance)["outcome"], "the server does not run");
    instance.serve();
    fails(&instance.run(&["notify", "test", "broken"]), 5, &["`broken`", "HTTP 503"]);
    fails(&instance.run(&["notify", "test", "moved"]), 5, &["HTTP 307", "not followed"]);
    let paths: Vec<Value> = strangers.lines().iter().map(|line| line["path"].clone()).collect();
    assert_eq!(paths, [json!("/ok"), json!("/broken"), json!("/moved")]);
    let listed = instance.ok(&["notify", "show"]);
    assert!(listed.contains("it answered HTTP 503"), "{listed}");
    // A change of the configuration counts at SIGHUP.
    set_receivers(&instance, &webhook("late", port, "late", ""));
    let hup = ["-HUP", &instance.pid().to_string()];
    tool_ok("kill", "procps", &hup, Path::new("/"));
    let lines = strangers.wait(4);
    assert_eq!(
        (&lines[3]["path"], changes(&lines[3])),
        (&json!("/late"), told("new", "backup-none"))
    );
    assert!(!instance.log().contains("counts only at the next start"), "{}", instance.log());
    let names = instance.json(&["notify", "show"]);
    assert_eq!(names.as_array().unwrap().len(), 1, "{names}");
}

/// A test keeps whoever asks for it waiting. A mail server that writes a little now and then does not do so for ever, nor do several who ask.
#[test]
fn a_mail_server_that_never_ends_is_given_up_and_has_one_test_at_a_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (came, comes) = std::sync::mpsc::channel();
    // The thread ends with the process of the test at the latest.
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        came.send(()).unwrap();
        while stream.write_all(b"220-mail.example.net\r\n").is_ok() {
            std::thread::sleep(std::time::Duration::from_millis(500));
        }
        came.send(()).unwrap();
    });
    let mut instance = instance(&format!(
        "[[notify.receivers]]\nname = \"slow\"\nto = [\"noc@example.net\"]\nfrom = \"pki@example.net\"\nsmtp = \"127.0.0.1:{port}\"\n\
         tls = \"none\"\ncodes = [\"clock\"]\n"
    ));
    instance.serve();
    let test = ["notify", "test", "slow"];
    std::thread::scope(|scope| {
        let first = scope.spawn(|| instance.run(&test));
        comes.recv().unwrap();
        fails(&instance.run(&test), 5, &["a test of `slow`", "is under way"]);
        fails(&first.join().unwrap(), 5, &["did not take the message within 30 seconds"]);
    });
    // The connection is closed, and another test may begin.
    comes.recv().unwrap();
    fails(&instance.run(&test), 5, &["`slow`", "onnect"]);
    // No notification failed: nothing was to be told.
    let state = shown(&instance);
    assert_eq!((&state["outcome"], &state["failed"]), (&json!("failed"), &json!(2)), "{state}");
    let findings = instance.json(&["status"])["findings"].clone();
    let codes: Vec<&Value> = findings.as_array().unwrap().iter().map(|one| &one["code"]).collect();
    assert!(!codes.is_empty() && !codes.contains(&&json!("notify")), "{findings}");
}

#[test]
fn mail_goes_over_tls_with_a_password_or_not_at_all() {
    let instance = instance("");
    server_certificate(&instance);
    private(&instance.file("password"), "correct horse\n");
    let file = |name: &str| instance.file(name).to_str().unwrap().to_owned();
    let ports: Vec<u16> = (0..3).map(|_| free_port()).collect();
    let mail = |name: &str, port: u16, more: &str| {
        format!(
            "[[notify.receivers]]\nname = \"{name}\"\nto = [\"Night watch <noc@example.net>\", \"ops@example.net\"]\nfrom = \"PKI <pki@example.net>\"\n\
             smtp = \"localhost:{port}\"\nuser = \"pki\"\npassword_file = {:?}\n{more}\n",
            file("password")
        )
    };
    let roots = format!("ca_file = {:?}\n", file("ca.pem"));
    set_receivers(
        &instance,
        &[
            mail("start", ports[0], &format!("{roots}tls = \"starttls\"\n")),
            mail("tls", ports[1], &roots),
            mail("stranger", ports[0], "tls = \"starttls\"\n"),
            mail("plain", ports[2], &format!("{roots}tls = \"starttls\"\n")),
        ]
        .concat(),
    );
    let (certificate, private_key) = (file("server.pem"), file("server.key"));
    let tls = ["--certificate", &certificate, "--key", &private_key];
    let password = ["--password", "correct horse"];
    let server = |port: u16, kind: &str, more: &[&str]| {
        let port = port.to_string();
        let arguments = [&[port.as_str(), kind], more].concat();
        Stranger::start("smtp.py", instance.file(&format!("mails-{kind}")), &arguments)
    };
    let starttls = server(ports[0], "starttls", &[&tls[..], &password].concat());
    let implicit = server(ports[1], "tls", &[&tls[..], &password].concat());
    let plain = server(ports[2], "none", &[]);
    for (name, server) in [("start", &starttls), ("tls", &implicit)] {
        let tested = instance.json(&["notify", "test", name]);
        let mail = server.wait(1)[0].clone();
        assert_eq!((&mail["tls"], &mail["user"]), (&json!(true), &json!("pki")), "{mail}");
        assert_eq!(mail["to"], json!(["noc@example.net", "ops@example.net"]));
        let header = |name: &str| {
            let headers = mail["headers"].as_array().unwrap().iter();
            let found: Vec<&str> =
                headers.filter(|h| h[0] == name).map(|h| h[1].as_str().unwrap()).collect();
            assert_eq!(found.len(), 1, "{name}: {mail}");
            found[0].to_owned()
        };
        assert!(header("Subject").starts_with("[countersign "), "{mail}");
        assert_eq!(header("To"), "Night watch <noc@example.net>, ops@example.net");
        assert_eq!(header("From"), "PKI <pki@example.net>");
        assert_eq!(header("Auto-Submitted"), "auto-generated");
        let id = format!("<{}@example.net>", tested["message"].as_str().unwrap());
        assert_eq!(header("Message-ID"), id);
        assert!(header("Date").contains("20"), "{mail}");
        assert!(mail["text"].as_str().unwrap().contains("This is a test"), "{mail}");
    }
    // A server that the system's roots do not certify; one without STARTTLS; a wrong password.
    let refused = instance.run(&["notify", "test", "stranger"]);
    fails(&refused, 5, &["`stranger`", "certificate"]);
    fails(&instance.run(&["notify", "test", "plain"]), 5, &["`plain`", "STARTTLS"]);
    private(&instance.file("password"), "wrong");
    fails(&instance.run(&["notify", "test", "start"]), 5, &["535"]);
    assert_eq!((starttls.lines().len(), plain.lines().len()), (1, 0));
}

#[test]
fn a_strangers_words_make_no_header_and_no_line() {
    let (port, liar_port, hook_port) = (free_port(), free_port(), free_port());
    let receivers = format!(
        "[[notify.receivers]]\nname = \"noc\"\nto = [\"noc@example.net\"]\nfrom = \"pki@example.net\"\nsmtp = \"127.0.0.1:{port}\"\ntls = \"none\"\ncodes = [\"directory\"]\n{}",
        webhook("ops", hook_port, "", "codes = [\"directory\"]")
    );
    let mut instance = instance(&receivers);
    private(&instance.file("password"), "x");
    let directory = format!(
        "[[ldap.directories]]\nname = \"liar\"\nurls = [\"ldap://127.0.0.1:{liar_port}\"]\nbind_dn = \"cn=x\"\npassword_file = {:?}\n",
        instance.file("password")
    );
    set_receivers(&instance, &format!("{receivers}{directory}"));
    let mails = Stranger::start("smtp.py", instance.file("mails"), &[&port.to_string(), "none"]);
    let ops = Stranger::webhook(&instance, "ops", hook_port, &[]);
    let _liar = Stranger::start("liar.py", instance.file("liar"), &[&liar_port.to_string()]);
    instance.serve();
    let mail = mails.wait(1)[0].clone();
    let names: Vec<String> = mail["headers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|h| h[0].as_str().unwrap().to_ascii_lowercase())
        .collect();
    assert_eq!(names.iter().filter(|name| *name == "subject").count(), 1, "{mail}");
    assert!(!names.contains(&"bcc".to_owned()), "{mail}");
    assert_eq!(mail["to"], json!(["noc@example.net"]));
    let subject = mail["headers"].as_array().unwrap().iter().find(|h| h[0] == "Subject");
    let subject = subject.unwrap()[1].as_str().unwrap();
    assert!(subject.contains("error: the directory `liar` is not in step"), "{subject}");
    // The words themselves are there, so that this test sees what it is about.
    let body = mail["text"].as_str().unwrap();
    assert!(body.contains("all is well") && body.contains("everybody@example.net"), "{body}");
    assert!(!body.contains("\nBcc") && !body.contains(['\u{1b}', '\u{202e}']), "{body}");
    let hooked = ops.wait(1)[0]["body"]["data"]["changes"][0]["message"].clone();
    let hooked = hooked.as_str().unwrap();
    assert!(hooked.contains("all is well"), "{hooked}");
    assert!(!hooked.contains(['\r', '\n', '\u{1b}', '\u{202e}']), "{hooked:?}");
}

#[test]
fn who_did_not_renew_is_told_reminded_of_and_told_when_it_is_too_late() {
    let port = free_port();
    let receivers = webhook("ops", port, "", "codes = [\"renewal-overdue\", \"renewal-missed\"]\n");
    let mut instance = instance(&receivers);
    let ops = Stranger::webhook(&instance, "ops", port, &[]);
    instance.serve();
    for name in ["gw1", "gw2"] {
        let peer = instance.peer(name, &[&format!("fqdn:{name}.example.net")]);
        key(&instance, "p256", &format!("{name}.key"));
        enrol(&instance, &peer, &format!("{name}.key"), &[]).granted();
    }
    instance.stop();
    let run_at = |instance: &mut Instance, shift: &str, count: usize| {
        instance.serve_with(at_another_time(shift, COUNTERSIGN));
        let lines = ops.wait(count);
        // What the receiver was told is recorded before the server ends.
        wait_for("the outcome", || (shown(instance)["delivered"] == 1).then_some(()));
        instance.stop();
        lines
    };
    let at_80 = run_at(&mut instance, "+80d", 1);
    assert_eq!(changes(&at_80[0]), told("new", "renewal-overdue"));
    let members = &at_80[0]["body"]["data"]["changes"][0]["members"];
    assert_eq!(members.as_array().unwrap().len(), 2, "{members}");
    assert!(members[0].as_str().unwrap().starts_with("`gw1`, "), "{members}");
    // Three days later, nothing is new: the next message is the reminder, a week after the first.
    instance.serve_with(at_another_time("+83d", COUNTERSIGN));
    wait_for("a look", || {
        metrics(&instance).contains("countersign_renewals_overdue 2\n").then_some(())
    });
    instance.stop();
    let at_88 = run_at(&mut instance, "+88d", 2);
    assert_eq!((at_88.len(), changes(&at_88[1])), (2, told("reminder", "renewal-overdue")));
    // They ended. The one finding became the other one, and gw2, which is disabled, is nobody's worry.
    let mut disable = at_another_time("+94d", COUNTERSIGN);
    disable.args(["peer", "disable", "gw2", "--data"]).arg(instance.data());
    assert!(common::output_of(&mut disable).status.success());
    let at_95 = run_at(&mut instance, "+95d", 3);
    assert_eq!((at_95.len(), changes(&at_95[2])), (3, told("new", "renewal-missed")));
    let change = &at_95[2]["body"]["data"]["changes"][0];
    assert_eq!(change["members"].as_array().unwrap().len(), 1, "{change}");
    assert!(change["members"][0].as_str().unwrap().starts_with("`gw1`, "), "{change}");
    // After a month, nobody is told any more.
    let mut command = at_another_time("+130d", COUNTERSIGN);
    command.args(["status", "--json", "--data"]).arg(instance.data());
    let state: Value = serde_json::from_slice(&common::output_of(&mut command).stdout).unwrap();
    assert_eq!(state["certificates"]["missed"], 0, "{state}");
}

#[test]
fn five_hundred_are_one_message_of_twenty_names() {
    let (port, mail_port) = (free_port(), free_port());
    let receivers = format!(
        "{}[[notify.receivers]]\nname = \"noc\"\nto = [\"noc@example.net\"]\nfrom = \"pki@example.net\"\nsmtp = \"127.0.0.1:{mail_port}\"\ntls = \"none\"\ncodes = [\"never-enrolled\"]\n",
        webhook("ops", port, "", "codes = [\"never-enrolled\"]\n")
    );
    let mut instance = instance(&receivers);
    let ops = Stranger::webhook(&instance, "ops", port, &[]);
    let mails =
        Stranger::start("smtp.py", instance.file("mails"), &[&mail_port.to_string(), "none"]);
    let rows: String = (0..500).map(|n| format!("gw{n},fqdn:gw{n}.example.net\n")).collect();
    fs::write(instance.file("peers.csv"), format!("name,ids\n{rows}")).unwrap();
    let file = instance.file("peers.csv").to_str().unwrap().to_owned();
    instance.ok(&["peer", "import", &file, "--out", instance.file("secrets").to_str().unwrap()]);
    instance.serve_with(at_another_time("+8d", COUNTERSIGN));
    let message = ops.wait(1)[0].clone();
    assert_eq!(changes(&message), told("new", "never-enrolled"));
    let change = &message["body"]["data"]["changes"][0];
    assert_eq!(
        (change["members"].as_array().unwrap().len(), &change["members_left_out"]),
        (20, &json!(480))
    );
    let mail = mails.wait(1)[0].clone();
    let text = mail["text"].as_str().unwrap();
    assert!(
        text.contains("500 accounts never enrolled") && text.contains("and 480 more"),
        "{text}"
    );
    assert!(mail["raw"].as_str().unwrap().len() < 8192, "{mail}");
    let page = metrics(&instance);
    assert!(page.contains("countersign_accounts_never_enrolled 500\n"), "{page}");
}

#[test]
fn a_request_that_waits_is_told_at_once_and_an_approval_ends_it_without_a_word() {
    let port = free_port();
    let receivers =
        webhook("ops", port, "", "codes = [\"request-new\", \"backup-none\"]\ngather = \"0s\"\n");
    let mut instance = instance("");
    set_receivers(&instance, &format!("{receivers}[profiles.gateway]\napproval = true\n"));
    let ops = Stranger::webhook(&instance, "ops", port, &[]);
    backup(&instance);
    instance.serve();
    let request = |instance: &Instance, name: &str| {
        let peer = instance.peer(name, &[&format!("fqdn:{name}.example.net")]);
        private(&instance.file("secret"), &peer.secret);
        let asked = Command::new(COUNTERSIGN)
            .args(["enroll", "--server", &format!("http://{}", instance.address)])
            .args(["--reference", &peer.reference, "--secret-file", "secret", "--out", name])
            .args(["--patience", "1s", "--trust", instance.root().to_str().unwrap()])
            .current_dir(instance.file("."))
            .output()
            .unwrap();
        assert_eq!(asked.status.code(), Some(7), "{}", text(&asked));
    };
    request(&instance, "gw1");
    let first = ops.wait(1)[0].clone();
    assert_eq!(changes(&first), told("new", "request-new"));
    let change = &first["body"]["data"]["changes"][0];
    assert_eq!(change["severity"], "notice");
    assert!(change["members"][0].as_str().unwrap().contains("of `gw1`"), "{change}");
    // Nothing is wrong because of it.
    assert_eq!(instance.json(&["status"])["ok"], true);
    instance.ok(&["status", "--strict"]);
    let page = metrics(&instance);
    assert!(
        page.contains("countersign_findings{severity=\"notice\",code=\"request-new\"} 1\n"),
        "{page}"
    );
    // Another one, which joins it.
    request(&instance, "gw2");
    let second = ops.wait(2)[1].clone();
    assert_eq!(changes(&second), told("worse", "request-new"));
    let members = second["body"]["data"]["changes"][0]["members"].clone();
    assert!(members[0].as_str().unwrap().contains("of `gw2`"), "the new one is first: {members}");
    for waiting in instance.json(&["request", "list"]).as_array().unwrap() {
        instance.ok(&["request", "approve", waiting["id"].as_str().unwrap()]);
    }
    wait_for("the end of the finding", || {
        let page = metrics(&instance);
        page.contains("countersign_findings{severity=\"notice\",code=\"request-new\"} 0\n")
            .then_some(())
    });
    request(&instance, "gw3");
    let third = ops.wait(3);
    assert_eq!((third.len(), changes(&third[2])), (3, told("new", "request-new")));
}
