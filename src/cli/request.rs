//! `countersign request …`: requests that await approval.

use clap::Subcommand;

use super::context::Context;
use crate::admin::Request as Ask;
use crate::exit::Failure;

/// `countersign request …`
#[derive(Debug, Subcommand)]
pub enum Request {
    /// List the requests that wait for approval, oldest first
    List,
    /// Show one request
    Show {
        /// The identifier of the request, or its first digits, 6 at least
        id: String,
    },
    /// Approve a request: its peer gets the certificate when it asks next
    Approve {
        /// The identifier of the request, or its first digits, 6 at least
        id: String,
        /// A note for the journal
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
    },
    /// Reject a request
    Reject {
        /// The identifier of the request, or its first digits, 6 at least
        id: String,
        /// The reason, which the peer is given
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
}

impl Request {
    /// Carries out the command.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        context.show(match self {
            Self::List => Ask::PendingList,
            Self::Show { id } => Ask::PendingShow { id: id.clone() },
            Self::Approve { id, note } => {
                Ask::PendingDecide { id: id.clone(), approve: true, reason: note.clone() }
            }
            Self::Reject { id, reason } => {
                Ask::PendingDecide { id: id.clone(), approve: false, reason: reason.clone() }
            }
        })
    }
}
