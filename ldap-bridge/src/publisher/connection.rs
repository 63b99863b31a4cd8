//! A connection to a directory: reads the entries with certificates and CRLs, and applies operations. Each step has a time limit, and each
//! answer a bound.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use bytes::Bytes;
use ldap3::adapters::{Adapter, EntriesOnly, PagedResults};
use ldap3::{LdapError, Mod, Scope, SearchEntry};
use tokio::time::timeout;

use super::plan::{Change, ExistingEntry, Operation, key_of};
use super::settings::{Bind, PublisherSettings};
use crate::client::{self, Bounds, Security, address};
use crate::dn::Dn;
use crate::entry::{BINARY, Entry};
use crate::error::{Error, Result};
use crate::protocol::result;

/// The entries of a page while everything is read.
const PAGE: i32 = 500;
/// The octets that a message of the directory may have in addition to four times the largest published value.
const MAX_VALUE: usize = 16 << 20;
/// The most BER elements of a message. An entry with a thousand certificates has some thousand elements.
const MAX_ELEMENTS: usize = 100_000;
/// The most entries of the answer to one search.
const MAX_ENTRIES: usize = 1_000_000;
/// The octets that an entry counts in addition to its values. Each value and class counts a quarter of them in addition.
const ENTRY: usize = 256;
/// The longest time for reading all entries below the base.
const WHOLE: Duration = Duration::from_secs(600);
/// The default of slapd's `sockbuf_max_incoming_auth`, in octets. slapd closes a connection on which a larger message arrives.
const SLAPD_LIMIT: usize = 4 << 20;

/// The filter for entries that may have certificates and CRLs: entries of CAs, of peers, and of partitions of CRLs.
const FILTER: &str = "(|(objectClass=pkiCA)(objectClass=pkiUser)(objectClass=certificationAuthority)(objectClass=cRLDistributionPoint))";

/// An open connection, on which the bind has succeeded.
pub struct Connection {
    client: client::Connection,
    /// The most octets of entries in one [`Self::read_all`].
    most: usize,
    settings: PublisherSettings,
    url: String,
}

/// The directory's answer to an operation: it was applied, or refused for the reason in the text.
pub type Applied = std::result::Result<(), String>;

