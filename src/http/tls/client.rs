//! Clients' certificates in the handshake. Every certificate passes: an expired one, one for IKE alone, a vendor's, and one that nobody
//! knows. Only the signature of the handshake is verified here, which proves that the client has the private key. A certificate whose key
//! is of no supported kind passes unproven, and the EST server refuses it by the same function, [`readable_key`].

use countersign_ca::x509::Facts;
use countersign_ca::{Error, KeyKind, SubjectPublicKey, oid};
use der::asn1::Null;
use der::{Any, Reader, SliceReader};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime, alg_id};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error as TlsError, SignatureScheme,
};
use spki::AlgorithmIdentifierOwned;

/// The signature schemes that are verified, the preferred ones first. They are those of TLS 1.2 and 1.3 without SHA-1.
const SCHEMES: [SignatureScheme; 10] = [
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ECDSA_NISTP521_SHA512,
    SignatureScheme::ED25519,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA512,
    SignatureScheme::RSA_PKCS1_SHA256,
    SignatureScheme::RSA_PKCS1_SHA384,
    SignatureScheme::RSA_PKCS1_SHA512,
];

/// Asks for a client's certificate, and requires none.
#[derive(Debug)]
pub struct ClientCertificates;

/// The key of a client's certificate, by which its handshake is verified.
///
/// # Errors
/// The certificate cannot be read, or its key is of no supported kind.
pub fn readable_key(certificate: &[u8]) -> Result<SubjectPublicKey, Error> {
    Facts::of(certificate).map(|facts| facts.key)
}

impl ClientCertVerifier for ClientCertificates {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// No names, because a client then sends whichever certificate it has.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, TlsError> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify(message, certificate, &Signed::of(signed), Rule::Tls12)
    }

    /// In TLS 1.3 a scheme names the curve, too, and PKCS #1 v1.5 signs no handshake (RFC 8446 §4.2.3).
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify(message, certificate, &Signed::of(signed), Rule::Tls13)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SCHEMES.to_vec()
    }
}

/// The signature of a handshake, with its scheme.
struct Signed<'a> {
    scheme: SignatureScheme,
    signature: &'a [u8],
}

impl<'a> Signed<'a> {
    fn of(signed: &'a DigitallySignedStruct) -> Self {
        Self { scheme: signed.scheme, signature: signed.signature() }
    }
}

/// Which keys may sign by which scheme.
#[derive(Clone, Copy)]
enum Rule {
    /// In TLS 1.2, every key of the scheme's algorithm may sign.
    Tls12,
    /// In TLS 1.3, a scheme of ECDSA names the curve, too, and PKCS #1 v1.5 signs no handshake.
    Tls13,
}

impl Rule {
    fn permits(self, kind: KeyKind, scheme: SignatureScheme) -> bool {
        match (self, scheme) {
            (Self::Tls12, _) => true,
            (Self::Tls13, SignatureScheme::ECDSA_NISTP256_SHA256) => kind == KeyKind::P256,
            (Self::Tls13, SignatureScheme::ECDSA_NISTP384_SHA384) => kind == KeyKind::P384,
            (Self::Tls13, SignatureScheme::ECDSA_NISTP521_SHA512) => kind == KeyKind::P521,
            (
                Self::Tls13,
                SignatureScheme::RSA_PKCS1_SHA256
                | SignatureScheme::RSA_PKCS1_SHA384
                | SignatureScheme::RSA_PKCS1_SHA512,
            ) => false,
            (Self::Tls13, _) => true,
        }
    }
}

/// Verifies the signature of a handshake.
fn verify(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &Signed<'_>,
    rule: Rule,
) -> Result<HandshakeSignatureValid, TlsError> {
    // INVARIANT: whoever reads the certificate after the handshake asks `readable_key`, too, and takes it for unproven on an error.
    let Ok(key) = readable_key(certificate) else {
        return Ok(HandshakeSignatureValid::assertion());
    };
    let bad = TlsError::InvalidCertificate(CertificateError::BadSignature);
    let algorithm = algorithm(signed.scheme).filter(|_| rule.permits(key.kind(), signed.scheme));
    let algorithm = algorithm.ok_or_else(|| bad.clone())?;
    key.verify(&algorithm, message, signed.signature).map_err(|_| bad)?;
    Ok(HandshakeSignatureValid::assertion())
}

