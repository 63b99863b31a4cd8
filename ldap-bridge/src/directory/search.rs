//! One search (RFC 4511 §4.5), in steps, so that a long one does not delay other connections.

use std::time::{Duration, Instant};

use bytes::Bytes;
use ldap3_proto::proto::{LdapFilter, LdapResultCode as Code, LdapSearchRequest, LdapSearchScope};

use super::ber::{Frame, element, paged_value, unsigned};
use super::filter;
use super::limits::Limits;
use super::schema::{AttributeType, SUBSCHEMA, attribute_type};
use super::snapshot::{Node, Snapshot};
use crate::dn::Dn;
use crate::protocol::{oid, tag};

/// The most entries that a step looks at.
const STEP: usize = 256;

/// A search that has begun.
pub struct Search {
    /// The messageID, encoded.
    id: Vec<u8>,
    /// The positions of the entries that are not looked at yet.
    range: std::ops::Range<usize>,
    /// The number of RDNs of the entries that may match; `None` for any number.
    depth: Option<usize>,
    filter: LdapFilter,
    types_only: bool,
    wanted: Wanted,
    /// The entries that may still be returned.
    left: usize,
    /// The result code if more entries match than may be returned.
    over: Code,
    /// The size of a page; `None` if the client does not page, or its size limit is below that.
    page: Option<usize>,
    looked_at: usize,
    max_looked_at: usize,
    deadline: Instant,
    /// The path of the last entry that was returned: the cookie of the next page.
    last_path: String,
}

/// A search that has begun. A search for an entry outside the tree has only that entry.
pub struct Begun {
    /// The search.
    pub search: Search,
    /// The encoded SearchResultEntry of the root DSE or of the subschema, in chunks, if the search is for one of them and its filter
    /// matches. No other entry follows.
    pub entry: Option<Vec<Bytes>>,
}

/// The result of a step.
pub enum Step {
    /// A SearchResultEntry, in chunks.
    Entry(Vec<Bytes>),
    /// No entry was found in this step. The task should yield to others before the next step.
    Pause,
    /// The search has ended.
    Done(Outcome),
}

/// The result of an operation (LDAPResult, RFC 4511 §4.1.9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The result code.
    pub code: Code,
    /// matchedDN: the name of the nearest entry above, if the object does not exist; otherwise empty.
    pub matched: String,
    /// diagnosticMessage: a text for people.
    pub message: String,
    /// The cookie of the next page, if results are paged: the path of the last entry; empty at the end.
    pub cookie: Option<Vec<u8>>,
}

impl Outcome {
    /// A result without matchedDN.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, matched: String::new(), message: message.into(), cookie: None }
    }
}

/// The root DSE and the subschema entry, which are not among the published entries.
pub struct Apart {
    /// The root DSE.
    pub root: Node,
    /// The subschema.
    pub subschema: Node,
}

/// The attributes that a client asks for (RFC 4511 §4.5.1.8): all user attributes, all operational ones, or some by name.
struct Wanted {
    user: bool,
    operational: bool,
    named: Vec<&'static AttributeType>,
}

impl Search {
    /// Begins a search. A base search of the root DSE or the subschema entry finds the entry at once.
    ///
    /// # Errors
    /// The outcome to send, if the search is refused or its base does not exist.
    pub fn begin(
        frame: &Frame,
        request: LdapSearchRequest,
        snapshot: &Snapshot,
        apart: &Apart,
        limits: &Limits,
    ) -> Result<Begun, Outcome> {
        let size = filter::size(&request.filter);
        if size.parts > limits.max_filter_nodes || size.depth > limits.max_filter_depth {
            return Err(Outcome::new(Code::UnwillingToPerform, "the filter has too many parts"));
        }
        if request.attrs.len() > limits.max_attributes {
            return Err(Outcome::new(
                Code::UnwillingToPerform,
                "too many attributes are asked for",
            ));
        }
        let base: Dn = request
            .base
            .parse()
            .map_err(|e: crate::Error| Outcome::new(Code::InvalidDNSyntax, e.to_string()))?;
        let Page { size: page, start } = page_of(frame, limits)?;
        let client = usize::try_from(request.sizelimit).ok().filter(|limit| *limit > 0);
        let left = [client, page, Some(limits.max_entries)].into_iter().flatten().min();
        let seconds = u64::try_from(request.timelimit).ok().filter(|limit| *limit > 0);
        let time =
            seconds.map_or(limits.search_time, |s| limits.search_time.min(Duration::from_secs(s)));
        let mut search = Self {
            id: unsigned(tag::INTEGER, frame.id.unsigned_abs()),
            range: 0..0,
            depth: None,
            filter: request.filter,
            types_only: request.typesonly,
            wanted: Wanted::new(&request.attrs),
            left: left.unwrap_or(0),
            over: Code::SizeLimitExceeded,
            page: page.filter(|page| Some(*page) <= client.or(Some(usize::MAX))),
            looked_at: 0,
            max_looked_at: limits.max_looked_at,
            deadline: Instant::now().checked_add(time).unwrap_or_else(Instant::now),
            last_path: String::new(),
        };
        let special = match (&request.scope, request.base.trim()) {
            (LdapSearchScope::Base, "") => Some(&apart.root),
            (LdapSearchScope::Base, _) if is_subschema(&base) => Some(&apart.subschema),
            _ => None,
        };
        if let Some(node) = special {
            let found = filter::matches(&search.filter, node) == Some(true);
            let entry = found.then(|| search.result(node));
            return Ok(Begun { search, entry });
        }
        search.locate(&base, &request.scope, snapshot)?;
        if let Some(path) = start {
            search.range.start =
                snapshot.behind(&path).max(search.range.start).min(search.range.end);
        }
        Ok(Begun { search, entry: None })
    }

