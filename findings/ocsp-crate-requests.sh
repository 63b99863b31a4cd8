#!/usr/bin/env bash
# ocsp 0.4.0 (crates.io), `OcspRequest::parse` and `OcspExt::Nonce`: requests as OpenSSL makes them, and nonces.
#
# Expected: RFC 6960 §4.1.1: the hash of a CertID is any algorithm; RFC 8954 §2.1: the nonce is an OCTET STRING, in DER, inside the extension's own
# OCTET STRING.
# Seen: a request with SHA-256 in its CertID is refused ("Unable to locate OID info"). The `nonce` that is read has 18 octets for 16, tag and length
# with them; a new one is written without these.
# So: a responder that echoes the field is right, one that measures it (RFC 8954 §2.1: 1 to 32) is not; a client puts 04 and the length in front.
# Ask with SHA-1.
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
ocsp = "=0.4.0"
[workspace]
TOML
cat >src/main.rs <<'RUST'
use ocsp::common::ocsp::OcspExt;
use ocsp::request::OcspRequest;

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn main() {
    for name in ["sha1", "sha256"] {
        match OcspRequest::parse(&std::fs::read(name).unwrap()) {
            Err(error) => println!("{name}: {error}"),
            Ok(request) => {
                let [extension] = &request.extract_ext().unwrap()[..] else { panic!() };
                let OcspExt::Nonce { nonce } = &extension.ext else { panic!() };
                println!("{name}: a nonce of {} octets, which starts with {}", nonce.len(), hex(&nonce[..2]));
            }
        }
    }
    println!("a new nonce of 8 octets: {}", hex(&OcspExt::Nonce { nonce: vec![7; 8] }.to_der().unwrap()));
}
RUST
cat >expected <<'TEXT'
sha1: a nonce of 18 octets, which starts with 0410
sha256: Unable to locate OID info
a new nonce of 8 octets: 301506092b060105050730010204080707070707070707
TEXT
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.pem -days 30 -subj '/CN=Example CA' 2>openssl.log
for hash in sha1 sha256; do
    openssl ocsp -issuer ca.pem "-$hash" -cert ca.pem -nonce -reqout "$hash"
done
cargo run --quiet >seen
diff expected seen
cat seen
