#!/usr/bin/env bash
# PyScep 0.0.14 (PyPI) over asn1crypto 1.5.1: which certificate of a GetCACert answer it encrypts to (RFC 8894 §3.1 and §4.2.1.2).
#
# Expected: the registration authority's certificate, whose key usage is keyEncipherment. It is no CA's, and needs no basicConstraints for
# that (RFC 5280 §4.2.1.9: without them the key may not verify certificates).
# Seen: a certificate without basicConstraints is neither a CA's nor no CA's, because `ca` is None: it is passed over, and the CA itself is
# taken as recipient and as signer. With basicConstraints that are an empty SEQUENCE, the same key is found.
# So: the server receives requests for a key that does not decrypt. Give registration authorities' certificates basicConstraints.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv tools
tools/bin/pip install --quiet --disable-pip-version-check --no-deps PyScep==0.0.14 asn1crypto==1.5.1 certbuilder==0.14.2 csrbuilder==0.10.1
tools/bin/pip install --quiet --disable-pip-version-check cryptography==41.0.7 requests==2.31.0 six==1.16.0
# oscrypto of PyPI does not find OpenSSL 3; Debian's does.
apt-get -qq download python3-oscrypto
dpkg -x python3-oscrypto_*.deb debian
key() { openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$1.key"; }
key ca
openssl req -x509 -new -key ca.key -subj /CN=ca -days 30 -out ca.pem -addext keyUsage=critical,keyCertSign,cRLSign
key ra
openssl req -new -key ra.key -subj /CN=ra -out ra.csr
certificate() { printf '%b' "$2" >"$1.ext"; openssl x509 -req -in ra.csr -CA ca.pem -CAkey ca.key -days 30 -extfile "$1.ext" -out "$1.pem" 2>/dev/null; }
certificate without 'keyUsage=critical,keyEncipherment\n'
certificate with 'keyUsage=critical,keyEncipherment\nbasicConstraints=CA:FALSE\n'
cat >probe.py <<'PYTHON'
from scep.Client.certificate import Certificate
from scep.Client.responses import CACertificates

read = lambda name: Certificate.from_pem(open(name + ".pem", "rb").read())
for kind in ["with", "without"]:
    found = CACertificates([read("ca"), read(kind)])
    print(f"{kind} basicConstraints: is_ca {read(kind).is_ca}, encrypts to {found.recipient.subject.native['common_name']}")
PYTHON
cat >expected <<'TEXT'
with basicConstraints: is_ca False, encrypts to ra
without basicConstraints: is_ca None, encrypts to ca
TEXT
PYTHONPATH=debian/usr/lib/python3/dist-packages tools/bin/python -W ignore probe.py >seen
diff expected seen
cat seen
