//! strongSwan's charon, by its own programs `charon-systemd` and `swanctl`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::namespaces::{Gateway, bind};
use super::site::{Credentials, Site};
use super::{Daemon, outcome, run};

/// The environment variable that names the folder of another strongSwan, to be used instead of the installed one, as `make install DESTDIR=FOLDER` leaves it after
/// `./configure --prefix=/usr --sysconfdir=/etc --libdir=/usr/lib --libexecdir=/usr/lib --enable-systemd --enable-swanctl …`, with the plugin
/// for it (`make -C ike-plugin/charon HEADERS=… LIBRARIES=FOLDER/usr/lib/ipsec TARGET=FOLDER/libstrongswan-countersign.so`).
pub const ANOTHER: &str = "COUNTERSIGN_TEST_STRONGSWAN";

/// The folder that [`ANOTHER`] names.
pub fn another() -> Option<PathBuf> {
    env::var_os(ANOTHER).map(PathBuf::from)
}

/// The folder of strongSwan 6.
#[track_caller]
pub fn version_6() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-strongswan6");
    assert!(folder.join("usr").is_dir(), "`{}` is missing: run `make deps`", folder.display());
    folder
}

/// Binds the files of such a folder over those of the installed strongSwan.
pub fn put_in_place(folder: &Path) {
    for part in ["usr/lib/ipsec", "usr/sbin/charon-systemd", "usr/sbin/swanctl", "etc/strongswan.d"]
    {
        bind(&folder.join(part), &format!("/{part}"));
    }
}

