//! The steps of the demo: two gateways enrol and connect, one is revoked, and the other refuses it.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;

use serde_json::Value;

use super::gateway::Gateway;
use super::stage::{Host, Stage};
use crate::exit::Failure;
use crate::output;

/// The server's address and port. Only the demo is on this network.
const LISTEN: &str = "10.9.0.1:8829";

/// Runs every step.
pub fn tell(stage: &mut Stage) -> Result<(), Failure> {
    found(stage)?;
    for gateway in Gateway::BOTH {
        enrol(stage, gateway)?;
    }
    configure(stage)?;
    connect(stage)?;
    revoke(stage)?;
    output::line("\nDone. Everything ran in namespaces of its own, and is torn down now.");
    Ok(())
}

fn all(_: &str) -> bool {
    true
}

fn none(_: &str) -> bool {
    false
}

fn found(stage: &mut Stage) -> Result<(), Failure> {
    stage.step("A CA, with a policy that says whom the gateways let in");
    fs::create_dir(stage.file("ca"))?;
    let mut config = format!(
        "[http]\npublic_url = \"http://{LISTEN}\"\n\n[authorizer]\nserve = true\nsocket = \"authorizer.sock\"\npolicy = [\"policy\"]\n"
    )
    .replace("\"authorizer.sock\"", &format!("{:?}", stage.file("authorizer.sock")))
    .replace("\"policy\"]", &format!("{:?}]", stage.file("policy")));
    for gateway in Gateway::BOTH {
        config.push_str(&format!(
            "\n[gateways.{}]\ndaemon = \"strongswan\"\naddress = \"{}\"\nnetworks = [\"{}\"]\nstart = \"wait\"\nauthorizer = true\n",
            gateway.name(),
            gateway.address(),
            gateway.network()
        ));
    }
    stage.write("ca/countersign.toml", &config)?;
    stage.write(
        "policy",
        "Authorizer: \"POLICY\"\nLicensees: \"DN:/CN=Countersign issuing CA\"\n\
         Conditions: app_domain == \"IPsec policy\" && remote_id ~= \"\\\\.demo\\\\.example$\" -> \"true\";\n",
    )?;
    let init = ["countersign", "init", "--subject", "CN=Countersign issuing CA"];
    stage.run(Host::Server, &init, |line| {
        !line.starts_with("passphrase") && !line.trim().is_empty()
    })?;
    stage.start(
        Host::Server,
        &["countersign", "serve", "--listen", LISTEN, "--ldap-listen", "off"],
        "server.log",
    )?;
    let (socket, listen) = (stage.file("authorizer.sock"), stage.file("ca/listen"));
    stage.wait_until("the start of the server", || {
        listen.exists() && UnixStream::connect(&socket).is_ok()
    })
}

fn enrol(stage: &mut Stage, gateway: Gateway) -> Result<(), Failure> {
    let name = gateway.name();
    stage.step(&format!("The gateway `{name}` enrols over CMP, by a secret that works once"));
    let id = format!("fqdn:{name}.demo.example");
    let added = stage.run(
        Host::Server,
        &["countersign", "peer", "add", name, "--id", &id, "--uses", "1", "--json"],
        |line| !line.contains("\"secret\""),
    )?;
    let added: Value =
        serde_json::from_str(&added).map_err(|e| stage.failure(&format!("no account: {e}")))?;
    let added = added.get(0).unwrap_or(&added);
    let text = |key: &str| added.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let secret = stage.file(&format!("{name}.secret"));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(secret)?;
    std::io::Write::write_all(&mut file, text("secret").as_bytes())?;
    stage.say(&format!(
        "its secret goes to {name}.secret, readable by its owner only, and is shown to nobody else"
    ));

    let (key, certificate, secret) =
        (format!("{name}.key"), format!("{name}.crt"), format!("file:{name}.secret"));
    let on = Host::Gateway(gateway);
    let new = [
        "openssl",
        "genpkey",
        "-algorithm",
        "EC",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-out",
        &key,
    ];
    stage.run(on, &new, none)?;
    let reference = text("reference");
    let request = [
        "openssl",
        "cmp",
        "-server",
        LISTEN,
        "-path",
        ".well-known/cmp",
        "-cmd",
        "ir",
        "-ref",
        &reference,
        "-secret",
        &secret,
        "-newkey",
        &key,
        "-certout",
        &certificate,
        "-total_timeout",
        "30",
    ];
    stage.run(on, &request, |line| line.starts_with("CMP info: "))?;
    stage.run(
        on,
        &[
            "openssl",
            "x509",
            "-noout",
            "-subject",
            "-issuer",
            "-enddate",
            "-ext",
            "subjectAltName",
            "-in",
            &certificate,
        ],
        all,
    )?;
    Ok(())
}

