#!/usr/bin/env bash
# asn1crypto 1.5.1 (PyPI), `csr.CertificationRequest.native`: a PKCS#10 request with an attribute that the library does not know.
#
# Expected: RFC 2986 §4.1 leaves attributes open (type and any values); unknown ones come as octets, as unknown extensions of certificates do
# in the same library. unstructuredName (RFC 2985 §5.2.2) is such a one.
# Seen: `native` of the request raises "Data for field 0 … does not match any of the field definitions", for the whole of it: subject and key
# with it. Known attributes, a challengePassword among them, are read.
# So: read field by field (`['certification_request_info']['subject'].native`), and each attribute's `type` before its `values`.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv tools
tools/bin/pip install --quiet --disable-pip-version-check asn1crypto==1.5.1
cat >base.cnf <<'CONFIG'
[req]
prompt = no
distinguished_name = name
attributes = attributes
[name]
commonName = gw
[attributes]
CONFIG
cat >probe.py <<'PYTHON'
import sys

from asn1crypto.csr import CertificationRequest

request = CertificationRequest.load(open(sys.argv[1], "rb").read())
try:
    print(f"{sys.argv[1]}: {[attribute['type'] for attribute in request.native['certification_request_info']['attributes']]}")
except ValueError as error:
    print(f"{sys.argv[1]}: {str(error).splitlines()[0]}")
print(f"  subject by itself: {dict(request['certification_request_info']['subject'].native)}")
PYTHON
cat >expected <<'TEXT'
challengePassword: ['challenge_password']
  subject by itself: {'common_name': 'gw'}
unstructuredName: Data for field 0 (universal class, primitive method, tag 12) does not match any of the field definitions
  subject by itself: {'common_name': 'gw'}
TEXT
for attribute in challengePassword unstructuredName; do
    { cat base.cnf && echo "$attribute = gw.example.net"; } >request.cnf
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -config request.cnf -utf8 -outform DER -out "$attribute" 2>>openssl.log
    tools/bin/python probe.py "$attribute"
done >seen
diff expected seen
cat seen