/// The settings of an instance. Each has a log file and a control socket of its own, so that several can share a `/run`.
const SETTINGS: &str = "\
charon-systemd {
  load_modular = yes
  filelog { main { path = FOLDER/charon.log
      default = 1
      cfg = 2
      ike = 2
      flush_line = yes } }
  journal { default = -1 }
  plugins {
    include /etc/strongswan.d/charon/*.conf
    kernel-libipsec { load = no }
    vici { socket = unix://FOLDER/vici }
    stroke { load = no }
    bypass-lan { load = no }
    resolve { load = no }
    PLUGINS
  }
}
";

/// A running charon.
pub struct Charon {
    gateway: Gateway,
    folder: PathBuf,
    swanctl: PathBuf,
    process: Daemon,
}

impl Charon {
    /// Starts charon on a gateway, with a connection for each of `own`. It accepts every peer that the site's CAs certify, and whose status
    /// is known to be good.
    pub fn start(gateway: Gateway, site: &Site, own: &[&Credentials]) -> Self {
        let connections: String = own.iter().map(|own| connection(gateway, own)).collect();
        Self::start_with(gateway, site, own, "", &format!("connections {{\n{connections}}}\n"))
    }

    /// Starts charon with a configuration for `swanctl` and additional settings of plugins.
    pub fn start_with(
        gateway: Gateway,
        site: &Site,
        own: &[&Credentials],
        plugins: &str,
        config: &str,
    ) -> Self {
        let folder = site.instance.file(gateway.name());
        for name in ["x509", "x509ca", "private"] {
            fs::create_dir_all(folder.join(name)).expect("a folder");
        }
        for ca in ["root", "issuing"] {
            fs::copy(site.ca(ca), folder.join(format!("x509ca/{ca}.crt"))).expect("a file");
        }
        for credentials in own {
            let id = &credentials.id;
            let certificate = folder.join(format!("x509/{id}.crt"));
            fs::copy(&credentials.certificate, certificate).expect("a file");
            fs::copy(&credentials.key, folder.join(format!("private/{id}.key"))).expect("a file");
        }
        fs::write(folder.join("swanctl.conf"), config).expect("a file");
        Self::run(gateway, folder.clone(), folder, plugins)
    }

    /// Starts charon on a folder for `swanctl`, without changing the folder.
    pub fn start_on(gateway: Gateway, site: &Site, swanctl: &Path, plugins: &str) -> Self {
        let folder = site.instance.file(gateway.name());
        fs::create_dir_all(&folder).expect("a folder");
        Self::run(gateway, folder, swanctl.to_owned(), plugins)
    }

    fn run(gateway: Gateway, folder: PathBuf, swanctl: PathBuf, plugins: &str) -> Self {
        for old in ["vici", "charon.log"] {
            let _ = fs::remove_file(folder.join(old));
        }
        let text = folder.to_str().expect("UTF-8");
        let settings = SETTINGS.replace("FOLDER", text).replace("PLUGINS", plugins);
        fs::write(folder.join("strongswan.conf"), settings).expect("a file");
        let mut command = gateway.command("charon-systemd");
        command.env("STRONGSWAN_CONF", folder.join("strongswan.conf"));
        let process = Daemon::start(&mut command, &folder.join("output"));
        let mut charon = Self { gateway, folder, swanctl, process };
        let socket = charon.folder.join("vici");
        charon.process.wait_until("charon's start", |_| socket.exists());
        charon.ok(&["--load-all"]);
        // Which strongSwan it is.
        charon.log().lines().take(1).for_each(|line| println!("{}: {line}", gateway.name()));
        charon
    }

    /// Has it read another folder instead.
    pub fn load(&mut self, swanctl: &Path) {
        swanctl.clone_into(&mut self.swanctl);
        self.ok(&["--load-all"]);
    }

    /// Replaces its CRLs by those of its exported folder, with the commands of the README there.
    #[track_caller]
    pub fn take_crls(&self) {
        let readme = fs::read_to_string(self.swanctl.join("README")).expect("a README");
        let commands: Vec<&str> =
            readme.lines().filter_map(|line| line.strip_prefix("    swanctl ")).collect();
        assert!(!commands.is_empty(), "{readme}");
        for command in commands {
            self.ok(&command.split(' ').collect::<Vec<_>>());
        }
    }

    /// Initiates the IKE SA of a connection, or with `child` that CHILD_SA. Gives whether it came up, and the output of `swanctl`.
    pub fn bring_up(&self, ike: &str, child: Option<&str>) -> (bool, String) {
        let child = child.map_or(Vec::new(), |child| vec!["--child", child]);
        let arguments = [&["--initiate", "--ike", ike], &child[..], &["--timeout", "20"]].concat();
        outcome(&mut self.swanctl(&arguments))
    }

    /// Terminates the IKE SA of a connection.
    pub fn take_down(&self, ike: &str) {
        self.ok(&["--terminate", "--ike", ike, "--timeout", "30"]);
    }

    /// Waits for a line with all these words in the log, from octet `from` on, and gives it.
    #[track_caller]
    pub fn wait_for(&mut self, from: usize, words: &[&str]) -> String {
        let folder = self.folder.clone();
        let line = || {
            let log = fs::read_to_string(folder.join("charon.log")).unwrap_or_default();
            let line = log
                .get(from..)?
                .lines()
                .rfind(|line| words.iter().all(|word| line.contains(word)))?
                .to_owned();
            Some(line)
        };
        self.process.wait_until(&format!("charon's log line with {words:?}"), |_| line().is_some());
        line().expect("the line")
    }

    /// Initiates the connection as `own`. Gives whether the IKE SA came up, and the output of `swanctl`.
    pub fn initiate(&self, own: &Credentials) -> (bool, String) {
        outcome(&mut self.swanctl(&["--initiate", "--ike", own.name(), "--timeout", "30"]))
    }

    /// Terminates the IKE SA of `own`.
    pub fn terminate(&self, own: &Credentials) {
        self.ok(&["--terminate", "--ike", own.name(), "--timeout", "30"]);
    }

    /// The IKE SAs that are established, as `swanctl` shows them.
    pub fn sas(&self) -> String {
        self.ok(&["--list-sas"])
    }

    /// Flushes the CRLs and OCSP answers that it fetched. Otherwise it caches them until they expire.
    pub fn forget_statuses(&self) {
        self.ok(&["--flush-certs", "--type", "x509_crl"]);
        self.ok(&["--flush-certs", "--type", "ocsp_response"]);
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("charon.log")).unwrap_or_default()
    }

    #[track_caller]
    fn ok(&self, arguments: &[&str]) -> String {
        run(&mut self.swanctl(arguments))
    }

    fn swanctl(&self, arguments: &[&str]) -> Command {
        let mut command = self.gateway.command("swanctl");
        command.args(arguments).arg("--uri").arg(uri(&self.folder));
        command.env("SWANCTL_DIR", &self.swanctl);
        command.env("STRONGSWAN_CONF", self.folder.join("strongswan.conf"));
        command
    }
}

impl Drop for Charon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- charon on {} ---\n{}", self.gateway.name(), self.log());
        }
    }
}

fn uri(folder: &Path) -> String {
    format!("unix://{}/vici", folder.display())
}

/// A connection without CHILD_SA. The decision about a peer is made before a CHILD_SA, and the kernel need not support ESP.
fn connection(gateway: Gateway, own: &Credentials) -> String {
    let id = &own.id;
    let remote = match gateway {
        Gateway::West => Gateway::East,
        Gateway::East => Gateway::West,
    };
    format!(
        "  {} {{
    version = 2
    local_addrs = {}
    remote_addrs = {}
    proposals = aes256gcm16-prfsha256-ecp256
    childless = force
    local {{ auth = pubkey
      certs = {id}.crt
      id = {id} }}
    remote {{ auth = pubkey
      revocation = strict
      id = %any }}
  }}\n",
        own.name(),
        gateway.address(),
        remote.address()
    )
}
