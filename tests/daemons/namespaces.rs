//! A network of the test's own, in namespaces that end with the test: a bridge with the servers, and two gateways on it.
//!
//! ```text
//! west 10.9.0.2 ──┐
//!                 ├── br0 10.9.0.1: countersign, slapd
//! east 10.9.0.3 ──┘
//! ```
//!
//! Root is not needed if the kernel lets users make namespaces. If it does not, the test must run as root.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::{charon, outcome, run};

/// The environment variable that is set in the process inside the namespaces. Its value is the name of the test.
const INSIDE: &str = "COUNTERSIGN_TEST_INSIDE";

/// The address of the servers.
pub const SERVER: &str = "10.9.0.1";

/// Options of unshare(1) for all namespaces. The process tree ends with its first process, and that with the test.
const ALL: [&str; 4] = ["--mount-proc", "--kill-child", "-nmpf", "--propagation=private"];

/// A gateway's network namespace.
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

    /// The identity in its certificate.
    pub fn id(self) -> String {
        format!("{}.example.net", self.name())
    }

    /// A command on this gateway.
    pub fn command(self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.name())).arg("--").arg(program);
        command
    }
}

/// Runs the body of the test `name` in namespaces of its own. To do so, it runs this test program there again, for this one test.
#[track_caller]
pub fn isolated(name: &str, body: impl FnOnce()) {
    isolated_with(charon::another().as_deref(), name, body);
}

/// As [`isolated`], with another strongSwan instead of the installed one.
#[track_caller]
pub fn isolated_with(strongswan: Option<&Path>, name: &str, body: impl FnOnce()) {
    if env::var(INSIDE).is_ok_and(|inside| inside == name) {
        build_network();
        if let Some(folder) = charon::another() {
            charon::put_in_place(&folder);
        }
        return body();
    }
    let this = env::current_exe().expect("the path of this program");
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare"]).args(kind()).args(ALL).arg("--").arg(this);
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(INSIDE, name);
    if let Some(folder) = strongswan {
        command.env(charon::ANOTHER, folder);
    }
    let (ok, text) = outcome(&mut command);
    println!("{text}");
    assert!(ok && text.contains("1 passed"), "`{name}` failed inside its namespaces, see above");
}

/// The options of unshare(1) that work on this machine: with a user namespace, or as root without one.
fn kind() -> &'static [&'static str] {
    let user: &[&str] = &["-Ur"];
    let root: &[&str] = &[];
    let mut refusals = String::new();
    for kind in [user, root] {
        let (ok, text) = outcome(Command::new("unshare").args(kind).args(ALL).arg("true"));
        if ok {
            return kind;
        }
        refusals.push_str(&text);
    }
    panic!(
        "this test needs network, mount and process namespaces, and may not make them here: run it where `unshare -Urnmpf \
         --mount-proc true` works, or as root with CAP_SYS_ADMIN:\n{refusals}"
    );
}

fn build_network() {
    run(Command::new("mount").args(["-t", "tmpfs", "tmpfs", "/run"]));
    fs::create_dir("/run/netns").expect("a folder");
    ip("link set lo up");
    ip("link add br0 type bridge");
    ip(&format!("address add {SERVER}/24 dev br0"));
    ip("link set br0 up");
    for gateway in Gateway::BOTH {
        let (name, address) = (gateway.name(), gateway.address());
        ip(&format!("netns add {name}"));
        ip(&format!("link add {name} type veth peer name eth0 netns {name}"));
        ip(&format!("link set {name} master br0 up"));
        ip(&format!("-n {name} link set lo up"));
        ip(&format!("-n {name} address add {address}/24 dev eth0"));
        ip(&format!("-n {name} link set eth0 up"));
    }
}

#[track_caller]
fn ip(arguments: &str) {
    run(Command::new("ip").args(arguments.split(' ')));
}

/// The address under which others see the gateway that [`behind_nat`] hides.
pub const NAT: &str = "10.9.0.4";

/// Puts a NAT router between a gateway and the bridge. The gateway gets the address 10.8.0.3.
pub fn behind_nat(gateway: Gateway) {
    let name = gateway.name();
    ip(&format!("link delete {name}"));
    ip("netns add nat");
    ip("link add nat type veth peer name eth0 netns nat");
    ip("link set nat master br0 up");
    ip(&format!("-n nat address add {NAT}/24 dev eth0"));
    ip(&format!("-n nat link add inner type veth peer name eth0 netns {name}"));
    ip("-n nat address add 10.8.0.1/24 dev inner");
    for link in ["lo", "eth0", "inner"] {
        ip(&format!("-n nat link set {link} up"));
    }
    ip(&format!("-n {name} address add 10.8.0.3/24 dev eth0"));
    ip(&format!("-n {name} link set eth0 up"));
    ip(&format!("-n {name} route add default via 10.8.0.1"));
    let nat = |program: &str, arguments: &[&str]| {
        run(Command::new("nsenter").args(["--net=/run/netns/nat", "--", program]).args(arguments));
    };
    nat("sysctl", &["-qw", "net.ipv4.ip_forward=1"]);
    nat(
        "nft",
        &[
            "add table ip nat; add chain ip nat post { type nat hook postrouting priority srcnat; }; \
           add rule ip nat post oifname eth0 ip protocol udp masquerade to :20000-20999; \
           add rule ip nat post oifname eth0 masquerade",
        ],
    );
}

/// Binds a folder or a file over another one, in these namespaces only.
pub fn bind(folder: &Path, onto: &str) {
    run(Command::new("mount").arg("--bind").args([folder, Path::new(onto)]));
}
