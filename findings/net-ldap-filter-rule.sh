#!/usr/bin/env bash
# libnet-ldap-perl 1:0.6800+dfsg-1 (Debian), `Net::LDAP::Filter->new`: an extensible match whose attribute is an OID.
#
# Expected: RFC 4515 §3: what stands before the rule is an attribute description, a short name or a dotted OID (RFC 4512 §2.5); `:dn`, as a word
# of a grammar, is independent of case, and §4 has `(:DN:2.4.6.8.10:=Dino)`.
# Seen: either ends in an exception, "Can't use an undefined value as a HASH reference" in Filter.pm. The same OID in an equality match, or as a rule,
# is read, and so is the flag in lower case. For a filter without its last parenthesis `new` gives undef.
# So: wrap `new` in an `eval`, and name the attribute before a rule by its short name.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
apt-get -qq -o APT::Sandbox::User=root download libnet-ldap-perl=1:0.6800+dfsg-1 libconvert-asn1-perl=0.33-1 >apt.log 2>&1
for package in *.deb; do
    dpkg -x "$package" root
done
cat >probe.pl <<'PERL'
use strict;
use warnings;
use lib 'root/usr/share/perl5';
use Net::LDAP::Filter;

for my $text ('(2.5.4.36=\30)', '(userCertificate:2.5.13.34:=x)', '(2.5.4.36:2.5.13.34:=x)', '(2.5.4.3:caseExactMatch:=gate)', '(:dn:2.4.6.8.10:=Dino)', '(:DN:2.4.6.8.10:=Dino)', '(cn=gate') {
    my $filter = eval { Net::LDAP::Filter->new($text) };
    print "$text: ", $filter ? 'read' : $@ ? $@ =~ s/ at .*//sr : 'undef', "\n";
}
PERL
cat >expected <<'TEXT'
(2.5.4.36=\30): read
(userCertificate:2.5.13.34:=x): read
(2.5.4.36:2.5.13.34:=x): Can't use an undefined value as a HASH reference
(2.5.4.3:caseExactMatch:=gate): Can't use an undefined value as a HASH reference
(:dn:2.4.6.8.10:=Dino): read
(:DN:2.4.6.8.10:=Dino): Can't use an undefined value as a HASH reference
(cn=gate: undef
TEXT
perl probe.pl >seen
diff expected seen
cat seen
