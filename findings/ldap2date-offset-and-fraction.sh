#!/usr/bin/env bash
# ldap2date 2.0.0 (npm), `parse` and `toGeneralizedTime`: Generalized Time of a directory.
#
# Expected: RFC 4517 §3.3.13: minutes and seconds may be left out, and a fraction is one of the smallest unit that is there: `12.5` is half past
# twelve. `+0130` says that the local time is ahead of UTC, so 12:00+0130 is 10:30 UTC. A fraction of a second is decimal: `.050` for 50 ms.
# Seen: each fraction is one of a second. An offset is added, not taken off, and its digits fall into other places: +0130 adds 2 hours and 10
# minutes, -03 takes off 3 minutes, +01 adds a minute and a second. 50 ms are written `.50`, which is half a second.
# So: only times that end with `Z` and have their seconds, as most servers write them, are read right; write whole seconds.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
npm install --silent --no-audit --no-fund --ignore-scripts ldap2date@2.0.0 >install.log 2>&1
cat >probe.mjs <<'JAVASCRIPT'
import time from "ldap2date";

for (const text of [
  "20261201120000Z", "202612011200Z", "20261201120000,5Z", "2026120112.5Z", "202612011200.25Z", "20261201120000+0130", "20261201120000-03", "2026120112+01",
]) {
  console.log(`${text} is read as ${time.parse(text).toISOString()}`);
}
for (const text of ["2026-12-01T12:00:00.000Z", "2026-12-01T12:00:00.500Z", "2026-12-01T12:00:00.050Z"]) {
  console.log(`${text} is written as ${time.toGeneralizedTime(new Date(text))}`);
}
JAVASCRIPT
cat >expected <<'TEXT'
20261201120000Z is read as 2026-12-01T12:00:00.000Z
202612011200Z is read as 2026-12-01T12:00:00.000Z
20261201120000,5Z is read as 2026-12-01T12:00:00.500Z
2026120112.5Z is read as 2026-12-01T12:00:00.500Z
202612011200.25Z is read as 2026-12-01T12:00:00.250Z
20261201120000+0130 is read as 2026-12-01T14:10:00.000Z
20261201120000-03 is read as 2026-12-01T11:57:00.000Z
2026120112+01 is read as 2026-12-01T12:01:01.000Z
2026-12-01T12:00:00.000Z is written as 20261201120000Z
2026-12-01T12:00:00.500Z is written as 20261201120000.500Z
2026-12-01T12:00:00.050Z is written as 20261201120000.50Z
TEXT
node probe.mjs >seen
diff expected seen
cat seen
