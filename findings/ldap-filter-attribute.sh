#!/usr/bin/env bash
# ldapts 8.2.0 and ldapjs 3.0.7 (npm), ldaptor 21.2.0 (PyPI): what stands left of the equals sign in a search filter.
#
# Expected: RFC 4515 §3 puts an attribute description of RFC 4512 §2.5 there: a short name or a dotted OID, and options such as `;binary`,
# in which certificates and CRLs are asked for (RFC 4523 §4.1, RFC 4522).
# Seen: ldapts and ldapjs refuse both OIDs and options as an invalid expression; ldaptor takes options and refuses OIDs.
# So: "all entries with a certificate" cannot be asked in the text form of either library of npm; build the filter from objects, which take
# any description.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
npm install --silent --no-audit --no-fund --ignore-scripts ldapts@8.2.0 ldapjs@3.0.7 >install.log 2>&1
python3 -m venv tools
tools/bin/pip install --quiet --disable-pip-version-check ldaptor==21.2.0
cat >probe.cjs <<'JAVASCRIPT'
const ldapjs = require("ldapjs");
const { FilterParser, PresenceFilter } = require("ldapts");

const seen = (name, read, text) => {
  try {
    console.log(`${name}: ${text} is read as ${read(text)}`);
  } catch (error) {
    console.log(`${name}: ${text} is refused: ${error.message}`);
  }
};

for (const text of ["(userCertificate=*)", "(userCertificate;binary=*)", "(2.5.4.36=*)", "(cn;lang-de=x)"]) {
  seen("ldapts", (filter) => FilterParser.parseString(filter), text);
  seen("ldapjs", (filter) => ldapjs.parseFilter(filter), text);
}
console.log(`ldapts, an object: ${new PresenceFilter({ attribute: "userCertificate;binary" })}`);
console.log(`ldapjs, an object: ${new ldapjs.PresenceFilter({ attribute: "userCertificate;binary" })}`);
JAVASCRIPT
cat >probe.py <<'PYTHON'
from ldaptor.ldapfilter import InvalidLDAPFilter, parseFilter

for text in ["(userCertificate=*)", "(userCertificate;binary=*)", "(2.5.4.36=*)", "(cn;lang-de=x)"]:
    try:
        print(f"ldaptor: {text} is read as {parseFilter(text).asText()}")
    except InvalidLDAPFilter:
        print(f"ldaptor: {text} is refused")
PYTHON
cat >expected <<'TEXT'
ldapts: (userCertificate=*) is read as (userCertificate=*)
ldapjs: (userCertificate=*) is read as (userCertificate=*)
ldapts: (userCertificate;binary=*) is refused: Invalid expression: userCertificate;binary=*
ldapjs: (userCertificate;binary=*) is refused: invalid expression
ldapts: (2.5.4.36=*) is refused: Invalid expression: 2.5.4.36=*
ldapjs: (2.5.4.36=*) is refused: invalid expression
ldapts: (cn;lang-de=x) is refused: Invalid expression: cn;lang-de=x
ldapjs: (cn;lang-de=x) is refused: invalid expression
ldapts, an object: (userCertificate;binary=*)
ldapjs, an object: (userCertificate;binary=*)
ldaptor: (userCertificate=*) is read as (userCertificate=*)
ldaptor: (userCertificate;binary=*) is read as (userCertificate;binary=*)
ldaptor: (2.5.4.36=*) is refused
ldaptor: (cn;lang-de=x) is read as (cn;lang-de=x)
TEXT
node probe.cjs >seen
tools/bin/python probe.py >>seen
diff expected seen
cat seen
