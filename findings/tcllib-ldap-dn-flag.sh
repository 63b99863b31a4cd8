#!/usr/bin/env bash
# tcllib 1.21+dfsg-1 (Debian), `ldap::filter::encode`: the flag `:dn` of an extensible match.
#
# Expected: RFC 4515 §3 and §4 (`(o:dn:=Ace Industry)`): the flag is dnAttributes of RFC 4511 §4.5.1, a BOOLEAN in [4]: one octet (X.690 §8.2.1), and
# ff for true (RFC 4511 §5.1): `84 01 ff`. Without the flag it is left out.
# Seen: `84 02 01 01`: two octets, which are no BOOLEAN; the rest of the filter is right.
# So: what a server makes of the filter, if it takes it, is its own affair; search without the flag, or put these octets right.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
apt-get -qq -o APT::Sandbox::User=root download tcllib=1.21+dfsg-1 >apt.log 2>&1
dpkg -x tcllib_*.deb root
cat >probe.tcl <<'TCL'
set auto_path [linsert $auto_path 0 root/usr/share/tcltk/tcllib1.21]
package require ldap

foreach filter {(o:=Example) (o:dn:=Example) (o:dn:2.5.13.5:=Example)} {
    binary scan [::ldap::filter::encode $filter] H* octets
    puts "$filter -> $octets"
}
TCL
cat >expected <<'TEXT'
(o:=Example) -> a90c82016f83074578616d706c65
(o:dn:=Example) -> a91082016f83074578616d706c6584020101
(o:dn:2.5.13.5:=Example) -> a91a8108322e352e31332e3582016f83074578616d706c6584020101
TEXT
tclsh probe.tcl >seen
diff expected seen
cat seen
