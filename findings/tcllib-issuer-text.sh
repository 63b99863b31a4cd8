#!/usr/bin/env bash
# tcllib 1.21+dfsg-1 (Debian), `pki::x509::create_cert`: the issuer of a new certificate.
#
# Expected: the issuer is the CA's subject as its certificate has it, RDN by RDN (RFC 5280 §4.1.2.6, §6.1.3 (a)(4)): two attributes of one RDN
# (§4.1.2.4), and a comma in a value, as in the names of companies, stay.
# Seen: names are text between reading and writing. Of two attributes in one RDN the first alone is left, and OpenSSL finds no issuer; a comma,
# which is not escaped, ends the value, and what follows it is taken for a type: an error.
# So: under a CA with such a name make certificates by another tool; the text of `parse_cert` serves a reader only.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
apt-get -qq -o APT::Sandbox::User=root download tcllib=1.21+dfsg-1 >apt.log 2>&1
dpkg -x tcllib_*.deb root
cat >make.tcl <<'TCL'
set auto_path [linsert $auto_path 0 root/usr/share/tcltk/tcllib1.21]
package require pki

proc contents {name} {
    set file [open $name rb]
    set octets [read $file]
    close $file
    return $octets
}

set key [::pki::pkcs::parse_key [contents ca.key]]
set ca [concat [::pki::x509::parse_cert [contents ca.pem]] $key]
set request [concat [list subject "CN=gw"] $key]
set from [clock seconds]
if {[catch {::pki::x509::create_cert $request $ca 7 $from [expr {$from + 864000}] 0 {} 1 sha256} made]} {
    puts "  not made: $made"
} else {
    set file [open gw.pem w]
    puts $file $made
    close $file
}
TCL
openssl genrsa -traditional -out ca.key 2048
cat >expected <<'TEXT'
subject=CN=Example CA,O=Example,C=DE
  issuer=CN=Example CA,O=Example,C=DE: gw.pem: OK
subject=CN=Example CA,O=Example+OU=Ops
  issuer=CN=Example CA,OU=Ops: unable to get local issuer certificate
subject=CN=Example CA,O=Example\, Ltd.
  not made: Unable to convert OID Ltd. to an OID value
TEXT
for subject in '/C=DE/O=Example/CN=Example CA' '/O=Example+OU=Ops/CN=Example CA' '/O=Example, Ltd./CN=Example CA'; do
    openssl req -x509 -key ca.key -multivalue-rdn -subj "$subject" -days 30 -addext keyUsage=critical,keyCertSign -out ca.pem
    openssl x509 -in ca.pem -noout -subject -nameopt RFC2253
    rm -f gw.pem
    tclsh make.tcl
    if [[ -e gw.pem ]]; then
        echo "  $(openssl x509 -in gw.pem -noout -issuer -nameopt RFC2253): $(openssl verify -CAfile ca.pem gw.pem 2>&1 | grep -o 'unable to get.*\|gw.pem: OK' || true)"
    fi
done >seen
diff expected seen
cat seen
