//! The authorizer over its socket, as a daemon asks it and an operator runs it, with certificates, CRLs and revocations of a real instance.
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
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::hostile::{Hostile, Manner};
use common::offline::{ISSUING, OfflineRoot};
use common::openssl::{enrol, key};
use common::{COUNTERSIGN, Instance, output_of, tool_ok};
use serde_json::{Value, json};

/// A gateway without the CA, and the CA elsewhere.
struct Gateway {
    ca: Instance,
    process: Option<Child>,
}

/// A policy that allows every peer of the issuing CA for which this condition holds.
fn policy(condition: &str) -> String {
    format!(
        "Authorizer: \"POLICY\"\nLicensees: \"DN:/CN=Countersign issuing CA\"\n\
         Conditions: app_domain == \"IPsec policy\" && {condition} -> \"true\";\n"
    )
}

fn revoke(ca: &Instance, account: &str) {
    let certificates = ca.certificates(account);
    ca.ok(&["cert", "revoke", certificates[0]["serial"].as_str().unwrap()]);
}

impl Gateway {
    /// Starts with certificates for gw1 and gw2, and a policy that allows gw1 and peers with a pre-shared key.
    fn start() -> Self {
        Self::start_with(|ca| {
            let crl = |name: &str| format!("http://{}/crl/{name}.crl", ca.address);
            json!({"crls": [crl("issuing"), crl("root")]})
        })
    }

    /// As [`Self::start`], with these sources of status.
    fn start_with(sources: impl FnOnce(&Instance) -> Value) -> Self {
        let ca = Instance::start();
        for name in ["gw1", "gw2"] {
            let peer = ca.peer(name, &[&format!("fqdn:{name}.example.net"), "ip:192.0.2.7"]);
            key(&ca, "p256", &format!("{name}.key"));
            enrol(&ca, &peer, &format!("{name}.key"), &[]).granted();
        }
        let gateway = Self { ca, process: None };
        fs::create_dir(gateway.file("gateway")).unwrap();
        gateway.write_policy(&format!(
            "{}\nAuthorizer: \"POLICY\"\nLicensees: \"passphrase:open sesame\"\nConditions: phase_1 == \"main\" -> \"true\";\n",
            policy("remote_id == \"gw1.example.net\"")
        ));
        let mut config = json!({
            "policy": [gateway.file("gateway/policy")],
            "anchors": [gateway.ca.root()],
            "intermediates": [gateway.ca.data().join("keys/issuing.crt")],
            "socket": gateway.socket(),
            "crl_refresh": "2s",
        });
        let sources = sources(&gateway.ca);
        config.as_object_mut().unwrap().extend(sources.as_object().unwrap().clone());
        let lines: Vec<String> = config
            .as_object()
            .unwrap()
            .iter()
            .map(|(key, value)| format!("{key} = {value}\n"))
            .collect();
        fs::write(
            gateway.file("gateway/countersign.toml"),
            format!("[authorizer]\n{}", lines.concat()),
        )
        .unwrap();
        let mut gateway = gateway;
        gateway.run();
        gateway
    }

    fn file(&self, name: &str) -> PathBuf {
        self.ca.file(name)
    }

    fn socket(&self) -> PathBuf {
        self.file("gateway/socket")
    }

    fn write_policy(&self, text: &str) {
        fs::write(self.file("gateway/policy"), text).unwrap();
    }

