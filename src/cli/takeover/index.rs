//! The database of `openssl ca`, `index.txt`: one line for each certificate that the CA issued.
//!
//! ```text
//! R  271201120000Z  260301090000Z,keyCompromise  0A17  unknown  /CN=gw7      fields are separated by tabs
//! ```
//! They are: `V` valid, `R` revoked or `E` expired; notAfter; the revocation's time, with its reason after a comma; the serial number,
//! hexadecimal; a file name, which OpenSSL never writes; the subject.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use countersign_ca::Timestamp;
use countersign_ca::record::{Reason, Revocation, Serial};

use super::problems::{Problems, unreadable};
use crate::exit::Failure;

/// The longest line, in bytes.
const MAX_LINE: u64 = 64 * 1024;

/// One line of the database.
pub struct Row {
    pub serial: Serial,
    /// The certificate's notAfter.
    pub not_after: Timestamp,
    /// The revocation; `None` of a certificate that is valid or has expired.
    pub revocation: Option<Revocation>,
}

/// Reads the database row by row. A row that cannot be read becomes a problem, and the others are read all the same.
pub fn read(
    file: &Path,
    now: Timestamp,
    problems: &mut Problems,
    mut take: impl FnMut(Row),
) -> Result<(), Failure> {
    let mut lines = BufReader::new(File::open(file).map_err(|e| unreadable(file, &e))?);
    let mut number = 0_usize;
    loop {
        let mut line = Vec::new();
        let mut part = std::io::Read::take(&mut lines, MAX_LINE);
        if part.read_until(b'\n', &mut line).map_err(|e| unreadable(file, &e))? == 0 {
            return Ok(());
        }
        number = number.saturating_add(1);
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        match row(text, now) {
            Ok(Some(row)) => take(row),
            Ok(None) => {}
            Err(why) => problems.add(file, Some(number), &why),
        }
    }
}

/// Reads a line; `None` of one with the serial number 0, which some programs give the CA's own certificate.
fn row(line: &str, now: Timestamp) -> Result<Option<Row>, String> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [status, expires, revoked, serial, ..] = fields.as_slice() else {
        return Err(format!(
            "expected the tab-separated fields status, notAfter, revocation, serial number, file and subject, found {} fields",
            fields.len()
        ));
    };
    let not_after = moment(expires).ok_or_else(|| time("notAfter", expires))?;
    let revocation = match *status {
        "V" | "E" => None,
        "R" => Some(revocation(revoked, now)?),
        other => {
            return Err(format!(
                "expected the status `V`, `R` or `E`, found `{}`",
                other.escape_debug()
            ));
        }
    };
    if !serial.is_empty() && serial.bytes().all(|digit| digit == b'0') {
        return Ok(None);
    }
    let serial = serial.parse().map_err(|error| format!("{error}"))?;
    Ok(Some(Row { serial, not_after, revocation }))
}

/// Reads a revocation: a time, perhaps a reason, and perhaps what belongs to the reason.
fn revocation(text: &str, now: Timestamp) -> Result<Revocation, String> {
    let mut parts = text.split(',');
    let at = parts.next().unwrap_or_default();
    let at = moment(at).ok_or_else(|| time("the revocation", at))?.min(now);
    let (name, detail) = (parts.next().unwrap_or("unspecified"), parts.next());
    let since = || {
        let detail = detail.unwrap_or_default();
        moment(detail).map(Some).ok_or_else(|| time("the compromise", detail))
    };
    let (reason, invalidity) = match name {
        "holdInstruction" => (Reason::CertificateHold, None),
        "keyTime" => (Reason::KeyCompromise, since()?),
        "CAkeyTime" => (Reason::CaCompromise, since()?),
        // OpenSSL spells it `CACompromise`; the case is ignored.
        name => (name.parse().map_err(|error| format!("{error}"))?, None),
    };
    match reason {
        Reason::RemoveFromCrl => {
            Err("removeFromCRL is no reason of a revoked certificate".to_owned())
        }
        reason => Ok(Revocation { at, reason, invalidity }),
    }
}

fn time(what: &str, found: &str) -> String {
    format!("expected {what} as YYMMDDHHMMSSZ or YYYYMMDDHHMMSSZ, found `{}`", found.escape_debug())
}

/// Reads a UTCTime or a GeneralizedTime as text (RFC 5280 §4.1.2.5).
fn moment(text: &str) -> Option<Timestamp> {
    let digits =
        text.strip_suffix('Z').filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
    let century = match (digits.len(), digits.get(..2)?.parse().ok()?) {
        (12, 50..=99_u8) => "19",
        (12, _) => "20",
        (14, _) => "",
        _ => return None,
    };
    let whole = format!("{century}{digits}");
    let part = |from: usize, to: usize| whole.get(from..to);
    let text = format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0, 4)?,
        part(4, 6)?,
        part(6, 8)?,
        part(8, 10)?,
        part(10, 12)?,
        part(12, 14)?
    );
    let time = humantime::parse_rfc3339(&text).ok()?;
    let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(Timestamp::from_seconds(i64::try_from(since.as_secs()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revoked(text: &str) -> Result<Revocation, String> {
        let line = format!("R\t271201120000Z\t{text}\t0A17\tunknown\t/CN=gw7");
        row(&line, Timestamp::from_seconds(2_000_000_000))
            .map(|row| row.unwrap().revocation.unwrap())
    }

    #[test]
    fn each_form_of_a_revocation_is_read() {
        let at = Timestamp::from_seconds(1_772_355_600);
        for (text, reason, invalidity) in [
            ("260301090000Z", Reason::Unspecified, None),
            ("20260301090000Z", Reason::Unspecified, None),
            ("260301090000Z,keyCompromise", Reason::KeyCompromise, None),
            ("260301090000Z,CACompromise", Reason::CaCompromise, None),
            ("260301090000Z,cessationOfOperation", Reason::CessationOfOperation, None),
            ("260301090000Z,holdInstruction,holdInstructionReject", Reason::CertificateHold, None),
            (
                "260301090000Z,keyTime,20260228090000Z",
                Reason::KeyCompromise,
                Some(at.minus(std::time::Duration::from_secs(86_400))),
            ),
        ] {
            assert_eq!(revoked(text).unwrap(), Revocation { at, reason, invalidity }, "{text}");
        }
        for (text, expected) in [
            ("", "YYMMDDHHMMSSZ"),
            ("261301090000Z", "YYMMDDHHMMSSZ"),
            ("260301090000Z,mood", "unspecified"),
            ("260301090000Z,keyTime", "the compromise"),
            ("260301090000Z,removeFromCRL", "no reason"),
        ] {
            let error = revoked(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn a_line_is_read_or_says_what_is_wrong() {
        let now = Timestamp::from_seconds(2_000_000_000);
        let valid = row("V\t491231235959Z\t\t01\tunknown\t/CN=a", now).unwrap().unwrap();
        assert_eq!(valid.not_after, Timestamp::from_seconds(2_524_607_999));
        assert!(valid.revocation.is_none());
        assert!(row("E\t991231235959Z\t\t00\tunknown\t/CN=a", now).unwrap().is_none());
        for (line, expected) in [
            ("V 491231235959Z 01", "found 1 fields"),
            ("X\t491231235959Z\t\t01\tunknown\t/CN=a", "`V`, `R` or `E`"),
            ("V\t4912312359Z\t\t01\tunknown\t/CN=a", "notAfter"),
            ("V\t491231235959Z\t\tzz\tunknown\t/CN=a", "hexadecimal"),
        ] {
            let error = row(line, now).err().unwrap();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }
}
