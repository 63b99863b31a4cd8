//! Algorithms and modes, and their names in a policy.
//!
//! Most names are those of isakmpd. Algorithms that isakmpd does not have get names of our own: those of the IANA IKEv2 registry in the
//! style of isakmpd. No such name is one that an existing policy uses for another algorithm.

/// An enum whose variants have a name in the vocabulary.
macro_rules! named {
    ($(#[$about:meta])* $type:ident { $($(#[$doc:meta])* $variant:ident = $name:literal),+ $(,)? }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $type { $($(#[$doc])* $variant),+ }

        impl $type {
            /// Every variant.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// The name of every variant in a policy, in the same order; two variants may share one.
            pub const NAMES: &'static [&'static str] = &[$($name),+];

            /// The name of the variant in a policy.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    };
}

named! {
    /// The exchange of phase 1, the attribute `phase_1`.
    Exchange {
        /// Identity protection of IKEv1 (RFC 2409 §5).
        Main = "main",
        /// Aggressive mode of IKEv1 (RFC 2409 §5).
        Aggressive = "aggressive",
        /// IKE_SA_INIT and IKE_AUTH (RFC 7296); a name of our own.
        Ikev2 = "ikev2",
    }
}

named! {
    /// The AH transform, the attribute `ah_hash_alg`. For SHA-2, isakmpd leaves it empty, contrary to its manual; Countersign does not.
    AhHash {
        /// AH_MD5.
        Md5 = "md5",
        /// AH_SHA.
        Sha = "sha",
        /// AH_DES.
        Des = "des",
        /// AH_SHA2-256.
        Sha256 = "sha2-256",
        /// AH_SHA2-384, which isakmpd.policy(5) misspells `sha2-385`.
        Sha384 = "sha2-384",
        /// AH_SHA2-512.
        Sha512 = "sha2-512",
        /// AH_RIPEMD.
        Ripemd = "ripemd",
        /// AH_AES-XCBC-MAC (RFC 3566); a name of our own.
        AesXcbc = "aes-xcbc",
        /// AES-CMAC (RFC 4494); a name of our own.
        AesCmac = "aes-cmac",
        /// AH_AES-GMAC of any key length (RFC 4543); a name of our own.
        AesGmac = "aes-gmac",
    }
}

named! {
    /// The algorithm that authenticates packets, other than an AEAD: the attributes `esp_auth_alg` and `ah_auth_alg`.
    Integrity {
        /// HMAC-MD5.
        HmacMd5 = "hmac-md5",
        /// HMAC-SHA-1.
        HmacSha = "hmac-sha",
        /// DES-MAC.
        DesMac = "des-mac",
        /// Keyed MD5 of RFC 1826.
        Kpdk = "kpdk",
        /// HMAC-SHA-256.
        HmacSha256 = "hmac-sha2-256",
        /// HMAC-SHA-384, which isakmpd.policy(5) misspells `hmac-sha2-385`.
        HmacSha384 = "hmac-sha2-384",
        /// HMAC-SHA-512.
        HmacSha512 = "hmac-sha2-512",
        /// HMAC-RIPEMD-160.
        HmacRipemd = "hmac-ripemd",
        /// AES-XCBC-MAC-96 (RFC 3566); a name of our own.
        AesXcbc = "aes-xcbc",
        /// AES-CMAC-96 (RFC 4494); a name of our own.
        AesCmac = "aes-cmac",
        /// AES-GMAC in AH (RFC 4543 §4); a name of our own.
        AesGmac = "aes-gmac",
    }
}

impl Integrity {
    /// The corresponding AH transform, for IKEv2, which negotiates only the integrity algorithm. `None` for [`Self::Kpdk`].
    pub const fn ah_hash(self) -> Option<AhHash> {
        Some(match self {
            Self::HmacMd5 => AhHash::Md5,
            Self::HmacSha => AhHash::Sha,
            Self::DesMac => AhHash::Des,
            Self::Kpdk => return None,
            Self::HmacSha256 => AhHash::Sha256,
            Self::HmacSha384 => AhHash::Sha384,
            Self::HmacSha512 => AhHash::Sha512,
            Self::HmacRipemd => AhHash::Ripemd,
            Self::AesXcbc => AhHash::AesXcbc,
            Self::AesCmac => AhHash::AesCmac,
            Self::AesGmac => AhHash::AesGmac,
        })
    }
}

named! {
    /// A cipher that does not authenticate, the attribute `esp_enc_alg`.
    Cipher {
        /// DES with a 64-bit IV.
        DesIv64 = "des-iv64",
        /// DES-CBC.
        Des = "des",
        /// Triple DES in CBC mode.
        TripleDes = "3des",
        /// RC5.
        Rc5 = "rc5",
        /// IDEA.
        Idea = "idea",
        /// CAST-128.
        Cast = "cast",
        /// Blowfish.
        Blowfish = "blowfish",
        /// Triple IDEA.
        TripleIdea = "3idea",
        /// DES with a 32-bit IV.
        DesIv32 = "des-iv32",
        /// RC4.
        Rc4 = "rc4",
        /// No encryption (RFC 2410).
        Null = "null",
        /// AES-CBC.
        Aes = "aes",
        /// AES-CTR (RFC 3686); isakmpd does not distinguish it from CBC.
        AesCtr = "aes",
        /// Camellia-CBC (RFC 4312); a name of our own.
        Camellia = "camellia",
    }
}

/// A cipher that also authenticates, or authentication alone in the form of such a cipher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Aead {
    /// AES-GCM with a 16-octet tag (RFC 4106): `aes`, as in isakmpd.
    AesGcm16,
    /// AES-GCM with a 12-octet tag; a name of our own.
    AesGcm12,
    /// AES-GCM with an 8-octet tag; a name of our own.
    AesGcm8,
    /// AES-CCM with a 16-octet tag (RFC 4309); a name of our own.
    AesCcm16,
    /// AES-CCM with a 12-octet tag; a name of our own.
    AesCcm12,
    /// AES-CCM with an 8-octet tag; a name of our own.
    AesCcm8,
    /// ChaCha20-Poly1305 (RFC 7634); a name of our own.
    ChaCha20Poly1305,
    /// ENCR_NULL_AUTH_AES_GMAC (RFC 4543 §3): `null`, because it does not encrypt. isakmpd calls it `aes`, so that it passes every policy
    /// that requires encryption.
    AesGmac,
}

impl Aead {
    /// Every variant.
    pub const ALL: &'static [Self] = &[
        Self::AesGcm16,
        Self::AesGcm12,
        Self::AesGcm8,
        Self::AesCcm16,
        Self::AesCcm12,
        Self::AesCcm8,
        Self::ChaCha20Poly1305,
        Self::AesGmac,
    ];

    /// The value of `esp_enc_alg`.
    pub const fn cipher_name(self) -> &'static str {
        match self {
            Self::AesGcm16 => "aes",
            Self::AesGmac => "null",
            other => other.integrity_name(),
        }
    }

    /// The value of `esp_auth_alg`, which isakmpd leaves empty, so that AES-GCM looks like AES without authentication.
    pub const fn integrity_name(self) -> &'static str {
        match self {
            Self::AesGcm16 => "aes-gcm-16",
            Self::AesGcm12 => "aes-gcm-12",
            Self::AesGcm8 => "aes-gcm-8",
            Self::AesCcm16 => "aes-ccm-16",
            Self::AesCcm12 => "aes-ccm-12",
            Self::AesCcm8 => "aes-ccm-8",
            Self::ChaCha20Poly1305 => "chacha20-poly1305",
            Self::AesGmac => "aes-gmac",
        }
    }
}

