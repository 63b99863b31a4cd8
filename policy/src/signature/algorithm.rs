//! The algorithms of signatures and their names in a `Signature` field (RFC 2704 §4.6.7, RFC 2792 §4).

/// How a credential is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignatureAlgorithm {
    /// RSA with SHA-1 (RFC 2792 §4.2), as in the reference implementation: PKCS #1 v1.5 around an OCTET STRING.
    RsaSha1,
    /// RSA with MD5, likewise around an OCTET STRING.
    RsaMd5,
    /// DSA with SHA-1 (RFC 2792 §4.1).
    DsaSha1,
    /// RSA with SHA-1, as the reference implementation uses it with the key of a certificate: PKCS #1 v1.5 around a DigestInfo.
    X509Sha1,
    /// A name of our own: RSA with SHA-256 and PKCS #1 v1.5 (RFC 8017 §8.2), with a key of 2048 to 8192 bits.
    RsaSha256,
    /// A name of our own: ECDSA on P-256 with SHA-256, a SEQUENCE of r and s (RFC 3279 §2.2.3).
    EcdsaP256Sha256,
    /// A name of our own: ECDSA on P-384 with SHA-384, a SEQUENCE of r and s.
    EcdsaP384Sha384,
    /// Our own: Ed25519 (RFC 8032).
    Ed25519,
}

impl SignatureAlgorithm {
    pub(super) const ALL: [Self; 8] = [
        Self::RsaSha1,
        Self::RsaMd5,
        Self::DsaSha1,
        Self::X509Sha1,
        Self::RsaSha256,
        Self::EcdsaP256Sha256,
        Self::EcdsaP384Sha384,
        Self::Ed25519,
    ];

    /// The name of the algorithm in a `Signature` field, without `-hex` or `-base64`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RsaSha1 => "sig-rsa-sha1",
            Self::RsaMd5 => "sig-rsa-md5",
            Self::DsaSha1 => "sig-dsa-sha1",
            Self::X509Sha1 => "sig-x509-sha1",
            Self::RsaSha256 => "sig-rsa-sha256",
            Self::EcdsaP256Sha256 => "sig-ecdsa-p256-sha256",
            Self::EcdsaP384Sha384 => "sig-ecdsa-p384-sha384",
            Self::Ed25519 => "sig-ed25519",
        }
    }

    /// Whether signatures of this algorithm count only where legacy signatures are accepted.
    pub const fn is_legacy(self) -> bool {
        matches!(self, Self::RsaSha1 | Self::RsaMd5 | Self::DsaSha1 | Self::X509Sha1)
    }
}
