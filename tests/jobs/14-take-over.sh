#!/usr/bin/env bash
# The CA of before, kept with `openssl ca`, is taken over with its key: its thousand certificates go on being good or revoked, and end here.
#
# Commands: 9
# Before: a CA of OpenSSL with 1,000 certificates, of which 40 are revoked; 960 gateways trust it.
# Checks: OpenSSL: the next CRL is newer than the last one of `openssl ca`, is signed by the same key, and lists the same 40 with their reasons, and after
# a further revocation 41; OCSP tells the same of good and revoked ones; a certificate that is issued here is good below the old root. jq counts a thousand.
. "$(dirname "$0")/common.sh"
needs python3-cryptography /usr/bin/python3
configuration "$COUNTERSIGN_DATA/countersign.toml"
mkdir -p old/newcerts old/requests
cat > old/ca.conf <<TEXT
[ca]
default_ca = old
[old]
dir = old
new_certs_dir = old/newcerts
database = old/index.txt
serial = old/serial
crlnumber = old/crlnumber
certificate = old/ca.pem
private_key = old/ca.key
default_md = sha256
default_days = 365
default_crl_days = 7
policy = any
unique_subject = no
copy_extensions = copy
x509_extensions = gateway
[any]
commonName = supplied
[gateway]
basicConstraints = CA:FALSE
keyUsage = digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
TEXT
touch old/index.txt
echo 1000 > old/serial
echo 07 > old/crlnumber
openssl req -x509 -newkey rsa:2048 -noenc -keyout old/ca.key -out old/ca.pem -days 3650 -subj '/CN=Old VPN CA' -addext keyUsage=critical,keyCertSign,cRLSign 2> openssl.txt
/usr/bin/python3 - <<'PYTHON'
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
for number in range(1000):
    key, name = ec.generate_private_key(ec.SECP256R1()), f"old{number:04}.example.net"
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
    request = request.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False).sign(key, hashes.SHA256())
    open(f"old/requests/{number:04}.csr", "wb").write(request.public_bytes(serialization.Encoding.PEM))
    if number == 999:
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        open("old/0999.key", "wb").write(pem)
PYTHON
openssl ca -config old/ca.conf -batch -notext -infiles old/requests/*.csr > ca.txt 2>&1 || fail "$(tail -n 20 ca.txt)"
ls old/newcerts/*.pem > newcerts
[ "$(wc -l < newcerts)" = 1000 ] || fail "openssl ca made $(wc -l < newcerts) certificates"
for number in $(seq 1 25 1000); do
  openssl ca -config old/ca.conf -revoke "$(sed -n "${number}p" newcerts)" -crl_reason keyCompromise >> ca.txt 2>&1 || fail "$(tail -n 20 ca.txt)"
done
openssl ca -config old/ca.conf -gencrl -out old/crl.pem >> ca.txt 2>&1 || fail "$(tail -n 20 ca.txt)"
# What a relying party believes, by the CRL in a file: `good`, or OpenSSL's words.
by_crl() { openssl verify -crl_check -CAfile old/ca.pem -CRLfile "$1" "$2" > said 2>&1; }
first=$(head -n 1 newcerts) last=$(tail -n 1 newcerts)

operator
say "first without recording anything: every problem at once"
countersign ca import --name old --certificate old/ca.pem --key old/ca.key --issued old/index.txt --issued old/newcerts --crl old/crl.pem --accounts create --dry-run
countersign ca import --name old --certificate old/ca.pem --key old/ca.key --issued old/index.txt --issued old/newcerts --crl old/crl.pem --accounts create
start
countersign ca show
countersign cert list --ca old --format csv > taken-over.csv
say "a gateway renews with the certificate that it has"
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out next.key
openssl cmp -cmd kur -server "127.0.0.1:$http_port" -path .well-known/cmp -cert "$last" -key old/0999.key -newkey next.key -trusted old/ca.pem -certout next.crt
say "another one is stolen"
countersign cert revoke "$(serial_of old/newcerts/1001.pem)" --reason keyCompromise
countersign audit verify
check

/usr/bin/python3 - <<'PYTHON'
import csv
rows = {int(row["serial"], 16): row["status"] for row in csv.DictReader(open("taken-over.csv", newline="")) if row["subject"].startswith("CN=old0")}
index = [line.split("\t") for line in open("old/index.txt")]
assert len(index) == len(rows) == 1000, (len(index), len(rows))
words = {"V": "valid", "R": "revoked"}
for state, _, _, serial, *_ in index:
    number = int(serial, 16)
    assert rows.get(number) == words[state], (serial, state, rows.get(number))
print("1000 certificates, each with the status that OpenSSL's database has")
PYTHON
listed old > now.listed
number() { openssl crl -in "$1" -noout -crlnumber | sed 's/.*0x//'; }
[ $((16#$(number old.crl.pem))) -gt $((16#$(number old/crl.pem))) ] || fail "CRL $(number old.crl.pem) is not newer than $(number old/crl.pem)"
openssl crl -in old.crl.pem -noout -verify -CAfile old/ca.pem
entries() { openssl crl -in "$1" -noout -text | awk '/Serial Number:/ { serial = $3 } /Revocation Date:/ { $1 = $2 = ""; date = $0 } /CRL Reason Code/ { getline; $1 = $1; print serial date, $0 }' | sort; }
entries old/crl.pem > before
entries old.crl.pem > now
[ "$(wc -l < before)" = 40 ] || fail "openssl ca lists $(wc -l < before)"
comm -23 before now > lost
[ ! -s lost ] || fail "revocations were lost or changed: $(cat lost)"
[ "$(comm -13 before now | cut -d' ' -f1)" = 1001 ] && comm -13 before now | grep -q 'Key Compromise' || fail "expected 1001 as the only new one, found: $(comm -13 before now)"
for certificate in "$first" old/newcerts/1001.pem; do
  ! by_crl old.crl.pem "$certificate" && grep -q 'certificate revoked' said || fail "$certificate is believed: $(cat said)"
done
for certificate in "$last" next.crt; do by_crl old.crl.pem "$certificate" || fail "$certificate: $(cat said)"; done
status_of() { openssl ocsp -issuer old/ca.pem -cert "$1" -url "$url/ocsp" -CAfile old/ca.pem -no_nonce 2>&1 | tee ocsp.txt | sed -n "s|^$1: ||p"; }
[ "$(status_of "$first")" = revoked ] || fail "$(cat ocsp.txt)"
[ "$(status_of "$last")" = good ] || fail "$(cat ocsp.txt)"
[ "$(status_of next.crt)" = good ] || fail "$(cat ocsp.txt)"
cmp <(openssl x509 -in next.crt -noout -pubkey) <(openssl pkey -in next.key -pubout) || fail "the renewed certificate has another key"
openssl x509 -in next.crt -noout -checkhost old0999.example.net | grep -q 'does match' || fail "the renewed certificate has another name"
say "a thousand certificates have a new home, and their gateways noticed nothing"
