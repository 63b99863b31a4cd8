//! `countersign notify …`: the receivers of notifications.

use clap::Subcommand;

use super::context::Context;
use crate::admin::Request;
use crate::exit::Failure;

/// `countersign notify …`
#[derive(Debug, Subcommand)]
pub enum Notify {
    /// Show the receivers of notifications, and how messages to them went
    Show,
    /// Send a test to a receiver, and say whether it took the message
    Test {
        /// The receiver's name in the configuration
        receiver: String,
    },
}

impl Notify {
    /// Carries out the command.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Show => context.show(Request::NotifyShow),
            Self::Test { receiver } => {
                context.show(Request::NotifyTest { receiver: receiver.clone() })
            }
        }
    }
}
