#!/usr/bin/env bash
# x509-cert 0.2.5 with der 0.7.10 (crates.io): a name in a UniversalString.
#
# Expected: RFC 5280 §4.1.2.4 and appendix A.1: DirectoryString is one of five kinds, UniversalString among them; `AttributeTypeAndValue.value` is an
# `Any`, which holds what it does not know, and names are compared and copied without being understood.
# Seen: the tag itself is unknown to `der`: the name, and with it the certificate, CRL or request, is not read at all. BMPString, TeletexString
# and NumericString pass.
# So: a foreign chain with one such name stops at "unknown/unsupported ASN.1 DER tag: 0x1c"; x509-parser reads it.
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
use der::Decode;
use x509_cert::name::Name;

fn main() {
    for (kind, tag, value) in [
        ("UTF8String", 0x0c, &b"gw"[..]),
        ("NumericString", 0x12, b"12"),
        ("TeletexString", 0x14, b"gw"),
        ("BMPString", 0x1e, b"\0g\0w"),
        ("UniversalString", 0x1c, b"\0\0\0g\0\0\0w"),
    ] {
        let length = u8::try_from(value.len()).unwrap();
        let name = [&[0x30, length + 11, 0x31, length + 9, 0x30, length + 7, 6, 3, 0x55, 4, 3, tag, length][..], value].concat();
        match Name::from_der(&name) {
            Ok(name) => println!("{kind}: {name}"),
            Err(error) => println!("{kind}: {error}"),
        }
    }
}
RUST
cat >expected <<'TEXT'
UTF8String: CN=gw
NumericString: 2.5.4.3=#12023132
TeletexString: CN=gw
BMPString: 2.5.4.3=#1e0400670077
UniversalString: unknown/unsupported ASN.1 DER tag: 0x1c at DER byte 6
TEXT
cargo run --quiet >seen
diff expected seen
cat seen
