#!/usr/bin/env bash
# The machine is lost. A backup of last night and what others still hold bring the instance back, with what was revoked since.
#
# Commands: 16
# Before: gw1 and gw2 have enrolled, gw4 has a secret. After the backup gw3 enrols and gw2 is revoked; then the data folder is gone.
# Checks: OpenSSL: the new CRL is newer than the lost one and has the revocation that the backup lacked; the certificate that the backup did not know
# renews by OpenSSL's CMP client; the revoked one does not. Python's cryptography finds the same keys in the CAs. The old secret is of no use.
. "$(dirname "$0")/common.sh"
needs python3-cryptography /usr/bin/python3
configuration "$COUNTERSIGN_DATA/countersign.toml"
countersign init
start
for name in gw1 gw2; do
  countersign peer add "$name" --id "fqdn:$name.example.net" --json > "$name.json"
  enrol "$name"
done
countersign peer add gw4 --id fqdn:gw4.example.net --json > gw4.json

lose_the_machine() {
  cp -a data/keys lost-keys
  kill_server
  rm -r data
}
cp data/keys/root.crt root.crt

operator
say "every night, to another machine"
countersign backup elsewhere/backup
install -D -m 0600 data/passphrase elsewhere/passphrase
say "the day goes on"
countersign peer add gw3 --id fqdn:gw3.example.net --json > gw3.json
enrol gw3
countersign cert revoke --account gw2 --all --reason keyCompromise
curl -sf "$url/crl/issuing.crl" -o issuing.crl
say "the machine is lost; what others have: the CRL in a cache, and gw3's certificate at gw3"
lose_the_machine
countersign restore elsewhere/backup
cp elsewhere/passphrase data/passphrase
countersign audit verify
countersign peer add gw3 --id fqdn:gw3.example.net --no-secret
countersign cert import issuing.crl
countersign cert import gw3/gw3.crt --account gw3
start
countersign peer reset-secret gw4 --json > gw4-again.json
countersign status
check

cp issuing.crl lost.crl
listed issuing > now.listed
number() { openssl crl -inform DER -in "$1" -noout -crlnumber | sed 's/.*0x//'; }
[ $((16#$(number issuing.crl))) -gt $((16#$(number lost.crl))) ] || fail "the CRL $(number issuing.crl) is not newer than the lost $(number lost.crl)"
[ "$(cat now.listed)" = "$(serial_of gw2/gw2.crt)" ] || fail "expected gw2 alone on the CRL, found: $(cat now.listed)"
openssl crl -in issuing.crl.pem -noout -text | grep -A 6 -i "$(serial_of gw2/gw2.crt)" | grep -q 'Key Compromise' || fail "the reason is lost"
for name in gw1 gw3; do
  openssl verify -crl_check -CAfile root.crt -untrusted data/keys/issuing.crt -CRLfile issuing.crl.pem "$name/$name.crt"
done
renewal() {
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out next.key
  openssl cmp -cmd kur -server "127.0.0.1:$http_port" -path .well-known/cmp -cert "$1/$1.crt" -key "$1/$1.key" -newkey next.key -trusted root.crt \
    -untrusted data/keys/issuing.crt -certout "$1-next.crt" > cmp.txt 2>&1
}
renewal gw1 || fail "$(cat cmp.txt)"
renewal gw3 || fail "$(cat cmp.txt)"
! renewal gw2 || fail "the revoked gw2 renewed"
first() {
  openssl cmp -cmd ir -server "127.0.0.1:$http_port" -path .well-known/cmp -ref "$(jq -r .reference "$1")" -secret "pass:$(jq -r .secret "$1")" -newkey next.key \
    -trusted root.crt -certout gw4.crt > cmp.txt 2>&1
}
! first gw4.json || fail "a secret of the backup still works"
first gw4-again.json || fail "$(cat cmp.txt)"
/usr/bin/python3 - <<'PYTHON'
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate
for ca in "root", "issuing":
    words = open("elsewhere/passphrase", "rb").read().rstrip(b"\n")
    key = load_pem_private_key(open(f"data/keys/{ca}.key", "rb").read(), words)
    for folder in "data/keys", "lost-keys":
        certificate = load_pem_x509_certificate(open(f"{folder}/{ca}.crt", "rb").read())
        der = [which.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for which in (key.public_key(), certificate.public_key())]
        assert der[0] == der[1], (ca, folder)
PYTHON
say "the instance is back, and knows what was revoked"
