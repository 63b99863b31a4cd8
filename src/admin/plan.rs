//! The rollover planner: which peers have shown that they have the certificate of a CA's next key, and when it is safe to go on.

use countersign_ca::Store;
use countersign_ca::record::inventory::{CertificateQuery, CertificateStatus, ListOrder};
use countersign_ca::record::line::Member;
use countersign_ca::record::{
    Account, AnchorEvidence, AnchorShown, CaRecord, CertificateRecord, CrlScope, Label,
    OWN_ACCOUNT_PREFIX, no_account,
};

use super::answer::{Plan, PlanAccount, PlanEvidence, PlanVerdict};
use super::request::ShownBy;
use crate::exit::Failure;
use crate::instance::Instance;

/// The number of accounts that are read at once.
const PAGE: usize = 1000;

/// The number of certificates of a CA that are read at once, to find the last one of a peer.
const CERTIFICATES: usize = 64;

/// The evidence that is not recorded, because the certificate itself is on record: a CA with the next key issued it.
const ISSUED: &str = "issued";

/// The CAs that a plan is about.
struct Roll<'a> {
    all: &'a [CaRecord],
    /// The CA with the next key.
    next: &'a CaRecord,
    /// The CA with the key before it.
    before: &'a CaRecord,
}

/// The plan for the newest key of the CA `name`, with at most `limit` accounts, behind the account `after`.
pub fn look(
    instance: &Instance,
    name: &Label,
    after: Option<&Label>,
    limit: usize,
) -> Result<Plan, Failure> {
    let all = instance.store.cas()?;
    let roll = Roll::of(&all, name)?;
    let now = instance.now();
    let (mut shown, mut missing, mut not_enrolled) = (0_usize, 0_usize, 0_usize);
    let (profiles, mut no_peers) = (instance.profiles(), 0_usize);
    let (mut last_missing, mut rows, mut more) = (None, Vec::new(), false);
    let mut place = None;
    loop {
        let page = instance.store.list_accounts(&Default::default(), place.as_ref(), PAGE)?;
        let enrolled = instance.store.enrolled(&page.accounts, now)?;
        for (account, enrolled) in page.accounts.iter().zip(enrolled) {
            // Administrators and registration authorities meet no peer's certificate.
            if profiles.named(&account.profile).is_some_and(|profile| !profile.is_for_ike()) {
                no_peers = no_peers.saturating_add(1);
                continue;
            }
            let certificate = enrolled.valid.filter(|_| !account.is_disabled);
            let Some(certificate) = certificate else {
                not_enrolled = not_enrolled.saturating_add(1);
                continue;
            };
            if !roll.concerns(&certificate) {
                continue;
            }
            let evidence = roll.evidence(instance, account, &certificate)?;
            match evidence.is_empty() {
                true => {
                    missing = missing.saturating_add(1);
                    last_missing = last_missing.max(Some(certificate.not_after));
                }
                false => shown = shown.saturating_add(1),
            }
            if after.is_some_and(|after| account.name <= *after) {
                continue;
            }
            match rows.len() < limit {
                true => rows.push(PlanAccount {
                    account: account.name.clone(),
                    shown: !evidence.is_empty(),
                    evidence,
                    ca: certificate.ca,
                    not_after: certificate.not_after.whole_seconds().to_string(),
                }),
                false => more = true,
            }
        }
        place = page.next;
        if place.is_none() {
            break;
        }
    }
    let not_shown = match missing {
        0 => None,
        1 => Some("1 account has not shown that it has the certificate".to_owned()),
        more => Some(format!("{more} accounts have not shown that they have the certificate")),
    };
    let last_missing = last_missing.map(|at| at.whole_seconds().to_string());
    let activate = roll.activation(instance, not_shown.as_deref(), last_missing.clone())?;
    let retire = roll.retirement(instance, not_shown.as_deref(), last_missing)?;
    Ok(Plan {
        ca: roll.next.name.clone(),
        succeeds: roll.before.name.clone(),
        kind: if roll.next.is_root { "root" } else { "issuing" }.into(),
        waits: roll.next.waits(),
        safe: if roll.next.waits() { activate.safe } else { retire.safe },
        activate,
        retire,
        shown,
        missing,
        not_enrolled,
        no_peers,
        next: rows.last().map(|row| row.account.clone()).filter(|_| more),
        accounts: rows,
    })
}

