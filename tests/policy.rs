//! `countersign policy …`, as an author of policy uses it: in an empty folder, with only the program.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/policy/tests/data");

const POLICY: &str = "\
# Gateways of example.org
Authorizer: \"POLICY\"
Licensees: \"DN:/CN=gw7\" || \"sub\"
Conditions: app_domain == \"IPsec policy\" && esp_present == \"yes\" -> \"true\";

Authorizer: \"sub\"
Licensees: \"passphrase:foobar\"
Conditions: @esp_key_length >= 256;
";

struct Author(TempDir);

struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Author {
    fn new() -> Self {
        let author = Self(TempDir::new().unwrap());
        author.write("gw.policy", POLICY);
        author
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap()
    }

    fn run_with(&self, arguments: &[&str], input: &[u8]) -> Said {
        let mut child = Command::new(env!("CARGO_BIN_EXE_countersign"))
            .arg("policy")
            .args(arguments)
            .current_dir(self.path())
            .env_remove("COUNTERSIGN_PASSPHRASE_FILE")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let _ = child.stdin.take().unwrap().write_all(input);
        let output = child.wait_with_output().unwrap();
        Said {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn run(&self, arguments: &[&str]) -> Said {
        self.run_with(arguments, b"")
    }
}

impl Said {
    #[track_caller]
    fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self.out
    }

    #[track_caller]
    fn fails(self, code: i32, words: &[&str]) -> String {
        let said = self.out + &self.err;
        assert_eq!(self.code, code, "{said}");
        for word in words {
            assert!(said.contains(word), "expected `{word}` in: {said}");
        }
        said
    }

    #[track_caller]
    fn json(self) -> Value {
        serde_json::from_str(&self.ok()).unwrap()
    }
}

#[test]
fn check_and_lint_point_at_the_place() {
    let author = Author::new();
    assert_eq!(
        author.run(&["check", "gw.policy"]).ok(),
        "2 assertions in 1 file: 0 errors, 0 warnings\n"
    );
    author.run(&["lint", "gw.policy"]).ok();

    author.write("bad.policy", "Authorizer: \"POLICY\"\nLicensees: \"a\nConditions: true\n");
    author.run(&["check", "bad.policy"]).fails(
        1,
        &[
            "error: expected `\"` before the end of the line",
            "--> bad.policy:2:12",
            " 2 | Licensees: \"a",
            "   |            ^^",
            "--> bad.policy:4:1",
            "hint: every clause ends with `;`",
            "2 errors",
        ],
    );
    let typo = POLICY.replace("esp_present", "esp_presnt");
    let said = author.run_with(&["lint", "-"], typo.as_bytes());
    assert!(
        said.out.contains("standard input:4:45")
            && said.out.contains("did you mean `esp_present`?"),
        "{}",
        said.out
    );
    said.ok();
    author.run_with(&["lint", "--deny-warnings", "-"], typo.as_bytes()).fails(1, &["1 warning"]);
    author.run_with(&["lint", "--deny-warnings", "--vocabulary", "any", "-"], typo.as_bytes()).ok();
    let found = author.run_with(&["lint", "--json", "-"], typo.as_bytes()).json();
    assert_eq!(found["findings"][0]["code"], "undefined-attribute");
    assert_eq!(
        (&found["findings"][0]["line"], &found["findings"][0]["column"]),
        (&4.into(), &45.into())
    );
    author.run(&["check", "none.policy"]).fails(2, &["none.policy", "No such file"]);
    author
        .run_with(&["check", "--values", "no,yes", "-"], POLICY.as_bytes())
        .fails(1, &["`true` is not in the order"]);
    author.run_with(&["check", "-"], b"Authorizer: \"POLICY\"\r\n").fails(1, &["CR (0x0d)"]);
}

#[test]
fn fmt_rewrites_files_and_filters_standard_input() {
    let author = Author::new();
    author.run(&["fmt", "--check", "gw.policy"]).ok();
    let wild =
        "authorizer:\"POLICY\"\nlicensees:\"a\"||\"b\"\nconditions:a==\"b\"->\"true\";# why\n";
    author.write("wild.policy", wild);
    author
        .run(&["fmt", "--check", "wild.policy"])
        .fails(1, &["wild.policy", "1 file not in canonical layout"]);
    assert_eq!(author.read("wild.policy"), wild);
    let tidy = "Authorizer: \"POLICY\"\nLicensees: \"a\" || \"b\"\nConditions:\n    a == \"b\" -> \"true\"; # why\n";
    assert_eq!(author.run_with(&["fmt", "-"], wild.as_bytes()).ok(), tidy);
    author.run(&["fmt", "wild.policy"]).ok();
    assert_eq!(author.read("wild.policy"), tidy);
    author.run(&["fmt", "wild.policy"]).ok();
    assert_eq!(author.read("wild.policy"), tidy);
    author.write("bad.policy", "Conditions: x\n");
    author.run(&["fmt", "bad.policy"]).fails(2, &["nothing of it is used"]);
    assert_eq!(author.read("bad.policy"), "Conditions: x\n");
}

#[test]
fn query_answers_and_explains() {
    let author = Author::new();
    let ask = |more: &[&str]| {
        let mut arguments = vec![
            "query",
            "-p",
            "gw.policy",
            "-a",
            "app_domain=IPsec policy",
            "-a",
            "esp_present=yes",
        ];
        arguments.extend(more);
        author.run(&arguments)
    };
    assert_eq!(ask(&["-r", "DN:/CN=gw7"]).ok(), "true\n");
    assert_eq!(ask(&["-r", "DN:/CN=gw8"]).ok(), "false\n");
    assert_eq!(ask(&["-r", "passphrase:foobar", "-a", "esp_key_length=256"]).ok(), "true\n");
    let why = ask(&["-r", "passphrase:foobar", "-a", "esp_key_length=128", "--explain"]).ok();
    assert!(
        why.contains("false: @esp_key_length >= 256; esp_key_length is `128`")
            && !why.contains("foobar"),
        "{why}"
    );
    let json = ask(&["-r", "DN:/CN=gw7", "--explain", "--json"]).json();
    assert_eq!(json["assertions"][0]["place"], "gw.policy:2");
    author.write(
        "question.json",
        r#"{"requesters": ["DN:/CN=gw7"], "attributes": {"app_domain": "IPsec policy", "esp_present": "yes"},
            "values": ["false", "true"]}"#,
    );
    let json = author
        .run(&["query", "--policy", "gw.policy", "--input", "question.json", "--json"])
        .json();
    assert_eq!((&json["value"], &json["position"]), (&"true".into(), &1.into()));
    ask(&[]).fails(2, &["at least one requester", "--requester"]);
    ask(&["-r", "POLICY"]).fails(2, &["`POLICY` cannot ask"]);
    ask(&["-r", "a", "-a", "_x=1"]).fails(2, &["`_x`", "evaluator's own"]);
    ask(&["-r", "a", "-a", "novalue"]).fails(2, &["NAME=VALUE"]);
    ask(&["-r", "a", "--values", "x,x"]).fails(2, &["twice"]);
    author.write("question.json", r#"{"requester": []}"#);
    author
        .run(&["query", "-p", "gw.policy", "-i", "question.json"])
        .fails(2, &["unknown field `requester`"]);
    author.write("bad.policy", "Authorizer: \"POLICY\"\n\nLicensees: \"a\"\n");
    author
        .run(&["query", "-p", "bad.policy", "-r", "a"])
        .fails(2, &["nothing of it is used", "a blank line ends an assertion"]);
}

#[test]
fn cases_are_run_like_unit_tests() {
    let author = Author::new();
    let cases = "\
policy = [\"gw.policy\"]
requesters = [\"DN:/CN=gw7\"]

[attributes]
app_domain = \"IPsec policy\"

[[case]]
name = \"gateway with ESP\"
attributes = { esp_present = \"yes\" }
expect = \"true\"

[[case]]
name = \"gateway without\"
attributes = { esp_present = \"no\" }
expect = \"false\"

[[case]]
name = \"a stranger\"
requesters = [\"DN:/CN=stranger\"]
attributes = { esp_present = \"yes\" }
expect = \"false\"
";
    author.write("cases.toml", cases);
    assert_eq!(author.run(&["test", "cases.toml"]).ok(), "3 passed, 0 failed\n");
    author.write("wrong.toml", &cases.replace("expect = \"true\"", "expect = \"false\""));
    let said = author.run(&["test", "--explain", "wrong.toml"]).fails(
        1,
        &[
            "failed gateway with ESP: expected `false`, found `true`",
            "DN:/CN=gw7: true (it asks)",
            "1 of 3 cases failed",
        ],
    );
    assert!(!said.contains('\x1b'), "colours are for terminals");
    assert_eq!(
        author.run(&["test", "--only", "stranger", "wrong.toml"]).ok(),
        "1 passed, 0 failed\n"
    );
    author.run(&["test", "--only", "nothing", "cases.toml"]).fails(2, &["no case was run"]);
    author.write("bad.toml", &cases.replace("expect = \"true\"", "expect = \"yes\""));
    author.run(&["test", "bad.toml"]).fails(2, &["expects `yes`, which is no value"]);
    author.write("bad.toml", &cases.replace("expect", "expects"));
    author.run(&["test", "bad.toml"]).fails(2, &["unknown field `expects`"]);
}

/// The requesters that the authorizer makes of a pre-shared key, and warnings about questions that it never asks.
#[test]
fn questions_are_those_of_the_authorizer() {
    let author = Author::new();
    let sha1 = "5bfe35a831c99305a5da250c295cf9c452f835a6";
    author.write(
        "psk.policy",
        &format!(
            "Authorizer: \"POLICY\"\nLicensees: \"passphrase-sha1-hex:{sha1}\"\nConditions: app_domain == \"IPsec policy\" -> \"true\";\n"
        ),
    );
    let cases = "policy = [\"psk.policy\"]\n[attributes]\napp_domain = \"IPsec policy\"\n\
                 [[case]]\nname = \"the key whose hash is licensed\"\nrequesters = [\"passphrase:tulips in april\"]\nexpect = \"true\"\n\
                 [[case]]\nname = \"another\"\nrequesters = [\"passphrase:tulips in may\"]\nexpect = \"false\"\n";
    author.write("cases.toml", cases);
    assert_eq!(author.run(&["test", "cases.toml"]).ok(), "2 passed, 0 failed\n");
    let ask = |more: &[&str]| {
        let question = ["query", "-p", "psk.policy", "-a", "app_domain=IPsec policy"];
        author.run(&[&question[..], more].concat())
    };
    assert_eq!(ask(&["-r", "passphrase:tulips in april"]).ok(), "true\n");
    let why = ask(&["-r", "passphrase:tulips in april", "--explain"]).ok();
    assert!(why.contains("passphrase-sha1-hex:…") && !why.contains(sha1), "{why}");
    ask(&["-r", "passphrase:"]).fails(2, &["the passphrase is empty"]);
    for (arguments, words) in [
        (
            &["-r", "DN:CN=CA, O=Example, C=SE"][..],
            &["nobody can ask as `DN:CN=CA", "write `DN:/C=SE/O=Example/CN=CA`"][..],
        ),
        (
            &["-r", "DN:/CN=a", "-a", "remote_ike_address=192.168.2.1"],
            &["never sets `remote_ike_address`", "write `192.168.002.001`"],
        ),
        (&["-r", "DN:/CN=a", "-a", "esp_lenght=3"], &["never sets the attribute `esp_lenght`"]),
    ] {
        let said = ask(arguments);
        assert_eq!((said.code, said.out.as_str()), (0, "false\n"), "{}", said.err);
        for word in words {
            assert!(said.err.contains(word), "expected `{word}`: {}", said.err);
        }
    }
    // Other applications have other names and attributes.
    let other = ["query", "-p", "psk.policy", "-a", "app_domain=mail", "-r", "DN:anybody"];
    assert_eq!(author.run(&other).err, "");
    author.write("odd.toml", &cases.replace("passphrase:tulips in may", "DN:/Email=x"));
    let said = author.run(&["test", "odd.toml"]);
    assert!(
        said.code == 0 && said.err.contains("case `another`: nobody can ask as"),
        "{}",
        said.err
    );
}

#[test]
fn the_corpus_runs_from_the_command_line() {
    let author = Author::new();
    let files = [format!("{CORPUS}/edge.jsonl"), format!("{CORPUS}/corpus.jsonl")];
    let run = |more: &[&str]| author.run(&[&["test", &files[0], &files[1]], more].concat());
    assert_eq!(run(&["--legacy-signatures"]).ok(), "1102 passed, 0 failed\n");
    run(&[]).fails(1, &["1102 cases failed"]);
    let lines = run(&["--legacy-signatures", "--format", "json"]).ok();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 1102);
    assert_eq!(lines[0], serde_json::json!({ "id": "e01", "outcome": "value", "value": "true" }));
    let error = lines.iter().find(|line| line["id"] == "e93").unwrap();
    assert_eq!((&error["outcome"], &error["value"]), (&"error".into(), &Value::Null));
}

#[test]
fn keys_sign_and_credentials_count() {
    let author = Author::new();
    author.write("pass", "correct horse battery staple\n");
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(author.path().join("pass"), private).unwrap();
    for kind in ["p256", "p384", "ed25519", "rsa3072"] {
        let key = format!("{kind}.key");
        let secret = ["--passphrase-file", "pass"];
        let made = author.run(&[&["keygen", "--algorithm", kind, &key][..], &secret].concat()).ok();
        let principal = made.trim();
        assert!(author.read(&key).starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
        let shown = author.run(&[&["principal", "--key", &key][..], &secret].concat()).ok();
        assert_eq!(shown.trim(), principal);
        author.run(&[&["keygen", &key][..], &secret].concat()).fails(5, &["exists"]);

        author.write(
            "body",
            &format!(
                "Authorizer: \"{principal}\"\nLicensees: \"alice\"\nConditions: x == \"1\";\n"
            ),
        );
        let sign = |file: &str| {
            author.run(&[&["sign", "--key", &key, "--out", "cred", file][..], &secret].concat())
        };
        sign("body").ok();
        author.run(&["verify", "cred"]).ok();
        let changed = author.read("cred").replace("\"1\"", "\"2\"");
        author.run_with(&["verify", "-"], changed.as_bytes()).fails(1, &["does not fit the text"]);
        author.write(
            "root.policy",
            &format!("Authorizer: \"POLICY\"\nLicensees: \"{principal}\"\nConditions: true;\n"),
        );
        let ask = ["query", "-p", "root.policy", "-c", "cred", "-r", "alice", "-a", "x=1"];
        assert_eq!(author.run(&ask).ok(), "true\n");
        assert_eq!(
            author.run(&["query", "-p", "root.policy", "-r", "alice", "-a", "x=1"]).ok(),
            "false\n"
        );
        sign("cred").fails(2, &["signed already"]);
        sign("gw.policy").fails(2, &["expected one assertion"]);
        author.write("other", "Authorizer: \"bob\"\nLicensees: \"alice\"\n");
        sign("other").fails(2, &["the key's own principal", principal]);
    }
    author.run(&["keygen", "x.pem", "--passphrase-file", "pass"]).fails(2, &["ends with `.key`"]);
    author.run(&["verify", "gw.policy"]).fails(1, &["is no key"]);
    author.run_with(&["verify", "-"], b"").fails(2, &["found none"]);
}

#[test]
fn a_certificate_is_the_principal_of_its_key() {
    let author = Author::new();
    let run = |arguments: &[&str]| {
        let output =
            Command::new("openssl").args(arguments).current_dir(author.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    run(&[
        "req",
        "-x509",
        "-newkey",
        "ed25519",
        "-nodes",
        "-keyout",
        "k.pem",
        "-out",
        "c.pem",
        "-subj",
        "/C=SE/CN=gw7",
    ]);
    let spki = run(&["pkey", "-in", "k.pem", "-pubout", "-outform", "DER"]);
    let raw: String = spki[spki.len() - 32..].iter().map(|byte| format!("{byte:02x}")).collect();
    let said = author.run(&["principal", "--certificate", "c.pem"]).ok();
    assert!(said.contains(&format!("ed25519-hex:{raw}")), "{said}");
    assert!(said.contains("DN:/C=SE/CN=gw7"), "{said}");
    author.run(&["principal", "rsa-hex:00"]).fails(2, &["malformed key"]);
    let vocabulary = author.run(&["vocabulary", "--json"]).json();
    assert_eq!(vocabulary.as_array().unwrap().len(), 59);
}

/// The README's own commands print what it shows.
#[test]
fn the_policy_of_the_readme() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let section = readme.split("## A policy, tried before a gateway meets it").nth(1).unwrap();
    let block = |kind: &str| {
        let opening = format!("```{kind}\n");
        section.split(&opening).nth(1).unwrap().split("```").next().unwrap().to_owned()
    };
    let author = Author::new();
    let console = block("console");
    let mut steps = console.split("$ ").skip(1).map(|step| step.split_once('\n').unwrap());
    let (command, text) = steps.next().unwrap();
    assert_eq!(command, "cat gw.policy");
    author.write("gw.policy", text);
    let bin = author.path().join("bin");
    fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_countersign"), bin.join("countersign")).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    for (command, wanted) in steps {
        let output = Command::new("sh")
            .args(["-ec", command])
            .current_dir(author.path())
            .env("PATH", &path)
            .output()
            .unwrap();
        assert!(output.status.success(), "{command}");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), wanted, "{command}");
    }
    author.write("cases.toml", &block("toml"));
    assert_eq!(author.run(&["test", "cases.toml"]).ok(), "2 passed, 0 failed\n");
}
