#!/usr/bin/env bash
# ocspbuilder 0.10.2 with asn1crypto 1.5.1 (PyPI): the times of an OCSP answer.
#
# Expected: RFC 6960 §4.2.2.1 takes GeneralizedTime as RFC 5280 §4.1.2.5.2 has it: with seconds, and without fractions of them.
# Seen: producedAt, thisUpdate and nextUpdate, which the library sets from the current time by itself, have six digits of microseconds. OpenSSL
# reads the answer; `cryptography` 50.0.2 (PyPI) refuses it at producedAt.
# So: set `this_update` and `next_update` to whole seconds; producedAt cannot be set, so that strict clients stay without an answer.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv tools
tools/bin/pip install --quiet --disable-pip-version-check --no-deps ocspbuilder==0.10.2 asn1crypto==1.5.1 certbuilder==0.14.2
tools/bin/pip install --quiet --disable-pip-version-check cryptography==50.0.2
# oscrypto of PyPI does not find OpenSSL 3; Debian's does.
apt-get -qq -o APT::Sandbox::User=root download python3-oscrypto >apt.log 2>&1
dpkg -x python3-oscrypto_*.deb root
cat >make.py <<'PYTHON'
from certbuilder import CertificateBuilder
from ocspbuilder import OCSPResponseBuilder
from oscrypto import asymmetric

public, private = asymmetric.generate_pair("ec", curve="secp256r1")
authority = CertificateBuilder({"common_name": "Example CA"}, public)
authority.self_signed = True
authority.ca = True
ca = authority.build(private)
gateway = CertificateBuilder({"common_name": "gw"}, public)
gateway.issuer = ca
answer = OCSPResponseBuilder("successful", gateway.build(private), "good")
open("answer", "wb").write(answer.build(private, ca).dump())
PYTHON
PYTHONPATH=root/usr/lib/python3/dist-packages tools/bin/python -W ignore make.py
cat >probe.py <<'PYTHON'
from cryptography.x509.ocsp import load_der_ocsp_response

try:
    answer = load_der_ocsp_response(open("answer", "rb").read())
    print(f"cryptography: {answer.certificate_status} of {len(str(answer.produced_at_utc))} characters")
except ValueError as error:
    print(f"cryptography: refused at producedAt: {'ResponseData::produced_at' in str(error)}")
PYTHON
cat >expected <<'TEXT'
OpenSSL: Produced At: DATE.DIGITS YEAR GMT
OpenSSL: Cert Status: good
OpenSSL: This Update: DATE.DIGITS YEAR GMT
OpenSSL: Next Update: DATE.DIGITS YEAR GMT
cryptography: refused at producedAt: True
TEXT
{
    openssl ocsp -respin answer -noverify -resp_text 2>&1 | sed -n 's/^ *\(\(Produced At\|Cert Status\|This Update\|Next Update\): .*\)/OpenSSL: \1/p' | sed 's/[A-Z][a-z][a-z] *[0-9]* [0-9:]*[0-9]\([ .]\)/DATE\1/; s/[0-9]\{6\}/DIGITS/; s/ [0-9]\{4\} GMT/ YEAR GMT/'
    tools/bin/python probe.py
} >seen
diff expected seen
cat seen
