//! Writes the script that imports the certificates, the key and the CRLs beside it into NSS's database.

use std::fmt::Write;

use crate::gateway::material::{IssuedCrl, Material};
use countersign_ca::path::crl::Crl;

/// The shell function that imports a CRL. NSS refuses one that is not newer than its own; that is not a failure, because pluto may have fetched a
/// newer CRL since the export.
const IMPORT_CRL: &str = "\
missing=0
crl() {
    said=$(crlutil -I -d \"sql:$database\" -t 1 -i \"$1\" 2>&1) || case $said in
        *SEC_ERROR_OLD_CRL*|*SEC_ERROR_CRL_ALREADY_EXISTS*) echo \"$1: the database has a newer one\" ;;
        *) printf '%s: it was not taken: %s\\n' \"$1\" \"$said\" >&2; missing=1 ;;
    esac
}
";

/// The shell function that checks whether a CRL was imported. NSS keeps one CRL for each name of a CA, and prints no error when the CRL of one key
/// replaces that of another key. The key identifiers of the CRLs in the database are the only sign of it.
const HELD_CRL: &str = "\
held() {
    if ! crlutil -L -d \"sql:$database\" | sed -n 's/ *CRL *$//p' | while IFS= read -r name; do
        crlutil -L -d \"sql:$database\" -n \"$name\" 2>/dev/null
    done | tr -d ' \\n' | grep -q \"KeyID:$2\"; then
        echo \"$1: it was not taken: NSS keeps one CRL for each name of a CA, and has that of another key under this name. Whom it \\
revokes would come in. Give each CA a name of its own (countersign ca roll), or each its own database\" >&2
        missing=1
    fi
}
";

/// The script. It marks only roots as trusted; NSS accepts a CA below a root by its chain.
pub fn script(name: &str, material: &Material) -> String {
    let mut text = String::from("#!/bin/sh\n");
    let _ = writeln!(
        text,
        "# `{name}` for libreswan: imports what lies beside it into NSS's database."
    );
    text.push_str(
        "set -eu\ncd \"$(dirname \"$0\")\"\ndatabase=\"${1:-/var/lib/ipsec/nss}\"\nmkdir -p \"$database\"\n\
         [ -e \"$database/cert9.db\" ] || certutil -N -d \"sql:$database\" --empty-password\n",
    );
    for (cas, trust) in [(&material.roots, "CT,,"), (&material.chain, ",,")] {
        for ca in cas {
            let _ = writeln!(
                text,
                "certutil -A -d \"sql:$database\" -n 'ca-{0}-{1}' -t '{trust}' -i 'ca/{0}.pem'",
                ca.name,
                own_digits(&ca.der)
            );
        }
    }
    // Older certificates of the same nickname are deleted, because pluto might choose one. The certificate is imported before the PKCS#12 file,
    // because NSS keeps the nickname by which it first saw a certificate, and the file may have another one.
    let _ = writeln!(
        text,
        "while certutil -D -d \"sql:$database\" -n '{name}' 2>/dev/null; do :; done\n\
         certutil -A -d \"sql:$database\" -n '{name}' -t ',,' -i '{name}.pem'\n\
         [ ! -e '{name}.p12' ] || pk12util -d \"sql:$database\" -w '{name}.p12.password' -i '{name}.p12'"
    );
    if !material.crls.is_empty() {
        text.push_str(IMPORT_CRL);
    }
    for crl in &material.crls {
        let _ = writeln!(text, "crl 'crls/{}.crl'", crl.ca);
    }
    let keys: Vec<(&str, String)> = material
        .crls
        .iter()
        .filter_map(|crl| Some((crl.ca.as_str(), key_identifier(crl)?)))
        .collect();
    if !keys.is_empty() {
        text.push_str(HELD_CRL);
    }
    for (ca, key) in keys {
        let _ = writeln!(text, "held 'crls/{ca}.crl' '{key}'");
    }
    if !material.crls.is_empty() {
        text.push_str("exit $missing\n");
    }
    text
}

/// Eight hexadecimal digits of a certificate's hash. They make nicknames unique: two instances may name their CAs alike, and NSS refuses two CAs
/// of different subjects under one nickname.
fn own_digits(certificate: &[u8]) -> String {
    let hash = ring::digest::digest(&ring::digest::SHA256, certificate);
    data_encoding::HEXLOWER.encode(hash.as_ref()).chars().take(8).collect()
}

/// The key identifier of a CRL's issuer, in the notation of `crlutil`; `None` if the CRL has none.
fn key_identifier(crl: &IssuedCrl) -> Option<String> {
    let crl = Crl::from_der(&crl.der).ok()?;
    let octets = crl.authority_key()?.iter().map(|octet| format!("{octet:02x}"));
    Some(octets.collect::<Vec<_>>().join(":"))
}
