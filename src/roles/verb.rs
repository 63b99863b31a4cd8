//! The verbs: a name for each request of administrators.

use std::fmt;
use std::str::FromStr;

use crate::exit::Failure;

macro_rules! verbs {
    ($($variant:ident $name:literal $effect:ident,)*) => {
        /// The verb of a request. The names are those of the requests on the admin socket.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Verb {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
        }

        impl Verb {
            /// Every verb.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The verb's name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Whether the verb changes something.
            pub const fn effect(self) -> Effect {
                match self { $(Self::$variant => Effect::$effect,)* }
            }
        }
    };
}

/// Whether a verb changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The verb only shows records.
    Reads,
    /// The verb changes records, directories or files.
    Changes,
}

verbs! {
    PeerAdd "peer-add" Changes,
    PeerImport "peer-import" Changes,
    PeerAddByCsr "peer-add-by-csr" Changes,
    PeerEdit "peer-edit" Changes,
    PeerDisable "peer-disable" Changes,
    PeerRename "peer-rename" Changes,
    PeerList "peer-list" Reads,
    PeerShow "peer-show" Reads,
    PeerRemove "peer-remove" Changes,
    PeerResetSecret "peer-reset-secret" Changes,
    PeerSetEquipment "peer-set-equipment" Changes,
    PeerPermit "peer-permit" Changes,
    TrustAdd "trust-add" Changes,
    TrustList "trust-list" Reads,
    TrustShow "trust-show" Reads,
    TrustRemove "trust-remove" Changes,
    CertList "cert-list" Reads,
    CertShow "cert-show" Reads,
    CertRevoke "cert-revoke" Changes,
    CertIssue "cert-issue" Changes,
    CertRevokeAll "cert-revoke-all" Changes,
    CertRevokeMany "cert-revoke-many" Changes,
    CertRelease "cert-release" Changes,
    CertImport "cert-import" Changes,
    PendingList "pending-list" Reads,
    PendingShow "pending-show" Reads,
    PendingDecide "pending-decide" Changes,
    CaShow "ca-show" Reads,
    CaPlan "ca-plan" Reads,
    CaMark "ca-mark" Changes,
    CaAssign "ca-assign" Changes,
    CrlShow "crl-show" Reads,
    CrlPublish "crl-publish" Changes,
    CrlImport "crl-import" Changes,
    PublishStatus "publish-status" Reads,
    PublishRun "publish-run" Changes,
    NotifyShow "notify-show" Reads,
    NotifyTest "notify-test" Changes,
    Status "status" Reads,
    StoreStatus "store-status" Reads,
    DocsCps "docs-cps" Reads,
    AuditReport "audit-report" Reads,
    Backup "backup" Changes,
    AdminRoles "admin-roles" Reads,
    AdminAdd "admin-add" Changes,
    AdminBind "admin-bind" Changes,
    AdminList "admin-list" Reads,
    AdminShow "admin-show" Reads,
    AdminGrant "admin-grant" Changes,
    AdminRemove "admin-remove" Changes,
    AdminTokenAdd "admin-token-add" Changes,
    AdminTokenRemove "admin-token-remove" Changes,
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Verb {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        Self::ALL.iter().copied().find(|verb| verb.name() == text).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|verb| verb.name()).collect();
            Failure::input(format!(
                "expected a verb, one of {}, found `{}`",
                names.join(", "),
                text.escape_debug()
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verb_is_known_by_its_name() {
        for verb in Verb::ALL {
            assert_eq!(verb.name().parse::<Verb>().unwrap(), *verb);
        }
        let error = "peer".parse::<Verb>().unwrap_err().message;
        assert!(error.contains("peer-add") && error.contains("found `peer`"), "{error}");
    }
}
