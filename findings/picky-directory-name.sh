#!/usr/bin/env bash
# picky-asn1-x509 0.15.6 with picky-asn1-der 0.5.7 (crates.io), `GeneralName::DirectoryName`: a certificate that is read and written.
#
# Expected: RFC 5280 §4.2.1.6 and appendix A.2: directoryName is [4], and explicit, because Name is a CHOICE (X.680 §31.2.7): `a4`, its length, then the
# name with its own `30`. The authority key identifier has one with the issuer's name (§4.2.1.1). What was read is written as it was, else the
# signature does not hold.
# Seen: it is read right, and written as `84`, a primitive tag in place of the name's own. Other kinds of names come out as they were.
# So: such a certificate or CRL that passes through the crate is broken, and one that is made with it cannot be read; keep the octets that came.
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
picky-asn1-x509 = "=0.15.6"
picky-asn1-der = "=0.5.7"
[workspace]
TOML
cat >src/main.rs <<'RUST'
use std::env::args;

use picky_asn1_x509::{Certificate, GeneralName};

fn main() {
    let name = [0xa4, 0x0e, 0x30, 0x0c, 0x31, 0x0a, 0x30, 0x08, 0x06, 0x03, 0x55, 0x04, 0x03, 0x0c, 0x01, b'x'];
    let read: GeneralName = picky_asn1_der::from_bytes(&name).unwrap();
    println!("{name:02x?} is read as {}", if let GeneralName::DirectoryName(name) = &read { name.to_string() } else { format!("{read:?}") });
    println!("{:02x?} is written", picky_asn1_der::to_vec(&read).unwrap());
    for file in args().skip(1) {
        let certificate: Certificate = picky_asn1_der::from_bytes(&std::fs::read(&file).unwrap()).unwrap();
        std::fs::write(format!("{file}.written"), picky_asn1_der::to_vec(&certificate).unwrap()).unwrap();
    }
}
RUST
cat >expected <<'TEXT'
[a4, 0e, 30, 0c, 31, 0a, 30, 08, 06, 03, 55, 04, 03, 0c, 01, 78] is read as CN=x
[84, 0c, 31, 0a, 30, 08, 06, 03, 55, 04, 03, 0c, 01, 78] is written
authorityKeyIdentifier=keyid,issuer:always: other octets, OpenSSL refuses
authorityKeyIdentifier=keyid: same octets, OpenSSL accepts
subjectAltName=DNS:gw,IP:192.0.2.1: same octets, OpenSSL accepts
TEXT
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.pem -days 30 -subj '/CN=Example CA' 2>openssl.log
openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout gw.key -out gw.csr -subj '/CN=gw' 2>openssl.log
for extension in subjectAltName=DNS:gw,IP:192.0.2.1 authorityKeyIdentifier=keyid authorityKeyIdentifier=keyid,issuer:always; do
    openssl x509 -req -in gw.csr -CA ca.pem -CAkey ca.key -days 30 -extfile <(echo $extension) -outform DER -out "$extension" 2>openssl.log
done
{
    cargo run --quiet -- *=*
    for file in *=*.written; do
        if cmp --quiet "$file" "${file%.written}"; then same=same; else same=other; fi
        openssl x509 -inform DER -in "$file" -out written.pem
        if openssl verify -CAfile ca.pem written.pem >openssl.log 2>&1; then verdict=accepts; else verdict=refuses; fi
        echo "${file%.written}: $same octets, OpenSSL $verdict"
    done
} >seen
diff expected seen
cat seen
