//! The alert rules and the dashboard in `docs/`: promtool tests the rules, and a Prometheus that scrapes a running server evaluates every
//! expression. Neither names a metric that the server does not have.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{Instance, Process, tool_ok, wait_for};
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A program of Debian's package `prometheus`, which is unpacked and not installed.
fn program(name: &str) -> PathBuf {
    let path = root().join("target/test-daemons/prometheus/usr/bin").join(name);
    assert!(path.exists(), "{} is missing: run `make deps`", path.display());
    path
}

#[track_caller]
fn promtool(arguments: &[&str], input: &str) -> String {
    let mut child = Command::new(program("promtool"))
        .args(arguments)
        .current_dir(root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", common::text(&output));
    common::text(&output)
}

/// The names of metrics in a text.
fn names_in(text: &str) -> BTreeSet<String> {
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    let names = text.split(word).filter(|word| word.starts_with("countersign_"));
    names.map(str::to_owned).collect()
}

/// The names of the samples of a page of metrics.
fn samples(page: &str) -> BTreeSet<String> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split(['{', ' ']).next()).map(str::to_owned).collect()
}

/// A panel's title, and its expression as Grafana would ask it of a Prometheus with one instance.
struct Query {
    title: String,
    expression: String,
}

fn dashboard() -> Vec<Query> {
    let text = fs::read_to_string(root().join("docs/grafana-dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    let mut queries = Vec::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "two panels have one id: {panel}");
        let place = &panel["gridPos"];
        let end = place["x"].as_u64().unwrap() + place["w"].as_u64().unwrap();
        assert!(end <= 24, "a panel is beyond the edge: {panel}");
        let title = panel["title"].as_str().unwrap();
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().unwrap();
            assert!(expression.contains("$instance"), "`{title}` is of all instances at once");
            let expression =
                expression.replace("$instance", ".*").replace("$__rate_interval", "5m");
            queries.push(Query { title: title.to_owned(), expression });
        }
    }
    assert!(queries.len() > 50, "{}", queries.len());
    queries
}

/// A server with every part that has metrics, each of which was asked once.
fn server() -> Instance {
    let instance = Instance::init(&[]);
    let file = |name: &str| instance.file(name).to_str().unwrap().to_owned();
    fs::write(
        instance.file("policy"),
        "Authorizer: \"POLICY\"\nLicensees: \"DN:/CN=Countersign root CA\"\n",
    )
    .unwrap();
    let path = instance.data().join("countersign.toml");
    let mut text = fs::read_to_string(&path).unwrap();
    for (section, lines) in [
        ("est", "listen = \"127.0.0.1:0\"\nnames = [\"localhost\"]".to_owned()),
        ("scep", "enabled = true".to_owned()),
        ("notify", "interval = \"1s\"".to_owned()),
        (
            "authorizer",
            format!("serve = true\nsocket = {:?}\npolicy = [{:?}]", file("socket"), file("policy")),
        ),
    ] {
        let head = format!("[{section}]\n");
        assert!(text.contains(&head), "no section {head}");
        text = text.replacen(&head, &format!("{head}{lines}\n"), 1);
    }
    // Nobody listens there.
    text += "[[ldap.directories]]\nname = \"main\"\nurls = [\"ldap://127.0.0.1:1\"]\n";
    text += "[[notify.receivers]]\nname = \"ops\"\nwebhook = \"http://127.0.0.1:1/\"\n";
    fs::write(&path, text).unwrap();
    let mut instance = instance;
    instance.serve();
    let post = |path: &str, kind: &str| instance.http("POST", path, kind, b"\x30\x00").unwrap();
    post("/.well-known/cmp", "application/pkixcmp");
    post("/ocsp", "application/ocsp-request");
    post("/scep?operation=PKIOperation", "application/x-pki-message");
    let est = fs::read_to_string(instance.data().join("listen.est")).unwrap();
    let url = format!("{}/.well-known/est/cacerts", est.trim());
    tool_ok("curl", "curl", &["-skf", "-o", "/dev/null", &url], Path::new("/"));
    instance
}

fn page(instance: &Instance) -> String {
    String::from_utf8(instance.http("GET", "/metrics", "", &[]).unwrap().body).unwrap()
}

#[test]
fn each_alert_comes_when_it_should_and_not_before() {
    let rules = promtool(&["check", "rules", "docs/prometheus-rules.yml"], "");
    assert!(rules.contains("SUCCESS"), "{rules}");
    let tested = promtool(&["test", "rules", "tests/prometheus/rules.test.yml"], "");
    assert!(tested.contains("SUCCESS") && !tested.contains("FAILED"), "{tested}");
    // Each alert has a test in which it comes.
    let rules = fs::read_to_string(root().join("docs/prometheus-rules.yml")).unwrap();
    let tests = fs::read_to_string(root().join("tests/prometheus/rules.test.yml")).unwrap();
    let alerts: Vec<&str> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 12, "{alerts:?}");
    for alert in alerts {
        let fires = tests.split("eval_time:").any(|case| {
            case.contains(&format!("alertname: {alert}\n")) && case.contains("exp_labels")
        });
        assert!(fires, "no test has `{alert}` come");
    }
}

