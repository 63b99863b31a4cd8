//! Gateways that enrolled, their exports, and the findings of `countersign check`.

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;

use super::Instance;
use super::openssl::{enrol, key};

/// Two gateways with RSA keys only, for OpenBSD's isakmpd and racoon.
pub fn classic() -> Instance {
    let sections = "\
[gateways.gw1]
daemon = \"isakmpd\"
mode = \"main\"
address = \"192.0.2.1\"
networks = [\"10.1.0.0/16\"]
[gateways.gw2]
daemon = \"racoon\"
mode = \"main\"
address = \"192.0.2.2\"
networks = [\"10.2.0.0/16\", \"2001:db8:2::/48\"]
start = \"wait\"
[gateways.road]
mode = \"main\"
daemon = \"isakmpd\"
networks = [\"10.9.9.9\"]
";
    let mut instance =
        instance(sections, &["--algorithm", "rsa3072", "--root-algorithm", "rsa3072"]);
    for name in ["gw1", "gw2"] {
        enrolled(&mut instance, name, &format!("fqdn:{name}.example.net"), "rsa2048");
    }
    enrolled(&mut instance, "road", "email:road@example.net", "rsa2048");
    instance
}

/// A served instance with these sections in its configuration.
pub fn instance(sections: &str, flags: &[&str]) -> Instance {
    let mut instance = Instance::empty();
    fs::create_dir(instance.data()).unwrap();
    fs::write(instance.data().join("countersign.toml"), sections).unwrap();
    instance.ok(&[&["init"], flags].concat());
    instance.serve();
    instance
}

pub fn enrolled(instance: &mut Instance, name: &str, id: &str, kind: &str) {
    enrolled_by(instance, name, id, kind, &[]);
}

pub fn enrolled_by(instance: &mut Instance, name: &str, id: &str, kind: &str, flags: &[&str]) {
    let path = key(instance, kind, &format!("{name}.key"));
    let peer = instance.peer_with(name, &[id], &[&["--uses", "9"], flags].concat());
    enrol(instance, &peer, path.to_str().unwrap(), &[]).granted();
}

/// The folder that an export wrote.
pub fn export(instance: &Instance, name: &str, more: &[&str]) -> PathBuf {
    let out = instance.file(&format!("{name}.out"));
    let mut arguments = vec!["export", name, "--replace", "--out", out.to_str().unwrap()];
    arguments.extend(more);
    instance.ok(&arguments);
    out
}

/// Every obstacle as (severity, code, gateway, daemon), and the exit code.
pub fn check(output: &Output) -> (Vec<[String; 4]>, String, Option<i32>) {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let rows: Value = serde_json::from_str(&text)
        .unwrap_or_else(|e| panic!("{e}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    let list = rows.as_array().unwrap().iter();
    let list = list.map(|row| {
        ["severity", "code", "gateway", "daemon"].map(|key| row[key].as_str().unwrap().to_owned())
    });
    (list.collect(), text, output.status.code())
}
