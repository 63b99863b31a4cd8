#!/usr/bin/env bash
# @peculiar/x509 2.2.0 (npm), `X509CertificateGenerator`: the issuer of a new certificate, given as the CA certificate's `subject`.
#
# Expected: RFC 5280 §4.1.2.6: a CA's subject must be encoded in the same way in the issuer field of what it issues; §4.1.2.4 leaves the CA the
# choice of PrintableString or UTF8String, and OpenSSL takes the latter.
# Seen: `ca.subject` is text, and so is what `subjectName.toJSON()` gives: from either the generator makes PrintableString wherever the
# characters allow it. Only the object `ca.subjectName` keeps the kinds. OpenSSL still builds the path; `cryptography` 50.0.2 (PyPI), which
# compares octets, finds no issuer.
# So: give `issuer: ca.subjectName`, never the text; a chain that one verifier accepts is unknown to the next.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
npm install --silent --no-audit --no-fund --ignore-scripts @peculiar/x509@2.2.0 reflect-metadata@0.2.2 >install.log 2>&1
python3 -m venv tools
tools/bin/pip install --quiet --disable-pip-version-check cryptography==50.0.2
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.pem -days 3650 -utf8 -subj '/C=DE/O=Example/CN=Example CA' \
    -addext keyUsage=critical,keyCertSign 2>openssl.log
cat >make.cjs <<'JAVASCRIPT'
require("reflect-metadata");
const fs = require("fs");
const { createPrivateKey, webcrypto } = require("crypto");
const x509 = require("@peculiar/x509");

x509.cryptoProvider.set(webcrypto);
const curve = { name: "ECDSA", namedCurve: "P-256" };

(async () => {
  const ca = new x509.X509Certificate(fs.readFileSync("ca.pem", "utf8"));
  const pkcs8 = createPrivateKey(fs.readFileSync("ca.key", "utf8")).export({ type: "pkcs8", format: "der" });
  const signingKey = await webcrypto.subtle.importKey("pkcs8", pkcs8, curve, false, ["sign"]);
  const { publicKey } = await webcrypto.subtle.generateKey(curve, true, ["sign", "verify"]);
  const extensions = [
    new x509.SubjectAlternativeNameExtension([{ type: "dns", value: "gw.example.net" }]),
    await x509.AuthorityKeyIdentifierExtension.create(await ca.publicKey.export(), false, webcrypto),
  ];
  const issuers = { "the text": ca.subject, "the JSON": ca.subjectName.toJSON(), "the object": ca.subjectName };
  for (const [label, issuer] of Object.entries(issuers)) {
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: "01",
      subject: "CN=gw",
      issuer,
      notBefore: ca.notBefore,
      notAfter: ca.notAfter,
      signingAlgorithm: { ...curve, hash: "SHA-256" },
      publicKey,
      signingKey,
      extensions,
    });
    fs.writeFileSync(`${label}.pem`, certificate.toString("pem"));
  }
})();
JAVASCRIPT
cat >verify.py <<'PYTHON'
import sys

from cryptography.x509 import load_pem_x509_certificate
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

ca, leaf = (load_pem_x509_certificate(open(name, "rb").read()) for name in sys.argv[1:])
try:
    PolicyBuilder().store(Store([ca])).build_client_verifier().verify(leaf, [])
    print("cryptography accepts")
except VerificationError as error:
    print(f"cryptography refuses: {error}")
PYTHON
cat >expected <<'TEXT'
the text: PRINTABLESTRING PRINTABLESTRING PRINTABLESTRING; OpenSSL accepts; cryptography refuses: validation failed: candidates exhausted: all candidates exhausted with no interior errors
the JSON: PRINTABLESTRING PRINTABLESTRING PRINTABLESTRING; OpenSSL accepts; cryptography refuses: validation failed: candidates exhausted: all candidates exhausted with no interior errors
the object: PRINTABLESTRING UTF8STRING UTF8STRING; OpenSSL accepts; cryptography accepts
TEXT
node make.cjs
for label in 'the text' 'the JSON' 'the object'; do
    kinds=$(openssl asn1parse -in "$label.pem" | sed -n '6,22s/.*prim: \([A-Z0-9]*STRING\) .*/\1/p' | paste -sd ' ')
    if openssl verify -CAfile ca.pem "$label.pem" >/dev/null 2>&1; then path='OpenSSL accepts'; else path='OpenSSL refuses'; fi
    echo "$label: $kinds; $path; $(tools/bin/python verify.py ca.pem "$label.pem")"
done >seen
diff expected seen
cat seen
