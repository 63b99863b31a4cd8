#!/usr/bin/env bash
# x509-cert 0.2.5 (crates.io): a name that is read from text, with a mail address in it.
#
# Expected: emailAddress is an IA5String (RFC 5280, appendix A.1: EmailAddress ::= IA5String; RFC 2985 §5.2.1), and dnQualifier a
# PrintableString (X.520), as countryName and domainComponent are given their own kinds.
# Seen: both are UTF8String (tag 0c). A linter of certificates refuses such a subject.
# So: who makes names from text sets these two strings' kinds himself.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "finding"
version = "0.0.0"
edition = "2024"
[dependencies]
x509-cert = "=0.2.5"
der = "=0.7.10"
[workspace]
TOML
cat >src/main.rs <<'RUST'
use std::str::FromStr;

fn main() {
    for text in ["C=DE", "DC=example", "serialNumber=9", "emailAddress=ops@example.net", "dnQualifier=x1"] {
        let name = x509_cert::name::RdnSequence::from_str(text);
        let tags = name.map(|name| {
            let parts = name.0.iter().flat_map(|part| part.0.iter());
            parts.map(|part| der::Tagged::tag(&part.value).to_string()).collect::<Vec<_>>().join(" ")
        });
        println!("{text}: {}", tags.unwrap_or_else(|e| e.to_string()));
    }
}
RUST
cat >expected <<'TEXT'
C=DE: PrintableString
DC=example: IA5String
serialNumber=9: PrintableString
emailAddress=ops@example.net: UTF8String
dnQualifier=x1: UTF8String
TEXT
cargo run --quiet >seen
diff expected seen
cat seen
