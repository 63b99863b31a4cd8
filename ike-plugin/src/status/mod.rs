//! Whether a certificate is revoked: CRLs and OCSP answers, fetched ahead of their end and kept.
