//! A SCEP client of the tests' own: OpenSSL encrypts, signs and decrypts, and the messages around that are written and read here, with none
//! of the server's code.

use std::fs;

use super::cms::{openssl, signature};
use super::der::{Element, elements, seq, tlv};
use super::{Answer, Instance, Peer, wait_for};

/// The object identifiers of attributes, as the content of OBJECT IDENTIFIER.
const MESSAGE_TYPE: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x86, 0xf8, 0x45, 0x01, 0x09, 0x02];
const PKI_STATUS: u8 = 3;
const FAIL_INFO: u8 = 4;
const SENDER_NONCE: u8 = 5;
const RECIPIENT_NONCE: u8 = 6;
const TRANSACTION_ID: u8 = 7;
const FAIL_INFO_TEXT: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 24, 1];
const CONTENT_TYPE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 3];
const MESSAGE_DIGEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 4];
const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1];
const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2];
const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];

/// The instance's line that turns SCEP on.
pub const ENABLED: (&str, &str) = ("scep", "enabled = true");

/// The kinds of message.
pub const RENEWAL: &str = "17";
pub const REQUEST: &str = "19";
pub const POLL: &str = "20";
pub const GET_CERT: &str = "21";
pub const GET_CRL: &str = "22";

/// A client with an RSA key and a certificate, in files beside the instance: `NAME.key` and `NAME.crt`, PEM.
pub struct Client<'a> {
    pub instance: &'a Instance,
    pub name: String,
}

/// A message to be sent; the fields are what a test may want to be wrong.
pub struct Draft<'a> {
    pub kind: &'a str,
    pub id: &'a str,
    pub digest: &'a str,
    pub cipher: &'a str,
    /// The certificate for which the content is encrypted, a file beside the instance.
    pub recipient: &'a str,
    /// How the content's key is encrypted, as options of `openssl cms -encrypt`.
    pub transport: &'a str,
    pub content: Vec<u8>,
}

impl<'a> Draft<'a> {
    pub fn new(kind: &'a str, id: &'a str, content: Vec<u8>) -> Self {
        let (digest, cipher, recipient) = ("sha256", "-aes128", "ra-enc.crt");
        Self { kind, id, digest, cipher, recipient, transport: "", content }
    }
}

/// A CertRep that was verified.
#[derive(Debug)]
pub struct CertRep {
    pub status: String,
    pub fail_info: Option<String>,
    pub text: Option<String>,
    pub id: String,
    pub recipient_nonce: Vec<u8>,
    /// The encapsulated content; empty without a certificate.
    pub content: Vec<u8>,
}

/// Fetches the certificates of GetCACert into files beside the instance: `ra-enc.crt`, `ra-sig.crt` and `above.crt`, PEM.
pub fn fetch_certificates(instance: &Instance, path: &str) {
    let answer =
        instance.http("GET", &format!("{path}?operation=GetCACert"), "", &[]).expect("an answer");
    assert_eq!(answer.status, 200, "{}", instance.log());
    assert_eq!(answer.header("content-type"), Some("application/x-x509-ca-ra-cert"));
    fs::write(instance.file("cacert.p7"), &answer.body).unwrap();
    openssl(instance, "pkcs7 -inform DER -in cacert.p7 -print_certs -out all.crt");
    let all = fs::read_to_string(instance.file("all.crt")).unwrap();
    let certificates: Vec<&str> = all
        .split("-----BEGIN CERTIFICATE-----")
        .skip(1)
        .map(|rest| rest.split("-----END").next().unwrap())
        .collect();
    let mut above = String::new();
    for body in certificates {
        let pem = format!("-----BEGIN CERTIFICATE-----{body}-----END CERTIFICATE-----\n");
        fs::write(instance.file("one.crt"), &pem).unwrap();
        let text = openssl(instance, "x509 -in one.crt -noout -ext keyUsage,basicConstraints");
        match text {
            text if text.contains("Key Encipherment") => {
                fs::write(instance.file("ra-enc.crt"), &pem).unwrap();
            }
            text if text.contains("CA:TRUE") => above += &pem,
            _ => fs::write(instance.file("ra-sig.crt"), &pem).unwrap(),
        }
    }
    fs::write(instance.file("above.crt"), &above).unwrap();
    // `openssl cms` looks for the issuers of a signer among the trusted ones only.
    let root = fs::read_to_string(instance.root()).unwrap();
    assert!(above.contains(root.trim()), "the root is among the certificates");
    fs::write(instance.file("trusted.crt"), above).unwrap();
}

