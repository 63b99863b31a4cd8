#!/usr/bin/env bash
# rcgen 0.14.10 (crates.io), `Issuer::from_ca_cert_pem`: a CA whose subject has an attribute twice.
#
# Expected: the issuer of a new certificate is the CA's subject (RFC 5280 §4.1.2.6, §6.1.3 (a)(4)). Domain components come in a row, one for each
# label (RFC 2247 §2, RFC 4519 §2.4), and organisational units may.
# Seen: the name holds one value for each type: `DC=example,DC=net` is issued as `DC=example`, two units as the second. Nothing says so; OpenSSL
# finds no issuer. (Two attributes in one RDN are refused.)
# So: ask a verifier about a first certificate of each CA that came from elsewhere; under such a CA use another library.
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
rcgen = { version = "=0.14.10", features = ["x509-parser"] }
[workspace]
TOML
cat >src/main.rs <<'RUST'
use std::fs::{read_to_string, write};

use rcgen::{CertificateParams, Issuer, KeyPair};

fn main() {
    let ca_key = KeyPair::from_pem(&read_to_string("ca.key").unwrap()).unwrap();
    let ca = Issuer::from_ca_cert_pem(&read_to_string("ca.pem").unwrap(), ca_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let gateway = CertificateParams::new(vec![String::from("gw.example.net")]).unwrap();
    write("gw.pem", gateway.signed_by(&key, &ca).unwrap().pem()).unwrap();
}
RUST
cargo build --quiet
cat >expected <<'TEXT'
subject=CN=Example CA,O=Example,C=DE -> issuer=CN=Example CA,O=Example,C=DE: gw.pem: OK
subject=CN=Example CA,DC=example,DC=net -> issuer=CN=Example CA,DC=example: unable to get local issuer certificate
subject=CN=Example CA,OU=PKI,OU=Ops,O=Example -> issuer=CN=Example CA,OU=PKI,O=Example: unable to get local issuer certificate
TEXT
for subject in '/C=DE/O=Example/CN=Example CA' '/DC=net/DC=example/CN=Example CA' '/O=Example/OU=Ops/OU=PKI/CN=Example CA'; do
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.pem -days 3650 -subj "$subject" \
        -addext keyUsage=critical,keyCertSign,cRLSign 2>>openssl.log
    cargo run --quiet
    verdict=$(openssl verify -CAfile ca.pem gw.pem 2>&1 | grep -o 'unable to get.*\|gw.pem: OK' || true)
    echo "$(openssl x509 -in ca.pem -noout -subject -nameopt RFC2253) -> $(openssl x509 -in gw.pem -noout -issuer -nameopt RFC2253): $verdict"
done >seen
diff expected seen
cat seen