    /// Looks at up to [`STEP`] further entries, until one matches. The caller keeps `snapshot` the same for the whole search.
    pub fn step(&mut self, snapshot: &Snapshot) -> Step {
        for _ in 0..STEP {
            let Some(node) = self.range.next().and_then(|at| snapshot.node(at)) else {
                let cookie = self.page.map(|_| Vec::new());
                return Step::Done(Outcome { cookie, ..Outcome::new(Code::Success, "") });
            };
            self.looked_at = self.looked_at.saturating_add(1);
            if self.looked_at > self.max_looked_at {
                let why = "more entries than this directory looks at; narrow the search";
                return Step::Done(Outcome::new(Code::AdminLimitExceeded, why));
            }
            if self.depth.is_some_and(|depth| depth != node.depth())
                || filter::matches(&self.filter, node) != Some(true)
            {
                continue;
            }
            if self.left == 0 {
                return Step::Done(self.full());
            }
            self.left = self.left.saturating_sub(1);
            node.path().clone_into(&mut self.last_path);
            return Step::Entry(self.result(node));
        }
        if Instant::now() >= self.deadline {
            return Step::Done(Outcome::new(Code::TimeLimitExceeded, "the time is over"));
        }
        Step::Pause
    }

    fn result(&self, node: &Node) -> Vec<Bytes> {
        node.result(&self.id, self.types_only, &|kind| self.wanted.has(kind))
    }

    /// The outcome if no more entries may be returned: the end of a page, or a limit of the client or of the directory.
    fn full(&self) -> Outcome {
        match self.page {
            Some(_) => Outcome {
                cookie: Some(self.last_path.clone().into_bytes()),
                ..Outcome::new(Code::Success, "")
            },
            None => Outcome::new(
                self.over.clone(),
                "there are more entries; narrow the search, or ask for pages",
            ),
        }
    }

    fn locate(
        &mut self,
        base: &Dn,
        scope: &LdapSearchScope,
        snapshot: &Snapshot,
    ) -> Result<(), Outcome> {
        let own = if base.is_empty() {
            0..snapshot.len()
        } else {
            let place = snapshot.place(base).ok_or_else(|| Outcome {
                matched: snapshot
                    .matched(base)
                    .map_or_else(String::new, |node| node.dn().to_owned()),
                ..Outcome::new(Code::NoSuchObject, "")
            })?;
            place..snapshot.end_of(place)
        };
        let start = own.start;
        (self.range, self.depth) = match scope {
            LdapSearchScope::Base => (start..start.saturating_add(1), None),
            LdapSearchScope::Subtree => (own, None),
            LdapSearchScope::Children => (start.saturating_add(1)..own.end, None),
            // One level below the root of the directory are the naming contexts.
            LdapSearchScope::OneLevel if base.is_empty() => {
                let depth = snapshot.node(0).map_or(0, Node::depth);
                (own, Some(depth))
            }
            LdapSearchScope::OneLevel => {
                (start.saturating_add(1)..own.end, Some(base.rdns().len().saturating_add(1)))
            }
        };
        Ok(())
    }
}

impl Wanted {
    fn new(names: &[String]) -> Self {
        let has = |wanted: &str| names.iter().any(|name| name == wanted);
        Self {
            user: names.is_empty() || has("*"),
            operational: has("+"),
            named: names.iter().filter_map(|name| attribute_type(name)).collect(),
        }
    }

    fn has(&self, kind: &AttributeType) -> bool {
        let by_kind = if kind.is_operational { self.operational } else { self.user };
        by_kind || self.named.contains(&kind)
    }
}

fn is_subschema(base: &Dn) -> bool {
    SUBSCHEMA.parse::<Dn>().is_ok_and(|subschema| subschema.key() == base.key())
}

/// The page of results that a client asks for (RFC 2696).
struct Page {
    /// The most entries of a page; `None` if results are not paged.
    size: Option<usize>,
    /// The cookie of the page before, the path of its last entry; `None` for the first page.
    start: Option<String>,
}

/// The page that a request asks for. An error if its control cannot be read.
fn page_of(frame: &Frame, limits: &Limits) -> Result<Page, Outcome> {
    let Some(control) = frame.controls.iter().find(|control| control.oid == oid::PAGED_RESULTS)
    else {
        return Ok(Page { size: None, start: None });
    };
    let wrong = || Outcome::new(Code::ProtocolError, "the paged results control cannot be read");
    let (size, cookie) = control.value.as_ref().and_then(paged_value).ok_or_else(wrong)?;
    let size = usize::try_from(size).map_err(|_| wrong())?.clamp(1, limits.max_entries);
    let start = String::from_utf8(cookie.to_vec()).map_err(|_| wrong())?;
    Ok(Page { size: Some(size), start: (!start.is_empty()).then_some(start) })
}

/// The controls of a SearchResultDone: a paged results control with this cookie, without an estimate of the size (RFC 2696 §2).
pub fn paged_control(cookie: &[u8]) -> Vec<u8> {
    let no_estimate = unsigned(tag::INTEGER, 0);
    let value = element(tag::SEQUENCE, &[no_estimate, element(tag::OCTET_STRING, cookie)].concat());
    let kind = element(tag::OCTET_STRING, oid::PAGED_RESULTS.as_bytes());
    let control = [kind, element(tag::OCTET_STRING, &value)].concat();
    element(tag::CONTROLS, &element(tag::SEQUENCE, &control))
}
