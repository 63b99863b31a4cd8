#!/usr/bin/env bash
# @ldapjs/dn 1.1.0 (npm; the names of ldapjs 3): a name that is read and written again.
#
# Expected: RFC 4514 §2.4: a backslash in a value is written `\\`, a blank at its start or end is escaped; what was read is written with the same
# value. Other characters that need it are escaped here (`\2c` for a comma).
# Seen: a value's backslash is written bare, so that it is gone when the name is read again; escaped blanks at either end are lost when the name is
# read.
# So: names made by Windows tools (`DOMAIN\gate`) and copied through `DN.fromString(…).toString()` are other entries' names.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
npm install --silent --no-audit --no-fund --ignore-scripts @ldapjs/dn@1.1.0 >install.log 2>&1
cat >probe.cjs <<'JAVASCRIPT'
const { DN } = require("@ldapjs/dn");

const seen = (text) => {
  try {
    const name = DN.fromString(text);
    return { value: JSON.stringify(name.rdnAt(0).getValue("cn")), text: name.toString() };
  } catch (error) {
    return { value: "refused", text: error.message };
  }
};

for (const text of ["cn=Gate\\2c East", "cn=DOMAIN\\\\gate", "cn=\\ gate\\ "]) {
  const first = seen(text);
  console.log(`${text}: value ${first.value}, written ${first.text}, then read as ${seen(first.text).value}`);
}
JAVASCRIPT
cat >expected <<'TEXT'
cn=Gate\2c East: value "Gate, East", written cn=Gate\2c East, then read as "Gate, East"
cn=DOMAIN\\gate: value "DOMAIN\\gate", written cn=DOMAIN\gate, then read as "DOMAINgate"
cn=\ gate\ : value "gate", written cn=gate, then read as "gate"
TEXT
node probe.cjs >seen
diff expected seen
cat seen
