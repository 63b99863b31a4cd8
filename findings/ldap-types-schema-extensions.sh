#!/usr/bin/env bash
# ldap-types 0.7.5 (crates.io), `attribute_type_parser` and `object_class_parser`: the schema that directories publish.
#
# Expected: RFC 4512 §4.1: a description ends with any number of extensions, `X-` and letters, each with one or several quoted strings. A reader
# passes over those that it does not know; X-ORIGIN is a usual one, which 389 Directory Server writes into its descriptions.
# Seen: extensions are known by name: X-ORDERED is read, X-ORIGIN refused (by "expected 'D'"), in object classes each of them.
# So: the schema of such a directory is not read at all; cut the extensions off first.
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
chumsky = "=0.13.0"
ldap-types = "=0.7.5"
[workspace]
TOML
cat >src/main.rs <<'RUST'
use chumsky::Parser;
use ldap_types::schema::{attribute_type_parser, object_class_parser};

fn main() {
    for text in [
        "( 2.5.4.39 NAME 'certificateRevocationList' SYNTAX 1.3.6.1.4.1.1466.115.121.1.9 )",
        "( 2.5.4.39 NAME 'certificateRevocationList' SYNTAX 1.3.6.1.4.1.1466.115.121.1.9 X-ORIGIN 'RFC 4523' )",
        "( 2.5.4.39 NAME 'certificateRevocationList' SYNTAX 1.3.6.1.4.1.1466.115.121.1.9 X-ORIGIN ( 'RFC 4523' 'user defined' ) )",
        "( 2.5.4.39 NAME 'certificateRevocationList' SYNTAX 1.3.6.1.4.1.1466.115.121.1.9 X-ORDERED 'VALUES' )",
    ] {
        match attribute_type_parser().parse(text).into_result() {
            Ok(_) => println!("{text}: read"),
            Err(errors) => println!("{text}: refused, {}", errors[0]),
        }
    }
    for text in [
        "( 2.5.6.21 NAME 'pkiUser' SUP top AUXILIARY MAY userCertificate )",
        "( 2.5.6.21 NAME 'pkiUser' SUP top AUXILIARY MAY userCertificate X-ORIGIN 'RFC 4523' )",
    ] {
        match object_class_parser().parse(text).into_result() {
            Ok(_) => println!("{text}: read"),
            Err(errors) => println!("{text}: refused, {}", errors[0]),
        }
    }
}
RUST
cat >expected <<'TEXT'
( 2.5.4.39 NAME 'certificateRevocationList' SYNTAX 1.3.6.1.4.1.1466.115.121.1.9 ): read
( 2.5.4.39 NAME 'certificateRevocationList' SYNTAX 1.3.6.1.4.1.1466.115.121.1.9 X-ORIGIN 'RFC 4523' ): refused, found 'I' expected 'D'
( 2.5.4.39 NAME 'certificateRevocationList' SYNTAX 1.3.6.1.4.1.1466.115.121.1.9 X-ORIGIN ( 'RFC 4523' 'user defined' ) ): refused, found 'I' expected 'D'
( 2.5.4.39 NAME 'certificateRevocationList' SYNTAX 1.3.6.1.4.1.1466.115.121.1.9 X-ORDERED 'VALUES' ): read
( 2.5.6.21 NAME 'pkiUser' SUP top AUXILIARY MAY userCertificate ): read
( 2.5.6.21 NAME 'pkiUser' SUP top AUXILIARY MAY userCertificate X-ORIGIN 'RFC 4523' ): refused, found 'X' expected 'N', 'S', 'D', 'A', 'M', 'O', or ')'
TEXT
cargo run --quiet >seen
diff expected seen
cat seen
