#!/usr/bin/env bash
# libconvert-asn1-perl 0.33-1 (Debian), `Convert::ASN1`: GeneralizedTime.
#
# Expected: the year has four digits (RFC 5280 §4.1.2.5.2): 1961 is 1961, as in the dateOfBirth of a person's certificate (RFC 3739 §3.2.2). In DER a
# fraction of a second has no zeros at its end (X.690 §11.7.3).
# Seen: years of the last century up to 1975 are read a hundred years later: 1961 is 2061. Half a second is written `.500`, with `encoding => 'DER'`,
# too. An offset, which is BER only, is read right.
# So: give `decode => {time => 'raw'}` and read the digits; write whole seconds.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
apt-get -qq -o APT::Sandbox::User=root download libconvert-asn1-perl=0.33-1 >apt.log 2>&1
dpkg -x libconvert-asn1-perl_*.deb root
cat >probe.pl <<'PERL'
use strict;
use warnings;
use Convert::ASN1;
use POSIX qw(strftime);

my $der = Convert::ASN1->new(encoding => 'DER');
my $raw = Convert::ASN1->new(encoding => 'DER', decode => {time => 'raw'});
$_->prepare('Time ::= SEQUENCE { time GeneralizedTime }') or die $_->error for $der, $raw;

for my $text ('20261201120000Z', '20261201120000+0130', '19991231235959Z', '19610401000000Z', '19510401000000Z') {
    my $octets = pack 'CCCCa*', 0x30, 2 + length $text, 0x18, length $text, $text;
    print "$text is read as ", strftime('%F %T', gmtime $der->decode($octets)->{time}), "; raw as ", $raw->decode($octets)->{time}, "\n";
}
for my $time (1796126400, 1796126400.5, 1796126400.05) {
    print "$time is written as ", substr($der->encode(time => $time), 4), "\n";
}
PERL
cat >expected <<'TEXT'
20261201120000Z is read as 2026-12-01 12:00:00; raw as 20261201120000Z
20261201120000+0130 is read as 2026-12-01 10:30:00; raw as 20261201120000+0130
19991231235959Z is read as 1999-12-31 23:59:59; raw as 19991231235959Z
19610401000000Z is read as 2061-04-01 00:00:00; raw as 19610401000000Z
19510401000000Z is read as 2051-04-01 00:00:00; raw as 19510401000000Z
1796126400 is written as 20261201120000Z
1796126400.5 is written as 20261201120000.500Z
1796126400.05 is written as 20261201120000.050Z
TEXT
perl -I root/usr/share/perl5 probe.pl >seen
diff expected seen
cat seen
