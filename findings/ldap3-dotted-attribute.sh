#!/usr/bin/env bash
# ldap3 2.9.1 (PyPI), `utils.dn.parse_dn`, which `Connection` calls for each name that it is given: a name with an attribute that has no
# short name.
#
# Expected: RFC 4514 §2.3 writes such an attribute as its dotted OID and §2.4 its value as `#` and the BER in hexadecimal; §4 gives an example.
# A `#` that is not the first character, and `=`, stand for themselves in a value (§3).
# Seen: the dot is "not allowed in attribute type", `#` is refused at the start of a value and inside it, and so is `=` inside a value.
# So: an entry whose DN a certificate's subject gave (tools print unknown attributes so) cannot be searched, changed or deleted until the
# connection is made with `check_names=False`, which sends the name as it is.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv tools
tools/bin/pip install --quiet --disable-pip-version-check ldap3==2.9.1 pyasn1==0.6.1
cat >probe.py <<'PYTHON'
import socket
import threading

from ldap3 import Connection, Server
from ldap3.core.exceptions import LDAPExceptionError, LDAPInvalidDnError
from ldap3.utils.dn import parse_dn

DOTTED = "1.3.6.1.4.1.1466.0=#04024869,O=Example"

for name in ["CN=gate,O=Example", DOTTED, "CN=#0C0467617465,O=Example", "CN=gate#7,O=Example", "CN=a=b,O=Example"]:
    try:
        parse_dn(name)
        print(f"{name}: read")
    except LDAPInvalidDnError as error:
        print(f"{name}: refused: {error}")


def sent(check_names):
    """What the library sends for a deletion of the dotted name: its last octets, which are the name."""
    listener = socket.create_server(("127.0.0.1", 0))
    heard = []

    def hear():
        socket_, _ = listener.accept()
        with socket_:
            heard.append(socket_.recv(4096))

    thread = threading.Thread(target=hear)
    thread.start()
    connection = Connection(Server("127.0.0.1", port=listener.getsockname()[1], get_info=None), check_names=check_names, receive_timeout=5)
    connection.open(read_server_info=False)
    try:
        connection.delete(DOTTED)
    except LDAPInvalidDnError:
        connection.socket.close()
        thread.join()
        return "refused"
    except LDAPExceptionError:
        pass
    thread.join()
    return heard[0][-len(DOTTED):].decode()


print(f"deleted with check_names: {sent(True)}")
print(f"deleted without check_names: {sent(False)}")
PYTHON
cat >expected <<'TEXT'
CN=gate,O=Example: read
1.3.6.1.4.1.1466.0=#04024869,O=Example: refused: character '.' not allowed in attribute type
CN=#0C0467617465,O=Example: refused: character # not allowed in hex representation of attribute value
CN=gate#7,O=Example: refused: special character # must be escaped
CN=a=b,O=Example: refused: special character = must be escaped
deleted with check_names: refused
deleted without check_names: 1.3.6.1.4.1.1466.0=#04024869,O=Example
TEXT
tools/bin/python probe.py >seen
diff expected seen
cat seen
