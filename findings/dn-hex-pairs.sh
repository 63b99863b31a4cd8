#!/usr/bin/env bash
# @peculiar/x509 2.2.0 and jsrsasign 11.1.5 (npm), ldaptor 21.2.0 (PyPI): a distinguished name in text with octets written as hexadecimal pairs.
#
# Expected: RFC 4514 §2.4 and §3: a backslash and two hexadecimal digits are one octet of the value in UTF-8; the first name is §4's last
# example (U+010D, U+0107), the second has an escaped comma, as some directories write it.
# Seen: three answers, none of them right for both. @peculiar/x509 drops the backslash and keeps the digits, jsrsasign keeps both, ldaptor
# drops the backslash of `\C4` and takes `\8D` for the character U+008D. None reports an error; cryptography 50.0.2 (PyPI) reads both.
# So: the certificate that is made from such a name is for somebody else. OpenSSL prints what is not ASCII in such pairs (`-nameopt RFC2253`):
# decode them before the name goes into one of the three.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
npm install --silent --no-audit --no-fund --ignore-scripts @peculiar/x509@2.2.0 reflect-metadata@0.2.2 jsrsasign@11.1.5 >install.log 2>&1
python3 -m venv tools
tools/bin/pip install --quiet --disable-pip-version-check ldaptor==21.2.0 cryptography==50.0.2
cat >names <<'TEXT'
CN=Lu\C4\8Di\C4\87
CN=Gate\2C East
TEXT
# Each prints the octets of the value.
cat >probe.cjs <<'JAVASCRIPT'
require("reflect-metadata");
const fs = require("fs");
const { Name } = require("@peculiar/x509");
const { KJUR } = require("jsrsasign");

const value = (der) => der.slice(26);

for (const name of fs.readFileSync("names", "utf8").trim().split("\n")) {
  console.log(`@peculiar/x509 ${value(Buffer.from(new Name(name).toArrayBuffer()).toString("hex"))} ${name}`);
  console.log(`jsrsasign ${value(new KJUR.asn1.x509.X500Name({ ldapstr: name }).tohex())} ${name}`);
}
JAVASCRIPT
cat >probe.py <<'PYTHON'
from cryptography.x509 import Name
from ldaptor.protocols.ldap.distinguishedname import DistinguishedName

for text in open("names").read().splitlines():
    attribute = DistinguishedName(text).split()[0].split()[0]
    print(f"ldaptor {attribute.value.encode().hex()} {text}")
    print(f"cryptography {next(iter(Name.from_rfc4514_string(text))).value.encode().hex()} {text}")
PYTHON
cat >expected <<'TEXT'
@peculiar/x509 4c75433438446943343837 CN=Lu\C4\8Di\C4\87
jsrsasign 4c755c43345c3844695c43345c3837 CN=Lu\C4\8Di\C4\87
@peculiar/x509 4761746532432045617374 CN=Gate\2C East
jsrsasign 476174655c32432045617374 CN=Gate\2C East
ldaptor 4c754334c28d694334c287 CN=Lu\C4\8Di\C4\87
cryptography 4c75c48d69c487 CN=Lu\C4\8Di\C4\87
ldaptor 476174652c2045617374 CN=Gate\2C East
cryptography 476174652c2045617374 CN=Gate\2C East
TEXT
node probe.cjs >seen
tools/bin/python probe.py >>seen
diff expected seen
cat seen