impl Connection {
    /// Connects to the first server that accepts the bind. The bounds of answers follow from the size of the desired entries.
    ///
    /// # Errors
    /// [`Error::Unavailable`], with the reason for each server; [`Error::Denied`] if the last one that did not time out refused the bind.
    pub async fn open(settings: &PublisherSettings, desired: &[Entry]) -> Result<Self> {
        let bounds = bounds(settings, desired);
        let mut failures = Vec::new();
        let mut is_denied = false;
        for url in &settings.urls {
            match timeout(settings.timeout, Self::open_one(settings, url, bounds)).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(e)) => {
                    is_denied = matches!(e, Error::Denied(_));
                    failures.push(format!("`{url}`: {e}"));
                }
                Err(_) => failures.push(format!(
                    "`{url}`: no answer within {}",
                    humantime::format_duration(settings.timeout)
                )),
            }
        }
        let why = failures.join("; ");
        Err(if is_denied { Error::Denied(why) } else { Error::Unavailable(why) })
    }

    async fn open_one(settings: &PublisherSettings, url: &str, bounds: Bounds) -> Result<Self> {
        let (host, port, is_tls) =
            address(url).ok_or_else(|| Error::Malformed(format!("`{url}` is no LDAP server")))?;
        let security = match (is_tls, settings.starttls) {
            (true, _) => Security::Tls(settings.tls()?),
            (false, true) => Security::StartTls(settings.tls()?),
            (false, false) => Security::None,
        };
        let mut client = client::Connection::open(host, port, &security, bounds).await?;
        let ldap = &mut client.ldap;
        let bound = match &settings.bind {
            Bind::Anonymous => ldap.simple_bind("", "").await,
            Bind::Simple(dn, file) => {
                let password = PublisherSettings::password(file)?;
                if password.is_empty() {
                    return Err(Error::Malformed(format!(
                        "the password in `{}` is empty",
                        file.display()
                    )));
                }
                ldap.simple_bind(dn, &password).await
            }
            Bind::External(..) => ldap.sasl_external_bind().await,
        };
        let result = bound.map_err(|e| Error::Unavailable(client.reason(e)))?;
        match result.rc {
            result::SUCCESS => Ok(Self {
                client,
                most: bounds.octets,
                settings: settings.clone(),
                url: url.to_owned(),
            }),
            rc => {
                Err(Error::Denied(format!("the bind was refused: {}", explain(rc, &result.text))))
            }
        }
    }

    /// The URL of the server.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Reads all entries below `base` that may have certificates and CRLs, and the entries of these names. They are returned by
    /// [`Dn::key`].
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the connection fails or the answer is too large; [`Error::Denied`] if reading is refused.
    pub async fn read_all(
        &mut self,
        base: &Dn,
        names: &[Dn],
    ) -> Result<HashMap<String, ExistingEntry>> {
        let url = self.url.clone();
        let read = timeout(WHOLE, self.read_subtree(base, names)).await;
        let late = |_| Err(Error::Unavailable("to read everything takes too long".into()));
        read.unwrap_or_else(late).map_err(|e| at(&url, self.explained(e)))
    }

    async fn read_subtree(
        &mut self,
        base: &Dn,
        names: &[Dn],
    ) -> Result<HashMap<String, ExistingEntry>> {
        let adapters: Vec<Box<dyn Adapter<_, _>>> =
            vec![Box::new(EntriesOnly::new()), Box::new(PagedResults::new(PAGE))];
        let (mut found, within) = (HashMap::new(), base.to_string());
        let patience = self.settings.timeout;
        let slow = |_| Error::Unavailable("the directory does not answer in time".into());
        let search = self.client.ldap.streaming_search_with(
            adapters,
            &within,
            Scope::Subtree,
            FILTER,
            wanted_attributes(),
        );
        let mut stream = timeout(patience, search).await.map_err(slow)?.map_err(failed)?;
        let (mut read, most) = (0usize, self.most);
        while let Some(entry) =
            timeout(patience, stream.next()).await.map_err(slow)?.map_err(failed)?
        {
            let entry = found_entry(SearchEntry::construct(entry));
            read = read.saturating_add(size(&entry));
            if read > most {
                return Err(Error::Unavailable(format!(
                    "the directory holds more than {most} octets of certificates and CRLs below `{base}`; set ldap.base deeper, or \
                     max_read_mib of this directory higher"
                )));
            }
            found.insert(key_of(&entry.dn), entry);
        }
        let result = timeout(patience, stream.finish()).await.map_err(slow)?;
        // No such object: there is no base yet.
        if !matches!(result.rc, result::SUCCESS | result::NO_SUCH_OBJECT) {
            return Err(Error::Denied(format!(
                "`{base}` cannot be read: {}",
                explain(result.rc, &result.text)
            )));
        }
        let missing: Vec<Dn> =
            names.iter().filter(|dn| !found.contains_key(&dn.key())).cloned().collect();
        found.extend(self.read_entries(&missing).await?);
        Ok(found)
    }

    /// Reads the entries of these names, as far as they exist. They are returned by [`Dn::key`].
    ///
    /// # Errors
    /// Those of [`Self::read_all`].
    pub async fn read(&mut self, names: &[Dn]) -> Result<HashMap<String, ExistingEntry>> {
        let url = self.url.clone();
        let read = self.read_entries(names).await;
        read.map_err(|e| at(&url, self.explained(e)))
    }

    async fn read_entries(&mut self, names: &[Dn]) -> Result<HashMap<String, ExistingEntry>> {
        let mut found = HashMap::new();
        for dn in names {
            let text = dn.to_string();
            let search =
                self.client.ldap.search(&text, Scope::Base, "(objectClass=*)", wanted_attributes());
            let result = timeout(self.settings.timeout, search)
                .await
                .map_err(|_| Error::Unavailable("the directory does not answer in time".into()))?
                .map_err(failed)?;
            match result.1.rc {
                result::SUCCESS => {
                    for entry in result.0 {
                        found.insert(dn.key(), found_entry(SearchEntry::construct(entry)));
                    }
                }
                // The entry may exist, but the directory may hide it from this client.
                result::NO_SUCH_OBJECT => {}
                rc => {
                    return Err(Error::Denied(format!(
                        "`{text}` cannot be read: {}",
                        explain(rc, &result.1.text)
                    )));
                }
            }
        }
        Ok(found)
    }

    /// Applies an operation. The inner result is the directory's answer.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the connection fails, with the likely cause.
    pub async fn apply(&mut self, operation: &Operation) -> Result<Applied> {
        let set =
            |values: &[Bytes]| values.iter().map(|value| value.to_vec()).collect::<HashSet<_>>();
        let patience = self.settings.timeout;
        let answered = match operation {
            Operation::Add { dn, attributes } => {
                let attributes = attributes
                    .iter()
                    .map(|(name, values)| (name.clone().into_bytes(), set(values)))
                    .collect();
                timeout(patience, self.client.ldap.add(dn, attributes)).await
            }
            Operation::Modify { dn, changes } => {
                let changes = changes
                    .iter()
                    .map(|change| match change {
                        Change::Add(name, values) => {
                            Mod::Add(name.clone().into_bytes(), set(values))
                        }
                        Change::Delete(name, values) => {
                            Mod::Delete(name.clone().into_bytes(), set(values))
                        }
                        Change::Replace(name, values) => {
                            Mod::Replace(name.clone().into_bytes(), set(values))
                        }
                    })
                    .collect();
                timeout(patience, self.client.ldap.modify(dn, changes)).await
            }
        };
        let url = self.url.clone();
        let lost = |why: String| {
            let hint = if operation.largest() > SLAPD_LIMIT {
                format!(
                    "; a value of {} octets was sent, and slapd drops connections on more than `sockbuf_max_incoming_auth` \
                     (olcSockbufMaxIncomingAuth): raise it",
                    operation.largest()
                )
            } else {
                String::new()
            };
            Error::Unavailable(format!(
                "`{url}`: `{}` was not changed: {why}{hint}",
                operation.dn()
            ))
        };
        match answered {
            Err(_) => Err(lost("no answer in time".into())),
            Ok(Err(e)) => Err(lost(self.client.reason(e))),
            Ok(Ok(result)) if result.rc == result::SUCCESS => Ok(Ok(())),
            Ok(Ok(result)) => {
                Ok(Err(format!("`{}`: {}", operation.dn(), explain(result.rc, &result.text))))
            }
        }
    }

    /// Replaces the text of [`Error::Unavailable`] by the reason why the connection has ended, if it has.
    fn explained(&self, error: Error) -> Error {
        match error {
            Error::Unavailable(why) => Error::Unavailable(self.client.reason(why)),
            other => other,
        }
    }

    /// Unbinds, which closes the connection.
    pub async fn close(mut self) {
        let _ = timeout(self.settings.timeout, self.client.ldap.unbind()).await;
    }
}

