//! `countersign policy …`: the tools for authors of KeyNote policy. They need no instance. Those that open a key read the passphrase as an
//! instance does.

mod author;
mod credential;
mod query;
mod shared;
mod suite;

use clap::Subcommand;

use super::context::Context;
use crate::exit::Failure;

/// `countersign policy …`
#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Check policy files: syntax, keys, regular expressions, compliance values
    Check(author::Check),
    /// Check, and warn of well-formed parts that are probably mistakes
    Lint(author::Check),
    /// Lay files out in the canonical way; signed assertions stay as they are
    Fmt(author::Fmt),
    /// Evaluate a question, and explain the answer
    Query(query::Query),
    /// Run cases with expected answers: a TOML file, or JSON lines as in the KeyNote corpus
    Test(suite::Suite),
    /// Sign an assertion, so that it becomes a credential
    Sign(credential::Sign),
    /// Check the signatures of credentials
    Verify(credential::Verify),
    /// Make a key that signs credentials
    Keygen(credential::Keygen),
    /// Print the principal of a key, a certificate, or any other spelling of one
    Principal(credential::ShowPrincipal),
    /// List the action attributes of IPsec
    Vocabulary,
}

impl Policy {
    /// Carries out the command.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Check(check) => check.run(context, author::Depth::Errors),
            Self::Lint(check) => check.run(context, author::Depth::Warnings),
            Self::Fmt(fmt) => fmt.run(context),
            Self::Query(query) => query.run(context),
            Self::Test(suite) => suite.run(context),
            Self::Sign(sign) => sign.run(context),
            Self::Verify(verify) => verify.run(context),
            Self::Keygen(keygen) => keygen.run(context),
            Self::Principal(principal) => principal.run(context),
            Self::Vocabulary => {
                author::vocabulary(context);
                Ok(())
            }
        }
    }
}
