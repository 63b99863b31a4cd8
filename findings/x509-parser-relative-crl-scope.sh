#!/usr/bin/env bash
# x509-parser 0.18.1 (crates.io): an issuingDistributionPoint that is named relative to the CRL's issuer.
#
# Expected: RFC 5280 §5.2.5: the name, onlyContainsCACerts and the other flags are read whichever form of §4.2.1.13 the name has; what cannot be
# read is an error (`ParsedExtension::ParseError`), and the extension is critical.
# Seen: with nameRelativeToCRLIssuer there is no error: the name is missing and every flag that follows is false. The tag stands for the SET
# (IMPLICIT, as in the RFC's module), the reader wants a SET inside it. A point of a certificate's cRLDistributionPoints loses its name in the
# same way.
# So: read the `value` of this extension with another crate (x509-cert has the type) before anything is decided by its flags; a linter that takes
# "nothing set" for an error blames a valid CRL.
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
x509-parser = "=0.18.1"
[workspace]
TOML
cat >src/main.rs <<'RUST'
use x509_parser::prelude::{FromDer, ParsedExtension, X509Extension};

const URL: &[u8] = b"\xa0\x12\xa0\x10\x86\x0ehttp://h.test/";
const RELATIVE: &[u8] = b"\xa0\x11\xa1\x0f\x30\x0d\x06\x03\x55\x04\x03\x0c\x06part 1";

fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    [&[tag, u8::try_from(content.len()).unwrap()][..], content].concat()
}

fn extension(last: u8, value: &[u8]) -> Vec<u8> {
    tagged(0x30, &[&[6, 3, 0x55, 0x1d, last, 1, 1, 0xff][..], &tagged(4, &tagged(0x30, value))].concat())
}

fn main() {
    for (label, name) in [("URL", URL), ("relative name", RELATIVE)] {
        let der = extension(28, &[name, &[0x82, 1, 0xff]].concat());
        match X509Extension::from_der(&der).unwrap().1.parsed_extension() {
            ParsedExtension::IssuingDistributionPoint(point) => println!(
                "CRL, {label}: name {}, only CA certificates {}",
                point.distribution_point.is_some(),
                point.only_contains_ca_certs
            ),
            other => println!("CRL, {label}: {other:?}"),
        }
        let der = extension(31, &tagged(0x30, name));
        match X509Extension::from_der(&der).unwrap().1.parsed_extension() {
            ParsedExtension::CRLDistributionPoints(points) => {
                println!("certificate, {label}: name {}", points.points[0].distribution_point.is_some());
            }
            other => println!("certificate, {label}: {other:?}"),
        }
    }
}
RUST
cat >expected <<'TEXT'
CRL, URL: name true, only CA certificates true
certificate, URL: name true
CRL, relative name: name false, only CA certificates false
certificate, relative name: name false
TEXT
cargo run --quiet >seen
diff expected seen
cat seen
