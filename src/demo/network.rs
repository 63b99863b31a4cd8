//! The network of the demo: a bridge with the server, and two gateways on it.
//!
//! ```text
//! west 10.9.0.2 ──┐                                    behind west: 10.1.0.1
//!                 ├── br0 10.9.0.1: countersign serve
//! east 10.9.0.3 ──┘                                    behind east: 10.2.0.1
//! ```

use std::fs;
use std::process::{Command, Stdio};

use super::gateway::Gateway;
use super::stage::{Host, Stage};
use crate::exit::Failure;

/// Options of unshare(1) for all namespaces of the demo. When the demo ends, its first process in the namespaces ends, and with that all
/// others.
pub const ALL: [&str; 4] = ["--mount-proc", "--kill-child", "-nmpf", "--propagation=private"];

/// The address of the server on the bridge.
pub const SERVER: &str = "10.9.0.1";

/// The options of unshare(1) that work on this machine: root needs no user namespace, other users do.
pub fn user_namespace() -> Result<&'static [&'static str], Failure> {
    let user: &[&str] = &["-Ur"];
    let root: &[&str] = &[];
    let mut refusals = String::new();
    let is_root = rustix::process::geteuid().is_root();
    // Root in a container may lack a capability that it would have in a user namespace of its own.
    for kind in if is_root { [root, user] } else { [user, root] } {
        let tried = Command::new("unshare")
            .args(kind)
            .args(ALL)
            .arg("true")
            .stdin(Stdio::null())
            .output()?;
        if tried.status.success() {
            return Ok(kind);
        }
        refusals.push_str(String::from_utf8_lossy(&tried.stderr).trim_end());
        refusals.push('\n');
    }
    Err(Failure::unavailable(format!(
        "the demo needs network, mount and process namespaces, and may not make them here; run it where users may make them \
         (`sysctl kernel.unprivileged_userns_clone=1`), or as root:\n{}",
        refusals.trim_end()
    )))
}

/// Whether this process is the first of a PID namespace, and its network namespace has only the loopback interface. Only there may the
/// demo mount folders and add interfaces.
pub fn is_own() -> bool {
    let interfaces = fs::read_to_string("/proc/self/net/dev").unwrap_or_default();
    let names: Vec<&str> = interfaces
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name.trim())
        .collect();
    std::process::id() == 1 && names == ["lo"]
}

/// Builds the network, inside the namespaces.
pub fn build(stage: &Stage) -> Result<(), Failure> {
    let run = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        stage.run(Host::Server, &words, |_| true).map(|_| ())
    };
    run("mount -t tmpfs tmpfs /run")?;
    run("mkdir /run/netns")?;
    run("ip link set lo up")?;
    run("ip link add br0 type bridge")?;
    run(&format!("ip address add {SERVER}/24 dev br0"))?;
    run("ip link set br0 up")?;
    for gateway in Gateway::BOTH {
        let (name, address, inner) = (gateway.name(), gateway.address(), gateway.inner());
        run(&format!("ip netns add {name}"))?;
        run(&format!("ip link add {name} type veth peer name eth0 netns {name}"))?;
        run(&format!("ip link set {name} master br0 up"))?;
        run(&format!("ip -n {name} link set lo up"))?;
        run(&format!("ip -n {name} address add {address}/24 dev eth0"))?;
        run(&format!("ip -n {name} address add {inner}/32 dev lo"))?;
        run(&format!("ip -n {name} link set eth0 up"))?;
    }
    Ok(())
}
