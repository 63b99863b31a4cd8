#!/usr/bin/env bash
# x509-certificate 0.25.0 (crates.io), `X509CertificateBuilder` and `X509Certificate::encode_der`: keys and signatures of Ed25519 and ECDSA.
#
# Expected: RFC 8410 §3: id-Ed25519 (1.3.101.112) names key and signature, id-X25519 (1.3.101.110) a key for agreement only; its parameters, and
# those of ecdsa-with-SHA256 (RFC 5758 §3.2), must be absent. A certificate that was read is written as it was.
# Seen: the builder names an Ed25519 key id-X25519, and OpenSSL cannot load it. NULL is written as parameters of every algorithm, as RSA has it, but
# for the curve's name. A certificate of another tool gets the same NULLs when it is written again, and its signature fails.
# So: make such certificates with another crate; keep read ones as `CapturedX509Certificate`, and write its `constructed_data`.
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
x509-certificate = "=0.25.0"
[workspace]
TOML
cat >src/main.rs <<'RUST'
use std::env::args;
use std::fs::{read_to_string, write};

use x509_certificate::{EcdsaCurve, KeyAlgorithm, X509Certificate, X509CertificateBuilder};

fn main() {
    if let Some(name) = args().nth(1) {
        let read = X509Certificate::from_pem(read_to_string(name).unwrap()).unwrap();
        write("written.pem", read.encode_pem().unwrap()).unwrap();
    } else {
        for (name, kind) in [("made-ed25519.pem", KeyAlgorithm::Ed25519), ("made-p256.pem", KeyAlgorithm::Ecdsa(EcdsaCurve::Secp256r1))] {
            let mut builder = X509CertificateBuilder::default();
            builder.subject().append_common_name_utf8_string("gw").unwrap();
            let (certificate, _) = builder.create_with_random_keypair(kind).unwrap();
            write(name, certificate.encode_pem()).unwrap();
        }
    }
}
RUST
cargo build --quiet
algorithms() {
    openssl asn1parse -in "$1" | grep -A1 'OBJECT *:\(X25519\|ED25519\|id-ecPublicKey\|ecdsa-with-SHA256\|rsaEncryption\|sha256WithRSAEncryption\)' | sed -n 's/.*prim: *\(OBJECT\|NULL\) *:*/\1 /p' | paste -sd ' ' | sed 's/ OBJECT/; OBJECT/g; s/OBJECT //g; s/  */ /g; s/ ;/;/g; s/ $//'
}
verdict() {
    openssl verify -check_ss_sig -CAfile "$1" "$1" 2>&1 | grep -o 'OK$\|signature failure\|unable to.*public key\|unable to.*verify.*\|certificate signature.*' | head -n 1 || true
}
cat >expected <<'TEXT'
made-ed25519.pem: ED25519 NULL; X25519 NULL; ED25519 NULL -> unable to get certs public key
made-p256.pem: ecdsa-with-SHA256 NULL; id-ecPublicKey; prime256v1; ecdsa-with-SHA256 NULL -> OK
read: ED25519; ED25519; ED25519 -> OK
  written: ED25519 NULL; ED25519 NULL; ED25519 NULL -> unable to get certs public key
read: ecdsa-with-SHA256; id-ecPublicKey; prime256v1; ecdsa-with-SHA256 -> OK
  written: ecdsa-with-SHA256 NULL; id-ecPublicKey; prime256v1; ecdsa-with-SHA256 NULL -> certificate signature failure
read: sha256WithRSAEncryption NULL; rsaEncryption NULL; sha256WithRSAEncryption NULL -> OK
  written: sha256WithRSAEncryption NULL; rsaEncryption NULL; sha256WithRSAEncryption NULL -> OK
TEXT
{
    cargo run --quiet
    for made in made-ed25519.pem made-p256.pem; do
        echo "$made: $(algorithms "$made") -> $(verdict "$made")"
    done
    for kind in 'ed25519' 'ec -pkeyopt ec_paramgen_curve:prime256v1' 'rsa:2048'; do
        # shellcheck disable=SC2086
        openssl req -x509 -newkey $kind -nodes -keyout key.pem -subj /CN=gw -days 30 -out read.pem 2>>openssl.log
        cargo run --quiet read.pem
        echo "read: $(algorithms read.pem) -> $(verdict read.pem)"
        echo "  written: $(algorithms written.pem) -> $(verdict written.pem)"
    done
} >seen
diff expected seen
cat seen
