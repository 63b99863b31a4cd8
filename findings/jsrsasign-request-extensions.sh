#!/usr/bin/env bash
# jsrsasign 11.1.5 (npm), `CSRUtil.getParam`: a PKCS#10 request with two attributes.
#
# Expected: attributes are a SET (RFC 2986 §4.1), in DER sorted by their octets (X.690 §11.6), so that extensionRequest (RFC 2985 §5.4.2)
# stands behind a challengePassword (§5.4.1), which is shorter. A reader looks for it by its OID.
# Seen: only the first attribute is looked at: with a challengePassword `extreq` is missing, and the names asked for with it. The same request
# without the password has them. No error.
# So: SCEP requests (RFC 8894 puts the password there) are read as asking for no names at all; read the attributes with `ASN1HEX`.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
npm install --silent --no-audit --no-fund --ignore-scripts jsrsasign@11.1.5 >install.log 2>&1
cat >plain.cnf <<'CONFIG'
[req]
prompt = no
distinguished_name = name
req_extensions = extensions
[name]
commonName = gw
[extensions]
subjectAltName = DNS:gw.example.net
CONFIG
sed 's/^prompt.*/&\nattributes = password/' plain.cnf >password.cnf
printf '[password]\nchallengePassword = secret\n' >>password.cnf
for kind in plain password; do
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -config "$kind.cnf" -out "$kind.pem" 2>>openssl.log
done
cat >probe.cjs <<'JAVASCRIPT'
const fs = require("fs");
const { KJUR } = require("jsrsasign");

for (const kind of ["plain", "password"]) {
  const request = KJUR.asn1.csr.CSRUtil.getParam(fs.readFileSync(`${kind}.pem`, "utf8"));
  console.log(`${kind}: jsrsasign reads ${JSON.stringify(request.extreq)}`);
}
JAVASCRIPT
cat >expected <<'TEXT'
plain: OpenSSL reads DNS:gw.example.net
password: OpenSSL reads DNS:gw.example.net
plain: jsrsasign reads [{"extname":"subjectAltName","array":[{"dns":"gw.example.net"}]}]
password: jsrsasign reads undefined
TEXT
for kind in plain password; do
    echo "$kind: OpenSSL reads$(openssl req -in "$kind.pem" -noout -text | sed -n 's/^ *\(DNS:\)/ \1/p')"
done >seen
node probe.cjs >>seen
diff expected seen
cat seen
