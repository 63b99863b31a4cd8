#!/usr/bin/env bash
# node-forge 1.4.3 (npm), `setIssuer(ca.subject.attributes)`: a CA whose subject has two attributes in one relative distinguished name.
#
# Expected: the issuer of a new certificate is the CA's subject, RDN by RDN (RFC 5280 §4.1.2.6, §6.1.3 (a)(4)); `setIssuer` takes the
# list that `subject.attributes` is.
# Seen: `attributes` is a flat list, and each becomes an RDN of its own: `O=Example+OU=Ops` is issued as `O=Example`, `OU=Ops`. Neither OpenSSL
# nor the library's own `isIssuer` finds the issuer then; nothing says so when it is signed.
# So: ask `isIssuer` of each certificate that is made; for such a CA use another library.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
npm install --silent --no-audit --no-fund --ignore-scripts node-forge@1.4.3 >install.log 2>&1
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 3650 -multivalue-rdn -subj '/C=DE/OU=Ops+O=Example/CN=Example CA' 2>openssl.log
cat >make.cjs <<'JAVASCRIPT'
const fs = require("fs");
const { md, pki } = require("node-forge");

const ca = pki.certificateFromPem(fs.readFileSync("ca.pem", "utf8"));
const key = pki.privateKeyFromPem(fs.readFileSync("ca.key", "utf8"));
const certificate = pki.createCertificate();
certificate.publicKey = ca.publicKey;
certificate.serialNumber = "07";
certificate.validity = ca.validity;
certificate.setSubject([{ shortName: "CN", value: "gw" }]);
certificate.setIssuer(ca.subject.attributes);
certificate.sign(key, md.sha256.create());
fs.writeFileSync("gw.pem", pki.certificateToPem(certificate));
console.log(`isIssuer: ${ca.isIssuer(certificate)}`);
JAVASCRIPT
cat >expected <<'TEXT'
isIssuer: false
subject=CN=Example CA,O=Example+OU=Ops,C=DE
issuer=CN=Example CA,O=Example,OU=Ops,C=DE
unable to get local issuer certificate
TEXT
{
    node make.cjs
    openssl x509 -in ca.pem -noout -subject -nameopt RFC2253
    openssl x509 -in gw.pem -noout -issuer -nameopt RFC2253
    openssl verify -CAfile ca.pem gw.pem 2>&1 | grep -o 'unable to get.*' || true
} >seen
diff expected seen
cat seen
