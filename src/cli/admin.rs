//! `countersign admin …`: the administrators who work from other machines, and the tokens of their programs.

use std::collections::BTreeSet;

use clap::{Args, Subcommand};
use countersign_ca::record::Label;
use serde_json::Value;

use super::context::Context;
use crate::admin::{Request, RequestedGrant, RequestedSecret};
use crate::config::duration;
use crate::exit::Failure;
use crate::output;
use crate::wiped::Wiped;

/// `countersign admin …`
#[derive(Debug, Subcommand)]
pub enum Admin {
    /// Add an administrator, and print the reference and secret for the first certificate once
    Add(Add),
    /// List the roles with their verbs
    Roles,
    /// List the administrators
    List,
    /// Show one administrator
    Show {
        /// The name
        name: Label,
    },
    /// Change what an administrator may do: these grants come in place of the present ones
    Grant {
        /// The name
        name: Label,
        #[command(flatten)]
        grants: Grants,
    },
    /// Say which user of the OpenID provider ([admin.oidc]) an administrator is, for logging in with a browser
    Bind {
        /// The name
        name: Label,
        /// The user at the issuer: the claim `sub`, which the page of a refused login shows
        #[arg(long, value_name = "SUBJECT", required_unless_present = "none")]
        oidc: Option<String>,
        /// The administrator is no user any more; sessions end
        #[arg(long, conflicts_with = "oidc")]
        none: bool,
    },
    /// Remove an administrator, and revoke the certificates
    Remove {
        /// The name
        name: Label,
    },
    /// The tokens of an administrator's programs
    #[command(subcommand)]
    Token(Token),
}

/// `countersign admin add`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    countersign admin add alice --role administrator\n  \
    countersign admin add bob --role operator --role approver --account 'berlin-*'")]
pub struct Add {
    /// The name, which is that of the account for the certificate, too
    name: Label,
    #[command(flatten)]
    grants: Grants,
    /// An identity of the certificate, such as email:alice@example.net (repeatable)
    #[arg(long = "id", value_name = "IDENTITY")]
    ids: Vec<String>,
    /// The user of the OpenID provider ([admin.oidc]) who is this administrator, too: the claim `sub`
    #[arg(long, value_name = "SUBJECT")]
    oidc: Option<String>,
    /// How long the secret for the first certificate is good
    #[arg(long, value_name = "DURATION", default_value = "7d")]
    expires: String,
    /// Make no secret: the administrator has tokens only, or logs in by OpenID
    #[arg(long, conflicts_with = "expires")]
    no_secret: bool,
}

/// What an administrator may do.
#[derive(Debug, Args)]
pub struct Grants {
    /// A role: viewer, auditor, requester, approver, revoker, operator, administrator, or one of the configuration (repeatable)
    #[arg(long = "role", value_name = "ROLE", required = true)]
    roles: Vec<Label>,
    /// Only for this issuing CA (repeatable)
    #[arg(long = "ca", value_name = "NAME")]
    cas: Vec<Label>,
    /// Only for accounts with such a name, in which `*` stands for any text (repeatable)
    #[arg(long = "account", value_name = "PATTERN")]
    accounts: Vec<String>,
}

impl Grants {
    /// Each role, with the same bounds.
    fn requested(&self) -> Vec<RequestedGrant> {
        let cas: BTreeSet<Label> = self.cas.iter().cloned().collect();
        let accounts: BTreeSet<String> = self.accounts.iter().cloned().collect();
        let grant = |role: &Label| RequestedGrant {
            role: role.clone(),
            cas: cas.clone(),
            accounts: accounts.clone(),
        };
        self.roles.iter().map(grant).collect()
    }
}

/// `countersign admin token …`
#[derive(Debug, Subcommand)]
pub enum Token {
    /// Make a token, and print it once
    #[command(
        after_help = "Example:\n  countersign admin token add monitor probe --expires 90d --json"
    )]
    Add {
        /// The administrator
        name: Label,
        /// The token's name
        token: Label,
        /// A role of the administrator's that it may use (repeatable); all of them without any
        #[arg(long = "role", value_name = "ROLE")]
        roles: Vec<Label>,
        /// How long the token is valid; at most 366d
        #[arg(long, value_name = "DURATION", default_value = "90d")]
        expires: String,
    },
    /// End a token
    Remove {
        /// The administrator
        name: Label,
        /// The token's name
        token: Label,
    },
}

impl Admin {
    /// Carries out the command.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Add(add) => {
                let secret = match add.no_secret {
                    true => None,
                    false => Some(RequestedSecret { seconds: seconds(&add.expires)?, uses: 1 }),
                };
                let new = Wiped::from(context.ask(Request::AdminAdd {
                    name: add.name.clone(),
                    grants: add.grants.requested(),
                    ids: add.ids.clone(),
                    secret,
                    oidc: add.oidc.clone(),
                })?);
                hand_out(context, &new)
            }
            Self::Roles => context.show(Request::AdminRoles),
            Self::List => context.show(Request::AdminList),
            Self::Show { name } => context.show(Request::AdminShow { name: name.clone() }),
            Self::Grant { name, grants } => context.show(Request::AdminGrant {
                name: name.clone(),
                grants: grants.requested(),
                expected: None,
            }),
            Self::Bind { name, oidc, none: _ } => {
                context.show(Request::AdminBind { name: name.clone(), oidc: oidc.clone() })
            }
            Self::Remove { name } => context.show(Request::AdminRemove { name: name.clone() }),
            Self::Token(Token::Add { name, token, roles, expires }) => {
                let new = Wiped::from(context.ask(Request::AdminTokenAdd {
                    name: name.clone(),
                    token: token.clone(),
                    seconds: seconds(expires)?,
                    roles: roles.iter().cloned().collect(),
                })?);
                hand_out(context, &new)
            }
            Self::Token(Token::Remove { name, token }) => {
                context.show(Request::AdminTokenRemove { name: name.clone(), token: token.clone() })
            }
        }
    }
}

/// Prints a new secret, which is shown this once.
fn hand_out(context: &Context, new: &Value) -> Result<(), Failure> {
    output::hand_out(context.format, new).map_err(|e| {
        Failure::unavailable(format!(
            "standard output: {e}. What was asked for is done, and the new secret is lost: remove the administrator or the token, and add \
             it again"
        ))
    })
}

fn seconds(text: &str) -> Result<u64, Failure> {
    Ok(duration("--expires", text, 60, 366 * 86_400)?.as_secs())
}