impl<'a> Client<'a> {
    /// A client with a new key of this kind, as `openssl genpkey` names it, and a certificate that it made itself.
    pub fn new(instance: &'a Instance, name: &str, kind: &str) -> Self {
        let client = Self { instance, name: name.to_owned() };
        client.openssl(&format!("genpkey -quiet {kind} -out NAME.key"));
        client.openssl("req -x509 -new -key NAME.key -subj /CN=NAME -days 2 -out NAME.crt");
        client
    }

    /// A client with a new RSA key.
    pub fn rsa(instance: &'a Instance, name: &str) -> Self {
        Self::new(instance, name, "-algorithm RSA -pkeyopt rsa_keygen_bits:2048")
    }

    /// Runs `openssl`, where NAME stands for the client's name.
    #[track_caller]
    pub fn openssl(&self, arguments: &str) -> String {
        openssl(self.instance, &arguments.replace("NAME", &self.name))
    }

    /// A file of the client's.
    pub fn read(&self, suffix: &str) -> Vec<u8> {
        fs::read(self.instance.file(&format!("{}{suffix}", self.name))).expect("a file")
    }

    /// A CertificationRequest for these names, DER.
    #[track_caller]
    pub fn csr(&self, subject: &str, alt_name: &str, challenge: &str) -> Vec<u8> {
        let challenge = match challenge {
            "" => String::new(),
            challenge => format!("challengePassword={challenge}\n"),
        };
        let config = format!(
            "[req]\nprompt=no\ndistinguished_name=dn\nattributes=attributes\nreq_extensions=extensions\n[dn]\nCN={subject}\n\
             [attributes]\n{challenge}\n[extensions]\nsubjectAltName={alt_name}\n"
        );
        fs::write(self.instance.file("req.cnf"), config).unwrap();
        self.openssl("req -new -config req.cnf -key NAME.key -outform DER -out NAME.csr");
        self.read(".csr")
    }

    /// The issuer and serial number of the certificate in a file beside the instance, DER.
    #[track_caller]
    pub fn issuer_and_serial(&self, file: &str) -> (Vec<u8>, Vec<u8>) {
        openssl(self.instance, &format!("x509 -in {file} -outform DER -out one.der"));
        let certificate = fs::read(self.instance.file("one.der")).unwrap();
        let tbs = elements(&certificate)[0].parts()[0].parts();
        let at = usize::from(tbs[0].tag == 0xa0);
        (tbs[at + 2].whole.clone(), tbs[at].whole.clone())
    }

    /// The octets of a message.
    #[track_caller]
    pub fn message(&self, draft: &Draft<'_>) -> Vec<u8> {
        fs::write(self.instance.file("content"), &draft.content).unwrap();
        let Draft { cipher, recipient, transport, .. } = draft;
        openssl(
            self.instance,
            &format!(
                "cms -encrypt -binary -in content -outform DER {cipher} -out enveloped -recip {recipient}{transport}"
            ),
        );
        let enveloped = fs::read(self.instance.file("enveloped")).unwrap();
        self.signed(draft, &enveloped)
    }