fn configure(stage: &mut Stage) -> Result<(), Failure> {
    stage.step("Would the two come up? And what strongSwan needs, for each");
    stage.run(Host::Server, &["countersign", "check", "west", "east"], all)?;
    for (gateway, peer) in [(Gateway::West, "east"), (Gateway::East, "west")] {
        let name = gateway.name();
        let (key, out) = (format!("{name}.key"), format!("{name}-strongswan"));
        let line = [
            "countersign",
            "export",
            name,
            "--for",
            "strongswan",
            "--peer",
            peer,
            "--key",
            &key,
            "--out",
            &out,
        ];
        stage.run(Host::Server, &line, |line| line.starts_with("files"))?;
    }
    stage.step("Both gateways start strongSwan, with the plugin that asks Countersign");
    for gateway in Gateway::BOTH {
        let name = gateway.name();
        let on = Host::Gateway(gateway);
        stage.start(on, &["charon-systemd"], &format!("{name}.output"))?;
        let vici = stage.file(&format!("{name}.vici"));
        stage.wait_until("the start of charon", || UnixStream::connect(&vici).is_ok())?;
        swanctl(stage, gateway, &["--load-all"], |line| line.contains("successfully"))?;
    }
    Ok(())
}

/// Runs `swanctl` on a gateway, over the gateway's own socket.
fn swanctl(
    stage: &Stage,
    gateway: Gateway,
    arguments: &[&str],
    shown: impl Fn(&str) -> bool,
) -> Result<super::stage::CommandResult, Failure> {
    let uri = format!("unix://{}", stage.file(&format!("{}.vici", gateway.name())).display());
    stage.attempt(
        Host::Gateway(gateway),
        &[&["swanctl"], arguments, &["--uri", &uri]].concat(),
        shown,
    )
}

fn connect(stage: &mut Stage) -> Result<(), Failure> {
    stage.step("East calls west: each asks whether the other may come in");
    let initiate = ["--initiate", "--ike", "west", "--child", "net", "--timeout", "30"];
    let result = swanctl(stage, Gateway::East, &initiate, |line| {
        [" established ", "initiate "].iter().any(|word| line.contains(word))
    })?;
    if !result.ok {
        return Err(stage.failure(&format!("the tunnel did not come up:\n{}", result.text)));
    }
    for words in [["phase 1 of", "is allowed"], ["phase 2 of", "is allowed"]] {
        let line = stage.logged("west.log", 0, &words)?;
        stage.say(&format!("west's charon: {line}"));
    }
    stage.step("Packets pass, in ESP");
    stage.run(
        Host::Gateway(Gateway::East),
        &["ping", "-c", "3", "-W", "5", "-I", Gateway::East.inner(), Gateway::West.inner()],
        |line| line.contains("bytes from") || line.contains("packets transmitted"),
    )?;
    stage.run(Host::Server, &["countersign", "decision", "list"], all)?;
    Ok(())
}

fn revoke(stage: &mut Stage) -> Result<(), Failure> {
    stage.step("East's key is stolen: its certificate is revoked");
    let list = stage.run(
        Host::Server,
        &["countersign", "cert", "list", "--account", "east", "--json"],
        none,
    )?;
    let list: Value =
        serde_json::from_str(&list).map_err(|e| stage.failure(&format!("no certificates: {e}")))?;
    let serial = list
        .get(0)
        .and_then(|first| first.get("serial"))
        .and_then(Value::as_str)
        .unwrap_or_default();
    stage.run(
        Host::Server,
        &["countersign", "cert", "revoke", serial, "--reason", "keyCompromise"],
        all,
    )?;

    stage.step("The next negotiation is refused, though west has no new CRL yet: the store knows");
    swanctl(stage, Gateway::East, &["--terminate", "--ike", "west", "--timeout", "30"], |line| {
        line.contains("completed")
    })?;
    let from = fs::metadata(stage.file("west.log"))
        .map_or(0, |file| usize::try_from(file.len()).unwrap_or(0));
    let initiate = ["--initiate", "--ike", "west", "--child", "net", "--timeout", "30"];
    let result = swanctl(stage, Gateway::East, &initiate, |line| {
        line.contains("AUTHENTICATION_FAILED") || line.contains("initiate failed")
    })?;
    if result.ok {
        return Err(stage.failure("expected that the revoked peer is refused, but it came in"));
    }
    let line = stage.logged("west.log", from, &["phase 1 of", "is refused"])?;
    stage.say(&format!("west's charon: {line}"));

    stage.step("Why? The decision log says it in words");
    let denied = stage.run(
        Host::Server,
        &["countersign", "decision", "list", "--denied", "--limit", "1", "--json"],
        none,
    )?;
    let denied: Value =
        serde_json::from_str(&denied).map_err(|e| stage.failure(&format!("no decision: {e}")))?;
    let first = denied
        .get(0)
        .ok_or_else(|| stage.failure("expected a refusal in the decision log, found none"))?;
    let trace = first.get("trace").and_then(Value::as_str).unwrap_or_default();
    stage.run(Host::Server, &["countersign", "decision", "show", trace, "--explain"], all)?;
    Ok(())
}