/// Records an administrator's word, or that an export has it, that a peer has the certificate of the newest key of the CA `name`. The same
/// again changes nothing.
pub fn mark(
    instance: &Instance,
    actor: &str,
    name: &Label,
    account: &Label,
    by: ShownBy,
) -> Result<Plan, Failure> {
    let all = instance.store.cas()?;
    // An export writes certain certificates, which need not be the newest.
    let ca = match by {
        ShownBy::Export => name.clone(),
        ShownBy::Marked => Roll::of(&all, name)?.next.name.clone(),
    };
    let holder = instance.store.account(account)?.ok_or_else(|| no_account(account))?;
    let evidence = match by {
        ShownBy::Export => AnchorEvidence::Export,
        ShownBy::Marked => AnchorEvidence::Marked,
    };
    let known = instance.store.anchors_shown(account)?;
    if !known.iter().any(|known| known.ca == ca && known.evidence == evidence) {
        let shown = AnchorShown {
            account: account.clone(),
            incarnation: Some(holder.incarnation),
            ca: ca.clone(),
            evidence,
            actor: Some(actor.to_owned()),
        };
        instance.store.begin_anchor_shown(instance.now(), shown)?.wait()?;
        // The entry names the actor.
        tracing::info!(actor, %account, %ca, evidence = evidence.name(), "administrator");
    }
    look(instance, name, None, 0)
}

impl<'a> Roll<'a> {
    /// The newest key of the line of the CA `name`, and the one before it.
    fn of(all: &'a [CaRecord], name: &Label) -> Result<Self, Failure> {
        let named = |name: &Label| all.iter().find(|ca| ca.name == *name);
        let mut next = named(name).ok_or_else(|| {
            Failure::missing(format!("there is no CA `{name}`; `countersign ca show` lists them"))
        })?;
        // A CA has at most one successor and is recorded after its predecessor, so there are no more steps than CAs.
        for _ in all {
            match all.iter().find(|ca| ca.predecessor() == Some(&next.name)) {
                Some(later) => next = later,
                None => break,
            }
        }
        let before = next.predecessor().and_then(named).ok_or_else(|| {
            Failure::missing(format!(
                "the CA `{name}` has no next key; with the server stopped, `countersign ca roll {name} --staged` makes one"
            ))
        })?;
        Ok(Self { all, next, before })
    }

    /// The root above a CA, or the CA itself if it is a root; `None` if it is not recorded.
    fn root_of(&self, ca: &'a CaRecord) -> Option<&'a CaRecord> {
        match ca.chain.last() {
            None => Some(ca),
            Some(root) => self.all.iter().find(|other| other.certificate == *root),
        }
    }

    fn named(&self, name: &Label) -> Option<&'a CaRecord> {
        self.all.iter().find(|ca| ca.name == *name)
    }

