//! `countersign cert …`: certificates, and their revocation.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use countersign_ca::record::Label;

use super::context::Context;
use crate::admin::Request;
use crate::admin::answer::{
    CertificateInFull, CertificatePage, CertificateStatus, ImportKind, ImportLine, to_value,
};
use crate::admin::socket::MAX_LINE;
use crate::exit::Failure;
use crate::output;

/// The most certificates and CRLs in one import request.
const AT_ONCE: usize = 256;
/// The most characters of base64 in one import request. An object that is larger has a request of its own.
const LENGTH_AT_ONCE: usize = 8 << 20;

/// The most characters of base64 of one certificate or CRL in an import request. The 64 KiB that are left of the line are more than the
/// rest of the request needs.
const MAX_LENGTH: usize = MAX_LINE as usize - (64 << 10);

/// The start of the line before an object in PEM.
const BEGIN: &str = "-----BEGIN ";
/// The start of the line after an object in PEM.
const END: &str = "-----END ";

/// `countersign cert …`
#[derive(Debug, Subcommand)]
pub enum Cert {
    /// List certificates, oldest first
    List {
        /// List only the certificates of this account
        #[arg(long, value_name = "NAME")]
        account: Option<Label>,
        /// List only certificates with this status
        #[arg(long, value_enum)]
        status: Option<CertificateStatus>,
        /// List at most this many
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Show one certificate
    Show(One),
    /// Revoke a certificate
    ///
    /// A new CRL, which is signed at once if the passphrase is known, and the next OCSP answer show it. strongSwan goes on with cached CRLs
    /// and answers until both caches are flushed, and other daemons read the new CRL from files: docs/operation.md, "When a revocation
    /// counts".
    Revoke {
        #[command(flatten)]
        one: One,
        /// The reason: unspecified, keyCompromise, cACompromise, affiliationChanged, superseded, cessationOfOperation, certificateHold,
        /// privilegeWithdrawn or aACompromise
        #[arg(long, default_value = "unspecified")]
        reason: String,
        /// When the key was compromised or the certificate became invalid, if before the revocation, such as 2026-01-31T12:00:00Z
        #[arg(long, value_name = "TIME", value_parser = moment)]
        invalidity_date: Option<i64>,
    },
    /// Put a certificate on hold
    Hold(One),
    /// Release a certificate from hold
    Release(One),
    /// Record certificates and CRLs that this instance signed, and that a restored backup lacks: a certificate for the account that
    /// holds its names, a CRL by revoking its certificates
    Import {
        /// PEM or DER; a file may contain several certificates and CRLs
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// The account of the certificates, if not the only one that holds their names
        #[arg(long, value_name = "NAME")]
        account: Option<Label>,
    },
    /// Write a certificate as PEM
    Export {
        #[command(flatten)]
        one: One,
        /// The file; standard output without it
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

/// One certificate by its serial number.
#[derive(Debug, Clone, Args)]
pub struct One {
    /// Its serial number, hexadecimal
    serial: String,
    /// Its issuing CA; without it, the first CA that issued this serial number
    #[arg(long, value_name = "NAME")]
    ca: Option<Label>,
}

impl Cert {
    /// Carries out the command.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::List { account, status, limit } => {
                list(context, account.as_ref(), *status, limit.unwrap_or(usize::MAX))
            }
            Self::Show(one) => context.show(one.request()),
            Self::Revoke { one, reason, invalidity_date } => {
                context.show(one.revoke(reason, *invalidity_date))
            }
            Self::Hold(one) => context.show(one.revoke("certificateHold", None)),
            Self::Release(one) => context
                .show(Request::CertRelease { serial: one.serial.clone(), ca: one.ca.clone() }),
            Self::Import { files, account } => import(context, files, account.as_ref()),
            Self::Export { one, out } => {
                let CertificateInFull { pem, .. } = context.ask_for(one.request())?;
                match out {
                    Some(out) => countersign_ca::write_atomically(out, pem.as_bytes())?,
                    None => output::line(&pem),
                }
                Ok(())
            }
        }
    }
}

impl One {
    fn request(&self) -> Request {
        Request::CertShow { serial: self.serial.clone(), ca: self.ca.clone() }
    }

    fn revoke(&self, reason: &str, invalidity: Option<i64>) -> Request {
        Request::CertRevoke {
            serial: self.serial.clone(),
            ca: self.ca.clone(),
            reason: reason.to_owned(),
            invalidity,
        }
    }
}

