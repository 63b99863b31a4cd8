#!/bin/sh
# How the certificates in certificates/ were made, by OpenSSL 3.0.
set -eu
cd "$(dirname "$0")/certificates"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -subj "/C=SE/O=Example/CN=CA" -days 7300 \
    -outform DER -out ca.der
openssl x509 -inform DER -in ca.der -out ca.pem
issue() { # name, subject
    openssl req -new -newkey ed25519 -nodes -keyout peer.key -subj "$2" -out peer.csr
    openssl x509 -req -in peer.csr -CA ca.pem -CAkey ca.key -days 7300 -outform DER -out "$1.der"
}
issue gw7 "/C=SE/O=Example/CN=gw7"
issue hostile '/CN=gw" || "DN:\/CN=admin'
issue nameless "/"
rm -f ca.key ca.pem peer.key peer.csr
