//! OpenLDAP's server with the classes of RFC 4523, filled by OpenLDAP's own client.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::namespaces::SERVER;
use super::{Daemon, outcome, run};

const ADMIN: [&str; 4] = ["-D", "cn=admin,o=PKI", "-w", "secret"];

const CONFIG: &str = "\
include /etc/ldap/schema/core.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile FOLDER/pid
database mdb
maxsize 16777216
suffix \"o=PKI\"
rootdn \"cn=admin,o=PKI\"
rootpw secret
directory FOLDER/database
";

/// A slapd that ends with the test.
pub struct Slapd {
    folder: PathBuf,
    process: Daemon,
}

impl Slapd {
    /// The URL of the CRL of `ca`.
    pub fn url(ca: &str) -> String {
        format!("ldap://{SERVER}/cn={ca},o=PKI?certificateRevocationList;binary?base")
    }

    /// Starts a slapd whose files are in `folder`.
    pub fn start(folder: &Path) -> Self {
        let text = folder.to_str().expect("UTF-8");
        fs::create_dir_all(folder.join("database")).expect("a folder");
        let config = folder.join("slapd.conf");
        fs::write(&config, CONFIG.replace("FOLDER", text)).expect("a file");
        let mut slapd = Command::new("/usr/sbin/slapd");
        slapd.args(["-h", &format!("ldap://{SERVER}"), "-d", "stats", "-f"]).arg(&config);
        let mut process = Daemon::start(&mut slapd, &folder.join("log"));
        process.wait_until("slapd's start", |_| {
            outcome(client("ldapsearch").args(["-s", "base", "-b", ""])).0
        });
        let slapd = Self { folder: folder.to_owned(), process };
        slapd.load("ldapadd", "dn: o=PKI\nobjectClass: organization\no: PKI\n");
        slapd
    }

    /// Replaces the CRL, DER, that the directory has of this CA.
    pub fn publish(&self, ca: &str, crl: &Path) {
        let dn = format!("cn={ca},o=PKI");
        let value = format!("certificateRevocationList;binary:< file://{}\n", crl.display());
        let entry = format!(
            "dn: {dn}\nchangetype: add\nobjectClass: applicationProcess\nobjectClass: pkiCA\ncn: {ca}\n{value}"
        );
        let there = outcome(client("ldapsearch").args(["-s", "base", "-b", &dn])).0;
        let change = format!(
            "dn: {dn}\nchangetype: modify\nreplace: certificateRevocationList;binary\n{value}"
        );
        self.load("ldapmodify", if there { &change } else { &entry });
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.process.log()
    }

    fn load(&self, program: &str, ldif: &str) {
        let file = self.folder.join("change.ldif");
        fs::write(&file, ldif).expect("a file");
        run(client(program).args(ADMIN).arg("-f").arg(file));
    }
}

fn client(program: &str) -> Command {
    client_of(SERVER, program)
}

fn client_of(server: &str, program: &str) -> Command {
    let mut command = Command::new(program);
    command.args(["-H", &format!("ldap://{server}"), "-x"]);
    command
}

/// Writes the CRL in an entry of a directory to a file, DER. Tells whether there is one.
pub fn fetch_crl(server: &str, dn: &str, file: &Path) -> bool {
    let attribute = "certificateRevocationList;binary";
    let mut search = client_of(server, "ldapsearch");
    let (ok, ldif) =
        outcome(search.args(["-LLL", "-o", "ldif-wrap=no", "-s", "base", "-b", dn, attribute]));
    let value = ldif.lines().find_map(|line| line.strip_prefix(&format!("{attribute}:: ")));
    let Some(value) = value.filter(|_| ok) else { return false };
    let encoded = file.with_extension("b64");
    fs::write(&encoded, value).expect("a file");
    let mut openssl = Command::new("openssl");
    run(openssl.args(["base64", "-d", "-A", "-in"]).arg(encoded).arg("-out").arg(file));
    true
}
