#!/usr/bin/env bash
# gnutls-bin 3.7.9-2+deb12u7 (Debian), `certtool` with a template: `dn = …`.
#
# Expected: RFC 4514 §2.4: a backslash before a comma, plus or quotation mark makes it part of the value, two hexadecimal digits after it are an
# octet; §2.2 joins attributes of one RDN by `+`. certtool prints names in that form, so they can be given back.
# Seen: each backslash goes, and the character behind it too: `CN=Gate\, East` becomes "Gate East" and `Lu\C4\8Di\C4\87` "Lu4Di47", with exit
# code 0; with the backslash doubled, and for `+` between attributes, the name is refused.
# So: a certificate whose template is made from a printed subject is for another name. Give such a value raw in an option of its own
# (`cn = "Gate, East"`) and look at what came out.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
apt-get -qq -o APT::Sandbox::User=root download gnutls-bin=3.7.9-2+deb12u7 libgnutls30=3.7.9-2+deb12u7 libgnutls-dane0=3.7.9-2+deb12u7 >apt.log 2>&1
for package in *.deb; do
    dpkg -x "$package" root
done
libraries=$PWD/$(dirname "$(find root -name 'libgnutls.so.30')")
certtool() {
    LD_LIBRARY_PATH=$libraries root/usr/bin/certtool "$@"
}
openssl ecparam -name prime256v1 -genkey -noout -out key.pem
made() {
    local code=0
    printf '%s\nserial = 7\n' "$1" >template
    certtool --generate-self-signed --load-privkey key.pem --template template --outfile made.pem 2>log || code=$?
    if [[ $code == 0 ]]; then
        echo "$1 -> $(openssl x509 -in made.pem -noout -subject -nameopt RFC2253)"
        certtool --certificate-info --infile made.pem | sed -n 's/^.Subject: /   certtool prints it as /p'
    else
        echo "$1 -> exit code $code"
    fi
}
cat >expected <<'TEXT'
cn = "Gate, East" -> subject=CN=Gate\, East
   certtool prints it as CN=Gate\, East
dn = "CN=Gate\, East" -> subject=CN=Gate East
   certtool prints it as CN=Gate East
dn = "CN=Gate\\, East" -> exit code 1
dn = "CN=Lu\C4\8Di\C4\87" -> subject=CN=Lu4Di47
   certtool prints it as CN=Lu4Di47
dn = "CN=gw,OU=Ops+O=Example" -> exit code 1
TEXT
{
    made 'cn = "Gate, East"'
    made 'dn = "CN=Gate\, East"'
    made 'dn = "CN=Gate\\, East"'
    made 'dn = "CN=Lu\C4\8Di\C4\87"'
    made 'dn = "CN=gw,OU=Ops+O=Example"'
} >seen
diff expected seen
cat seen
