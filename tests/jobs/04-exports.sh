#!/usr/bin/env bash
# Each gateway gets the files for its daemon, ready to be copied: strongSwan, libreswan, OpenIKED and racoon. A gateway that could not connect is
# found before it is delivered.
#
# Commands: 16
# Checks: strongSwan's pki, NSS's certutil and OpenSSL verify, from the exported files alone, the gateway and the peer with the CRLs. When the peer is
# revoked and the folders are exported again, all of them refuse it, and only it.
. "$(dirname "$0")/common.sh"
needs strongswan-pki pki
needs libnss3-tools certutil pk12util
configuration "$COUNTERSIGN_DATA/countersign.toml"

operator
cat >> data/countersign.toml <<TOML
[gateways.berlin]
daemon = "strongswan"
address = "192.0.2.1"
networks = ["10.1.0.0/16"]
[gateways.bonn]
daemon = "libreswan"
address = "192.0.2.2"
networks = ["10.2.0.0/16"]
[gateways.bern]
daemon = "iked"
address = "192.0.2.3"
networks = ["10.3.0.0/16"]
[gateways.brest]
daemon = "racoon"
address = "192.0.2.4"
networks = ["10.4.0.0/16"]
[gateways.basel]
daemon = "racoon"
address = "192.0.2.5"
networks = ["10.5.0.0/16"]
TOML
countersign config check
countersign init
start
for name in berlin bonn bern brest basel; do
  openssl req -newkey rsa:2048 -noenc -keyout "$name.key" -subj "/CN=$name.example.net" -addext "subjectAltName=DNS:$name.example.net" -out "$name.csr"
  countersign peer add "$name" --csr "$name.csr" --out "$name.crt"
done
countersign check berlin bonn
countersign check berlin bern
countersign check brest basel
for name in berlin bonn bern; do countersign export "$name" --key "$name.key" --out "first/$name"; done
countersign export brest --peer basel --key brest.key --out first/brest
say "one of them is stolen: its peers get its revocation"
countersign cert revoke --account basel --all --reason keyCompromise
for name in berlin bonn bern; do countersign export "$name" --key "$name.key" --out "second/$name"; done
refused 1 countersign check brest basel
countersign export brest --peer basel --key brest.key --out second/brest
check

grep -q revoked refused || fail "\`check\` says nothing of the revocation: $(cat refused)"
# Whether each daemon's own files, in the folder $1, let in the peer with the certificate $2.
by_strongswan() { pki --verify --in "$2" --cacert "$1/berlin/x509ca/issuing.pem" --cacert "$1/berlin/x509ca/root.pem" --crl "$1/berlin/x509crl/issuing.pem" --crl "$1/berlin/x509crl/root.pem" > said 2>&1; }
by_libreswan() {
  [ -e "$1.nss" ] || sh "$1/bonn/import.sh" "$job/$1.nss" > import.txt 2>&1 || fail "$(cat import.txt)"
  certutil -A -d "sql:$job/$1.nss" -n "${2%.crt}" -t ,, -i "$2"
  certutil -V -d "sql:$job/$1.nss" -n "${2%.crt}" -u C > said 2>&1
}
by_iked() { openssl verify -CAfile "$1/bern/ca/ca.crt" -CRLfile "$1/bern/crls/issuing.crl" -CRLfile "$1/bern/crls/root.crl" -crl_check_all "$2" > said 2>&1; }
by_racoon() { openssl verify -no-CAfile -no-CAstore -CApath "$1/brest/certs" -crl_check_all "$2" > said 2>&1; }
for daemon in strongswan libreswan iked racoon; do
  for name in berlin bonn bern brest basel; do
    # strongSwan asks the OCSP responder, too, and knows without the next folder that basel is revoked.
    [ "$daemon $name" != "strongswan basel" ] || continue
    "by_$daemon" first "$name.crt" || fail "$daemon would refuse $name: $(cat said)"
  done
  for name in berlin bonn bern brest; do "by_$daemon" second "$name.crt" || fail "$daemon would refuse $name, which is not revoked: $(cat said)"; done
  ! "by_$daemon" second basel.crt || fail "$daemon would let the revoked basel in: $(cat said)"
  grep -qi revoked said || fail "$daemon would refuse basel, but not because it is revoked: $(cat said)"
done
# Each key is that of its certificate, and for its owner alone.
for key in first/berlin/private/berlin.pem first/bern/private/local.key first/brest/certs/*.key; do
  [ "$(stat -c %a "$key")" = 600 ] || fail "$key has the mode $(stat -c %a "$key")"
done
openssl pkcs12 -in first/bonn/bonn.p12 -passin file:first/bonn/bonn.p12.password -noenc -nocerts -out bonn.p12.key
cmp <(openssl pkey -in bonn.p12.key -pubout) <(openssl x509 -in bonn.crt -noout -pubkey)
say "four daemons take four peers, and refuse the one that was stolen"
