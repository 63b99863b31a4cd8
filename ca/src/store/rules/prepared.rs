//! Values that are computed from an entry before the writer records it. The thread that asks for the record computes them; in a rebuild,
//! several threads do. The single writer thread is thus spared the work.

use crate::journal::Entry;
use crate::record::inventory::Facet;
use crate::record::search::SearchKey;
use crate::store::numbers::search_number;
use crate::store::values::{TransactionId, transaction_id};

/// The values that were computed from an entry beforehand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prepared {
    /// The numbers of the search keys and facets of the certificate that the entry issues.
    pub search: Box<[u32]>,
    /// The name in the index of the entry's transaction, if it has one.
    pub transaction: Option<TransactionId>,
}

impl Prepared {
    /// Computes the values that depend on the entry alone.
    pub fn of(entry: &Entry) -> Self {
        let search = match entry {
            Entry::Issued(issued) => {
                let keys = SearchKey::of(&issued.certificate);
                let keys = keys.iter().map(SearchKey::fingerprint);
                let facets = Facet::of(issued);
                let facets = facets.iter().map(Facet::fingerprint);
                keys.chain(facets).map(search_number).collect()
            }
            _ => Box::default(),
        };
        let id: Option<&[u8]> = match entry {
            Entry::Issued(issued) => issued.transaction.as_ref().map(|of| of.id.as_slice()),
            Entry::Revoked { transaction, .. } => transaction.as_ref().map(|of| of.id.as_slice()),
            Entry::Requested(pending) => Some(&pending.transaction.id),
            Entry::Joined { transaction, .. } => Some(&transaction.id),
            Entry::Confirmed { transaction } => Some(transaction),
            _ => None,
        };
        Self { search, transaction: id.map(transaction_id) }
    }
}
