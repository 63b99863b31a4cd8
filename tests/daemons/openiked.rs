//! OpenIKED's iked, which reads CRLs from files.
//!
//! Its package conflicts with strongSwan's, so that `make deps` unpacks it into a folder. It needs PF_KEY of the kernel and a user of its
//! own; `pfkey.c` replaces both.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::namespaces::Gateway;
use super::site::{Credentials, Site};
use super::{Daemon, run, unpacked};

/// The folders that iked reads below `/etc/iked`.
const FOLDERS: [&str; 6] = ["ca", "certs", "crls", "private", "pubkeys/fqdn", "pubkeys/ipv4"];

/// The start of the lines in which the stand-in for PF_KEY reports an SA.
const LOADED: &str = "pfkey: loaded an SA";

/// A running iked.
pub struct Iked {
    gateway: Gateway,
    folder: PathBuf,
    process: Daemon,
}

impl Iked {
    /// Starts iked on a gateway, with the site's present CRLs. `west` responds and `east` initiates, again and again if it is refused.
    pub fn start(gateway: Gateway, site: &Site, own: &Credentials) -> Self {
        let folder = site.instance.file(&format!("{}-{}", gateway.name(), own.name()));
        let iked = folder.join("etc/iked");
        for name in FOLDERS {
            fs::create_dir_all(iked.join(name)).expect("a folder");
        }
        let cas = ["root", "issuing"].map(|ca| fs::read(site.ca(ca)).expect("a certificate"));
        fs::write(iked.join("ca/ca.crt"), cas.concat()).expect("a file");
        fs::copy(&own.certificate, iked.join("certs/own.crt")).expect("a file");
        fs::copy(&own.key, iked.join("private/local.key")).expect("a file");
        run(Command::new("openssl")
            .args(["pkey", "-pubout", "-in"])
            .arg(&own.key)
            .arg("-out")
            .arg(iked.join("local.pub")));
        fs::write(folder.join("iked.conf"), policy(gateway, own)).expect("a file");
        install_crls(site, &folder);
        Self::run(gateway, site, folder)
    }

    /// Starts iked on an exported folder.
    pub fn start_on(gateway: Gateway, site: &Site, exported: &Path) -> Self {
        let folder = site.instance.file(&format!("{}-iked", gateway.name()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("etc")).expect("a folder");
        run(Command::new("cp").arg("-rT").arg(exported).arg(folder.join("etc/iked")));
        fs::rename(folder.join("etc/iked/iked.conf"), folder.join("iked.conf")).expect("a file");
        Self::run(gateway, site, folder)
    }

    fn run(gateway: Gateway, site: &Site, folder: PathBuf) -> Self {
        fs::write(folder.join("etc/passwd"), "_iked:x:0:0::/:/bin/false\n").expect("a file");
        run(Command::new("chmod").arg("600").arg(folder.join("iked.conf")));
        let mut command = gateway.command("unshare");
        command
            .args([
                "--mount",
                "sh",
                "-c",
                "mount --bind etc /etc && LD_PRELOAD=$0 exec $1 -dvv -f $2 -s $3",
            ])
            .arg(shim(site))
            .arg(program("iked"))
            .arg(folder.join("iked.conf"))
            .arg(folder.join("control"))
            .current_dir(&folder);
        let process = Daemon::start(&mut command, &folder.join("log"));
        let mut iked = Self { gateway, folder, process };
        iked.wait_for(0, &["config_getstatic: nattport"]);
        iked
    }

    /// Has it read the site's present CRLs. Established SAs stay.
    pub fn reload(&self, site: &Site) {
        install_crls(site, &self.folder);
        let mut ikectl = self.gateway.command(program("ikectl"));
        run(ikectl.arg("-s").arg(self.folder.join("control")).arg("reload"));
    }

    /// Waits for a line with all these words in its log, from octet `from` on.
    pub fn wait_for(&mut self, from: usize, words: &[&str]) {
        self.process.wait_until(&format!("a line with {words:?}"), |log| {
            let new = log.get(from..).unwrap_or("");
            new.lines().any(|line| words.iter().all(|word| line.contains(word)))
        });
    }

    /// Waits until it has loaded an SA in each direction between its gateway and the other one. Gives both, as the stand-in for PF_KEY
    /// reports them.
    pub fn wait_for_sas(&mut self) -> [String; 2] {
        let other = if self.gateway == Gateway::West { Gateway::East } else { Gateway::West };
        let (here, there) = (self.gateway.address(), other.address());
        [(here, there), (there, here)].map(|(from, to)| {
            let words = format!("{LOADED} from {from} to {to} with ");
            self.wait_for(0, &[&words]);
            let log = self.log();
            log.lines().find_map(|line| line.split_once(&words)).expect("the line").1.to_owned()
        })
    }

    /// Whether it has loaded any SA.
    pub fn has_loaded(&self) -> bool {
        self.log().contains(LOADED)
    }

    /// Ends it, with its SAs.
    pub fn stop(self) {
        self.process.stop();
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.process.log()
    }
}

fn program(name: &str) -> PathBuf {
    unpacked("openiked").join("usr/sbin").join(name)
}

/// The stand-in for PF_KEY, compiled.
fn shim(site: &Site) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/daemons/pfkey.c");
    let library = site.instance.file("pfkey.so");
    let mut cc = Command::new("cc");
    cc.args(["-Wall", "-Wextra", "-Werror", "-O2", "-shared", "-fPIC", "-pthread", "-o"]);
    run(cc.arg(&library).arg(source).arg("-ldl"));
    library
}

/// iked checks every certificate of a chain, so it needs the root's CRL also.
fn install_crls(site: &Site, folder: &Path) {
    for ca in ["root", "issuing"] {
        let file = folder.join(format!("etc/iked/crls/{ca}.crl"));
        let mut openssl = Command::new("openssl");
        openssl.args(["crl", "-inform", "DER", "-in"]).arg(site.crl(ca)).arg("-out").arg(file);
        run(&mut openssl);
    }
}

fn policy(gateway: Gateway, own: &Credentials) -> String {
    let (role, remote) = match gateway {
        Gateway::West => ("passive", Gateway::East),
        Gateway::East => ("active", Gateway::West),
    };
    let (here, there) = (gateway.address(), remote.address());
    format!("ikev2 {role} esp from {here} to {there} local {here} peer {there} srcid {}\n", own.id)
}
