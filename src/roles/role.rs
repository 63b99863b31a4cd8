//! Roles: the built-in ones, and those that the operator makes of verbs in the section `[admin.roles]`.

use std::collections::{BTreeMap, BTreeSet};

use countersign_ca::authority::administrators::ADMINISTRATOR_ROLE;
use countersign_ca::record::Label;

use super::verb::Verb;
use crate::exit::Failure;

/// The verbs by which an administrator sees the accounts and certificates of peers.
const INVENTORY: &[Verb] = &[
    Verb::PeerList,
    Verb::PeerShow,
    Verb::CertList,
    Verb::CertShow,
    Verb::PendingList,
    Verb::PendingShow,
    Verb::CaShow,
    Verb::CrlShow,
];

/// The verbs that show other parts of the instance.
const STATE: &[Verb] = &[
    Verb::TrustList,
    Verb::TrustShow,
    Verb::PublishStatus,
    Verb::NotifyShow,
    Verb::Status,
    Verb::StoreStatus,
    Verb::DocsCps,
    Verb::AdminRoles,
    Verb::CaPlan,
];

/// The verbs by which accounts and certificates are managed.
const KEEPING: &[Verb] = &[
    Verb::PeerAdd,
    Verb::PeerImport,
    Verb::PeerEdit,
    Verb::PeerDisable,
    Verb::PeerRename,
    Verb::PeerRemove,
    Verb::PeerResetSecret,
    Verb::PeerSetEquipment,
    Verb::CertIssue,
    Verb::CertRevoke,
    Verb::CertRevokeAll,
    Verb::CertRevokeMany,
    Verb::CertRelease,
    Verb::CaMark,
    Verb::CrlPublish,
    Verb::CrlImport,
    Verb::PublishRun,
    Verb::NotifyTest,
];

/// The built-in roles with the parts that they are made of, and a line for people.
const BUILT_IN: [(&str, &[&[Verb]], &str); 6] = [
    (
        "viewer",
        &[INVENTORY, STATE],
        "sees accounts, certificates, requests, CAs and the state of the instance",
    ),
    (
        "auditor",
        &[INVENTORY, STATE, &[Verb::AdminList, Verb::AdminShow, Verb::AuditReport]],
        "sees what a viewer sees, the administrators, and who did what; changes nothing",
    ),
    (
        "requester",
        &[INVENTORY, &[Verb::CertIssue]],
        "has certificates issued by requests of devices that only show one",
    ),
    ("approver", &[INVENTORY, &[Verb::PendingDecide]], "approves and rejects requests"),
    (
        "revoker",
        &[&[
            Verb::CertList,
            Verb::CertShow,
            Verb::CertRevoke,
            Verb::CertRevokeAll,
            Verb::CertRevokeMany,
        ]],
        "finds certificates and revokes them, and no more",
    ),
    ("operator", &[INVENTORY, STATE, KEEPING], "keeps accounts and certificates, and publishes"),
];

/// A line about the role of those who change administrators and CAs.
const ADMINISTRATOR: &str = "everything but to approve requests";

/// The roles of an instance.
#[derive(Debug, Clone)]
pub struct Roles {
    verbs: BTreeMap<Label, BTreeSet<Verb>>,
}

impl Roles {
    /// The built-in roles and the operator's own (`own`), each a list of verbs' names.
    ///
    /// # Errors
    /// A name is that of a built-in role, a role has no verb, or a verb does not exist.
    pub fn new(own: &BTreeMap<Label, Vec<String>>) -> Result<Self, Failure> {
        let mut verbs = BTreeMap::new();
        for (name, parts, _) in BUILT_IN {
            verbs
                .insert(name.parse::<Label>()?, parts.iter().copied().flatten().copied().collect());
        }
        let all = Verb::ALL.iter().copied().filter(|verb| *verb != Verb::PendingDecide);
        verbs.insert(ADMINISTRATOR_ROLE.parse::<Label>()?, all.collect::<BTreeSet<Verb>>());
        for (name, names) in own {
            if names.is_empty() {
                return Err(Failure::input(format!(
                    "expected verbs in admin.roles.{name}, found none"
                )));
            }
            let parsed = names.iter().map(|verb| verb.parse::<Verb>());
            let parsed = parsed
                .collect::<Result<BTreeSet<_>, _>>()
                .map_err(|why| Failure::input(format!("admin.roles.{name}: {}", why.message)))?;
            if verbs.insert(name.clone(), parsed).is_some() {
                return Err(Failure::input(format!(
                    "admin.roles.{name}: the role is built in; choose another name"
                )));
            }
        }
        Ok(Self { verbs })
    }

