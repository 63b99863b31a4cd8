//! The purposes of certificates. They decide which rules apply.

/// The purpose of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A root CA.
    Root,
    /// A CA that is not a root.
    IssuingCa,
    /// An IPsec peer. The rules of RFC 4945 apply.
    EndEntity,
    /// An end entity whose certificate no IKE daemon presents, such as a signer of CMP messages.
    Infrastructure,
}

impl Purpose {
    /// Whether the certificate is a CA's.
    pub const fn is_ca(self) -> bool {
        matches!(self, Self::Root | Self::IssuingCa)
    }
}
