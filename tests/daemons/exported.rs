//! Gateways as their operator describes them, and the folders that `countersign export` writes for them. Daemons start on these folders
//! without any change.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::namespaces::Gateway;
use super::run;
use super::site::{Credentials, Site};

/// ESP in user space. The kernel of a test machine need not support it.
pub const ESP: &str = "kernel-libipsec { load = yes }";

/// The network behind a gateway.
const fn network(gateway: Gateway) -> &'static str {
    match gateway {
        Gateway::West => "10.1.0.0/16",
        Gateway::East => "10.2.0.0/16",
    }
}

/// The section `[gateways.NAME]` of a gateway with this address and network, with further lines.
pub fn section(name: &str, place: Gateway, lines: &str) -> String {
    let more = |key: &str, value: String| {
        let is_there = lines.lines().any(|line| line.starts_with(&format!("{key} =")));
        if is_there { String::new() } else { format!("{key} = {value}\n") }
    };
    let address = more("address", format!("\"{}\"", place.address()));
    let networks = more("networks", format!("[\"{}\"]", network(place)));
    let start = more("start", "\"wait\"".into());
    format!("[gateways.{name}]\n{address}{networks}{start}{lines}\n")
}

/// Writes the folder of the gateway `name`, which has this key, for these peers.
pub fn export(site: &Site, name: &str, own: &Credentials, peers: &[&str]) -> PathBuf {
    export_with(site, name, peers, &["--key", own.key.to_str().expect("UTF-8")])
}

/// As [`export`], with these arguments.
pub fn export_with(site: &Site, name: &str, peers: &[&str], more: &[&str]) -> PathBuf {
    let folder = site.instance.file(&format!("{name}-exported"));
    let mut arguments = vec!["export", name, "--replace", "--out"];
    arguments.push(folder.to_str().expect("UTF-8"));
    arguments.extend(peers.iter().flat_map(|peer| ["--peer", peer]));
    arguments.extend(more);
    site.instance.ok(&arguments);
    folder
}

/// Merges exported folders, as the README in them says, and gives the folder that serves as `/etc/swanctl`.
pub fn swanctl(site: &Site, name: &str, exported: &[&Path]) -> PathBuf {
    let all = site.instance.file(name);
    let _ = fs::remove_dir_all(&all);
    fs::create_dir_all(all.join("conf.d")).expect("a folder");
    // As strongSwan's packages have it.
    fs::write(all.join("swanctl.conf"), "include conf.d/*.conf\n").expect("a file");
    for (number, folder) in exported.iter().enumerate() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                run(Command::new("cp").arg("-r").arg(&path).arg(&all));
            }
        }
        let own = all.join(format!("conf.d/{number}.conf"));
        fs::copy(folder.join("swanctl.conf"), own).expect("a file");
    }
    all
}

/// Gives a gateway an address in each network behind it.
pub fn inner_addresses(addresses: &[(Gateway, &str)]) {
    for (gateway, inner) in addresses {
        let inner = format!("{inner}/32");
        let name = gateway.name();
        run(Command::new("ip").args(["-n", name, "address", "add", &inner, "dev", "lo"]));
    }
}
