#!/usr/bin/env bash
# hickory-proto 0.26.3 (crates.io), `CERT`: the text of a certificate's record.
#
# Expected: RFC 4398 §2.2: type and algorithm are each a decimal number or a mnemonic (PKIX, RSASHA256), so that other programs, and the crate's
# own reader of zone files, take what `Display` writes. Algorithm 0 is the usual one: "not known to a secure DNS" (§2).
# Seen: algorithm 0 is written `Reserved(0)`, and a type or algorithm without a mnemonic `Unassigned(9)`, `Experimental(65280)`; the reader takes
# numbers only and refuses `PKIX`, which the RFC names first and the writer writes.
# So: no CERT record survives this crate as text; print the fields as numbers.
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
hickory-proto = "=0.26.3"
[workspace]
TOML
cat >src/main.rs <<'RUST'
use hickory_proto::rr::Name;
use hickory_proto::serialize::txt::Parser;

fn read(rdata: &str) -> Result<String, String> {
    let zone = format!("gw.example. 60 IN CERT {rdata}\n");
    let (_, records) = Parser::new(zone, None, Some(Name::root())).parse().map_err(|error| error.to_string())?;
    let mut texts = records.values().flat_map(|set| set.records_without_rrsigs()).map(|record| record.data.to_string());
    texts.next().ok_or_else(|| String::from("nothing"))
}

fn main() {
    for rdata in ["1 0 0 AQNR", "1 7 8 AQNR", "9 0 5 AQNR", "65280 0 5 AQNR"] {
        let text = read(rdata).unwrap();
        println!("{rdata} is written as {text}, which is {}", read(&text).map_or_else(|error| format!("refused: {error}"), |_| String::from("read")));
    }
    println!("PKIX 7 8 AQNR is {}", read("PKIX 7 8 AQNR").map_or_else(|error| format!("refused: {error}"), |_| String::from("read")));
    println!("1 7 RSASHA256 AQNR is {}", read("1 7 RSASHA256 AQNR").map_or_else(|error| format!("refused: {error}"), |_| String::from("read")));
}
RUST
cat >expected <<'TEXT'
1 0 0 AQNR is written as PKIX 0 Reserved(0) AQNR, which is refused: lexer error: illegal character input: )
1 7 8 AQNR is written as PKIX 7 RSASHA256 AQNR, which is refused: Invalid digit found in cert_type token
9 0 5 AQNR is written as Unassigned(9) 0 RSASHA1 AQNR, which is refused: lexer error: illegal character input: )
65280 0 5 AQNR is written as Experimental(65280) 0 RSASHA1 AQNR, which is refused: lexer error: illegal character input: )
PKIX 7 8 AQNR is refused: Invalid digit found in cert_type token
1 7 RSASHA256 AQNR is refused: Invalid digit found in algorithm token
TEXT
cargo run --quiet >seen
diff expected seen
cat seen
