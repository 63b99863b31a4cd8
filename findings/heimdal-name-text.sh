#!/usr/bin/env bash
# heimdal-clients 7.8.git20221117.28daf24+dfsg-2 (Debian), `hxtool request-create --subject`: a distinguished name in text.
#
# Expected: RFC 4514 §2.2 joins two attributes of an RDN by `+`, §2.4 escapes a comma by a backslash and has octets as a backslash and two digits.
# `hxtool print` shows names in this form, so that what it shows can be given as a subject.
# Seen: `+` between attributes becomes a character of the value, an escaped comma is refused by a bare number; octets beyond ASCII are shown with
# `#` in place of the backslash, and taken back as these characters.
# So: a request for the subject that a certificate shows is for another one, or none; give subjects in plain UTF-8, without `+` and comma.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
version=7.8.git20221117.28daf24+dfsg-2
packages=(heimdal-clients libhx509-5-heimdal libasn1-8-heimdal libhcrypto5-heimdal libheimbase1-heimdal libroken19-heimdal libsl0-heimdal libwind0-heimdal)
apt-get -qq -o APT::Sandbox::User=root download "${packages[@]/%/=$version}" libedit2 libbsd0 libmd0 libcom-err2 >apt.log 2>&1
for package in *.deb; do
    dpkg -x "$package" root
done
hxtool() {
    LD_LIBRARY_PATH=root/usr/lib/x86_64-linux-gnu root/usr/bin/hxtool "$@"
}
openssl genrsa -traditional -out key.pem 2048
cat >expected <<'TEXT'
subject=CN=gw,O=Example,C=DE
  shown as CN=gw,O=Example,C=DE, which makes subject=CN=gw,O=Example,C=DE
subject=OU=Ops+CN=gw,O=Example
  shown as CN=gw+OU=Ops,O=Example, which makes subject=CN=gw\+OU=Ops,O=Example
subject=CN=Gate\, East,O=Example
  shown as CN=Gate\, East,O=Example, which is refused: hxtool: hx509_parse_name: 569879
subject=CN=Lu\C4\8Di\C4\87,O=Example
  shown as CN=Lu#c4#8di#c4#87,O=Example, which makes subject=CN=Lu#c4#8di#c4#87,O=Example
TEXT
for subject in /C=DE/O=Example/CN=gw /O=Example/OU=Ops+CN=gw '/O=Example/CN=Gate, East' /O=Example/CN=Lučić; do
    openssl req -x509 -key key.pem -utf8 -multivalue-rdn -subj "$subject" -days 30 -out made.pem
    openssl x509 -in made.pem -noout -subject -nameopt RFC2253
    shown=$(hxtool print FILE:made.pem 2>&1 | sed -n 's/^ *subject: *"\(.*\)"$/\1/p')
    rm -f request.der
    hxtool request-create --key=FILE:key.pem --subject="$shown" request.der >hxtool.log 2>&1 || true
    if [[ -e request.der ]]; then
        echo "  shown as $shown, which makes $(openssl req -inform DER -in request.der -noout -subject -nameopt RFC2253)"
    else
        echo "  shown as $shown, which is refused: $(head -n 1 hxtool.log)"
    fi
done >seen
diff expected seen
cat seen
