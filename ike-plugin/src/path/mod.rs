//! Certification paths by RFC 5280: from a peer's certificate to a trust anchor, with CRLs.
