#!/usr/bin/env bash
# cmpv2 0.2.0 (crates.io), `status::PkiFailureInfo`: the reasons of a refusal in CMP.
#
# Expected: RFC 4210 §5.2.3: a named BIT STRING, badAlg (0) to duplicateCertReq (26): badPOP (9) alone is `03 03 06 00 40`, and what was decoded
# encodes to the same octets.
# Seen: bit numbers are taken as masks. badPOP is written as `03 02 04 90`, that is badAlg and badTime; badPOP that a server wrote is read as
# badAlg and written as no bit at all; badTime and badRequest are one. transactionIdInUse (21), as servers write it, does not decode.
# So: a client shows the wrong reason, a server sends one; read and write these four octets by hand (bit n is 0x80 >> n % 8 of octet n / 8).
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
cmpv2 = "=0.2.0"
der = "=0.7.10"
[workspace]
TOML
cat >src/main.rs <<'RUST'
use cmpv2::status::{PkiFailureInfo, PkiFailureInfoValues as Failure};
use der::{Decode, Encode};

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn main() {
    for (name, failure) in [
        ("badRequest (2)", Failure::BadRequest),
        ("badTime (3)", Failure::BadTime),
        ("badPOP (9)", Failure::BadPOP),
        ("systemFailure (25)", Failure::SystemFailure),
    ] {
        println!("{name} is written as {}", hex(&PkiFailureInfo::from(failure).to_der().unwrap()));
    }
    for (name, octets) in [
        ("badRequest (2)", &[3, 2, 5, 0x20][..]),
        ("badPOP (9)", &[3, 3, 6, 0, 0x40]),
        ("transactionIdInUse (21)", &[3, 4, 2, 0, 0, 4]),
    ] {
        match PkiFailureInfo::from_der(octets) {
            Ok(read) => println!("{name}, {}, is read as {read:?}, written as {}", hex(octets), hex(&read.to_der().unwrap())),
            Err(error) => println!("{name}, {}, is not read: {error}", hex(octets)),
        }
    }
}
RUST
cat >expected <<'TEXT'
badRequest (2) is written as 03020640
badTime (3) is written as 03020640
badPOP (9) is written as 03020490
systemFailure (25) is written as 03020398
badRequest (2), 03020520, is read as FlagSet(BadAlg | BadCertId), written as 03020520
badPOP (9), 0303060040, is read as FlagSet(BadAlg), written as 030100
transactionIdInUse (21), 030402000004, is not read: ASN.1 DER message is too long at DER byte 2
TEXT
cargo run --quiet >seen
diff expected seen
cat seen