/// The algorithms that protect ESP packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EspAlgorithms {
    /// A cipher and a method of authentication, or none.
    Separate(Cipher, Option<Integrity>),
    /// One algorithm for both encryption and authentication.
    Combined(Aead),
}

impl EspAlgorithms {
    /// The value of `esp_enc_alg`.
    pub const fn cipher_name(self) -> &'static str {
        match self {
            Self::Separate(cipher, _) => cipher.name(),
            Self::Combined(aead) => aead.cipher_name(),
        }
    }

    /// The value of `esp_auth_alg`; empty without authentication.
    pub const fn integrity_name(self) -> &'static str {
        match self {
            Self::Separate(_, Some(integrity)) => integrity.name(),
            Self::Separate(_, None) => "",
            Self::Combined(aead) => aead.integrity_name(),
        }
    }
}

named! {
    /// The IPComp transform, the attribute `comp_alg`.
    Compression {
        /// A private algorithm of some organisation.
        Oui = "oui",
        /// DEFLATE (RFC 2394).
        Deflate = "deflate",
        /// LZS (RFC 2395).
        Lzs = "lzs",
        /// V.42 bis.
        V42bis = "v42bis",
        /// LZJH (RFC 3051); a name of our own.
        Lzjh = "lzjh",
    }
}

named! {
    /// The mode of an IPsec protocol: the attributes `esp_encapsulation`, `ah_encapsulation` and `comp_encapsulation`.
    Encapsulation {
        /// Tunnel mode.
        Tunnel = "tunnel",
        /// Transport mode.
        Transport = "transport",
        /// Tunnel mode in UDP (RFC 3947).
        UdpEncapTunnel = "udp-encap-tunnel",
        /// Transport mode in UDP (RFC 3947); isakmpd does not distinguish it from transport mode.
        UdpEncapTransport = "transport",
    }
}
