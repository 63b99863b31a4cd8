#!/bin/sh
# Captures requests of the installed `openssl cmp` into this folder. Nobody listens on port 9: the client writes its
# request down and then fails. Keys are made anew, so every run gives other octets; see README.md.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

openssl genpkey -out "$work/p256.key" -algorithm EC -pkeyopt ec_paramgen_curve:P-256
openssl genpkey -out "$work/p384.key" -algorithm EC -pkeyopt ec_paramgen_curve:P-384
openssl genpkey -out "$work/ed25519.key" -algorithm ED25519
openssl genpkey -out "$work/rsa.key" -algorithm RSA -pkeyopt rsa_keygen_bits:2048 2>/dev/null
# The client leaves self-signed certificates out of extraCerts, so its own must come from a CA.
openssl req -x509 -new -key "$work/p256.key" -subj "/O=Example/CN=Test CA" -days 3650 -out "$work/ca.crt"
for kind in p256 p384 ed25519 rsa; do
    openssl req -new -key "$work/$kind.key" -subj "/O=Example/CN=$kind.example.net" -out "$work/$kind.csr"
    openssl x509 -req -in "$work/$kind.csr" -CA "$work/ca.crt" -CAkey "$work/p256.key" -days 3650 \
        -extfile /dev/stdin -out "$work/$kind.crt" 2>/dev/null <<EXTENSIONS
keyUsage = digitalSignature
subjectKeyIdentifier = hash
EXTENSIONS
done
openssl req -new -key "$work/ed25519.key" -subj "/CN=gw1.example.net" \
    -addext "subjectAltName=DNS:gw1.example.net" -out "$work/gw1.csr"

request() {
    out=$1
    shift
    openssl cmp -server 127.0.0.1:9 -msg_timeout 2 -reqout "$out" -certout "$work/none" "$@" >"$work/log" 2>&1 || true
    test -s "$out" || { cat "$work/log"; exit 1; }
}
secret="-ref gateway-1 -secret pass:correct-horse"
request ir_pbm_p256.der -cmd ir $secret -newkey "$work/p256.key" -subject /O=Example/CN=gw1.example.net \
    -sans "gw1.example.net 192.0.2.1" -days 30
request ir_pbm_no_subject.der -cmd ir $secret -newkey "$work/p256.key" -implicit_confirm -popo 1
request ir_pbm_sha512.der -cmd ir $secret -newkey "$work/rsa.key" -subject /CN=gw1.example.net \
    -digest sha512 -mac hmacWithSHA512
request cr_signed_rsa.der -cmd cr -cert "$work/rsa.crt" -key "$work/rsa.key" -newkey "$work/p384.key"
request kur_signed_p384.der -cmd kur -cert "$work/p384.crt" -key "$work/p384.key" -newkey "$work/p256.key"
request p10cr_pbm_ed25519.der -cmd p10cr $secret -csr "$work/gw1.csr"
request rr_signed_p256.der -cmd rr -cert "$work/p256.crt" -key "$work/p256.key" \
    -oldcert "$work/p256.crt" -revreason 4
request genm_pbm.der -cmd genm $secret -infotype caCerts -geninfo 1.2.3.4.5:int:42

# The hashes of these two are pinned in src/cmp/client/certificate.rs.
for hash in sha1:20 sha256:32; do
    openssl req -x509 "-${hash%:*}" -newkey rsa:2048 -nodes -keyout /dev/null -subj /CN=pss -days 36500 -sigopt rsa_padding_mode:pss \
        -sigopt "rsa_pss_saltlen:${hash#*:}" -outform DER -out "certificate_pss_${hash%:*}.der" 2>/dev/null
done
