#!/usr/bin/env bash
# @peculiar/x509 2.2.0 (npm): the order of a distinguished name in text, and the short names in it.
#
# Expected: RFC 4514 §2.1: the text starts with the last RDN of the certificate, so that `CN=gw,O=Example,C=DE` has the country first in DER, as
# OpenSSL's RFC 2253 form and `cryptography` 50.0.2 (PyPI) have it; §3 lists UID and STREET among the short names every reader knows.
# Seen: the text is taken and given in the order of DER: each name that passes between this library and one of the others is turned round. UID and
# STREET are refused: "Cannot get OID for name type ''", without the name of what is missing.
# So: a subject from an LDAP entry's DN or from another tool's output must be reversed first, else certificate and entry never match.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
npm install --silent --no-audit --no-fund --ignore-scripts @peculiar/x509@2.2.0 reflect-metadata@0.2.2 >install.log 2>&1
python3 -m venv tools
tools/bin/pip install --quiet --disable-pip-version-check cryptography==50.0.2
cat >probe.cjs <<'JAVASCRIPT'
require("reflect-metadata");
const fs = require("fs");
const { Name, X509Certificate } = require("@peculiar/x509");

fs.writeFileSync("peculiar.der", Buffer.from(new Name("CN=gw,O=Example,C=DE").toArrayBuffer()));
console.log(`@peculiar/x509 prints ${new X509Certificate(fs.readFileSync("gw.pem", "utf8")).subject}`);
for (const text of ["UID=gw,DC=example", "STREET=1 Road,C=DE"]) {
  try {
    console.log(`@peculiar/x509 reads ${text} as ${new Name(text)}`);
  } catch (error) {
    console.log(`@peculiar/x509 refuses ${text}: ${error.message}`);
  }
}
JAVASCRIPT
cat >probe.py <<'PYTHON'
from cryptography.x509 import Name, load_pem_x509_certificate

open("cryptography.der", "wb").write(Name.from_rfc4514_string("CN=gw,O=Example,C=DE").public_bytes())
print(f"cryptography prints {load_pem_x509_certificate(open('gw.pem', 'rb').read()).subject.rfc4514_string()}")
PYTHON
cat >expected <<'TEXT'
OpenSSL prints CN=gw,O=Example,C=DE
cryptography prints CN=gw,O=Example,C=DE
@peculiar/x509 prints C=DE, O=Example, CN=gw
@peculiar/x509 refuses UID=gw,DC=example: Cannot get OID for name type ''
@peculiar/x509 refuses STREET=1 Road,C=DE: Cannot get OID for name type ''
CN=gw,O=Example,C=DE in cryptography.der: countryName organizationName commonName
CN=gw,O=Example,C=DE in peculiar.der: commonName organizationName countryName
TEXT
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -out gw.pem -days 3650 -subj /C=DE/O=Example/CN=gw 2>openssl.log
{
    echo "OpenSSL prints $(openssl x509 -in gw.pem -noout -subject -nameopt RFC2253 | sed 's/^subject=//')"
    tools/bin/python probe.py
    node probe.cjs
    for name in cryptography.der peculiar.der; do
        echo "CN=gw,O=Example,C=DE in $name: $(openssl asn1parse -inform DER -in "$name" | sed -n 's/.*OBJECT *://p' | paste -sd ' ')"
    done
} >seen
diff expected seen
cat seen