    /// The octets of a message around this envelope.
    #[track_caller]
    pub fn signed(&self, draft: &Draft<'_>, enveloped: &[u8]) -> Vec<u8> {
        let algorithm = |oid: &[u8]| seq(&[&tlv(6, oid), &[5, 0]]);
        let digest_oid: &[u8] = match draft.digest {
            "sha1" => &[0x2b, 14, 3, 2, 26],
            "md5" => &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2, 5],
            "sha512" => &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3],
            _ => &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1],
        };
        fs::write(self.instance.file("hashed"), enveloped).unwrap();
        openssl(self.instance, &format!("dgst -{} -binary -out digest hashed", draft.digest));
        let digest = fs::read(self.instance.file("digest")).unwrap();
        let scep = |last: u8| {
            let mut oid = MESSAGE_TYPE.to_vec();
            *oid.last_mut().unwrap() = last;
            oid
        };
        let attribute = |oid: &[u8], value: &[u8]| seq(&[&tlv(6, oid), &tlv(0x31, value)]);
        let mut attributes = [
            attribute(CONTENT_TYPE, &tlv(6, DATA)),
            attribute(MESSAGE_DIGEST, &tlv(4, &digest)),
            attribute(MESSAGE_TYPE, &tlv(0x13, draft.kind.as_bytes())),
            attribute(&scep(TRANSACTION_ID), &tlv(0x13, draft.id.as_bytes())),
            attribute(&scep(SENDER_NONCE), &tlv(4, &[7; 16])),
        ];
        attributes.sort();
        let attributes = attributes.concat();
        let key = format!("{}.key", self.name);
        let signature = signature(self.instance, &key, draft.digest, &tlv(0x31, &attributes));
        let (issuer, serial) = self.issuer_and_serial(&format!("{}.crt", self.name));
        let certificate = fs::read(self.instance.file("one.der")).unwrap();
        let info = seq(&[
            &[2, 1, 1],
            &seq(&[&issuer, &serial]),
            &algorithm(digest_oid),
            &tlv(0xa0, &attributes),
            &algorithm(RSA_ENCRYPTION),
            &tlv(4, &signature),
        ]);
        let signed = seq(&[
            &[2, 1, 1],
            &tlv(0x31, &algorithm(digest_oid)),
            &seq(&[&tlv(6, DATA), &tlv(0xa0, &tlv(4, enveloped))]),
            &tlv(0xa0, &certificate),
            &tlv(0x31, &info),
        ]);
        seq(&[&tlv(6, SIGNED_DATA), &tlv(0xa0, &signed)])
    }

    /// Sends a message to this path by POST, and reads the CertRep.
    #[track_caller]
    pub fn send_to(&self, path: &str, message: &[u8]) -> CertRep {
        let path = format!("{path}?operation=PKIOperation");
        let answer = self.instance.http("POST", &path, "", message).expect("an answer");
        read(self.instance, &answer)
    }

    /// Sends a message to `/scep` by POST, and reads the CertRep.
    #[track_caller]
    pub fn send(&self, message: &[u8]) -> CertRep {
        self.send_to("/scep", message)
    }

    /// The certificates in a granted CertRep, which OpenSSL decrypts, each DER.
    #[track_caller]
    pub fn certificates(&self, answer: &CertRep) -> Vec<Vec<u8>> {
        let signed = self.opened(answer);
        let certificates = signed.parts().into_iter().find(|part| part.tag == 0xa0);
        certificates
            .map(|all| all.parts())
            .unwrap_or_default()
            .into_iter()
            .map(|c| c.whole)
            .collect()
    }

    /// The degenerate SignedData in a granted CertRep.
    #[track_caller]
    pub fn opened(&self, answer: &CertRep) -> Element {
        assert_eq!(answer.status, "0", "{answer:?}\n{}", self.instance.log());
        fs::write(self.instance.file("answer.p7"), &answer.content).unwrap();
        self.openssl(
            "cms -decrypt -binary -inform DER -in answer.p7 -recip NAME.crt -inkey NAME.key -out certs.p7",
        );
        let certs = fs::read(self.instance.file("certs.p7")).unwrap();
        elements(&certs)[0].parts()[1].parts()[0].clone()
    }

    /// Enrols, and keeps the certificate in `NAME.crt`.
    #[track_caller]
    pub fn enrol(&self, id: &str, csr: Vec<u8>) -> Vec<u8> {
        let answer = self.send(&self.message(&Draft::new(REQUEST, id, csr)));
        let certificates = self.certificates(&answer);
        let certificate = certificates.first().expect("a certificate").clone();
        fs::write(self.instance.file("issued.der"), &certificate).unwrap();
        self.openssl("x509 -inform DER -in issued.der -out NAME.crt");
        certificate
    }
}

/// Reads a CertRep, whose signature OpenSSL verifies up to the instance's root.
#[track_caller]
pub fn read(instance: &Instance, answer: &Answer) -> CertRep {
    read_at(instance, answer, "")
}

