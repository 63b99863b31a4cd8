//! The operations of EST and their paths (RFC 7030 §3.2.2).

/// An operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `/cacerts`: the certificates of the CA (RFC 7030 §4.1).
    CaCerts,
    /// `/csrattrs`: the fields that a request shall contain (RFC 7030 §4.5, RFC 9908).
    CsrAttrs,
    /// `/simpleenroll`: a certificate (RFC 7030 §4.2.1).
    SimpleEnroll,
    /// `/simplereenroll`: the next certificate, in place of the one that the client presents (RFC 7030 §4.2.2).
    SimpleReenroll,
    /// `/serverkeygen`: a private key that is generated here, and its certificate (RFC 7030 §4.4).
    ServerKeyGen,
    /// `/fullcmc`, which is not offered (RFC 7030 §4.3).
    FullCmc,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 6] = [
        Self::CaCerts,
        Self::CsrAttrs,
        Self::SimpleEnroll,
        Self::SimpleReenroll,
        Self::ServerKeyGen,
        Self::FullCmc,
    ];

    /// The name of the operation: the last segment of its path.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CaCerts => "cacerts",
            Self::CsrAttrs => "csrattrs",
            Self::SimpleEnroll => "simpleenroll",
            Self::SimpleReenroll => "simplereenroll",
            Self::ServerKeyGen => "serverkeygen",
            Self::FullCmc => "fullcmc",
        }
    }

    /// The operation of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.name() == name)
    }

    /// Whether a client sends a body to this operation, by POST; otherwise it fetches, by GET.
    pub const fn is_posted(self) -> bool {
        !matches!(self, Self::CaCerts | Self::CsrAttrs)
    }
}
