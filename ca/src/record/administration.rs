//! Actions of administrators on the instance as a whole: restores, and actions that change no other record.

/// A restore: the journal continues from a backup. Entries that were recorded after that backup are lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restoration {
    /// The administrator: a user of the operating system, such as `uid 0`.
    pub actor: String,
    /// SHA-256 over the backup without its last 32 octets, which are this value.
    pub backup: [u8; 32],
    /// Whether shared secrets and vendors' certificates keep the uses that they had in the backup. If `false`, they
    /// have none left, because they may have been used since.
    pub keeps_uses: bool,
}

/// An action of an administrator that changes no other record, for the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminAction {
    /// The administrator: a user of the operating system, such as `uid 0`.
    pub actor: String,
    /// The action as a noun and a verb, such as `store restore`.
    pub action: String,
    /// Details, for a person.
    pub detail: String,
}
