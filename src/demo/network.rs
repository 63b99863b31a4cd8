//! A network of the demo's own: a bridge where the server is, and two gateways on it.
//!
//! ```text
//! west 10.9.0.2 ──┐                                    behind west: 10.1.0.1
//!                 ├── br0 10.9.0.1: countersign serve
//! east 10.9.0.3 ──┘                                    behind east: 10.2.0.1
//! ```

use std::fs;
use std::process::{Command, Stdio};

use crate::exit::Failure;

/// Namespaces with a process tree that ends with its first process, which ends with the demo.
pub const ALL: [&str; 4] = ["--mount-proc", "--kill-child", "-nmpf", "--propagation=private"];

/// Where the server is.
pub const SERVER: &str = "10.9.0.1";

/// A gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gateway {
    West,
    East,
}

impl Gateway {
    pub const BOTH: [Self; 2] = [Self::West, Self::East];

    pub const fn name(self) -> &'static str {
        match self {
            Self::West => "west",
            Self::East => "east",
        }
    }

    pub const fn address(self) -> &'static str {
        match self {
            Self::West => "10.9.0.2",
            Self::East => "10.9.0.3",
        }
    }

    /// The address of the host behind it.
    pub const fn inner(self) -> &'static str {
        match self {
            Self::West => "10.1.0.1",
            Self::East => "10.2.0.1",
        }
    }

    /// The network behind it.
    pub const fn network(self) -> &'static str {
        match self {
            Self::West => "10.1.0.0/16",
            Self::East => "10.2.0.0/16",
        }
    }
}

/// Which namespaces may be made here: with a user namespace, or as root without.
pub fn kind() -> Result<&'static [&'static str], Failure> {
    let user: &[&str] = &["-Ur"];
    let root: &[&str] = &[];
    let mut refusals = String::new();
    for kind in [user, root] {
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

/// Builds it, in the namespaces.
pub fn build() -> Result<(), Failure> {
    quiet("mount", "-t tmpfs tmpfs /run")?;
    fs::create_dir("/run/netns")?;
    quiet("ip", "link set lo up")?;
    quiet("ip", "link add br0 type bridge")?;
    quiet("ip", &format!("address add {SERVER}/24 dev br0"))?;
    quiet("ip", "link set br0 up")?;
    for gateway in Gateway::BOTH {
        let (name, address, inner) = (gateway.name(), gateway.address(), gateway.inner());
        quiet("ip", &format!("netns add {name}"))?;
        quiet("ip", &format!("link add {name} type veth peer name eth0 netns {name}"))?;
        quiet("ip", &format!("link set {name} master br0 up"))?;
        quiet("ip", &format!("-n {name} link set lo up"))?;
        quiet("ip", &format!("-n {name} address add {address}/24 dev eth0"))?;
        quiet("ip", &format!("-n {name} address add {inner}/32 dev lo"))?;
        quiet("ip", &format!("-n {name} link set eth0 up"))?;
    }
    Ok(())
}

/// A command that nobody needs to see, unless it fails.
pub fn quiet(program: &str, arguments: &str) -> Result<(), Failure> {
    let output = Command::new(program).args(arguments.split(' ')).stdin(Stdio::null()).output();
    let output = output.map_err(|e| Failure::unavailable(format!("`{program}`: {e}")))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Failure::unavailable(format!(
        "`{program} {arguments}` failed: {}",
        String::from_utf8_lossy(&output.stderr).trim_end()
    )))
}
