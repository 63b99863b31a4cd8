//! `countersign cert …`: certificates, and their revocation.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use countersign_ca::record::Label;

use super::context::Context;
use crate::admin::answer::{
    CaCrl, CertificateInFull, CertificatePage, CertificateStatus, ImportKind, ImportLine,
    IssuedAnswer, RevokedMany, to_value,
};
use crate::admin::socket::MAX_LINE;
use crate::admin::{CertificateFilter, Request, RequestedRevocation, SortKey};
use crate::config::duration;
use crate::exit::Failure;
use crate::output::{self, Format};

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
    #[command(after_help = "\
Examples:
  countersign cert list --peers --status valid --current --expires-within 30d --sort expires
  countersign cert list --ca issuing --issued-since 2026-01-01 --format csv > certificates.csv
  countersign cert list --identity ip:192.0.2.1")]
    List(Box<List>),
    /// Show one certificate
    Show(One),
    /// Revoke a certificate
    ///
    /// A new CRL, which is signed at once if the passphrase is known, and the next OCSP answer show it. strongSwan goes on with cached CRLs
    /// and answers until both caches are flushed, and other daemons read the new CRL from files: docs/operation.md, "When a revocation
    /// counts".
    #[command(after_help = "\
Examples:
  countersign cert revoke 5c0a92b1d7… --reason keyCompromise
  countersign cert revoke --account gw7 --all --remove --reason keyCompromise
  countersign cert list --label site=bonn --status valid --format csv > bonn.csv
  countersign cert revoke --file bonn.csv --reason cessationOfOperation --dry-run")]
    Revoke(Revoke),
    /// Issue a certificate for an account by a request (PKCS #10) that a device shows
    ///
    /// The account and its profile decide what is in the certificate. Names and extensions that they have otherwise than the request are
    /// listed. The account's secret is not needed, and the command counts as the approval if the profile requires one.
    #[command(
        after_help = "Example:\n  countersign cert issue --csr appliance.csr --account gw7 --out appliance.crt"
    )]
    Issue {
        /// The request, PEM or DER
        #[arg(long, value_name = "FILE")]
        csr: PathBuf,
        /// The account
        #[arg(long, value_name = "NAME")]
        account: Label,
        /// The CA that issues, if not the account's
        #[arg(long, value_name = "NAME")]
        ca: Option<Label>,
        #[command(flatten)]
        out: IssuedTo,
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

/// `countersign cert revoke`: one certificate, all of an account, or those of a file.
#[derive(Debug, Args)]
pub struct Revoke {
    /// Its serial number, hexadecimal
    #[arg(required_unless_present_any = ["account", "file"])]
    serial: Option<String>,
    /// Its issuing CA; without it, the first CA that issued this serial number
    #[arg(long, value_name = "NAME", requires = "serial")]
    ca: Option<Label>,
    /// The account whose certificates are revoked: those of every account that has or had this name
    #[arg(long, value_name = "NAME", requires = "all", conflicts_with_all = ["serial", "file"])]
    account: Option<Label>,
    /// Revoke all certificates of the account that are valid or on hold
    #[arg(long, requires = "account")]
    all: bool,
    /// Remove the account, too
    #[arg(long, requires = "all")]
    remove: bool,
    /// A CSV file whose head line has `serial`, and if need be `ca` and `reason`; other columns are ignored
    #[arg(long, value_name = "FILE", conflicts_with = "serial")]
    file: Option<PathBuf>,
    /// Revoke nothing, and print what would be revoked
    #[arg(long, conflicts_with = "serial")]
    dry_run: bool,
    /// The reason: unspecified, keyCompromise, cACompromise, affiliationChanged, superseded, cessationOfOperation, certificateHold (of one
    /// certificate only), privilegeWithdrawn or aACompromise
    #[arg(long, default_value = "unspecified")]
    reason: String,
    /// When the key was compromised or the certificate became invalid, if before the revocation, such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = moment, requires = "serial")]
    invalidity_date: Option<i64>,
}

impl Revoke {
    fn run(&self, context: &Context) -> Result<(), Failure> {
        let dry_run = self.dry_run;
        if let Some(account) = &self.account {
            let (account, reason) = (account.clone(), self.reason.clone());
            let remove = self.remove;
            return show_many(context, Request::CertRevokeAll { account, reason, remove, dry_run });
        }
        if let Some(file) = &self.file {
            let certificates = read_list(file, &self.reason)?;
            return show_many(context, Request::CertRevokeMany { certificates, dry_run });
        }
        let serial = self.serial.clone().unwrap_or_default();
        let one = One { serial, ca: self.ca.clone() };
        context.show(one.revoke(&self.reason, self.invalidity_date))
    }
}

/// Prints the certificates that were revoked: as a table for people, with the CRLs on standard error.
fn show_many(context: &Context, request: Request) -> Result<(), Failure> {
    let answer: RevokedMany = context.ask_for(request)?;
    if context.format == Format::Json {
        output::print(context.format, &to_value(answer)?);
        return Ok(());
    }
    output::print(context.format, &to_value(&answer.certificates)?);
    if let Some(name) = &answer.removed {
        eprintln!("the account `{name}` is removed");
    }
    for CaCrl { ca, crl } in &answer.crls {
        match crl.as_u64() {
            Some(number) => eprintln!("CRL {number} of `{ca}` shows it"),
            None => eprintln!("the next CRL of `{ca}`: {}", crl.as_str().unwrap_or_default()),
        }
    }
    Ok(())
}

/// The largest list of certificates to revoke, in bytes.
const MAX_LIST: u64 = 16 << 20;

/// Reads a list of certificates to revoke. A row without a reason gets `reason`.
fn read_list(file: &Path, reason: &str) -> Result<Vec<RequestedRevocation>, Failure> {
    let name = file.display();
    let octets = super::files::read(file)?;
    if octets.len() as u64 > MAX_LIST {
        return Err(Failure::input(format!(
            "`{name}`: expected at most {} MiB, found more; revoke in parts",
            MAX_LIST >> 20
        )));
    }
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .comment(Some(b'#'))
        .from_reader(octets.as_slice());
    let wrong = |e: csv::Error| Failure::input(format!("`{name}`: {e}"));
    let heads = reader.headers().map_err(wrong)?.clone();
    let column = |name: &str| heads.iter().position(|head| head == name);
    let serial = column("serial").ok_or_else(|| {
        Failure::input(format!("`{name}`: expected a head line with the column `serial`"))
    })?;
    let (ca, why) = (column("ca"), column("reason"));
    let mut found = Vec::new();
    for row in reader.records() {
        let row = row.map_err(wrong)?;
        let line = row.position().map(csv::Position::line);
        let text = |column: Option<usize>| {
            column.and_then(|column| row.get(column)).filter(|text| !text.is_empty())
        };
        let ca = text(ca).map(str::parse::<Label>).transpose();
        let ca = ca.map_err(|e| {
            Failure::input(format!("`{name}`, line {}, column `ca`: {e}", line.unwrap_or_default()))
        })?;
        found.push(RequestedRevocation {
            serial: text(Some(serial)).unwrap_or_default().to_owned(),
            ca,
            reason: text(why).unwrap_or(reason).to_owned(),
            line,
        });
    }
    Ok(found)
}

/// Where an issued certificate goes.
#[derive(Debug, Clone, Args)]
pub struct IssuedTo {
    /// The file for the certificate, PEM; standard output without it
    #[arg(long, value_name = "FILE", requires = "csr")]
    pub out: Option<PathBuf>,
    /// Write the CAs' certificates behind it, up to the root
    #[arg(long, requires = "csr")]
    pub chain: bool,
}

impl IssuedTo {
    /// Refuses a file that exists, before anything is issued.
    pub fn check(&self) -> Result<(), Failure> {
        match self.out.as_ref().filter(|out| out.exists()) {
            Some(out) => Err(Failure::missing(format!("`{}` exists already", out.display()))),
            None => Ok(()),
        }
    }

    /// Writes the certificate, and tells what the account and the profile have otherwise than the request.
    pub fn deliver(&self, context: &Context, issued: IssuedAnswer) -> Result<(), Failure> {
        let mut pem = issued.pem.clone();
        if self.chain {
            pem.push_str(&issued.chain);
        }
        if let Some(out) = &self.out {
            countersign_ca::write_atomically(out, pem.as_bytes())?;
        }
        match (context.format, &self.out) {
            (Format::Json, _) => output::print(context.format, &to_value(issued)?),
            (_, out) => {
                for change in &issued.changes {
                    output::warning(change);
                }
                match out {
                    Some(_) => output::print(context.format, &to_value(issued.line)?),
                    None => output::line(&pem),
                }
            }
        }
        Ok(())
    }
}

/// Names the other valid certificates of an account: by a request that a device shows, nobody can tell whether the new one replaces them, and
/// those that are not revoked count as not renewed when they end.
fn tell_others(context: &Context, account: Label, serial: &str) {
    const MOST: usize = 4;
    let filter = CertificateFilter {
        account: Some(account),
        status: Some(CertificateStatus::Valid),
        current: true,
        ..CertificateFilter::default()
    };
    let request = Request::CertList { filter, after: None, limit: MOST };
    // The certificate is issued: what cannot be told of others is no failure.
    let Ok(page) = context.ask_for::<CertificatePage>(request) else { return };
    for other in page.items.iter().filter(|other| other.serial != serial) {
        eprintln!(
            "`{}` has the valid certificate {}, too, which ends on {}; if the new one replaces it: countersign cert revoke {} --ca {} --reason superseded",
            other.account, other.serial, other.not_after, other.serial, other.ca
        );
    }
}

/// The largest request, in bytes.
const MAX_REQUEST: usize = 64 << 10;

/// A request (PKCS #10) in a file, PEM or DER, as base64.
///
/// # Errors
/// The file cannot be read, or holds no request.
pub fn request_in(file: &Path) -> Result<String, Failure> {
    let name = file.display();
    let octets = super::files::read(file)?;
    let wrong = |why: &dyn std::fmt::Display| {
        Failure::input(format!("`{name}`: expected a request (PKCS #10) in PEM or DER: {why}"))
    };
    if octets.len() > MAX_REQUEST {
        return Err(wrong(&format!("it has more than {} KiB", MAX_REQUEST >> 10)));
    }
    if octets.first() == Some(&0x30) {
        return Ok(data_encoding::BASE64.encode(&octets));
    }
    let text = std::str::from_utf8(&octets).map_err(|e| wrong(&e))?;
    // Some appliances write NEW CERTIFICATE REQUEST.
    let begin = text.find(BEGIN).ok_or_else(|| wrong(&"it has no PEM block"))?;
    let text = text.get(begin..).unwrap_or_default().replace('\r', "");
    let end = text.find(END).ok_or_else(|| wrong(&"its PEM block does not end"))?;
    let rest = text.get(end..).unwrap_or_default();
    let end = end.saturating_add(rest.find('\n').map_or(rest.len(), |at| at.saturating_add(1)));
    let (label, der) = der::pem::decode_vec(text.get(..end).unwrap_or_default().as_bytes())
        .map_err(|e| wrong(&e))?;
    match label {
        "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => Ok(data_encoding::BASE64.encode(&der)),
        other => Err(wrong(&format!("it holds a `{other}`"))),
    }
}

/// `countersign cert list`: every condition that is given must hold.
#[derive(Debug, Args)]
pub struct List {
    /// List only the certificates of this account
    #[arg(long, value_name = "NAME")]
    account: Option<Label>,
    /// List only the certificates of this CA
    #[arg(long, value_name = "NAME")]
    ca: Option<Label>,
    /// List only the certificates that were issued under this profile
    #[arg(long, value_name = "NAME")]
    profile: Option<Label>,
    /// List only certificates with this status
    #[arg(long, value_enum)]
    status: Option<CertificateStatus>,
    /// Leave out what is revoked for good, and what a renewal has replaced
    #[arg(long)]
    current: bool,
    /// Leave out the instance's own signers and servers, which it renews itself
    #[arg(long)]
    peers: bool,
    /// List only certificates with this subject: a whole DN such as CN=gw1,O=Example, or the common name in it
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    /// List only certificates with this name: fqdn:, ip:, email:, or dn: for the subject
    #[arg(long, value_name = "IDENTITY", conflicts_with = "subject")]
    identity: Option<String>,
    /// List only certificates of accounts with this label
    #[arg(long, value_name = "KEY=VALUE")]
    label: Option<String>,
    /// List only certificates whose serial number begins with these digits, at least 4
    #[arg(long, value_name = "DIGITS")]
    serial: Option<String>,
    /// List only certificates that end within this time from now, such as 30d
    #[arg(long, value_name = "TIME", conflicts_with_all = ["expires_since", "expires_until"])]
    expires_within: Option<String>,
    /// List only certificates that end at this moment or later, such as 2026-01-31 or 2026-01-31T12:00:00Z
    #[arg(long, value_name = "MOMENT", value_parser = day_or_moment)]
    expires_since: Option<i64>,
    /// List only certificates that end before this moment
    #[arg(long, value_name = "MOMENT", value_parser = day_or_moment)]
    expires_until: Option<i64>,
    /// List only certificates that were issued at this moment or later
    #[arg(long, value_name = "MOMENT", value_parser = day_or_moment)]
    issued_since: Option<i64>,
    /// List only certificates that were issued before this moment
    #[arg(long, value_name = "MOMENT", value_parser = day_or_moment)]
    issued_until: Option<i64>,
    /// The order: that of issue, or that of the ends of validity
    #[arg(long, value_enum, default_value_t)]
    sort: SortKey,
    /// Turn the order around
    #[arg(long)]
    reverse: bool,
    /// List at most this many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Print one page of at most this many, and the cursor of the next one (as JSON: `items` and `next`). A page may have fewer although
    /// more follow
    #[arg(long, value_name = "N", conflicts_with = "limit", value_parser = page_size)]
    page: Option<usize>,
    /// Begin behind this cursor, which the page before named
    #[arg(long, value_name = "CURSOR", requires = "page")]
    after: Option<String>,
}

/// The most certificates in one page.
const PAGE: usize = 1000;

/// The largest `--expires-within`, in seconds.
const MAX_WINDOW: u64 = 100 * 366 * 86_400;

fn page_size(text: &str) -> Result<usize, String> {
    let size = text.parse().ok().filter(|size| (1..=PAGE).contains(size));
    size.ok_or_else(|| format!("expected a number from 1 to {PAGE}"))
}

/// Parses a day, which begins in UTC, or an RFC 3339 time, as seconds since 1970.
///
/// # Errors
/// The text is neither.
pub fn day_or_moment(text: &str) -> Result<i64, String> {
    moment(text).or_else(|why| moment(&format!("{text}T00:00:00Z")).map_err(|_| why))
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
            Self::List(list) => list.run(context),
            Self::Show(one) => context.show(one.request()),
            Self::Revoke(revoke) => revoke.run(context),
            Self::Issue { csr, account, ca, out } => {
                let csr = request_in(csr)?;
                out.check()?;
                let (account, ca) = (account.clone(), ca.clone());
                let request = Request::CertIssue { account: account.clone(), ca, csr };
                let issued: IssuedAnswer = context.ask_for(request)?;
                let serial = issued.line.serial.clone();
                out.deliver(context, issued)?;
                tell_others(context, account, &serial);
                Ok(())
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

impl List {
    /// Prints the list. Without `--page` it is asked for page by page and printed at the end.
    fn run(&self, context: &Context) -> Result<(), Failure> {
        let filter = self.filter()?;
        if let Some(limit) = self.page {
            let request = Request::CertList { filter, after: self.after.clone(), limit };
            return context.show_page(request, limit);
        }
        let most = self.limit.unwrap_or(usize::MAX);
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let limit = PAGE.min(most.saturating_sub(found.len()));
            if limit == 0 {
                break;
            }
            let request = Request::CertList { filter: filter.clone(), after, limit };
            let page: CertificatePage = context.ask_for(request)?;
            found.extend(page.items);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        output::print(context.format, &to_value(found)?);
        Ok(())
    }

    fn filter(&self) -> Result<CertificateFilter, Failure> {
        let within = self.expires_within.as_deref();
        let within = within.map(|text| duration("--expires-within", text, 1, MAX_WINDOW));
        Ok(CertificateFilter {
            account: self.account.clone(),
            ca: self.ca.clone(),
            profile: self.profile.clone(),
            status: self.status,
            subject: self.subject.clone(),
            identity: self.identity.clone(),
            label: self.label.clone(),
            serial: self.serial.clone(),
            expires_within: within.transpose()?.map(|within| within.as_secs()),
            expires_from: self.expires_since,
            expires_until: self.expires_until,
            issued_from: self.issued_since,
            issued_until: self.issued_until,
            current: self.current,
            peers: self.peers,
            sort: self.sort,
            reverse: self.reverse,
        })
    }
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
