#!/usr/bin/env bash
# crlbuilder 0.10.2 with asn1crypto 1.5.1 (PyPI): the version of a CRL.
#
# Expected: RFC 5280 §5.1.2.1: a CRL with extensions has version 2, which is the INTEGER 1; §5.1: there is no other. The library always adds
# extensions (its number, the authority's key).
# Seen: the INTEGER is 2, as in a certificate. OpenSSL prints "Version unknown (2)" and verifies by it; GnuTLS prints version 3; `cryptography`
# 50.0.2 (PyPI) refuses the CRL.
# So: whether such a CRL revokes anything depends on who reads it; make CRLs by another tool.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv tools
tools/bin/pip install --quiet --disable-pip-version-check --no-deps crlbuilder==0.10.2 asn1crypto==1.5.1 certbuilder==0.14.2
tools/bin/pip install --quiet --disable-pip-version-check cryptography==50.0.2
# oscrypto of PyPI does not find OpenSSL 3; Debian's does.
apt-get -qq -o APT::Sandbox::User=root download python3-oscrypto gnutls-bin=3.7.9-2+deb12u7 libgnutls30=3.7.9-2+deb12u7 libgnutls-dane0=3.7.9-2+deb12u7 >apt.log 2>&1
for package in *.deb; do
    dpkg -x "$package" root
done
cat >make.py <<'PYTHON'
from datetime import datetime, timezone

from certbuilder import CertificateBuilder, pem_armor_certificate
from crlbuilder import CertificateListBuilder
from oscrypto import asymmetric

public, private = asymmetric.generate_pair("ec", curve="secp256r1")
authority = CertificateBuilder({"common_name": "Example CA"}, public)
authority.self_signed = True
authority.ca = True
ca = authority.build(private)
crl = CertificateListBuilder("http://crl.example/ca.crl", ca, 7)
crl.add_certificate(1000, datetime(2026, 1, 1, tzinfo=timezone.utc), "superseded")
open("made.crl", "wb").write(crl.build(private).dump())
open("ca.pem", "wb").write(pem_armor_certificate(ca))
PYTHON
PYTHONPATH=root/usr/lib/python3/dist-packages tools/bin/python -W ignore make.py
cat >probe.py <<'PYTHON'
from cryptography.x509 import InvalidVersion, load_der_x509_crl

try:
    print(f"cryptography: {len(load_der_x509_crl(open('made.crl', 'rb').read()))} entries")
except InvalidVersion as error:
    print(f"cryptography: {error}")
PYTHON
cat >expected <<'TEXT'
asn1parse: INTEGER           :02
OpenSSL: verify OK
OpenSSL: Version unknown (2)
GnuTLS: Version: 3
cryptography: 2 is not a valid CRL version
TEXT
{
    echo "asn1parse: $(openssl asn1parse -inform DER -in made.crl | grep -m1 -o 'INTEGER.*')"
    openssl crl -inform DER -in made.crl -CAfile ca.pem -noout -text 2>&1 | sed -n 's/^ *\(Version\|verify\)/OpenSSL: \1/p'
    LD_LIBRARY_PATH=$(dirname "$(find root -name libgnutls.so.30)") root/usr/bin/certtool --crl-info --inder --infile made.crl | sed -n 's/^.*Version:/GnuTLS: Version:/p'
    tools/bin/python probe.py
} >seen
diff expected seen
cat seen
