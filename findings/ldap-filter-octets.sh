#!/usr/bin/env bash
# ldapts 8.2.0 and ldapjs 3.0.7 (npm), ldaptor 21.2.0 (PyPI): escaped octets in a search filter.
#
# Expected: RFC 4515 §3: a backslash and two hexadecimal digits stand for one octet of the value; the second filter is one of §4's examples,
# the third has the start of a certificate.
# Seen: on the wire ldapts and ldaptor take each escape for a character and write it in UTF-8, so that `\c4\8d` becomes four octets; ldapjs
# sends the backslash and the digits. Only escapes under 80 agree with the RFC, and with ldapjs not even those.
# So: a filter made by another library, as for `userCertificate` or a name escaped throughout, finds nothing, and no error says so: give
# ldapts and ldapjs an `EqualityFilter` with the value as `Buffer`, never a string.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
npm install --silent --no-audit --no-fund --ignore-scripts ldapts@8.2.0 ldapjs@3.0.7 >install.log 2>&1
python3 -m venv tools
tools/bin/pip install --quiet --disable-pip-version-check ldaptor==21.2.0
cat >filters <<'TEXT'
(o=A\28b\29)
(sn=Lu\c4\8di\c4\87)
(userCertificate=\30\82\ff)
TEXT
# The clients of npm talk to a listener, which prints the value of the equality match (tag a3) that it is sent.
cat >probe.cjs <<'JAVASCRIPT'
const fs = require("fs");
const net = require("net");
const ldapjs = require("ldapjs");
const { Client } = require("ldapts");

const value = (message) => {
  const type = message.indexOf(0x04, message.indexOf(0xa3));
  const start = type + 2 + message[type + 1];
  return message.subarray(start + 2, start + 2 + message[start + 1]).toString("hex");
};

async function sent(ask) {
  const heard = new Promise((resolve) => {
    const server = net.createServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", (data) => {
        socket.destroy();
        server.close();
        resolve(data);
      });
    });
    server.listen(0, "127.0.0.1", () => ask(`ldap://127.0.0.1:${server.address().port}`));
  });
  return value(await heard);
}

const byLdapts = (filter) => (url) => new Client({ url }).search("o=x", { filter }).catch(() => {});
const byLdapjs = (filter) => (url) => {
  const client = ldapjs.createClient({ url });
  client.on("error", () => {});
  client.search("o=x", { filter }, (_, answer) => answer?.on("error", () => {}));
};

(async () => {
  for (const filter of fs.readFileSync("filters", "utf8").trim().split("\n")) {
    console.log(`ldapts  ${filter} ${await sent(byLdapts(filter))}`);
    console.log(`ldapjs  ${filter} ${await sent(byLdapjs(filter))}`);
  }
  process.exit(0);
})();
JAVASCRIPT
cat >probe.py <<'PYTHON'
from ldaptor.ldapfilter import parseFilter

for text in open("filters").read().splitlines():
    print(f"ldaptor {text} {parseFilter(text).assertionValue.toWire()[2:].hex()}")
PYTHON
cat >rfc <<'TEXT'
RFC     (o=A\28b\29) 41286229
RFC     (sn=Lu\c4\8di\c4\87) 4c75c48d69c487
RFC     (userCertificate=\30\82\ff) 3082ff
TEXT
cat >expected <<'TEXT'
RFC     (o=A\28b\29) 41286229
ldapjs  (o=A\28b\29) 415c3238625c3239
ldaptor (o=A\28b\29) 41286229
ldapts  (o=A\28b\29) 41286229
RFC     (sn=Lu\c4\8di\c4\87) 4c75c48d69c487
ldapjs  (sn=Lu\c4\8di\c4\87) 4c755c63345c3864695c63345c3837
ldaptor (sn=Lu\c4\8di\c4\87) 4c75c384c28d69c384c287
ldapts  (sn=Lu\c4\8di\c4\87) 4c75c384c28d69c384c287
RFC     (userCertificate=\30\82\ff) 3082ff
ldapjs  (userCertificate=\30\82\ff) 5c33305c38325c6666
ldaptor (userCertificate=\30\82\ff) 30c282c3bf
ldapts  (userCertificate=\30\82\ff) 30c282c3bf
TEXT
node probe.cjs >by-npm
tools/bin/python probe.py >by-python
cat rfc by-npm by-python | LC_ALL=C sort -b -k 2,2 -k 1,1 >seen
diff expected seen
cat seen