/// The AlgorithmIdentifier of a scheme; `None` for one that is not verified.
fn algorithm(scheme: SignatureScheme) -> Option<AlgorithmIdentifierOwned> {
    let with = |oid, parameters| Some(AlgorithmIdentifierOwned { oid, parameters });
    let rsa = |oid| with(oid, Some(Any::from(Null)));
    match scheme {
        SignatureScheme::ECDSA_NISTP256_SHA256 => with(oid::ECDSA_SHA256, None),
        SignatureScheme::ECDSA_NISTP384_SHA384 => with(oid::ECDSA_SHA384, None),
        SignatureScheme::ECDSA_NISTP521_SHA512 => with(oid::ECDSA_SHA512, None),
        SignatureScheme::ED25519 => with(oid::ED25519, None),
        SignatureScheme::RSA_PSS_SHA256 => decoded(alg_id::RSA_PSS_SHA256),
        SignatureScheme::RSA_PSS_SHA384 => decoded(alg_id::RSA_PSS_SHA384),
        SignatureScheme::RSA_PSS_SHA512 => decoded(alg_id::RSA_PSS_SHA512),
        SignatureScheme::RSA_PKCS1_SHA256 => rsa(oid::RSA_SHA256),
        SignatureScheme::RSA_PKCS1_SHA384 => rsa(oid::RSA_SHA384),
        SignatureScheme::RSA_PKCS1_SHA512 => rsa(oid::RSA_SHA512),
        _ => None,
    }
}

/// The AlgorithmIdentifier of which rustls has the content octets.
fn decoded(content: alg_id::AlgorithmIdentifier) -> Option<AlgorithmIdentifierOwned> {
    let mut reader = SliceReader::new(content.as_ref()).ok()?;
    let oid = reader.decode().ok()?;
    Some(AlgorithmIdentifierOwned { oid, parameters: Some(reader.decode().ok()?) })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SigningKey};

    use super::*;

    const MESSAGE: &[u8] = b"the transcript";

    fn certificate(key: &KeyPair) -> CertificateDer<'static> {
        CertificateParams::default().self_signed(key).unwrap().der().clone()
    }

    #[test]
    fn only_the_holder_of_the_key_makes_a_handshake() {
        for (algorithm, scheme) in [
            (&rcgen::PKCS_ECDSA_P256_SHA256, SignatureScheme::ECDSA_NISTP256_SHA256),
            (&rcgen::PKCS_ECDSA_P384_SHA384, SignatureScheme::ECDSA_NISTP384_SHA384),
            (&rcgen::PKCS_ED25519, SignatureScheme::ED25519),
        ] {
            let (key, other) = (
                KeyPair::generate_for(algorithm).unwrap(),
                KeyPair::generate_for(algorithm).unwrap(),
            );
            let (own, foreign) = (key.sign(MESSAGE).unwrap(), other.sign(MESSAGE).unwrap());
            let certificate = certificate(&key);
            for rule in [Rule::Tls12, Rule::Tls13] {
                let is_valid = |message: &[u8], signature: &[u8]| {
                    verify(message, &certificate, &Signed { scheme, signature }, rule).is_ok()
                };
                assert!(is_valid(MESSAGE, &own), "{scheme:?}");
                assert!(!is_valid(MESSAGE, &foreign) && !is_valid(b"another", &own), "{scheme:?}");
                let signed = Signed { scheme: SignatureScheme::RSA_PSS_SHA256, signature: &own };
                assert!(verify(MESSAGE, &certificate, &signed, rule).is_err(), "another scheme");
            }
        }
    }

    #[test]
    fn tls_1_3_binds_a_scheme_to_its_curve_and_takes_no_pkcs_1() {
        let (p256, p384) = (KeyKind::P256, KeyKind::P384);
        let scheme = SignatureScheme::ECDSA_NISTP256_SHA256;
        assert!(Rule::Tls12.permits(p384, scheme) && !Rule::Tls13.permits(p384, scheme));
        assert!(Rule::Tls13.permits(p256, scheme));
        let scheme = SignatureScheme::RSA_PKCS1_SHA256;
        let rsa = KeyKind::Rsa(2048);
        assert!(Rule::Tls12.permits(rsa, scheme) && !Rule::Tls13.permits(rsa, scheme));
        assert!(SCHEMES.into_iter().all(|scheme| algorithm(scheme).is_some()));
    }

    #[test]
    fn an_unreadable_certificate_passes_and_counts_for_nothing() {
        let nothing = CertificateDer::from(vec![0x30, 0]);
        let signed = Signed { scheme: SignatureScheme::ED25519, signature: &[] };
        assert!(verify(MESSAGE, &nothing, &signed, Rule::Tls13).is_ok());
        assert!(readable_key(&nothing).is_err());
    }
}
