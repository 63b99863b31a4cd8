//! libreswan's pluto, with keys and CAs in an NSS database, by its own programs.
//!
//! Its package conflicts with strongSwan's. `make deps` therefore unpacks it into a folder, which is bound over `/usr/libexec` here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::namespaces::{Gateway, bind};
use super::site::{Credentials, Site, Source};
use super::{Daemon, outcome, run, unpacked, wait_for};

/// The folder in which pluto expects its helpers.
const PROGRAMS: &str = "/usr/libexec/ipsec";

/// Binds libreswan's programs over the folder in which they expect each other.
pub fn install() {
    bind(&unpacked("libreswan").join("usr/libexec"), "/usr/libexec");
}

/// A running pluto.
pub struct Pluto {
    gateway: Gateway,
    folder: PathBuf,
    config: PathBuf,
    process: Daemon,
}

impl Pluto {
    /// Starts pluto on a gateway. It checks statuses strictly, from this source. It has a connection for each pair of a credential of `own`
    /// and one of `peers`, named after the credential that is not `west`.
    pub fn start(
        gateway: Gateway,
        site: &Site,
        source: Source,
        own: &[&Credentials],
        peers: &[&Credentials],
    ) -> Self {
        Self::start_with(gateway, site, source, own, peers, "")
    }

    /// As [`Self::start`], with a further line in each connection.
    pub fn start_with(
        gateway: Gateway,
        site: &Site,
        source: Source,
        own: &[&Credentials],
        peers: &[&Credentials],
        line: &str,
    ) -> Self {
        let folder = site.instance.file(gateway.name());
        fs::create_dir_all(folder.join("run")).expect("a folder");
        make_database(&folder.join("lib/ipsec/nss"), site, own);
        let mut config = setup(source);
        for own in own {
            config.extend(
                peers.iter().map(|peer| format!("{}    {line}\n", connection(gateway, own, peer))),
            );
        }
        fs::write(folder.join("ipsec.conf"), config).expect("a file");
        fs::write(folder.join("ipsec.secrets"), "").expect("a file");
        Self::run(gateway, folder.clone(), folder)
    }

    /// Starts pluto on an exported folder, after the folder's script has filled the database.
    pub fn start_on(gateway: Gateway, site: &Site, exported: &Path) -> Self {
        let folder = site.instance.file(gateway.name());
        fs::create_dir_all(folder.join("run")).expect("a folder");
        run(Command::new("sh").arg(exported.join("import.sh")).arg(folder.join("lib/ipsec/nss")));
        Self::run(gateway, folder, exported.to_owned())
    }

    fn run(gateway: Gateway, folder: PathBuf, config: PathBuf) -> Self {
        for old in ["run/pluto.ctl", "run/pluto.pid", "pluto.log"] {
            let _ = fs::remove_file(folder.join(old));
        }
        // The helper that imports CRLs knows the database at its default place only.
        let script = format!(
            "mount --bind lib /var/lib && exec {PROGRAMS}/pluto --nofork --config \"$0/ipsec.conf\" --rundir \"$PWD/run\" \
             --secretsfile \"$0/ipsec.secrets\" --logfile \"$PWD/pluto.log\""
        );
        let mut command = gateway.command("unshare");
        command.args(["--mount", "sh", "-c", &script]).arg(&config).current_dir(&folder);
        let process = Daemon::start(&mut command, &folder.join("output"));
        let mut pluto = Self { gateway, folder, config, process };
        pluto.listen();
        pluto
    }

    /// Initiates a connection. Gives whether the IKE SA came up, and the output of `whack`.
    pub fn initiate(&self, name: &str) -> (bool, String) {
        let said = outcome(&mut self.whack(&["--initiate", "--name", name])).1;
        (said.contains("initiator established IKE SA"), said)
    }

    /// Terminates a connection, and ends pluto's attempts to bring it up.
    pub fn terminate(&self, name: &str) {
        run(&mut self.whack(&["--terminate", "--name", name]));
    }

