//! The cryptography of EST and SCEP alone, in microseconds on one CPU, by the libraries that the server uses: AWS-LC for elliptic curves and
//! RSA, ring where it verifies by RSA, rustls for TLS.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom as AwsRandom;
use aws_lc_rs::rsa::{
    Pkcs1PrivateDecryptingKey, Pkcs1PublicEncryptingKey, PrivateDecryptingKey, PublicEncryptingKey,
};
use aws_lc_rs::signature::{self as aws, KeyPair as _};
use rcgen::{CertificateParams, IsCa, Issuer, KeyPair};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

use crate::meter::{each, thread_time};
use crate::wire::Key;

const MESSAGE: [u8; 600] = [7; 600];

/// Microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Elliptic {
    /// Verifying a signature on P-256 over 600 octets.
    pub verify: f64,
    /// Making such a signature.
    pub sign: f64,
}

/// A key on P-256, and a signature by it.
pub struct EllipticBench {
    pair: aws::EcdsaKeyPair,
    public: Vec<u8>,
    signature: Vec<u8>,
}

impl EllipticBench {
    pub fn new() -> Self {
        let key = Key::generate();
        let algorithm = &aws::ECDSA_P256_SHA256_ASN1_SIGNING;
        Self {
            pair: aws::EcdsaKeyPair::from_pkcs8(algorithm, &key.pkcs8).unwrap(),
            signature: key.sign(&MESSAGE),
            public: key.public[26..].to_vec(),
        }
    }

    pub fn time(&self) -> Elliptic {
        Elliptic { verify: each(400, || self.verify()), sign: each(800, || self.sign()) }
    }

    /// One verification from the octets of the key, as the server does it.
    pub fn verify(&self) {
        let key = aws::UnparsedPublicKey::new(&aws::ECDSA_P256_SHA256_ASN1, &self.public);
        key.verify(&MESSAGE, &self.signature).unwrap();
    }

    pub fn sign(&self) {
        self.pair.sign(&AwsRandom::new(), &MESSAGE).unwrap();
    }
}

/// Microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Rsa {
    /// Verifying a signature of 2048 bits.
    pub verify_2048: f64,
    /// Encrypting a key for 2048 bits.
    pub encrypt_2048: f64,
    /// Decrypting a key with 3072 bits.
    pub decrypt_3072: f64,
    /// Signing with 3072 bits.
    pub sign_3072: f64,
}

/// Keys of 2048 and of 3072 bits.
pub struct RsaBench {
    verifying: UnparsedPublicKey<Vec<u8>>,
    signature: Vec<u8>,
    encrypting: Pkcs1PublicEncryptingKey,
    decrypting: Pkcs1PrivateDecryptingKey,
    encrypted: Vec<u8>,
    signing: aws::RsaKeyPair,
}

impl RsaBench {
    pub fn new() -> Self {
        use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
        use aws_lc_rs::rsa::{KeyPair, KeySize};
        let key = |size| {
            let pair = KeyPair::generate(size).unwrap();
            let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
            pkcs8.as_ref().to_vec()
        };
        let (small, large) = (key(KeySize::Rsa2048), key(KeySize::Rsa3072));
        let signer = aws::RsaKeyPair::from_pkcs8(&small).unwrap();
        let public = signer.public_key().as_ref().to_vec();
        let private = |pkcs8: &[u8]| PrivateDecryptingKey::from_pkcs8(pkcs8).unwrap();
        let encrypting = |pkcs8: &[u8]| {
            let public: PublicEncryptingKey = private(pkcs8).public_key();
            Pkcs1PublicEncryptingKey::new(public).unwrap()
        };
        let for_large = encrypting(&large);
        let mut room = vec![0; for_large.ciphertext_size()];
        let encrypted = for_large.encrypt(&[7; 16], &mut room).unwrap().to_vec();
        Self {
            signature: signed(&signer),
            verifying: UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public),
            encrypting: encrypting(&small),
            decrypting: Pkcs1PrivateDecryptingKey::new(private(&large)).unwrap(),
            encrypted,
            signing: aws::RsaKeyPair::from_pkcs8(&large).unwrap(),
        }
    }

    pub fn time(&self) -> Rsa {
        let mut room = vec![0; 384];
        Rsa {
            verify_2048: each(200, || self.verifying.verify(&MESSAGE, &self.signature).unwrap()),
            encrypt_2048: each(200, || {
                self.encrypting.encrypt(&[7; 16], &mut room).unwrap();
            }),
            decrypt_3072: each(40, || {
                self.decrypting.decrypt(&self.encrypted, &mut vec![0; 384]).unwrap();
            }),
            sign_3072: each(40, || drop(signed(&self.signing))),
        }
    }
}