/// Imports certificates and CRLs. Certificates come first, so that the entries of the CRLs find them.
fn import(context: &Context, files: &[PathBuf], account: Option<&Label>) -> Result<(), Failure> {
    let (mut certificates, mut crls) = (Vec::new(), Vec::new());
    for file in files {
        for der in objects(file)? {
            let is_certificate = countersign_ca::x509::Facts::of(&der).is_ok();
            let text = data_encoding::BASE64.encode(&der);
            if text.len() > MAX_LENGTH {
                return Err(Failure::input(format!(
                    "`{}`: expected certificates and CRLs of at most {} MiB each, found one of {}",
                    file.display(),
                    (MAX_LENGTH / 4 * 3) >> 20,
                    der.len() >> 20
                )));
            }
            if is_certificate { certificates.push(text) } else { crls.push(text) }
        }
    }
    certificates.extend(crls);
    let (all, mut lines, mut stopped) = (certificates.len(), Vec::new(), None);
    for objects in in_parts(certificates) {
        match context.ask_for(Request::CertImport { objects, account: account.cloned() }) {
            Ok::<Vec<ImportLine>, _>(answer) => lines.extend(answer),
            Err(failure) => {
                stopped = Some(failure);
                break;
            }
        }
    }
    // The finished parts are reported, also when a later part failed.
    let refused = lines.iter().filter(|line| line.kind == ImportKind::Refused).count();
    let done = lines.len();
    if done > 0 || stopped.is_none() {
        output::print(context.format, &to_value(lines)?);
    }
    match (stopped, refused) {
        (Some(failure), _) if done == 0 => Err(failure),
        (Some(failure), _) => Err(Failure {
            message: format!(
                "{failure}. {done} of {all} were looked at, and {refused} of them refused; run the same command again for the others"
            ),
            ..failure
        }),
        (None, 0) => Ok(()),
        (None, refused) => Err(Failure::found(format!("{refused} of {all} were refused"))),
    }
}

/// Divides base64 objects into parts, each for one import request. The order stays.
fn in_parts(objects: Vec<String>) -> Vec<Vec<String>> {
    let mut parts: Vec<Vec<String>> = Vec::new();
    let mut length = 0_usize;
    for object in objects {
        length = length.saturating_add(object.len());
        match parts.last_mut().filter(|part| part.len() < AT_ONCE && length <= LENGTH_AT_ONCE) {
            Some(part) => part.push(object),
            None => {
                length = object.len();
                parts.push(vec![object]);
            }
        }
    }
    parts
}

/// The certificates and CRLs in a file, each as DER. The file is one object in DER, or one or more in PEM.
fn objects(file: &Path) -> Result<Vec<Vec<u8>>, Failure> {
    let octets = super::files::read(file)?;
    if octets.first() == Some(&0x30) {
        return Ok(vec![octets]);
    }
    let wrong = |why: &dyn std::fmt::Display| {
        Failure::input(format!(
            "`{}`: expected certificates and CRLs in PEM or DER: {why}",
            file.display()
        ))
    };
    let text = std::str::from_utf8(&octets).map_err(|e| wrong(&e))?;
    // Text before and between the blocks is explanatory (RFC 7468 §2), and ignored.
    let blocks = text.match_indices(BEGIN).map(|(at, _)| text.get(at..).unwrap_or_default());
    let blocks = blocks.map(|block| {
        let end = block.find(END).and_then(|at| {
            let line = block.get(at..)?.find('\n');
            Some(line.map_or(block.len(), |line| at.saturating_add(line).saturating_add(1)))
        });
        let block = block.get(..end.unwrap_or(block.len())).unwrap_or_default();
        let read = der::pem::decode_vec(block.replace('\r', "").as_bytes()).map(|(_, der)| der);
        read.map_err(|e| wrong(&e))
    });
    let found = blocks.collect::<Result<Vec<Vec<u8>>, Failure>>()?;
    if found.is_empty() { Err(wrong(&"it holds none")) } else { Ok(found) }
}

/// Prints the certificates of an account, or of all accounts for `None`, but at most `limit`. It asks for them page by page and prints them
/// at the end.
fn list(
    context: &Context,
    account: Option<&Label>,
    status: Option<CertificateStatus>,
    limit: usize,
) -> Result<(), Failure> {
    let mut found = Vec::new();
    let mut next = Some(0);
    while let Some(cursor) = next.filter(|_| found.len() < limit) {
        let page: CertificatePage =
            context.ask_for(Request::CertList { account: account.cloned(), cursor })?;
        next = page.next;
        found.extend(
            page.items.into_iter().filter(|line| status.is_none_or(|wanted| line.status == wanted)),
        );
    }
    found.truncate(limit);
    output::print(context.format, &to_value(found)?);
    Ok(())
}

/// Parses an RFC 3339 time as seconds since 1970.
fn moment(text: &str) -> Result<i64, String> {
    let time = humantime::parse_rfc3339_weak(text)
        .map_err(|e| format!("expected a time such as 2026-01-31T12:00:00Z: {e}"))?;
    let since = time
        .duration_since(std::time::UNIX_EPOCH)
        .map_err(|_| "expected a time after 1970".to_owned())?;
    i64::try_from(since.as_secs()).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_brought_back_goes_in_parts_that_a_server_takes() {
        let object = |length: usize| "x".repeat(length);
        let lengths = |objects: Vec<String>| -> Vec<Vec<usize>> {
            in_parts(objects).iter().map(|part| part.iter().map(String::len).collect()).collect()
        };
        let half = LENGTH_AT_ONCE / 2;
        assert_eq!(
            lengths(vec![object(1), object(half), object(half), object(2 * half + 1), object(3)]),
            [vec![1, half], vec![half], vec![2 * half + 1], vec![3]]
        );
        let parts = lengths(vec![object(1); 2 * AT_ONCE + 1]);
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [AT_ONCE, AT_ONCE, 1]);
        assert_eq!(lengths(Vec::new()), Vec::<Vec<usize>>::new());
        // The largest object, with the rest of its request.
        let request = Request::CertImport {
            objects: vec![object(MAX_LENGTH)],
            account: Some("x".repeat(64).parse().unwrap()),
        };
        let line = serde_json::to_string(&request).unwrap().len() + 1;
        assert!(line as u64 <= MAX_LINE, "{line}");
    }
}