    /// Waits until pluto has fetched a CRL of the issuing CA with this many entries.
    pub fn wait_for_crl(&self, entries: usize) {
        let crls = || run(&mut self.whack(&["--listcrls"]));
        wait_for(
            "the fetch of the CRL",
            || format!("{}\n{}", crls(), self.log()),
            || {
                let crls = crls();
                let ours =
                    crls.split("issuer:").find(|text| text.contains("Countersign issuing CA"))?;
                ours.contains(&format!("revoked certs: {entries}\n")).then_some(())
            },
        );
    }

    /// Flushes the OCSP answers that it fetched. Otherwise it caches them for an hour.
    pub fn forget_answers(&self) {
        run(&mut self.whack(&["--purgeocsp"]));
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("pluto.log")).unwrap_or_default()
    }

    fn listen(&mut self) {
        let socket = self.folder.join("run/pluto.ctl");
        self.process.wait_until("pluto's start", |_| socket.exists());
        let mut add = self.gateway.command(format!("{PROGRAMS}/addconn"));
        add.arg("--config").arg(self.config.join("ipsec.conf"));
        add.args(["--autoall", "--ctlsocket"]).arg(&socket);
        run(add.current_dir(&self.folder));
        run(&mut self.whack(&["--listen"]));
    }

    fn whack(&self, arguments: &[&str]) -> Command {
        let mut command = self.gateway.command("timeout");
        command.args(["30", &format!("{PROGRAMS}/whack"), "--rundir"]);
        command.arg(self.folder.join("run")).args(arguments);
        command
    }
}

impl Drop for Pluto {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- pluto on {} ---\n{}", self.gateway.name(), self.log());
        }
    }
}

/// The NSS database: the CAs, the root trusted, and the own keys with their certificates.
fn make_database(database: &Path, site: &Site, own: &[&Credentials]) {
    fs::create_dir_all(database).expect("a folder");
    let name = format!("sql:{}", database.display());
    let certutil = |arguments: &[&str]| {
        run(Command::new("certutil").args(["-d", &name]).args(arguments));
    };
    certutil(&["-N", "--empty-password"]);
    for (ca, trust) in [("root", "CT,,"), ("issuing", ",,")] {
        certutil(&["-A", "-n", ca, "-t", trust, "-i", site.ca(ca).to_str().expect("UTF-8")]);
    }
    for credentials in own {
        let bundle = credentials.certificate.with_extension("p12");
        run(Command::new("openssl")
            .args(["pkcs12", "-export", "-passout", "pass:x", "-name", &credentials.id, "-in"])
            .arg(&credentials.certificate)
            .arg("-inkey")
            .arg(&credentials.key)
            .arg("-out")
            .arg(&bundle));
        run(Command::new("pk12util").args(["-d", &name, "-W", "x", "-i"]).arg(&bundle));
    }
}

/// pluto fetches CRLs 5 s after its start, and then at each interval. It fetches none for a peer that waits.
fn setup(source: Source) -> String {
    let strict = if source.is_crl() {
        "crl-strict=yes\n    crlcheckinterval=2"
    } else {
        "ocsp-enable=yes\n    ocsp-strict=yes\n    ocsp-timeout=20"
    };
    format!("config setup\n    {strict}\n")
}

fn connection(gateway: Gateway, own: &Credentials, peer: &Credentials) -> String {
    let (remote, name) = match gateway {
        Gateway::West => (Gateway::East, peer.name()),
        Gateway::East => (Gateway::West, own.name()),
    };
    format!(
        "conn {name}
    ikev2=insist
    authby=rsasig
    auto=add
    left={}
    leftcert={}
    leftid=@{}
    right={}
    rightid=@{}
    rightca=%same\n",
        gateway.address(),
        own.id,
        own.id,
        remote.address(),
        peer.id
    )
}
