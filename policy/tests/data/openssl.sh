#!/bin/sh
# How the credentials in openssl/ were made: keys, principals and signatures by OpenSSL 3.0 alone.
set -eu
cd "$(dirname "$0")/openssl"

credential() { # name, principal, signature algorithm, how to sign
    printf 'KeyNote-Version: 2\nAuthorizer: "%s"\nLicensees: "alice" || "bob"\nConditions: true;\n' "$2" > body
    { cat body; printf 'sig-%s-hex:' "$3"; } > message
    shift 3
    "$@" > signature
}

finish() { # name, signature algorithm
    { cat body; printf 'Signature: "sig-%s-hex:%s"\n' "$2" "$(xxd -p signature | tr -d '\n')"; } > "$1.cred"
}

openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out p256.pem
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out p384.pem
openssl genpkey -algorithm ED25519 -out ed25519.pem
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.pem

spki() { openssl pkey -in "$1.pem" -pubout -outform DER; }

credential p256 "ecdsa-p256-hex:$(spki p256 | tail -c 65 | xxd -p | tr -d '\n')" ecdsa-p256-sha256 \
    openssl dgst -sha256 -sign p256.pem message
finish p256 ecdsa-p256-sha256
credential p384 "ecdsa-p384-hex:$(spki p384 | tail -c 97 | xxd -p | tr -d '\n')" ecdsa-p384-sha384 \
    openssl dgst -sha384 -sign p384.pem message
finish p384 ecdsa-p384-sha384
credential ed25519 "ed25519-hex:$(spki ed25519 | tail -c 32 | xxd -p | tr -d '\n')" ed25519 \
    openssl pkeyutl -sign -rawin -inkey ed25519.pem -in message
finish ed25519 ed25519
credential rsa "rsa-hex:$(openssl rsa -in rsa.pem -RSAPublicKey_out -outform DER 2>/dev/null | xxd -p | tr -d '\n')" rsa-sha256 \
    openssl dgst -sha256 -sign rsa.pem message
finish rsa rsa-sha256
rm -f body message signature