#[test]
fn a_prometheus_evaluates_every_expression_over_a_running_server() {
    let instance = server();
    wait_for("the first look, and a failed notification", || {
        let page = page(&instance);
        let failed = "countersign_notifications_total{receiver=\"ops\",outcome=\"failed\"} 0\n";
        let looked = page.contains("countersign_findings{") && page.contains("\"ops\"");
        (looked && !page.contains(failed)).then_some(())
    });
    let page = page(&instance);
    let counter = "# TYPE countersign_notifications_total counter\n";
    assert!(page.contains(counter), "{page}");
    promtool(&["check", "metrics"], &page);

    let there = samples(&page);
    let rules = fs::read_to_string(root().join("docs/prometheus-rules.yml")).unwrap();
    let queries = dashboard();
    let shown: BTreeSet<String> =
        queries.iter().flat_map(|query| names_in(&query.expression)).collect();
    for (file, names) in
        [("prometheus-rules.yml", names_in(&rules)), ("grafana-dashboard.json", shown)]
    {
        let absent: Vec<&String> = names.difference(&there).collect();
        assert!(absent.is_empty(), "docs/{file} names {absent:?}, which the server does not have");
    }
    // And each metric is documented.
    let documented = fs::read_to_string(root().join("docs/operation.md")).unwrap();
    for name in &there {
        // As `countersign_ldap_connections`, `_searches`.
        let ends = name.match_indices('_').filter_map(|(at, _)| name.get(at..));
        let is_documented = documented.contains(&format!("`{name}"))
            || ends.into_iter().any(|end| documented.contains(&format!("`{end}`")));
        assert!(is_documented, "docs/operation.md does not have `{name}`");
    }

    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [{}]\nscrape_configs:\n  - job_name: countersign\n    \
         static_configs: [{{targets: [\"{}\"]}}]\n",
        root().join("docs/prometheus-rules.yml").display(),
        instance.address
    );
    fs::write(instance.file("prometheus.yml"), config).unwrap();
    let log = fs::File::create(instance.file("prometheus.log")).unwrap();
    let started = Command::new(program("prometheus"))
        .arg(format!("--config.file={}", instance.file("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", instance.file("tsdb").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    let _prometheus = Process(started);
    let server = format!("http://127.0.0.1:{port}");
    let ask = |path: &str, arguments: &[&str]| -> Option<Value> {
        let url = format!("{server}{path}");
        let arguments = [&["-sG", url.as_str()], arguments].concat();
        let output = common::tool("curl", "curl", &arguments, Path::new("/"));
        serde_json::from_slice(&output.stdout).ok()
    };
    let query = |expression: &str| {
        let given = format!("query={expression}");
        ask("/api/v1/query", &["--data-urlencode", &given])
    };
    wait_for("three scrapes", || {
        let answer = query("count_over_time(up{job=\"countersign\"}[5m]) >= 3 and up == 1")?;
        let result = answer["data"]["result"].as_array()?;
        (!result.is_empty()).then_some(())
    });
    for Query { title, expression } in &queries {
        let answer = query(expression).unwrap();
        assert_eq!(answer["status"], "success", "`{title}`: {expression}: {answer}");
        let result = answer["data"]["result"].as_array().unwrap();
        assert!(!result.is_empty(), "`{title}` shows nothing: {expression}");
    }
    // What promtool's language of queries says is what the server of queries says.
    let version = promtool(&["query", "instant", &server, "countersign_build_info"], "");
    assert!(version.contains(&format!("version=\"{}\"", env!("CARGO_PKG_VERSION"))), "{version}");
    let rules = wait_for("the evaluation of every rule", || {
        let answer = ask("/api/v1/rules", &[])?;
        let rules = answer["data"]["groups"][0]["rules"].as_array()?.clone();
        rules.iter().all(|rule| rule["health"] != "unknown").then_some(rules)
    });
    assert!(rules.len() > 12, "{rules:?}");
    for rule in &rules {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
    // This server was just founded, and its directory is away: that is all there is to say.
    let is_told = |name: &str| {
        let rule = rules.iter().find(|rule| rule["name"] == name).unwrap();
        !rule["alerts"].as_array().unwrap().is_empty()
    };
    for (name, told) in [
        ("CountersignBackupOld", true),
        ("CountersignStatusError", true),
        ("CountersignDown", false),
        ("CountersignStatusOld", false),
        ("CountersignCrlEnds", false),
        ("CountersignCrlStale", false),
        ("CountersignOcspResponderEnds", false),
        ("CountersignManyRenewalsOverdue", false),
        ("CountersignRequestWaits", false),
        ("CountersignLdapLeavesOut", false),
        ("CountersignDecisionsLate", false),
    ] {
        assert_eq!(is_told(name), told, "{name}: {rules:?}");
    }
}
