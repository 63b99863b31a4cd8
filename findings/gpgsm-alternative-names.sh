#!/usr/bin/env bash
# gpgsm 2.2.40-1.1+deb12u2 (Debian), `gpgsm --list-keys` and `--dump-keys`: the alternative names of a certificate.
#
# Expected: RFC 5280 §4.2.1.6: nine kinds of names. A dump shows each, or says that there are others; of extensions that it does not know the
# dump gives OID and length.
# Seen: mail addresses, DNS names and URIs are listed as "aka". Addresses, otherNames, directoryNames and registeredIDs are not, and nothing tells
# that they are there: the extension is not among those that are listed without their content.
# So: a gateway whose name is an address (RFC 4945 §3.1.1) looks as if it had no alternative name; look with another tool.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
apt-get -qq -o APT::Sandbox::User=root download gpgsm=2.2.40-1.1+deb12u2 libassuan0 libksba8 libnpth0 >apt.log 2>&1
for package in *.deb; do
    dpkg -x "$package" root
done
openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem
gpgsm() {
    LD_LIBRARY_PATH=root/usr/lib/x86_64-linux-gnu:root/lib/x86_64-linux-gnu root/usr/bin/gpgsm --homedir home --batch --no-autostart --disable-dirmngr "$@" 2>>gpgsm.log
}
cat >expected <<'TEXT'
DNS:gw.example.net
  list: (dns-name gw.example.net)
  dump: aka: (8:dns-name14:gw.example.net)
  dump: extn: 1.3.6.1.4.1.99999.7  [2 octets]
email:gw@example.net
  list: gw@example.net
  dump: aka: <gw@example.net>
  dump: extn: 1.3.6.1.4.1.99999.7  [2 octets]
URI:https://gw.example.net/
  list: (uri https://gw.example.net/)
  dump: aka: (3:uri23:https://gw.example.net/)
  dump: extn: 1.3.6.1.4.1.99999.7  [2 octets]
IP:192.0.2.1
  dump: extn: 1.3.6.1.4.1.99999.7  [2 octets]
IP:2001:db8::1
  dump: extn: 1.3.6.1.4.1.99999.7  [2 octets]
otherName:1.3.6.1.5.5.7.8.7;IA5:_ike.example.net
  dump: extn: 1.3.6.1.4.1.99999.7  [2 octets]
dirName:name
  dump: extn: 1.3.6.1.4.1.99999.7  [2 octets]
RID:2.999.1
  dump: extn: 1.3.6.1.4.1.99999.7  [2 octets]
IP:192.0.2.1, DNS:gw.example.net
  list: (dns-name gw.example.net)
  dump: aka: (8:dns-name14:gw.example.net)
  dump: extn: 1.3.6.1.4.1.99999.7  [2 octets]
TEXT
for name in DNS:gw.example.net email:gw@example.net URI:https://gw.example.net/ IP:192.0.2.1 IP:2001:db8::1 'otherName:1.3.6.1.5.5.7.8.7;IA5:_ike.example.net' dirName:name RID:2.999.1 'IP:192.0.2.1, DNS:gw.example.net'; do
    printf '[req]\nprompt = no\ndistinguished_name = name\nx509_extensions = extensions\n[name]\nCN = gw\n[extensions]\nsubjectAltName = %s\n1.3.6.1.4.1.99999.7 = DER:0500\n' "$name" >request.cnf
    openssl req -x509 -key key.pem -config request.cnf -days 30 -out made.pem
    rm -rf home
    mkdir -m 700 home
    gpgsm --import made.pem
    echo "$name"
    gpgsm --list-keys | sed -n 's/^ *aka: /  list: /p'
    gpgsm --dump-keys | sed -n 's/^ *\(aka\|extn\): /  dump: \1: /p'
done >seen
diff expected seen
cat seen