    fn run(&mut self) {
        let log = fs::File::create(self.file("authorizer.log")).unwrap();
        let mut command = Command::new(COUNTERSIGN);
        command.args(["authorizer", "run", "--data"]).arg(self.file("gateway"));
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while UnixStream::connect(self.socket()).is_err() {
            let text = fs::read_to_string(self.file("authorizer.log")).unwrap_or_default();
            assert!(
                child.try_wait().unwrap().is_none() && Instant::now() < deadline,
                "no start:\n{text}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        self.process = Some(child);
    }

    /// Stops the authorizer by SIGTERM.
    fn stop(&mut self) {
        let mut child = self.process.take().unwrap();
        let killed = Command::new("kill").arg(child.id().to_string()).status().unwrap();
        assert!(killed.success() && child.wait().unwrap().success());
    }

    fn cli(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(COUNTERSIGN);
        command.args(arguments).arg("--data").arg(self.file("gateway")).current_dir(self.file("."));
        command.output().unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let mut arguments = arguments.to_vec();
        arguments.push("--json");
        let output = self.cli(&arguments);
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|e| panic!("{arguments:?}: {e}: {output:?}"))
    }

    /// The decision about a peer with a certificate.
    fn ask(&self, id: &str, certificate: &str) -> Value {
        self.json(&["authorizer", "ask", "--peer", id, "--certificate", certificate])
    }

    #[track_caller]
    fn denied(&self, id: &str, certificate: &str, step: &str, words: &str) {
        let answer = self.ask(id, certificate);
        assert_eq!(
            (&answer["decision"], &answer["step"]),
            (&json!("deny"), &json!(step)),
            "{answer}"
        );
        assert!(answer["reason"].as_str().unwrap().contains(words), "{answer}");
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(mut child) = self.process.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Talks to the socket as a daemon does.
struct Asker(BufReader<UnixStream>);

impl Asker {
    fn connect(gateway: &Gateway) -> Self {
        let stream = UnixStream::connect(gateway.socket()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self(BufReader::new(stream))
    }

    fn put(&mut self, line: &[u8]) -> Value {
        self.0.get_mut().write_all(line).unwrap();
        self.0.get_mut().write_all(b"\n").unwrap();
        self.answer()
    }

    fn answer(&mut self) -> Value {
        let mut answer = String::new();
        self.0.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap()
    }
}

fn question(gateway: &Gateway, name: &str) -> Value {
    let pem = fs::read_to_string(gateway.file(&format!("{name}.crt"))).unwrap();
    let base64: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let id = data_encoding::BASE64.encode(format!("{name}.example.net").as_bytes());
    json!({
        "v": 1, "id": "q1", "timeout_ms": 5000, "daemon": "charon", "connection": "site", "ike": 2, "mode": "ike_sa", "role": "responder",
        "local": {"address": "192.0.2.1", "port": 500, "id": {"type": 2, "data": "Z3c="}},
        "remote": {"address": "192.0.2.7", "port": 500, "id": {"type": 2, "data": id}},
        "chain": [base64], "proposal": {"group": 19, "text": "AES_GCM_16_256/PRF_HMAC_SHA2_256/ECP_256"},
        "something_new": true,
    })
}

#[test]
fn each_step_denies_with_its_own_reason_and_the_log_says_why() {
    let mut gateway = Gateway::start();
    let answer = gateway.ask("fqdn:gw1.example.net", "gw1.crt");
    assert_eq!(answer["decision"], "allow", "{answer}");

    let openssl = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout f.key -out foreign.crt -days 9 \
                   -subj /CN=gw1 -addext subjectAltName=DNS:gw1.example.net -addext basicConstraints=CA:FALSE";
    let words: Vec<&str> = openssl.split_whitespace().skip(1).collect();
    tool_ok("openssl", "openssl", &words, &gateway.file("."));
    gateway.denied("fqdn:gw1.example.net", "foreign.crt", "path", "nobody known issued");
    gateway.denied(
        "fqdn:gw9.example.net",
        "gw1.crt",
        "identity",
        "`dns:gw1.example.net`, `ip:192.0.2.7`".replace('`', "").split(',').next().unwrap(),
    );
    gateway.denied("fqdn:gw2.example.net", "gw2.crt", "policy", "does not allow phase 1");
    revoke(&gateway.ca, "gw1");
    let deadline = Instant::now() + Duration::from_secs(60);
    while gateway.ask("fqdn:gw1.example.net", "gw1.crt")["step"] != "status" {
        assert!(Instant::now() < deadline, "the revocation did not arrive");
        std::thread::sleep(Duration::from_millis(100));
    }
    gateway.denied("fqdn:gw1.example.net", "gw1.crt", "status", "was revoked at");

    fs::write(gateway.file("psk"), "open sesame\n").unwrap();
    let psk =
        ["authorizer", "ask", "--peer", "ip:192.0.2.9", "--psk-file", "psk", "--exchange", "main"];
    let by_secret = gateway.json(&psk);
    assert_eq!(by_secret["decision"], "allow");
    fs::write(gateway.file("psk"), "open barley\n").unwrap();
    assert_eq!(gateway.json(&psk)["step"], "policy");

    gateway.stop();
    let log = fs::read_to_string(gateway.file("gateway/decisions/decisions.jsonl")).unwrap();
    assert!(!log.contains("sesame") && !log.contains("barley"), "a secret is in the log");
    let encoded = data_encoding::BASE64.encode(b"open sesame");
    assert!(!log.contains(&encoded), "a secret is in the log");
    let list = gateway.json(&["decision", "list", "--denied", "--peer", "gw2"]);
    let trace = list[0]["trace"].as_str().unwrap();
    assert_eq!((list.as_array().unwrap().len(), &list[0]["step"]), (1, &json!("policy")), "{list}");
    assert_eq!(list[0]["certificate"]["names"], json!(["dns:gw2.example.net", "ip:192.0.2.7"]));
    let shown = gateway.cli(&["decision", "show", trace, "--explain"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    for words in [
        "status: yes",
        "identity: yes",
        "policy: NO.",
        "remote_id == \"gw1.example.net\"",
        "gw2.example.net",
    ] {
        assert!(shown.contains(words), "`{words}` is not in\n{shown}");
    }
    let first = gateway.json(&["decision", "list", "--limit", "1000"]);
    let first = first.as_array().unwrap().last().unwrap()["trace"].as_str().unwrap().to_owned();
    let why = gateway.json(&["decision", "show", &first, "--explain"]);
    assert_eq!(why["explanation"][0]["value"], "true", "{why}");
    // A pre-shared key is not on record: the steps are shown, and what is not known any more.
    let trace = by_secret["trace"].as_str().unwrap();
    let shown = gateway.cli(&["decision", "show", trace, "--explain"]);
    let said = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.status.success(), "{said}");
    for words in [
        "path: not asked, for the peer proved a pre-shared key",
        "policy: yes, the policy allows it",
        "not known any more: the peer proved a pre-shared key, which is not on record",
    ] {
        assert!(said.contains(words), "`{words}` is not in\n{said}");
    }
    let shown = gateway.json(&["decision", "show", trace, "--explain"]);
    assert_eq!(shown["explanation"], json!([]), "{shown}");
    assert!(shown["unexplained"].as_str().unwrap().contains("pre-shared key"), "{shown}");
    assert_eq!(gateway.cli(&["decision", "show", "0000000000000000"]).status.code(), Some(3));
}

/// RFC 4945 §3.1.1: a peer whose identity is an address must send from that address, unless the operator allows any. Names are
/// compared in one spelling.
#[test]
fn a_peer_is_where_and_who_it_says() {
    let mut gateway = Gateway::start();
    gateway.write_policy(&policy("remote_id != \"gw2.example.net\""));
    gateway.json(&["authorizer", "reload"]);
    let from = |gateway: &Gateway, address: &str| {
        let peer = ["authorizer", "ask", "--peer", "ip:192.0.2.7", "--certificate", "gw1.crt"];
        gateway.json(&[&peer[..], &["--address", address]].concat())
    };
    for _ in 0..2 {
        assert_eq!(from(&gateway, "192.0.2.7")["decision"], "allow");
        let answer = from(&gateway, "198.51.100.7");
        assert_eq!((&answer["decision"], &answer["step"]), (&json!("deny"), &json!("identity")));
        let reason = answer["reason"].as_str().unwrap();
        assert!(reason.contains("authorizer.address_ids"), "{answer}");
    }
    let from_there = gateway.ask("ip:192.0.2.7", "gw1.crt");
    assert_eq!(from_there["decision"], "allow", "unless it says otherwise, it is where it says");
    let mut asker = Asker::connect(&gateway);
    let mut spelt = question(&gateway, "gw2");
    spelt["remote"]["id"]["data"] = json!(data_encoding::BASE64.encode(b"GW2.Example.NET"));
    let answer = asker.put(spelt.to_string().as_bytes());
    assert_eq!(
        (&answer["decision"], &answer["step"]),
        (&json!("deny"), &json!("policy")),
        "{answer}"
    );
    // Behind NAT.
    gateway.stop();
    let config = gateway.file("gateway/countersign.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{text}address_ids = \"any\"\n")).unwrap();
    gateway.run();
    assert_eq!(from(&gateway, "198.51.100.7")["decision"], "allow");
    gateway.stop();
    fs::write(&config, format!("{text}address_ids = \"nat\"\n")).unwrap();
    let output = gateway.cli(&["authorizer", "run"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("`source` or `any`"), "{said}");
}

#[test]
fn a_new_policy_counts_at_once_and_a_broken_one_never() {
    let mut gateway = Gateway::start();
    gateway.denied("fqdn:gw2.example.net", "gw2.crt", "policy", "does not allow");
    gateway.write_policy("Authorizer: \"POLICY\"\nLicensees: (\"a\" &&\n");
    let output = gateway.cli(&["authorizer", "reload"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("gateway/policy:3:1"), "{said}");
    // What is wrong stands beside a pre-shared key: that is shown to nobody.
    gateway.write_policy("Authorizer: \"POLICY\"\nLicensees: \"passphrase:open barley\" &&&\n");
    let output = gateway.cli(&["authorizer", "reload"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("\"passphrase:…\" &&&"), "{said}");
    let log = fs::read_to_string(gateway.file("authorizer.log")).unwrap();
    assert!(!said.contains("barley") && !log.contains("barley"), "{said}\n{log}");
    // It is refused whenever `policy check` refuses it.
    for broken in [
        policy("remote_id ~= \"(gw\""),
        policy("true -> { pfs == \"yes\" -> \"ture\"; }; true"),
        policy("true").replace("-> \"true\"", "-> \"ture\""),
    ] {
        gateway.write_policy(&broken);
        let check = gateway.cli(&["policy", "check", "gateway/policy"]);
        assert_eq!(check.status.code(), Some(1), "{broken}");
        let output = gateway.cli(&["authorizer", "reload"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains("gateway/policy:3:"), "{said}");
    }
    assert_eq!(gateway.ask("fqdn:gw1.example.net", "gw1.crt")["decision"], "allow");
    gateway.write_policy(&policy("remote_id == \"gw2.example.net\""));
    assert_eq!(
        gateway.ask("fqdn:gw1.example.net", "gw1.crt")["decision"],
        "allow",
        "not loaded yet"
    );
    let state = gateway.json(&["authorizer", "reload"]);
    assert_eq!((&state["assertions"], &state["loaded"]), (&json!(1), &json!(2)), "{state}");
    assert_eq!(gateway.ask("fqdn:gw2.example.net", "gw2.crt")["decision"], "allow");
    gateway.denied("fqdn:gw1.example.net", "gw1.crt", "policy", "does not allow");
    // A hangup loads it, too.
    gateway.write_policy(&policy("remote_id == \"gw1.example.net\""));
    let pid = gateway.process.as_ref().unwrap().id().to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    let deadline = Instant::now() + Duration::from_secs(60);
    while gateway.ask("fqdn:gw1.example.net", "gw1.crt")["decision"] != "allow" {
        assert!(Instant::now() < deadline, "SIGHUP did not load the policy");
        std::thread::sleep(Duration::from_millis(50));
    }
    // Nobody answers: whoever asks is refused.
    gateway.stop();
    let output = gateway.cli(&[
        "authorizer",
        "ask",
        "--peer",
        "fqdn:gw1.example.net",
        "--certificate",
        "gw1.crt",
    ]);
    assert_eq!(output.status.code(), Some(5));
    // What a dead authorizer left behind is in nobody's way.
    gateway.run();
    let mut child = gateway.process.take().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(gateway.socket().exists());
    gateway.run();
    assert_eq!(gateway.ask("fqdn:gw1.example.net", "gw1.crt")["decision"], "allow");
}

#[test]
fn daemons_ask_line_by_line_and_nonsense_is_denied() {
    let gateway = Gateway::start();
    let mode = fs::metadata(gateway.socket()).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "{mode:o}");
    let mut asker = Asker::connect(&gateway);
    let good = question(&gateway, "gw1");
    let answer = asker.put(good.to_string().as_bytes());
    assert_eq!(
        (&answer["v"], &answer["id"], &answer["decision"]),
        (&json!(1), &json!("q1"), &json!("allow")),
        "{answer}"
    );
    assert_eq!(answer["trace"].as_str().unwrap().len(), 16);

    let changed = |path: &str, value: Value| {
        let mut question = good.clone();
        *question.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = value;
        question
    };
    let mut untold = changed("/chain", json!([]));
    untold["auth"] = json!("cert");
    for (question, words) in [
        (changed("/v", json!(2)), "version"),
        (changed("/ike", json!(1)), "expected `ike` 1"),
        (changed("/remote/id/type", json!(9)), "an X.500 name"),
        (changed("/remote/id/data", json!("*")), "not Base64"),
        (changed("/remote/address", json!("nowhere")), "expected a question"),
        (changed("/chain", json!(["AAAA"])), "cannot be read"),
        (changed("/chain", json!(vec!["AAAA"; 17])), "at most 16"),
        (changed("/chain", json!([])), "it is not known what the peer has proved"),
        (untold, "expected a certificate from the daemon"),
        (changed("/chain/0", json!(data_encoding::BASE64.encode(&[0x30; 5000]))), "cannot be read"),
    ] {
        let answer = asker.put(question.to_string().as_bytes());
        assert_eq!(answer["decision"], "deny", "{question}");
        assert!(answer["reason"].as_str().unwrap().contains(words), "{words}: {answer}");
    }
    let mut both = good.clone();
    both["psk"] = json!("c2VjcmV0");
    assert!(
        asker.put(both.to_string().as_bytes())["reason"].as_str().unwrap().contains("found both")
    );
    for nonsense in [&b"{}"[..], b"", b"null", b"\xff\xfe", b"{\"v\":1", &[b'['; 10_000]] {
        assert_eq!(asker.put(nonsense)["decision"], "deny");
    }
    // The traffic of phase 2 is asked about, too; the policy does not look at it.
    let mut phase_2 = good.clone();
    phase_2["child"] = json!({
        "role": "initiator", "mode": "tunnel", "proposal": {"protocol": "esp", "encryption": 20, "key_length": 256},
        "local": [{"from": "10.1.0.0", "to": "10.1.255.255"}], "remote": [{"from": "10.2.0.0", "to": "10.2.255.255"}],
    });
    assert_eq!(asker.put(phase_2.to_string().as_bytes())["decision"], "allow");
    assert_eq!(
        asker.put(good.to_string().as_bytes())["decision"],
        "allow",
        "the connection goes on"
    );

    let mut endless = Asker::connect(&gateway);
    let line = vec![b'x'; 300 << 10];
    let _ = endless.0.get_mut().write_all(&line);
    let answer = endless.answer();
    assert!(answer["reason"].as_str().unwrap().contains("at most 262144 octets"), "{answer}");
    let none = changed("/timeout_ms", json!(0));
    let late = asker.put(none.to_string().as_bytes());
    assert_eq!(
        (&late["decision"], &late["step"]),
        (&json!("deny"), &json!("authorizer")),
        "{late}"
    );
}

#[test]
fn within_the_server_a_revocation_counts_at_the_next_question_and_pam_is_answered() {
    let mut ca = Instance::init(&[]);
    let socket = ca.file("socket");
    fs::write(ca.file("policy"), policy("phase_1 == \"ikev2\"")).unwrap();
    let config = ca.data().join("countersign.toml");
    let text = fs::read_to_string(&config).unwrap();
    let section = format!(
        "[authorizer]\nserve = true\nsocket = {socket:?}\npolicy = [{:?}]\n",
        ca.file("policy")
    );
    fs::write(&config, text.replace("[authorizer]\n", &section)).unwrap();
    ca.serve();
    let peer = ca.peer("gw1", &["fqdn:gw1.example.net", "dn:CN=gw1,O=Example"]);
    key(&ca, "p256", "gw1.key");
    enrol(&ca, &peer, "gw1.key", &[]).granted();
    let here = ca.file(".");
    let pam = |user: &str| {
        let mut command = Command::new(COUNTERSIGN);
        command.args(["authorizer", "pam", "--socket"]).arg(&socket);
        command.env("PAM_USER", user).env("PAM_RHOST", "192.0.2.7").env("PAM_SERVICE", "pluto");
        let output = command.current_dir(&here).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    let certificate = ca.file("gw1.crt");
    let ask = || {
        let id = ["authorizer", "ask", "--peer", "fqdn:gw1.example.net", "--certificate"];
        let output = ca.run(&[&id[..], &[certificate.to_str().unwrap()]].concat());
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!(ask().0, Some(0), "{}", ask().1);
    let (code, said) = pam("@gw1.example.net");
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(pam("O=Example, CN=gw1").0, Some(0));
    let (code, said) = pam("@gw2.example.net");
    assert!(code == Some(4) && said.contains("none is on record"), "{said}");
    // What else is recorded leaves alone who is known.
    let kept = || {
        let state = ca.json(&["authorizer", "status", "--socket", socket.to_str().unwrap()]);
        state["kept"].as_u64().unwrap()
    };
    assert_eq!(ask().0, Some(0));
    let before = kept();
    ca.peer("gw2", &["fqdn:gw2.example.net"]);
    ca.ok(&["crl", "publish", "--ca", "issuing"]);
    assert_eq!(ask().0, Some(0));
    assert_eq!(kept(), before + 1, "gw1 was found out anew");
    revoke(&ca, "gw1");
    let (code, said) = ask();
    assert!(code == Some(4) && said.contains("was revoked at"), "{said}");
    let (code, said) = pam("@gw1.example.net");
    assert!(code == Some(4) && said.contains("was revoked at"), "{said}");
    let metrics = ca.http("GET", "/metrics", "text/plain", &[]).unwrap();
    let metrics = String::from_utf8(metrics.body).unwrap();
    assert!(metrics.contains("decisions{decision=\"deny\",step=\"status\"} 2"), "{metrics}");
    assert!(metrics.contains("countersign_decisions_repeated 0"), "{metrics}");
    ca.stop();
    assert!(!socket.exists());
    let (code, said) = pam("@gw1.example.net");
    assert!(code == Some(5) && said.contains("refused"), "{said}");
}

/// Configures an instance to run an authorizer within its server. Its policy allows every peer; `more` are further lines of the section.
fn within_server(ca: &Instance, more: &str) {
    fs::write(ca.file("policy"), policy("true")).unwrap();
    let config = ca.data().join("countersign.toml");
    let text = fs::read_to_string(&config).unwrap();
    let (before, behind) = text.split_once("[authorizer]\n").unwrap();
    // Remove the lines of an earlier call.
    let behind = behind.split_once("# here\n").map_or(behind, |(_, behind)| behind);
    let (socket, policy) = (ca.file("socket"), ca.file("policy"));
    let section = format!(
        "[authorizer]\nserve = true\nsocket = {socket:?}\npolicy = [{policy:?}]\n{more}# here\n"
    );
    fs::write(&config, [before, &section, behind].concat()).unwrap();
}

/// The store has no revocations of an offline root, whatever their serial numbers; and a JSON log contains only JSON.
#[test]
fn within_the_server_a_root_that_is_kept_elsewhere_speaks_by_its_crl() {
    let (mut ca, root) = OfflineRoot::found();
    root.crl("");

    let crls = format!("crls = [{:?}]\ncrl_refresh = \"2s\"\n", ca.file("root.crl"));
    within_server(&ca, &crls);
    let json_lines = || {
        let mut command = Command::new(COUNTERSIGN);
        command.args(["--log-format", "json"]);
        command
    };
    ca.serve_with(json_lines());
    let peer = ca.peer("gw1", &["fqdn:gw1.example.net"]);
    key(&ca, "p256", "gw1.key");
    enrol(&ca, &peer, "gw1.key", &[]).granted();
    let certificate = ca.file("gw1.crt");
    let ask = |ca: &Instance| {
        let id = ["authorizer", "ask", "--peer", "fqdn:gw1.example.net", "--json", "--certificate"];
        let output = ca.run(&[&id[..], &[certificate.to_str().unwrap()]].concat());
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let answer = ask(&ca);
    assert_eq!(answer["decision"], "allow", "{answer}");
    assert_eq!(answer["reason"], "path, status, identity and policy agree");
    // The root revokes the issuing CA; only its CRL says so.
    root.crl(&format!(
        "R\t401231000000Z\t261101000000Z,keyCompromise\t{ISSUING}\tunknown\t/CN=Countersign issuing CA\n"
    ));
    let deadline = Instant::now() + Duration::from_secs(60);
    while ask(&ca)["step"] != "status" {
        assert!(Instant::now() < deadline, "the root's CRL was not read again");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(
        ask(&ca)["reason"].as_str().unwrap().contains("`CN=Countersign issuing CA` was revoked")
    );
    // A second server fails, and says why in a line of JSON as well.
    let second =
        output_of(json_lines().args(["serve", "--ldap-listen", "off", "--data"]).arg(ca.data()));
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && said.contains("\"level\":\"ERROR\""), "{said}");
    for line in said.lines().chain(ca.log().lines()) {
        assert!(serde_json::from_str::<Value>(line).is_ok_and(|of| of.is_object()), "{line}");
    }
    assert!(ca.log().contains("\"listening\""), "{}", ca.log());

    // Without its CRL nothing is known, and the log says beforehand what to do.
    ca.stop();
    within_server(&ca, "");
    ca.serve();
    let answer = ask(&ca);
    assert_eq!((&answer["decision"], &answer["step"]), (&json!("deny"), &json!("status")));
    for words in ["authorizer.crls names the root's CRL", "`http://pki.example.net/root.crl`"] {
        assert!(ca.log().contains(words), "{}", ca.log());
    }
    for (status, reason, explained) in [
        (
            "if-present",
            "the status is not known, which `if-present` lets pass",
            "status: not known",
        ),
        ("off", "the status is not asked (`status = \"off\"`)", "status: not asked"),
    ] {
        ca.stop();
        within_server(&ca, &format!("status = \"{status}\"\n"));
        ca.serve();
        let answer = ask(&ca);
        assert_eq!(answer["reason"], format!("path, identity and policy agree; {reason}"));
        ca.stop();
        let why = ca.ok(&["decision", "show", answer["trace"].as_str().unwrap(), "--explain"]);
        assert!(why.contains(explained) && why.contains("path: yes"), "{why}");
        assert!(!why.contains("no certificate on the path is revoked"), "{why}");
        ca.serve();
    }

    ca.stop();
    within_server(&ca, "");
    ca.serve();
    // The root's CRL is brought to the server, which uses it from then on, without a restart.
    root.crl("");
    let file = ca.file("root.crl").to_str().unwrap().to_owned();
    ca.ok(&["crl", "import", &file]);
    let answer = ask(&ca);
    assert_eq!(answer["reason"], "path, status, identity and policy agree", "{answer}");
    root.crl(&format!(
        "R\t401231000000Z\t261101000000Z,keyCompromise\t{ISSUING}\tunknown\t/CN=Countersign issuing CA\n"
    ));
    ca.ok(&["crl", "import", &file]);
    let answer = ask(&ca);
    assert_eq!((&answer["decision"], &answer["step"]), (&json!("deny"), &json!("status")));
    assert!(answer["reason"].as_str().unwrap().contains("was revoked"), "{answer}");
    ca.stop();
    fs::remove_dir_all(ca.data().join("crl")).unwrap();
    ca.serve();
    assert!(ask(&ca)["reason"].as_str().unwrap().contains("was revoked"), "after a restart");
}

/// A hostile directory of CRLs harms nobody: decisions depend on the other sources, and the operator is warned.
#[test]
fn hostile_directories_of_crls_are_named_and_harm_nobody() {
    let hostile = [
        (Manner::TooLong, "expected frames of at most"),
        (Manner::TooDeep, "expected the tag 0x04, found 0x31"),
        (Manner::Endless, "the answer has more entries than are taken"),
        (Manner::Silent, "no answer within 15s"),
    ];
    let hostile = hostile.map(|(manner, words)| (Hostile::start(manner), words));
    let url = |directory: &Hostile| {
        format!(
            "ldap://127.0.0.1:{}/cn=issuing,o=Countersign?certificateRevocationList;binary?base",
            directory.port
        )
    };
    let (mut ca, root) = OfflineRoot::found();
    root.crl("");
    let mut crls = vec![ca.file("root.crl").to_str().unwrap().to_owned()];
    crls.extend(hostile.iter().map(|(directory, _)| url(directory)));
    within_server(&ca, &format!("crls = {crls:?}\n"));
    ca.serve();
    let peer = ca.peer("gw1", &["fqdn:gw1.example.net"]);
    key(&ca, "p256", "gw1.key");
    enrol(&ca, &peer, "gw1.key", &[]).granted();
    let get = |path: &str| {
        let answer = ca.http("GET", path, "text/plain", &[]).unwrap();
        (answer.status, String::from_utf8(answer.body).unwrap())
    };
    let allowed = || {
        let certificate = ca.file("gw1.crt");
        let id = ["authorizer", "ask", "--peer", "fqdn:gw1.example.net", "--json", "--certificate"];
        let output = ca.run(&[&id[..], &[certificate.to_str().unwrap()]].concat());
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer["decision"], "allow", "{answer}");
    };
    // While one of them keeps everybody waiting, and when all have failed.
    allowed();
    for (directory, words) in &hostile {
        let begin =
            format!("warning: the authorizer: the CRL at `{}` was not fetched: ", url(directory));
        common::wait_for("the warning", || {
            let (code, text) = get("/readyz");
            assert_eq!(code, 200, "{text}");
            let found = text.lines().find_map(|line| line.strip_prefix(&begin).map(str::to_owned));
            found.inspect(|why| assert!(why.contains(words), "{why}"))
        });
    }
    allowed();
    let warnings = get("/readyz").1.matches("warning: ").count();
    let metrics = get("/metrics").1;
    assert!(warnings >= 4, "{warnings}");
    assert!(metrics.contains(&format!("countersign_warnings {warnings}\n")), "{metrics}");
    let most = common::peak_memory(ca.pid());
    assert!(most < 160 << 10, "{most} KiB at most");
    // Once they answer as a directory does, each is asked again, and nothing is left of it.
    let port = ca.ldap.rsplit(':').next().unwrap().parse().unwrap();
    hostile.iter().for_each(|(directory, _)| directory.become_like(port));
    common::wait_for("directories that answer", || {
        (!get("/readyz").1.contains("was not fetched")).then_some(())
    });
    allowed();
}

/// The authorizer learns a revocation from the server's OCSP responder, and from a CRL in its directory.
#[test]
fn statuses_come_by_ocsp_and_from_directories() {
    let by_ocsp: fn(&Instance) -> Value =
        |ca| json!({"ocsp": [format!("http://{}/ocsp", ca.address)], "prefer": "ocsp"});
    let by_ldap: fn(&Instance) -> Value = |ca| {
        let address = fs::read_to_string(ca.data().join("listen.ldap")).unwrap();
        let crl = |name: &str| {
            format!(
                "{}/cn={name},o=Countersign?certificateRevocationList;binary?base",
                address.trim()
            )
        };
        json!({"crls": [crl("issuing"), crl("root")]})
    };
    for (sources, words) in [(by_ocsp, "(OCSP)"), (by_ldap, "was revoked at")] {
        let gateway = Gateway::start_with(sources);
        let answer = gateway.ask("fqdn:gw1.example.net", "gw1.crt");
        assert_eq!(answer["decision"], "allow", "{answer}");
        revoke(&gateway.ca, "gw1");
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let answer = gateway.ask("fqdn:gw1.example.net", "gw1.crt");
            if answer["decision"] == "deny" {
                let reason = answer["reason"].as_str().unwrap();
                assert!(answer["step"] == "status" && reason.contains(words), "{answer}");
                break;
            }
            assert!(Instant::now() < deadline, "{answer}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    // With neither, nobody is let in, and both are named.
    let gateway = Gateway::start_with(
        |_| json!({"ocsp": ["http://127.0.0.1:9/ocsp"], "crls": ["ldap://127.0.0.1:9/o=x?certificateRevocationList"]}),
    );
    let answer = gateway.ask("fqdn:gw1.example.net", "gw1.crt");
    let reason = answer["reason"].as_str().unwrap();
    assert_eq!(
        (&answer["decision"], &answer["step"]),
        (&json!("deny"), &json!("status")),
        "{answer}"
    );
    assert!(
        reason.contains("OCSP: `http://127.0.0.1:9/ocsp`")
            && reason.contains("`ldap://127.0.0.1:9/"),
        "{reason}"
    );
}

/// Each key of a CA has a name and a CRL of its own: the CRL of the next key does not cover certificates of the previous one.
#[test]
fn after_a_roll_the_crls_of_both_keys_count() {
    let file = |ca: &Instance, name: &str| ca.data().join(name).to_str().unwrap().to_owned();
    let mut gateway = Gateway::start_with(
        |ca| json!({"crls": [file(ca, "crl/issuing.crl"), file(ca, "crl/root.crl")]}),
    );
    assert_eq!(gateway.ask("fqdn:gw1.example.net", "gw1.crt")["decision"], "allow");
    gateway.stop();
    gateway.ca.stop();
    assert_eq!(gateway.ca.json(&["ca", "roll", "issuing"])["ca"], "issuing.2");
    gateway.ca.serve();
    revoke(&gateway.ca, "gw1");
    for ca in ["issuing", "root", "issuing.2"] {
        gateway.ca.ok(&["crl", "publish", "--ca", ca]);
    }
    let config = gateway.file("gateway/countersign.toml");
    let text = fs::read_to_string(&config).unwrap();
    let [first, second] =
        ["issuing", "issuing.2"].map(|name| file(&gateway.ca, &format!("crl/{name}.crl")));
    let [old, new] =
        ["issuing", "issuing.2"].map(|name| file(&gateway.ca, &format!("keys/{name}.crt")));
    let text = text.replace(&format!("{old:?}"), &format!("{old:?}, {new:?}"));
    let both = text.replace(&format!("{first:?}"), &format!("{second:?}, {first:?}"));
    assert!(both != text && both.contains("keys/issuing.2.crt"), "{both}");
    fs::write(&config, both).unwrap();
    gateway.run();
    gateway.denied("fqdn:gw1.example.net", "gw1.crt", "status", "was revoked at");
    gateway.denied("fqdn:gw2.example.net", "gw2.crt", "policy", "does not allow phase 1");
    gateway.stop();
    let later = text.replace(&format!("{first:?}"), &format!("{second:?}"));
    fs::write(&config, later).unwrap();
    gateway.run();
    for name in ["gw1", "gw2"] {
        let id = format!("fqdn:{name}.example.net");
        let words = "expected a current CRL of `CN=Countersign issuing CA`, found none";
        gateway.denied(&id, &format!("{name}.crt"), "status", words);
    }
}

/// libreswan hands PAM no certificate. A gateway without the CA finds it in the CA's certificate store, and checks it itself.
#[test]
fn certificates_are_looked_up_over_http() {
    let gateway = Gateway::start_with(|ca| {
        let url = |path: &str| format!("http://{}/{path}", ca.address);
        json!({"certificates": url("certificates/search.cgi"), "ocsp": [url("ocsp")], "prefer": "ocsp"})
    });
    // Another certificate of the same peer: the store gives both.
    let again = gateway.ca.peer("gw1b", &["fqdn:gw1.example.net"]);
    key(&gateway.ca, "p256", "gw1b.key");
    enrol(&gateway.ca, &again, "gw1b.key", &[]).granted();
    let pam = |user: &str| {
        let mut command = Command::new(COUNTERSIGN);
        command.args(["authorizer", "pam", "--socket"]).arg(gateway.socket());
        command.env("PAM_USER", user).env("PAM_RHOST", "192.0.2.7").env("PAM_SERVICE", "pluto");
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    let (code, said) = pam("@gw1.example.net");
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = pam("@gw3.example.net");
    assert!(code == Some(4) && said.contains("expected a certificate of the FQDN"), "{said}");
    let (code, said) = pam("@gw2.example.net");
    assert!(code == Some(4) && said.contains("does not allow phase 1"), "{said}");
    // One that is revoked does not stand in the way of one that is good; with none good, nobody is let in.
    revoke(&gateway.ca, "gw1b");
    assert_eq!(pam("@gw1.example.net").0, Some(0));
    revoke(&gateway.ca, "gw1");
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let (code, said) = pam("@gw1.example.net");
        if code == Some(4) {
            assert!(said.contains("was revoked at"), "{said}");
            break;
        }
        assert!(Instant::now() < deadline, "{said}");
        std::thread::sleep(Duration::from_millis(200));
    }
}