fn wanted_attributes() -> Vec<String> {
    let binary = BINARY.iter().map(|name| format!("{name};binary"));
    std::iter::once("objectClass".to_owned()).chain(binary).collect()
}

fn found_entry(entry: SearchEntry) -> ExistingEntry {
    let mut found = ExistingEntry { dn: entry.dn, classes: Vec::new(), values: BTreeMap::new() };
    let text = entry.attrs.into_iter().map(|(name, values)| {
        (name, values.into_iter().map(String::into_bytes).collect::<Vec<_>>())
    });
    for (name, values) in text.chain(entry.bin_attrs) {
        let kind = name.split(';').next().unwrap_or_default();
        if kind.eq_ignore_ascii_case("objectClass") {
            found.classes.extend(values.into_iter().filter_map(|v| String::from_utf8(v).ok()));
        } else if let Some(known) =
            BINARY.into_iter().find(|known| known.eq_ignore_ascii_case(kind))
        {
            let collected = found.values.entry(known).or_default();
            collected.extend(values.into_iter().map(Bytes::from));
        }
    }
    found
}

fn size(found: &ExistingEntry) -> usize {
    let classes = found.classes.iter().map(String::len);
    let values = found.values.values().flatten().map(Bytes::len);
    classes
        .chain(values)
        .map(|octets| octets.saturating_add(ENTRY / 4))
        .fold(ENTRY, usize::saturating_add)
}

/// The bounds of the directory's answers: a multiple of the published volume, and a fixed amount in addition.
fn bounds(settings: &PublisherSettings, desired: &[Entry]) -> Bounds {
    let values = || desired.iter().flat_map(|entry| &entry.attributes).flat_map(|a| &a.values);
    let all = values().map(Bytes::len).fold(0, usize::saturating_add);
    let largest = values().map(Bytes::len).max().unwrap_or_default();
    Bounds {
        frame: largest.saturating_mul(4).saturating_add(MAX_VALUE),
        elements: MAX_ELEMENTS,
        octets: all.saturating_mul(8).saturating_add(settings.max_read),
        entries: MAX_ENTRIES,
    }
}

/// Adds the server's URL to an error.
fn at(url: &str, error: Error) -> Error {
    match error {
        Error::Unavailable(why) => Error::Unavailable(format!("`{url}`: {why}")),
        Error::Denied(why) => Error::Denied(format!("`{url}`: {why}")),
        other => other,
    }
}

fn failed(error: LdapError) -> Error {
    match error {
        LdapError::LdapResult { result } => Error::Denied(explain(result.rc, &result.text)),
        other => Error::Unavailable(other.to_string()),
    }
}

/// The text for a result code (RFC 4511 appendix A) and the directory's own message, with a hint for the administrator.
fn explain(rc: u32, text: &str) -> String {
    let (name, hint) = match rc {
        1 => ("operationsError", ""),
        7 => ("authMethodNotSupported", "; the server offers no SASL EXTERNAL, or TLS is off"),
        8 => ("strongerAuthRequired", "; set starttls, or bind with a name"),
        13 => ("confidentialityRequired", "; set starttls or use `ldaps:`"),
        16 => ("noSuchAttribute", ""),
        17 => ("undefinedAttributeType", "; the schema of RFC 4523 is missing: load core.schema"),
        19 => ("constraintViolation", ""),
        20 => ("attributeOrValueExists", ""),
        21 => ("invalidAttributeSyntax", ""),
        32 => ("noSuchObject", "; the entry above is missing: set create_missing, or make it"),
        34 => ("invalidDNSyntax", ""),
        48 => ("inappropriateAuthentication", ""),
        49 => ("invalidCredentials", "; look at bind_dn and password_file"),
        50 => ("insufficientAccessRights", "; give the publisher write access there"),
        51 => ("busy", ""),
        52 => ("unavailable", ""),
        53 => ("unwillingToPerform", ""),
        64 => ("namingViolation", ""),
        65 => ("objectClassViolation", ""),
        68 => ("entryAlreadyExists", ""),
        _ => ("other", ""),
    };
    let said =
        if text.is_empty() { String::new() } else { format!(" (`{}`)", text.escape_debug()) };
    format!("{name} ({rc}){said}{hint}")
}
