#!/usr/bin/env bash
# ldif 0.5.1 (npm), `parse`: comments, empty values and values in files.
#
# Expected: RFC 2849: any line that is not empty may be folded, comments as well (note 2); a value may be empty (value-spec), and so may a DN, as
# the root DSE's is; `:<` and a file URL stand for the file's content.
# Seen: a folded comment and an empty DN are refused, an empty value ends in "Cannot read properties of null", and the URL itself is opened as a
# path, `file://` with it.
# So: drop comments before such a file is read, as `ldapsearch -LLL` does, and leave out empty values.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
npm install --silent --no-audit --no-fund --ignore-scripts ldif@0.5.1 >install.log 2>&1
printf 'MAMCAQc=' >value
cat >probe.cjs <<'JAVASCRIPT'
const { parse } = require("ldif");

for (const text of [
  "dn: cn=gw,o=Example\nuserCertificate;binary:: MAMC\n AQc=\n",
  "# base <cn=gw,o=Example>\ndn: cn=gw,o=Example\ncn: gw\n",
  "# base <cn=gw,o=Exa\n mple>\ndn: cn=gw,o=Example\ncn: gw\n",
  "dn: cn=gw,o=Example\ndescription:\n",
  "dn:\nobjectClass: top\n",
  `dn: cn=gw,o=Example\ndescription:< file://${process.cwd()}/value\n`,
]) {
  const shown = JSON.stringify(text).replace(process.cwd(), "");
  try {
    console.log(`${shown}: ${JSON.stringify(parse(text).entries[0].toObject({ decode: true }))}`);
  } catch (error) {
    console.log(`${shown}: ${error.message.replace(process.cwd(), "")}`);
  }
}
JAVASCRIPT
cat >expected <<'TEXT'
"dn: cn=gw,o=Example\nuserCertificate;binary:: MAMC\n AQc=\n": {"dn":"cn=gw,o=Example","attributes":{"userCertificate;binary":"0\u0003\u0002\u0001\u0007"}}
"# base <cn=gw,o=Example>\ndn: cn=gw,o=Example\ncn: gw\n": {"dn":"cn=gw,o=Example","attributes":{"cn":"gw"}}
"# base <cn=gw,o=Exa\n mple>\ndn: cn=gw,o=Example\ncn: gw\n": Expected DN, WHITESPACE, entry or version but " " found.
"dn: cn=gw,o=Example\ndescription:\n": Cannot read properties of null (reading 'type')
"dn:\nobjectClass: top\n": Expected DN, WHITESPACE, entry or version but "d" found.
"dn: cn=gw,o=Example\ndescription:< file:///value\n": ENOENT: no such file or directory, open 'file:///value'
TEXT
node probe.cjs >seen
diff expected seen
cat seen