fn signed(key: &aws::RsaKeyPair) -> Vec<u8> {
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&aws::RSA_PKCS1_SHA256, &AwsRandom::new(), &MESSAGE, &mut signature).unwrap();
    signature
}

/// Handshakes of TLS 1.3 in memory, of which the server's half is timed. Both sides have a certificate on P-256, the server's with that of
/// its CA.
pub struct HandshakeBench {
    server: Arc<ServerConfig>,
    with_certificate: Arc<ClientConfig>,
    without: Arc<ClientConfig>,
}

impl HandshakeBench {
    pub fn new() -> Self {
        let provider = || Arc::new(rustls::crypto::ring::default_provider());
        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let root = ca.self_signed(&ca_key).unwrap().der().clone();
        let issuer = Issuer::new(ca, ca_key);
        let issue = |name: &str| {
            let key = KeyPair::generate().unwrap();
            let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap();
            let leaf: CertificateDer<'static> =
                leaf.signed_by(&key, &issuer).unwrap().der().clone();
            let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
            (vec![leaf, root.clone()], key)
        };
        let mut roots = RootCertStore::empty();
        roots.add(root.clone()).unwrap();
        let roots = Arc::new(roots);
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), provider());
        let verifier = verifier.allow_unauthenticated().build().unwrap();
        let (chain, key) = issue("localhost");
        let mut server = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .unwrap();
        server.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        let client = || {
            ClientConfig::builder_with_provider(provider())
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(Arc::clone(&roots))
        };
        let (chain, key) = issue("client");
        let with_certificate = client().with_client_auth_cert(chain, key).unwrap();
        Self {
            server: Arc::new(server),
            with_certificate: Arc::new(with_certificate),
            without: Arc::new(client().with_no_client_auth()),
        }
    }

    /// Microseconds of the server without and with a client certificate.
    pub fn time(&self) -> [f64; 2] {
        [&self.without, &self.with_certificate].map(|client| {
            const COUNT: u32 = 100;
            let spent: Duration = (0..COUNT).map(|_| self.one(client)).sum();
            spent.as_secs_f64() * 1e6 / f64::from(COUNT)
        })
    }

    fn one(&self, client: &Arc<ClientConfig>) -> Duration {
        let name = ServerName::try_from("localhost").unwrap();
        let mut client = ClientConnection::new(Arc::clone(client), name).unwrap();
        let mut spent = Duration::ZERO;
        let began = thread_time();
        let mut server = ServerConnection::new(Arc::clone(&self.server)).unwrap();
        spent += thread_time() - began;
        while client.is_handshaking() || server.is_handshaking() {
            let (mut there, mut back) = (Vec::new(), Vec::new());
            while client.wants_write() {
                client.write_tls(&mut there).unwrap();
            }
            let began = thread_time();
            let mut there = there.as_slice();
            while !there.is_empty() {
                server.read_tls(&mut there).unwrap();
                server.process_new_packets().unwrap();
            }
            while server.wants_write() {
                server.write_tls(&mut back).unwrap();
            }
            spent += thread_time() - began;
            let mut back = back.as_slice();
            while !back.is_empty() {
                client.read_tls(&mut back).unwrap();
                client.process_new_packets().unwrap();
            }
        }
        spent
    }
}
