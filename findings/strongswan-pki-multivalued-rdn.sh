#!/usr/bin/env bash
# strongswan-pki 5.9.8-5+deb12u6 (Debian): a subject with two attributes in one relative distinguished name.
#
# Expected: RFC 4514 §2.2 joins such attributes by `+`, and §2.4 escapes a comma by a backslash; what `pki --print` says of a certificate can be
# given as `--dn`.
# Seen: `--print` shows the two attributes as two names, so that `OU=Ops + O=Example` and `OU=Ops, O=Example` look alike; given as `--dn` that
# text makes the second. `+` in `--dn` is a character of the value, and an escaped comma makes the text no distinguished name.
# So: the text cannot name such a subject, and looks right: issue names without `+`.
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
subject() {
    openssl x509 -in "$1" -noout -subject -nameopt RFC2253
}
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -out two.pem -days 3650 -subj '/C=DE/O=Example+OU=Ops/CN=gw' -multivalue-rdn 2>openssl.log
cat >expected <<'TEXT'
OpenSSL made: subject=CN=gw,O=Example+OU=Ops,C=DE
pki prints: C=DE, OU=Ops, O=Example, CN=gw
pki made of this: subject=CN=gw,O=Example,OU=Ops,C=DE
pki made with a plus: subject=CN=gw,O=Example\+OU=Ops,C=DE
pki with an escaped comma: supplied --dn is not a distinguished name
TEXT
{
    echo "OpenSSL made: $(subject two.pem)"
    printed=$(pki --print --in two.pem 2>>pki.log | sed -n 's/^ *subject: *"\(.*\)"$/\1/p')
    echo "pki prints: $printed"
    pki --self --in key.pem --type ecdsa --dn "$printed" --outform pem >again.pem 2>>pki.log
    echo "pki made of this: $(subject again.pem)"
    pki --self --in key.pem --type ecdsa --dn 'C=DE, O=Example+OU=Ops, CN=gw' --outform pem >plus.pem 2>>pki.log
    echo "pki made with a plus: $(subject plus.pem)"
    echo "pki with an escaped comma: $(pki --self --in key.pem --type ecdsa --dn 'C=DE, CN=Gate\, East' 2>&1 >/dev/null | grep -o 'supplied.*')"
} >seen
diff expected seen
cat seen
