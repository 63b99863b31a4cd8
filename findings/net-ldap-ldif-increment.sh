#!/usr/bin/env bash
# libnet-ldap-perl 1:0.6800+dfsg-1 (Debian), `Net::LDAP::LDIF`: a change that increments a number.
#
# Expected: RFC 4525 §3 adds `increment:` to the changes of LDIF; `Net::LDAP->modify` has it, the reader's pattern names it beside add, delete and
# replace, and `onerror => 'undef'` reports what cannot be read by `error`.
# Seen: the reader calls a method that `Net::LDAP::Entry` does not have, and dies, whatever `onerror` says; the records behind it are not read.
# So: take a journal of serial numbers or uidNumbers apart before it is read, or call `modify(increment => …)` by hand.
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
use Net::LDAP::LDIF;

for my $change ("replace: description\ndescription: gate", "increment: uidNumber\nuidNumber: 1", "reduce: uidNumber\nuidNumber: 1") {
    open my $file, '<', \"dn: cn=gw,o=Example\nchangetype: modify\n$change\n-\n" or die;
    my $reader = Net::LDAP::LDIF->new($file, 'r', onerror => 'undef');
    my $entry = eval { $reader->read_entry };
    my $outcome = $@ ? "dies: $@" : $entry ? 'read' : 'error: ' . $reader->error;
    $outcome =~ s/ at root.*//s;
    print +(split /\n/, $change)[0], ": $outcome\n";
}
PERL
cat >expected <<'TEXT'
replace: description: read
increment: uidNumber: dies: Can't locate object method "increment" via package "Net::LDAP::Entry"
reduce: uidNumber: error: LDAP entry is not valid
TEXT
perl -I root/usr/share/perl5 probe.pl >seen
diff expected seen
cat seen