/// As [`read`], with more options of `openssl cms -verify`, such as the time at which the server is.
#[track_caller]
pub fn read_at(instance: &Instance, answer: &Answer, options: &str) -> CertRep {
    let text = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status, 200, "{text}\n{}", instance.log());
    assert_eq!(answer.header("content-type"), Some("application/x-pki-message"));
    fs::write(instance.file("rep.der"), &answer.body).unwrap();
    let fixed =
        "cms -verify -binary -inform DER -in rep.der -CAfile trusted.crt -purpose any -out rep";
    openssl(instance, &format!("{fixed}{options}"));
    let signed = elements(&answer.body)[0].parts()[1].parts()[0].parts();
    let content = signed[2].parts()[1].parts()[0].content.clone();
    let info = signed.last().unwrap().parts()[0].parts();
    let attributes = info.iter().find(|part| part.tag == 0xa0).expect("attributes").parts();
    let value = |oid: &[u8]| {
        let found = attributes.iter().find(|attribute| attribute.parts()[0].content == oid);
        found.map(|attribute| attribute.parts()[1].parts()[0].content.clone())
    };
    let scep = |last: u8| {
        let mut oid = MESSAGE_TYPE.to_vec();
        *oid.last_mut().unwrap() = last;
        value(&oid)
    };
    let text = |octets: Vec<u8>| String::from_utf8(octets).expect("text");
    assert_eq!(value(MESSAGE_TYPE).map(text).as_deref(), Some("3"), "CertRep");
    CertRep {
        status: text(scep(PKI_STATUS).expect("a pkiStatus")),
        fail_info: scep(FAIL_INFO).map(text),
        text: value(FAIL_INFO_TEXT).map(text),
        id: text(scep(TRANSACTION_ID).expect("a transactionID")),
        recipient_nonce: scep(RECIPIENT_NONCE).expect("a recipientNonce"),
        content,
    }
}

/// The profile of gateways, with approval.
pub const APPROVAL: &str = "[profiles.gateway]\napproval = true";

pub fn site() -> Instance {
    let instance = Instance::start_with(&[ENABLED]);
    fetch_certificates(&instance, "/scep");
    instance
}

/// An instance whose CAs have RSA keys: some clients verify no other signatures, or encrypt for every key that they see.
pub fn rsa_site() -> Instance {
    let mut instance = Instance::init(&["--algorithm", "rsa3072", "--root-algorithm", "rsa3072"]);
    let path = instance.data().join("countersign.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(path, text.replacen("[scep]\n", "[scep]\nenabled = true\n", 1)).unwrap();
    instance.serve();
    fetch_certificates(&instance, "/scep");
    instance
}

/// The challengePassword that names its reference.
pub fn challenge(peer: &Peer) -> String {
    format!("{}:{}", peer.reference, peer.secret)
}

#[track_caller]
pub fn refused(answer: &CertRep, failure: &str, word: &str) {
    let text = answer.text.clone().unwrap_or_default();
    assert_eq!(
        (answer.status.as_str(), answer.fail_info.as_deref()),
        ("2", Some(failure)),
        "{text}"
    );
    assert!(text.contains(word), "{text}");
}

/// A message whose content has a wrong padding: an octet before the last block of its ciphertext was changed, so that the last octet of the
/// content is another.
#[track_caller]
pub fn tampered(client: &Client<'_>, draft: &Draft<'_>) -> Vec<u8> {
    assert!(!client.message(draft).is_empty());
    let mut enveloped = fs::read(client.instance.file("enveloped")).unwrap();
    let before_last = enveloped.len() - 17;
    enveloped[before_last] ^= 0x40;
    client.signed(draft, &enveloped)
}

/// The log has a refusal of a client on this machine with these words.
#[track_caller]
pub fn logged(instance: &Instance, words: &[&str]) {
    let is_it = |line: &str| {
        line.contains("client=127.0.0.1") && words.iter().all(|word| line.contains(word))
    };
    wait_for(&format!("a line with {words:?} in the log"), || {
        instance.log().lines().any(is_it).then_some(())
    });
}
