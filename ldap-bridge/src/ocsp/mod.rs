//! The Online Certificate Status Protocol (RFC 6960, RFC 5019, RFC 9654).
