#!/usr/bin/env bash
# strongswan-pki 5.9.8-5+deb12u6 (Debian): subjectAltName and name constraints that `pki --issue` cannot encode.
#
# Expected: RFC 5280 §4.2.1.6 has URIs among alternative names and §4.2.1.10 address ranges among constraints; a name that a tool cannot encode
# ends the command. An extension without any name must not be made (§4.2.1.6), and a constraint on addresses has 8 octets.
# Seen: `--san` with a URI leaves a line on stderr and makes the certificate all the same, with an empty extension; exit code 0. A subnet as
# `--nc-permitted` gives an empty constraint, a single address one of 4 octets.
# So: scripts that look at the exit code hand out certificates that strict readers refuse. Look at stderr and print what was issued.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
version=5.9.8-5+deb12u6
apt-get -qq -o APT::Sandbox::User=root download "strongswan-pki=$version" "libstrongswan=$version" >apt.log 2>&1
for package in *.deb; do
    dpkg -x "$package" root
done
# The folder of plugins is compiled in: the packages are laid over /usr for this command alone.
pki() {
    # shellcheck disable=SC2016 # for the inner shell
    unshare --map-root-user --mount bash -c 'mount -t overlay overlay -o "lowerdir=$PWD/root/usr:/usr" /usr && exec pki "$@"' pki "$@"
}
pki --gen --type ecdsa --size 256 --outform pem >ca.key 2>>pki.log
pki --self --ca --in ca.key --type ecdsa --dn 'CN=Example CA' --outform pem >ca.pem 2>>pki.log
issue() {
    local code=0
    pki --issue --cacert ca.pem --cakey ca.key --in ca.key --type ecdsa --dn CN=gw --outform pem "$@" >gw.pem 2>log || code=$?
    echo "$*: exit code $code; $(grep -o 'encoding ID.*' log || echo silent)"
    openssl asn1parse -in gw.pem | grep -A1 "$name" | sed -n 's/.*OCTET STRING */  /p'
}
cat >expected <<'TEXT'
--san gw.example.net: exit code 0; silent
  [HEX DUMP]:3010820E67772E6578616D706C652E6E6574
--san http://gw.example.net/: exit code 0; encoding ID_KEY_ID as generalName not supported
  [HEX DUMP]:3000
--san uri:http://gw.example.net/: exit code 0; encoding ID_KEY_ID as generalName not supported
  [HEX DUMP]:3000
--ca --nc-permitted example.net: exit code 0; silent
  [HEX DUMP]:3011A00F300D820B6578616D706C652E6E6574
--ca --nc-permitted 192.0.2.0/24: exit code 0; encoding ID_IPV4_ADDR_SUBNET as generalName not supported
  [HEX DUMP]:3004A0023000
--ca --nc-permitted 192.0.2.1: exit code 0; silent
  [HEX DUMP]:300AA00830068704C0000201
TEXT
{
    name='Subject Alternative Name'
    issue --san gw.example.net
    issue --san http://gw.example.net/
    issue --san uri:http://gw.example.net/
    name='Name Constraints'
    issue --ca --nc-permitted example.net
    issue --ca --nc-permitted 192.0.2.0/24
    issue --ca --nc-permitted 192.0.2.1
} >seen
diff expected seen
cat seen