    /// The first key of a line.
    fn first_of(&self, ca: &'a CaRecord) -> &'a CaRecord {
        let mut at = ca;
        for _ in self.all {
            match at.predecessor().and_then(|name| self.named(name)) {
                Some(before) => at = before,
                None => break,
            }
        }
        at
    }

    /// Whether the holder of a certificate meets certificates below the next key: both have one root, whichever key of it certifies them.
    fn concerns(&self, certificate: &CertificateRecord) -> bool {
        let line = |ca: &'a CaRecord| Some(&self.first_of(self.root_of(ca)?).name);
        let theirs = self.named(&certificate.ca).and_then(line);
        theirs.is_some() && theirs == line(self.next)
    }

    /// Whether a CA is the next key, or is certified by it.
    fn is_below_next(&self, ca: &'a CaRecord) -> bool {
        ca.name == self.next.name
            || self.root_of(ca).is_some_and(|root| root.name == self.next.name)
    }

    /// What shows that an account has the certificate of the next key.
    fn evidence(
        &self,
        instance: &Instance,
        account: &Account,
        certificate: &CertificateRecord,
    ) -> Result<Vec<PlanEvidence>, Failure> {
        let known = instance.store.anchors_shown(&account.name)?;
        let mut found: Vec<PlanEvidence> = known
            .into_iter()
            .filter(|known| known.ca == self.next.name)
            .map(|known| PlanEvidence {
                kind: known.evidence.name().into(),
                at: known.at.whole_seconds().to_string(),
                by: known.actor,
            })
            .collect();
        let is_below = self.named(&certificate.ca).is_some_and(|ca| self.is_below_next(ca));
        if is_below && certificate.confirmed {
            found.push(PlanEvidence {
                kind: ISSUED.into(),
                at: certificate.issued.whole_seconds().to_string(),
                by: None,
            });
        }
        Ok(found)
    }

    /// Whether the next key may issue in the place of the one before.
    fn activation(
        &self,
        instance: &Instance,
        not_shown: Option<&str>,
        last_missing: Option<String>,
    ) -> Result<PlanVerdict, Failure> {
        let name = &self.next.name;
        if !self.next.waits() {
            return Ok(PlanVerdict::safe(format!("`{name}` issues already")));
        }
        if instance.store.last_crl(name, CrlScope::Full)?.is_none() {
            return Ok(PlanVerdict::unsafe_because(
                format!("`{name}` has no CRL yet: start the server"),
                None,
            ));
        }
        Ok(match not_shown {
            None => PlanVerdict::safe(format!("`countersign ca activate {name}`")),
            Some(why) => PlanVerdict::unsafe_because(why.to_owned(), last_missing),
        })
    }

    /// Whether nobody needs the key before any more.
    fn retirement(
        &self,
        instance: &Instance,
        not_shown: Option<&str>,
        last_missing: Option<String>,
    ) -> Result<PlanVerdict, Failure> {
        let old = &self.before.name;
        if self.next.waits() {
            let why = format!("`{old}` issues until `{}` is activated", self.next.name);
            return Ok(PlanVerdict::unsafe_because(why, None));
        }
        // 1. A root is needed while an issuing CA below it issues.
        let below: Vec<&CaRecord> = match self.before.is_root {
            false => vec![self.before],
            true => {
                let certified = |ca: &&CaRecord| ca.chain.last() == Some(&self.before.certificate);
                self.all.iter().filter(certified).collect()
            }
        };
        let still_issues = |ca: &&&CaRecord| {
            let is_followed =
                |next: &CaRecord| next.predecessor() == Some(&ca.name) && !next.waits();
            self.before.is_root && !ca.waits() && !self.all.iter().any(is_followed)
        };
        if let Some(ca) = below.iter().find(still_issues) {
            let why = format!(
                "the CA `{0}` issues, and `{old}` certifies it: `countersign ca roll {0} --staged`",
                ca.name
            );
            return Ok(PlanVerdict::unsafe_because(why, None));
        }
        if let Some(why) = not_shown {
            return Ok(PlanVerdict::unsafe_because(why.to_owned(), last_missing));
        }
        // 2. And while a peer has a valid certificate below it.
        let mut last = None;
        for ca in below {
            last = last.max(last_certificate(instance, &ca.name)?);
        }
        Ok(match last {
            None => PlanVerdict::safe(format!("no certificate below `{old}` is valid any more")),
            Some((not_after, account)) => PlanVerdict::unsafe_because(
                format!("`{account}` has the last certificate below `{old}`"),
                Some(not_after.whole_seconds().to_string()),
            ),
        })
    }
}

/// The peer whose valid certificate of a CA ends last, and when; `None` if there is none.
fn last_certificate(
    instance: &Instance,
    ca: &Label,
) -> Result<Option<(countersign_ca::Timestamp, Label)>, Failure> {
    let query = CertificateQuery {
        ca: Some(ca.clone()),
        status: Some(CertificateStatus::Valid),
        order: ListOrder::ExpiresReversed,
        now: instance.now(),
        ..CertificateQuery::default()
    };
    let mut after = None;
    loop {
        let page = instance.store.list(&query, after, CERTIFICATES)?;
        let is_peers =
            |record: &&CertificateRecord| !record.account.as_str().starts_with(OWN_ACCOUNT_PREFIX);
        if let Some(found) = page.records.iter().find(is_peers) {
            return Ok(Some((found.not_after, found.account.clone())));
        }
        after = page.next;
        if after.is_none() {
            return Ok(None);
        }
    }
}
