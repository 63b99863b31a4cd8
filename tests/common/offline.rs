//! An instance below an offline root. OpenSSL is the root.

use std::fs;
use std::path::PathBuf;

use super::{Instance, tool_ok};

/// The serial number of the issuing CA's certificate.
pub const ISSUING: &str = "77";

/// The root, in the folder beside the instance's data.
pub struct OfflineRoot(PathBuf);

impl OfflineRoot {
    /// Founds an instance below a new root, without starting it.
    pub fn found() -> (Instance, Self) {
        let ca = Instance::empty();
        let root = Self(ca.file("."));
        ca.ok(&["init", "--root-csr", ca.file("issuing.csr").to_str().expect("UTF-8")]);
        root.openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout root.key -out root.pem -days 90 -subj /CN=Root \
             -addext keyUsage=critical,keyCertSign,cRLSign",
        );
        let extensions = "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n\
                          subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\ncrlDistributionPoints=URI:http://pki.example.net/root.crl\n";
        fs::write(ca.file("ca.ext"), extensions).expect("a file");
        root.openssl(&format!(
            "x509 -req -in issuing.csr -CA root.pem -CAkey root.key -set_serial 0x{ISSUING} -days 80 -extfile ca.ext -out issuing.pem",
        ));
        let both =
            ["issuing.pem", "root.pem"].map(|file| fs::read(ca.file(file)).expect("a certificate"));
        fs::write(ca.file("chain.pem"), both.concat()).expect("a file");
        ca.ok(&["init", "--root-cert", ca.file("chain.pem").to_str().expect("UTF-8")]);
        fs::write(
            ca.file("ca.cnf"),
            "[ca]\ndefault_ca = d\n[d]\ndatabase = index.txt\ndefault_md = sha256\ndefault_crl_days = 30\ncrlnumber = number\n\
             crl_extensions = e\n[e]\nauthorityKeyIdentifier = keyid\n",
        )
        .expect("a file");
        fs::write(ca.file("number"), "01\n").expect("a file");
        (ca, root)
    }

    /// Signs `root.crl`, which is valid for 30 days, with these lines of OpenSSL's index.
    pub fn crl(&self, index: &str) {
        fs::write(self.0.join("index.txt"), index).expect("a file");
        self.openssl("ca -config ca.cnf -gencrl -cert root.pem -keyfile root.key -out root.crl");
    }

    fn openssl(&self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        tool_ok("openssl", "openssl", &words, &self.0);
    }
}
