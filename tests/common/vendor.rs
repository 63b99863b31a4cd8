//! A vendor's PKI, made by `openssl`: a root, a CA below it, and device certificates.

use std::fs;
use std::process::Command;

use super::openssl::{KEYS, key};
use super::{Instance, at_another_time, tool_ok};

/// The extensions of a CA's certificate.
pub const CA: &str = "basicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n";
/// The extensions of a device's certificate.
pub const DEVICE: &str = "basicConstraints=CA:false\nkeyUsage=critical,digitalSignature\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n";

/// A PKI in files beside an instance: `NAME.key` and `NAME.crt`.
pub struct Pki<'a> {
    pub instance: &'a Instance,
}

impl<'a> Pki<'a> {
    /// `maker.crt` is the root, `factory.crt` the CA below it, which has a P-521 key.
    pub fn new(instance: &'a Instance) -> Self {
        let pki = Self { instance };
        pki.root("maker", "/O=Maker/CN=Maker Root");
        pki.issue("factory", "p521", "/O=Maker/CN=Maker Factory", "maker", CA);
        pki
    }

    /// Another root.
    pub fn root(&self, name: &str, subject: &str) {
        self.key(name, "p256");
        let (key, out) = (format!("{name}.key"), format!("{name}.crt"));
        let all =
            ["req", "-x509", "-new", "-key", &key, "-subj", subject, "-out", &out, "-days", "3650"];
        let more = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"];
        self.openssl(&[&all[..], &more].concat());
    }

    /// Issues a certificate, signed by `issuer`.
    pub fn issue(&self, name: &str, kind: &str, subject: &str, issuer: &str, extensions: &str) {
        self.issue_by(Command::new("openssl"), name, kind, subject, issuer, extensions);
    }

    /// As [`Self::issue`], at another time: the certificate is valid for 30 days from then on.
    pub fn issue_at(&self, shift: &str, name: &str, subject: &str, issuer: &str, extensions: &str) {
        let command = at_another_time(shift, "openssl");
        self.issue_by(command, name, "p256", subject, issuer, extensions);
    }

    /// A CRL of a CA that lists these certificates, in `NAME.crl`. `shift` sets another clock.
    pub fn crl(&self, ca: &str, revoked: &[&str], shift: Option<&str>) {
        let folder = self.instance.file(&format!("{ca}.db"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).expect("a folder");
        let config = format!(
            "[ca]\ndefault_ca=it\n[it]\ndatabase={ca}.db/index\ncrlnumber={ca}.db/number\ndefault_md=sha256\ndefault_crl_days=1\ncrl_extensions=ext\n[ext]\nauthorityKeyIdentifier=keyid\n"
        );
        fs::write(folder.join("config"), config).expect("a file");
        fs::write(folder.join("index"), "").expect("a file");
        fs::write(folder.join("number"), "01\n").expect("a file");
        let (config, key) = (format!("{ca}.db/config"), format!("{ca}.key"));
        let (certificate, crl) = (format!("{ca}.crt"), format!("{ca}.crl"));
        let by = ["ca", "-config", &config, "-keyfile", &key, "-cert", &certificate];
        for name in revoked {
            let file = format!("{name}.crt");
            self.openssl(&[&by[..], &["-revoke", &file]].concat());
        }
        let command = shift
            .map_or_else(|| Command::new("openssl"), |shift| at_another_time(shift, "openssl"));
        self.run(command, &[&by[..], &["-gencrl", "-out", &crl]].concat());
    }

    /// The path of a file of this PKI.
    pub fn path(&self, name: &str) -> String {
        self.instance.file(name).to_str().expect("a path in UTF-8").to_owned()
    }

    fn key(&self, name: &str, kind: &str) {
        assert!(KEYS.iter().any(|(known, _)| *known == kind));
        key(self.instance, kind, &format!("{name}.key"));
    }

    fn issue_by(
        &self,
        command: Command,
        name: &str,
        kind: &str,
        subject: &str,
        issuer: &str,
        extensions: &str,
    ) {
        if !self.instance.file(&format!("{name}.key")).exists() {
            self.key(name, kind);
        }
        let request = format!("{name}.csr");
        let key = format!("{name}.key");
        let new = ["req", "-new", "-key", &key, "-subj", subject, "-out", &request];
        self.openssl(&[&new[..], &["-multivalue-rdn"]].concat());
        let file = format!("{name}.ext");
        fs::write(self.instance.file(&file), extensions).expect("a file");
        let (ca, ca_key) = (format!("{issuer}.crt"), format!("{issuer}.key"));
        let out = format!("{name}.crt");
        let sign = ["x509", "-req", "-in", &request, "-CA", &ca, "-CAkey", &ca_key];
        let serial = ["-CAcreateserial", "-days", "30", "-extfile", &file, "-out", &out];
        self.run(command, &[&sign[..], &serial].concat());
    }

    fn openssl(&self, arguments: &[&str]) {
        tool_ok("openssl", "openssl", arguments, &self.instance.file("."));
    }

    fn run(&self, mut command: Command, arguments: &[&str]) {
        let output = command.args(arguments).current_dir(self.instance.file(".")).output();
        let output = output.expect("openssl runs");
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
