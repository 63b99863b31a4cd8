//! OpenLDAP's server on free ports, with core.schema, which has every class and attribute of RFC 4523.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::tool;

/// The DN of the administrator, who may write.
pub const ADMIN: &str = "cn=admin,o=Countersign";
/// The administrator's password.
pub const PASSWORD: &str = "correct horse";

/// A slapd that ends with the test.
pub struct Slapd {
    folder: PathBuf,
    pub port: u16,
    pub tls_port: u16,
    process: Option<Child>,
}

impl Slapd {
    /// A slapd with an empty database and further lines of configuration.
    pub fn start(folder: &Path, more: &str) -> Self {
        let mut slapd = Self {
            folder: folder.to_owned(),
            port: free_port(),
            tls_port: free_port(),
            process: None,
        };
        fs::create_dir_all(folder).expect("a folder");
        let text = folder.display();
        let config = format!(
            "include /etc/ldap/schema/core.schema\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\npidfile {text}/pid\n\
             {more}\ndatabase mdb\nmaxsize 268435456\nsuffix \"o=Countersign\"\nrootdn \"{ADMIN}\"\n\
             rootpw \"{PASSWORD}\"\ndirectory {text}/database\n"
        );
        fs::write(folder.join("slapd.conf"), config).expect("a file");
        slapd.run_empty();
        slapd
    }

    /// Starts it with an empty database.
    pub fn run_empty(&mut self) {
        let _ = fs::remove_dir_all(self.folder.join("database"));
        fs::create_dir_all(self.folder.join("database")).expect("a folder");
        let log = fs::File::create(self.folder.join("log")).expect("a log");
        let tls = fs::read_to_string(self.folder.join("slapd.conf"))
            .is_ok_and(|config| config.contains("TLSCertificateFile"));
        let mut urls = format!("ldap://127.0.0.1:{}", self.port);
        if tls {
            urls.push_str(&format!(" ldaps://127.0.0.1:{}", self.tls_port));
        }
        let process = Command::new("/usr/sbin/slapd")
            .args(["-h", &urls, "-d", "none", "-f"])
            .arg(self.folder.join("slapd.conf"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("`slapd`; this test needs the package `slapd`: run `make deps`");
        self.process = Some(process);
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.client("ldapsearch", &["-s", "base", "-b", ""]).0 {
            assert!(Instant::now() < deadline, "slapd does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Kills it.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("ldap://127.0.0.1:{}", self.port)
    }

    /// Runs a client as the administrator. Gives whether it succeeded, and its output.
    pub fn client(&self, program: &str, arguments: &[&str]) -> (bool, String) {
        let url = self.url();
        let first = ["-x", "-H", &url, "-D", ADMIN, "-w", PASSWORD];
        let output = tool(program, "ldap-utils", &[&first[..], arguments].concat(), &self.folder);
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    /// Applies LDIF as the administrator.
    #[track_caller]
    pub fn load(&self, ldif: &str) {
        let file = self.folder.join("change.ldif");
        fs::write(&file, ldif).expect("a file");
        let (ok, text) = self.client("ldapmodify", &["-f", file.to_str().expect("UTF-8")]);
        assert!(ok, "{ldif}\n{text}");
    }

    /// The values of an attribute of an entry, in base64, sorted.
    pub fn values(&self, dn: &str, attribute: &str) -> Vec<String> {
        values(&self.url(), dn, attribute)
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The values of a binary attribute that `ldapsearch` finds anonymously in an entry, in base64, sorted.
pub fn values(url: &str, dn: &str, attribute: &str) -> Vec<String> {
    let arguments = ["-x", "-LLL", "-o", "ldif-wrap=no", "-H", url, "-s", "base", "-b", dn];
    let arguments = [&arguments[..], &["(objectClass=*)", attribute]].concat();
    let output = tool("ldapsearch", "ldap-utils", &arguments, Path::new("/"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut values: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix(attribute)?.split_once(":: "))
        .map(|(_, value)| value.to_owned())
        .collect();
    values.sort();
    values
}

/// A port that is free at this moment.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}