    /// Whether a role has a verb. A role that does not exist has none: the operator may have taken it out of the configuration.
    pub fn permits(&self, role: &Label, verb: Verb) -> bool {
        self.verbs.get(role).is_some_and(|verbs| verbs.contains(&verb))
    }

    /// Refuses a role that does not exist.
    ///
    /// # Errors
    /// A message that lists the roles.
    pub fn require(&self, role: &Label) -> Result<(), Failure> {
        if self.verbs.contains_key(role) {
            return Ok(());
        }
        let names: Vec<&str> = self.verbs.keys().map(Label::as_str).collect();
        Err(Failure::input(format!(
            "there is no role `{role}`; there are {}, and those that admin.roles in the configuration makes",
            names.join(", ")
        )))
    }

    /// Every role with its verbs and, for a built-in role, a line about it; ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = (&Label, &BTreeSet<Verb>, Option<&'static str>)> {
        self.verbs.iter().map(|(name, verbs)| {
            let known = BUILT_IN.iter().find(|(built_in, ..)| *built_in == name.as_str());
            let line = match known {
                Some((_, _, line)) => Some(*line),
                None => Some(ADMINISTRATOR).filter(|_| name.as_str() == ADMINISTRATOR_ROLE),
            };
            (name, verbs, line)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::verb::Effect;
    use super::*;

    fn label(text: &str) -> Label {
        text.parse().unwrap()
    }

    /// The table of which role may do what, written out once more by hand.
    #[test]
    fn each_role_has_its_verbs_and_no_others() {
        let roles = Roles::new(&BTreeMap::new()).unwrap();
        let changes = |role: &str| -> Vec<&str> {
            let verbs = roles.verbs.get(&label(role)).unwrap().iter();
            verbs.filter(|verb| verb.effect() == Effect::Changes).map(|verb| verb.name()).collect()
        };
        assert_eq!(changes("viewer"), [""; 0]);
        assert_eq!(changes("auditor"), [""; 0]);
        assert_eq!(changes("approver"), ["pending-decide"]);
        assert_eq!(changes("requester"), ["cert-issue"]);
        assert_eq!(changes("revoker"), ["cert-revoke", "cert-revoke-all", "cert-revoke-many"]);
        assert_eq!(
            changes("operator"),
            [
                "peer-add",
                "peer-import",
                "peer-edit",
                "peer-disable",
                "peer-rename",
                "peer-remove",
                "peer-reset-secret",
                "peer-set-equipment",
                "cert-revoke",
                "cert-issue",
                "cert-revoke-all",
                "cert-revoke-many",
                "cert-release",
                "ca-mark",
                "crl-publish",
                "crl-import",
                "publish-run",
                "notify-test",
            ]
        );
        let administrator = roles.verbs.get(&label("administrator")).unwrap();
        let missing: Vec<&Verb> =
            Verb::ALL.iter().filter(|verb| !administrator.contains(verb)).collect();
        assert_eq!(missing, [&Verb::PendingDecide]);
    }

    #[test]
    fn own_roles_are_made_of_verbs() {
        let own = |name: &str, verbs: &[&str]| {
            let verbs = verbs.iter().map(|verb| (*verb).to_owned()).collect();
            Roles::new(&[(label(name), verbs)].into())
        };
        let roles = own("helpdesk", &["peer-show", "peer-reset-secret"]).unwrap();
        assert!(roles.permits(&label("helpdesk"), Verb::PeerResetSecret));
        assert!(!roles.permits(&label("helpdesk"), Verb::PeerAdd));
        assert!(!roles.permits(&label("gone"), Verb::PeerShow));
        assert!(roles.require(&label("gone")).unwrap_err().message.contains("helpdesk"));
        for (name, verbs, expected) in [
            ("operator", &["peer-show"][..], "built in"),
            ("empty", &[], "found none"),
            ("odd", &["peer-eat"], "expected a verb"),
        ] {
            assert!(own(name, verbs).unwrap_err().message.contains(expected), "{name}");
        }
    }
}
