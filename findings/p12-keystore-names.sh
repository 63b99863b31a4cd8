#!/usr/bin/env bash
# p12-keystore 0.4.1 (crates.io), `KeyStore::from_pkcs12` and `writer`: a PKCS#12 file of certificates, and the names of certificates.
#
# Expected: RFC 7292 §4.2: a file may hold certificates without a key; a bag's friendlyName (RFC 2985 §5.5.1) is an attribute of that bag, and OpenSSL
# gives key and certificate the same one. What was read is there when it is written again.
# Seen: a file of certificates alone is read as empty, without an error, by `Pkcs12ImportPolicy::Relaxed`, too; written again it is empty. The
# certificate of a key is written with its subject as friendlyName, in place of the one it had; the key keeps its own.
# So: trust anchors in such a file are not there. NSS takes the nickname from the certificate, so that libreswan's `leftcert` names none.
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
p12-keystore = "=0.4.1"
[workspace]
TOML
cat >src/main.rs <<'RUST'
use p12_keystore::{KeyStore, Pkcs12ImportPolicy};

fn main() {
    let name = std::env::args().nth(1).unwrap();
    let store = KeyStore::from_pkcs12(&std::fs::read(&name).unwrap(), "x", Pkcs12ImportPolicy::Relaxed).unwrap();
    println!("  entries: {:?}", store.entries().map(|(alias, _)| alias).collect::<Vec<_>>());
    std::fs::write("written.p12", store.writer("x").write().unwrap()).unwrap();
}
RUST
cargo build --quiet
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -subj '/O=Example/CN=gw' -days 30 -out gw.pem 2>openssl.log
openssl pkcs12 -export -in gw.pem -inkey key.pem -name gw -passout pass:x -out key.p12
openssl pkcs12 -export -in gw.pem -nokeys -passout pass:x -out certificates.p12
bags() {
    openssl pkcs12 -in "$1" -passin pass:x -nodes 2>>openssl.log | sed -n 's/^ *friendlyName: /friendlyName /p; s/^-----BEGIN \(.*\)-----$/\1/p' | paste -sd ';' | sed 's/;/; /g'
}
cat >expected <<'TEXT'
key.p12: friendlyName gw; CERTIFICATE; friendlyName gw; PRIVATE KEY
  entries: ["gw"]
  written: friendlyName O=Example, CN=gw; CERTIFICATE; friendlyName gw; PRIVATE KEY
certificates.p12: CERTIFICATE
  entries: []
  written: 
TEXT
for file in key.p12 certificates.p12; do
    echo "$file: $(bags $file)"
    cargo run --quiet -- $file
    echo "  written: $(bags written.p12)"
done >seen
diff expected seen
cat seen
