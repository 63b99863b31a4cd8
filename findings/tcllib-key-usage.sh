#!/usr/bin/env bash
# tcllib 1.21+dfsg-1 (Debian), `pki::x509::parse_cert`: key usage, and the reasons of a CRL distribution point.
#
# Expected: RFC 5280 §4.2.1.3 and §4.2.1.13: named bits of a BIT STRING, digitalSignature (0) to decipherOnly (8), unused (0) to aACompromise (8).
# Bit 0 is the first of the string (X.690 §8.6.2.1); in DER the string ends with the last bit that is set (§11.2.2).
# Seen: the bits are counted from the last one of the string: keyCertSign and cRLSign are read as digitalSignature and nonRepudiation,
# keyEncipherment as digitalSignature. Bits that read alike from both ends, as of digitalSignature alone, have the right names.
# So: the usage of a gateway looks right and that of its CA does not; read the extension's octets with `asn`.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
apt-get -qq -o APT::Sandbox::User=root download tcllib=1.21+dfsg-1 >apt.log 2>&1
dpkg -x tcllib_*.deb root
cat >probe.tcl <<'TCL'
set auto_path [linsert $auto_path 0 root/usr/share/tcltk/tcllib1.21]
package require pki

set file [open [lindex $argv 0] rb]
set extensions [dict get [::pki::x509::parse_cert [read $file]] extensions]
dict for {name value} $extensions {
    if {$name in {keyUsage cRLDistributionPoints}} {
        puts "  read: [lindex $value 1]"
    }
}
TCL
openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem
made() {
    printf '[req]\nprompt = no\ndistinguished_name = name\nx509_extensions = extensions\n[name]\nCN = gw\n[extensions]\n%s\n' "$1" >request.cnf
    openssl req -x509 -key key.pem -config request.cnf -days 30 -out made.pem
    echo "${1%%$'\n'*}"
    tclsh probe.tcl made.pem
}
cat >expected <<'TEXT'
keyUsage = digitalSignature
  read: 1 digitalSignature
keyUsage = keyEncipherment
  read: 1 digitalSignature
keyUsage = digitalSignature, keyEncipherment
  read: 5 digitalSignature keyEncipherment
keyUsage = keyCertSign, cRLSign
  read: 3 digitalSignature nonRepudiation
crlDistributionPoints = point
  read: {distributionPoint {fullName {uniformResourceIdentifier http://crl.example/ca.crl}} reasons 1}
crlDistributionPoints = points
  read: {distributionPoint {fullName {uniformResourceIdentifier http://crl.example/ca.crl}} reasons {3 keyCompromise}}
TEXT
{
    made 'keyUsage = digitalSignature'
    made 'keyUsage = keyEncipherment'
    made 'keyUsage = digitalSignature, keyEncipherment'
    made 'keyUsage = keyCertSign, cRLSign'
    made $'crlDistributionPoints = point\n[point]\nfullname = URI:http://crl.example/ca.crl\nreasons = superseded'
    made $'crlDistributionPoints = points\n[points]\nfullname = URI:http://crl.example/ca.crl\nreasons = keyCompromise, CACompromise'
} >seen
diff expected seen
cat seen
