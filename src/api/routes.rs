//! The paths of the API: for each path and method, the verb, the request on the admin socket that they correspond to, and their
//! description.
//!
//! This table is the only place that knows the paths. The server, the description (`document.rs`) and the tests of who may do what read it.

use actix_web::http::{Method, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use super::body::{
    AccountDevice, AccountQuery, BroughtCrl, CertificateQuery, Disabling, Mark, NewAccounts,
    NewAdministrator, NewBinding, NewCertificate, NewCrl, NewDecision, NewDuty, NewGrants,
    NewRevocation, NewToken, Permissions, PlanQuery, Reconciliation, RemovalQuery, Renaming,
    ReportQuery, RevocationOfAll, RevocationOfMany,
};
use super::input::Input;
use super::problem::Problem;
use crate::admin::answer;
use crate::admin::{Request, RequestedEdit, RequestedSecret, RequestedVendor, ShownBy};
use crate::roles::Verb;

/// A path with a method, and the request that they correspond to.
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path, with parameters in braces.
    pub path: &'static str,
    /// A line that describes the request.
    pub summary: &'static str,
    /// How the request is carried out.
    pub action: Action,
    /// The parameters of the query.
    pub query: Vec<Parameter>,
    /// The schema of the body, if there is one.
    pub body: Option<Shape>,
    /// The status and the schema of the answer.
    pub success: StatusCode,
    /// The schema of the answer.
    pub answer: Shape,
    /// The status for a contradiction to what is recorded: there is no such thing, or there is one already.
    pub conflict: StatusCode,
}

/// How a request is carried out.
#[derive(Clone, Copy)]
pub enum Action {
    /// The request becomes this request of administrators. A role must have the verb.
    Ask(Verb, fn(&Input) -> Result<Request, Problem>),
    /// The body is a request of administrators.
    Command,
    /// Shows the caller.
    Caller,
}

/// A parameter of a query.
pub struct Parameter {
    /// The name of the parameter.
    pub name: &'static str,
    /// The meaning of the parameter.
    pub meaning: &'static str,
    /// Whether the parameter is a number.
    pub is_number: bool,
}

/// A schema, by its name, with those that it refers to.
pub type Shape = fn() -> NamedSchema;

/// A schema with its name and those that it refers to.
pub struct NamedSchema {
    /// The name of the schema; for a list, that of its items.
    pub name: String,
    /// Whether the value is a list of such values.
    pub is_list: bool,
    /// The schema, and the schemas to which it refers, by name.
    pub schemas: Vec<(String, RefOr<Schema>)>,
}

/// The caller, and what the caller may do.
#[derive(Debug, Serialize, ToSchema)]
pub struct Caller {
    /// The administrator's name.
    pub name: String,
    /// How the caller was authenticated, such as `alice (certificate 01ab, from 192.0.2.1)`.
    pub described: String,
    /// The grants, by this proof.
    pub grants: Vec<answer::GrantLine>,
    /// The verbs that the caller may use, at least for some account.
    pub verbs: Vec<String>,
}

fn shape<T: ToSchema>() -> NamedSchema {
    let mut schemas = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut schemas);
    NamedSchema { name: T::name().into_owned(), is_list: false, schemas }
}

fn list<T: ToSchema>() -> NamedSchema {
    NamedSchema { is_list: true, ..shape::<T>() }
}

impl Route {
    fn get(path: &'static str, summary: &'static str, action: Action, answer: Shape) -> Self {
        Self {
            method: Method::GET,
            path,
            summary,
            action,
            query: Vec::new(),
            body: None,
            success: StatusCode::OK,
            answer,
            conflict: StatusCode::NOT_FOUND,
        }
    }

    fn with(self, method: Method, body: Shape) -> Self {
        Self { method, body: Some(body), ..self }
    }

    fn creating(self, body: Shape) -> Self {
        Self {
            method: Method::POST,
            body: Some(body),
            success: StatusCode::CREATED,
            conflict: StatusCode::CONFLICT,
            ..self
        }
    }

    fn conflicting(self) -> Self {
        Self { conflict: StatusCode::CONFLICT, ..self }
    }

    fn asking(self, query: Vec<Parameter>) -> Self {
        Self { query, ..self }
    }

    fn posting(self) -> Self {
        Self { method: Method::POST, ..self }
    }

    fn removing(self) -> Self {
        Self { method: Method::DELETE, ..self }
    }
}

const fn ask(verb: Verb, request: fn(&Input) -> Result<Request, Problem>) -> Action {
    Action::Ask(verb, request)
}

const fn text(name: &'static str, meaning: &'static str) -> Parameter {
    Parameter { name, meaning, is_number: false }
}

const fn number(name: &'static str, meaning: &'static str) -> Parameter {
    Parameter { name, meaning, is_number: true }
}

/// Every path and method.
pub fn all() -> Vec<Route> {
    let mut routes = accounts();
    routes.extend(certificates());
    routes.extend(requests());
    routes.extend(instance());
    routes.extend(administrators());
    routes
}

fn accounts() -> Vec<Route> {
    vec![
        Route::get(
            "/api/v1/accounts",
            "Lists accounts, sorted by name, one page at a time",
            ask(Verb::PeerList, |input| Ok(input.query::<AccountQuery>()?.into())),
            shape::<answer::AccountPage>,
        )
        .asking(vec![
            text("after", "The `next` of the page before"),
            number("limit", "The most rows of the page, up to 1,000; 100 without it"),
            text("prefix", "The first characters of the name"),
            text("profile", "The profile"),
            text("ca", "The issuing CA that the account names"),
            text("label", "A label, as `KEY=VALUE`"),
            text("identity", "An identity that the account holds"),
            text("disabled", "Whether the account is disabled: `true` or `false`"),
            text("state", "`enrolled`, `lapsed` or `never-enrolled`"),
            number("expires_within", "Its valid certificate ends within so many seconds"),
        ]),
        Route::get(
            "/api/v1/accounts",
            "Adds accounts, all or none; each secret is shown this once",
            ask(Verb::PeerAdd, |input| {
                let NewAccounts { accounts } = input.json()?;
                if accounts.is_empty() {
                    return Err(Problem::malformed("expected accounts, found none"));
                }
                Ok(Request::PeerAdd { peers: accounts.into_iter().map(Into::into).collect() })
            }),
            list::<answer::NewAccountLine>,
        )
        .creating(shape::<NewAccounts>),
        Route::get(
            "/api/v1/accounts/{name}",
            "Shows an account",
            ask(Verb::PeerShow, |input| Ok(Request::PeerShow { name: input.label("name")? })),
            shape::<answer::AccountLine>,
        ),
        Route::get(
            "/api/v1/accounts/{name}",
            "Removes an account; its certificates stay valid without `revoke`",
            ask(Verb::PeerRemove, |input| {
                let RemovalQuery { revoke } = input.query()?;
                Ok(Request::PeerRemove { name: input.label("name")?, revoke })
            }),
            shape::<answer::RemovedAccount>,
        )
        .asking(vec![text(
            "revoke",
            "The reason for which its certificates are revoked, too, such as `cessationOfOperation`",
        )])
        .removing(),
        Route::get(
            "/api/v1/accounts/{name}",
            "Changes an account",
            ask(Verb::PeerEdit, |input| {
                Ok(Request::PeerEdit { name: input.label("name")?, edit: Box::new(input.json()?) })
            }),
            shape::<answer::EditedAccount>,
        )
        .with(Method::PATCH, shape::<RequestedEdit>)
        .conflicting(),
        Route::get(
            "/api/v1/accounts/{name}/disabled",
            "Disables an account, or enables it",
            ask(Verb::PeerDisable, |input| {
                let Disabling { disabled } = input.json()?;
                Ok(Request::PeerDisable { name: input.label("name")?, disabled })
            }),
            shape::<answer::AccountLine>,
        )
        .with(Method::PUT, shape::<Disabling>),
        Route::get(
            "/api/v1/accounts/{name}/rename",
            "Gives an account another name; it stays the same account, with its certificates and its secret",
            ask(Verb::PeerRename, |input| {
                let Renaming { name } = input.json()?;
                Ok(Request::PeerRename { name: input.label("name")?, to: name })
            }),
            shape::<answer::EditedAccount>,
        )
        .with(Method::POST, shape::<Renaming>)
        .conflicting(),
        Route::get(
            "/api/v1/accounts/{name}/certificates",
            "Has a certificate issued by a request of a device; what the profile changes is listed",
            ask(Verb::CertIssue, |input| {
                let NewCertificate { csr, ca } = input.json()?;
                Ok(Request::CertIssue { account: input.label("name")?, ca, csr })
            }),
            shape::<answer::IssuedAnswer>,
        )
        .creating(shape::<NewCertificate>),
        Route::get(
            "/api/v1/accounts/{name}/revocation",
            "Revokes every certificate of an account",
            ask(Verb::CertRevokeAll, |input| {
                let RevocationOfAll { reason, remove, dry_run } = input.json()?;
                let account = input.label("name")?;
                Ok(Request::CertRevokeAll { account, reason, remove, dry_run })
            }),
            shape::<answer::RevokedMany>,
        )
        .with(Method::POST, shape::<RevocationOfAll>),
        Route::get(
            "/api/v1/accounts/{name}/secret",
            "Gives an account another reference and secret; the old ones end",
            ask(Verb::PeerResetSecret, |input| {
                Ok(Request::PeerResetSecret { name: input.label("name")?, secret: input.json()? })
            }),
            shape::<answer::NewAccountLine>,
        )
        .with(Method::POST, shape::<RequestedSecret>),
        Route::get(
            "/api/v1/accounts/{name}/equipment",
            "Binds an account to a device, or to none",
            ask(Verb::PeerSetEquipment, |input| {
                let AccountDevice { equipment } = input.json()?;
                Ok(Request::PeerSetEquipment { name: input.label("name")?, device: equipment })
            }),
            shape::<answer::AccountLine>,
        )
        .with(Method::PUT, shape::<AccountDevice>)
        .conflicting(),
        Route::get(
            "/api/v1/accounts/{name}/permissions",
            "Grants an account permissions, or withdraws them",
            ask(Verb::PeerPermit, |input| {
                let Permissions { permissions, granted } = input.json()?;
                Ok(Request::PeerPermit { name: input.label("name")?, permissions, granted })
            }),
            shape::<answer::AccountLine>,
        )
        .with(Method::POST, shape::<Permissions>),
    ]
}

fn certificates() -> Vec<Route> {
    vec![
        Route::get(
            "/api/v1/certificates",
            "Lists certificates, one page at a time",
            ask(Verb::CertList, |input| Ok(input.query::<CertificateQuery>()?.into())),
            shape::<answer::CertificatePage>,
        )
        .asking(vec![
            text("after", "The `next` of the page before"),
            number("limit", "The most rows of the page, up to 1,000; 100 without it"),
            text("account", "The account"),
            text("ca", "The issuing CA"),
            text("profile", "The profile"),
            text("status", "`valid`, `unconfirmed`, `held`, `revoked` or `expired`"),
            text("subject", "The subject: a whole DN, or the common name in it"),
            text("identity", "A name in the certificate, such as `fqdn:gw1.example.net`"),
            text("label", "A label of the account, as `KEY=VALUE`"),
            text("serial", "The first digits of the serial number"),
            number(
                "expires_within",
                "The validity ends within so many seconds, and not before now",
            ),
            text(
                "current",
                "`true` leaves out what is revoked for good, and what a renewal has replaced",
            ),
            text("peers", "`true` leaves out the instance's own signers and servers"),
            text("sort", "The order, such as `issued`"),
            text("reverse", "`true` for the reverse of the order"),
        ]),
        Route::get(
            "/api/v1/certificates/{ca}/{serial}",
            "Shows a certificate",
            ask(Verb::CertShow, |input| {
                Ok(Request::CertShow { serial: input.text("serial"), ca: Some(input.label("ca")?) })
            }),
            shape::<answer::CertificateInFull>,
        ),
        Route::get(
            "/api/v1/certificates/{ca}/{serial}/revocation",
            "Revokes a certificate, or puts it on hold",
            ask(Verb::CertRevoke, |input| {
                let NewRevocation { reason, invalidity } = input.json()?;
                let (serial, ca) = (input.text("serial"), Some(input.label("ca")?));
                Ok(Request::CertRevoke { serial, ca, reason, invalidity })
            }),
            shape::<answer::RevocationAnswer>,
        )
        .with(Method::PUT, shape::<NewRevocation>)
        .conflicting(),
        Route::get(
            "/api/v1/certificates/{ca}/{serial}/revocation",
            "Releases a certificate from hold",
            ask(Verb::CertRelease, |input| {
                let (serial, ca) = (input.text("serial"), Some(input.label("ca")?));
                Ok(Request::CertRelease { serial, ca })
            }),
            shape::<answer::RevocationAnswer>,
        )
        .removing()
        .conflicting(),
    ]
}

fn requests() -> Vec<Route> {
    vec![
        Route::get(
            "/api/v1/requests",
            "Lists the requests that need an approval, oldest first",
            ask(Verb::PendingList, |_| Ok(Request::PendingList)),
            list::<answer::RequestLine>,
        ),
        Route::get(
            "/api/v1/requests/{id}",
            "Shows a request; the first digits of its identifier suffice",
            ask(Verb::PendingShow, |input| Ok(Request::PendingShow { id: input.text("id") })),
            shape::<answer::RequestInFull>,
        ),
        Route::get(
            "/api/v1/requests/{id}/decision",
            "Approves or rejects a request",
            ask(Verb::PendingDecide, |input| {
                let NewDecision { approve, words } = input.json()?;
                Ok(Request::PendingDecide { id: input.text("id"), approve, reason: words })
            }),
            shape::<answer::RequestInFull>,
        )
        .with(Method::PUT, shape::<NewDecision>)
        .conflicting(),
    ]
}

fn instance() -> Vec<Route> {
    vec![
        Route::get(
            "/api/v1/cas",
            "Lists the CAs",
            ask(Verb::CaShow, |_| Ok(Request::CaShow)),
            list::<answer::CaLine>,
        ),
        Route::get(
            "/api/v1/cas/{name}/plan",
            "Shows which peers have shown that they have the certificate of a CA's newest key, and when it is safe to go on",
            ask(Verb::CaPlan, |input| {
                let PlanQuery { after, limit } = input.query()?;
                let limit = limit.unwrap_or(100);
                Ok(Request::CaPlan { name: input.label("name")?, after, limit })
            }),
            shape::<answer::Plan>,
        )
        .asking(vec![
            text("after", "The `next` of the page before"),
            number("limit", "The most accounts of the page, up to 1,000; 100 without it"),
        ]),
        Route::get(
            "/api/v1/cas/{name}/plan",
            "Records that a peer has the certificate of the CA's newest key, by the word of the caller",
            ask(Verb::CaMark, |input| {
                let Mark { account } = input.json()?;
                Ok(Request::CaMark { name: input.label("name")?, account, by: ShownBy::Marked })
            }),
            shape::<answer::Plan>,
        )
        .with(Method::POST, shape::<Mark>),
        Route::get(
            "/api/v1/cas/{name}/duty",
            "Gives an issuing CA a duty",
            ask(Verb::CaAssign, |input| {
                let NewDuty { duty } = input.json()?;
                Ok(Request::CaAssign { name: input.label("name")?, duty })
            }),
            list::<answer::CaLine>,
        )
        .with(Method::PUT, shape::<NewDuty>)
        .conflicting(),
        Route::get(
            "/api/v1/crls",
            "Lists the last CRL of each CA and scope",
            ask(Verb::CrlShow, |_| Ok(Request::CrlShow)),
            list::<answer::CrlLine>,
        ),
        Route::get(
            "/api/v1/crls",
            "Signs a new CRL",
            ask(Verb::CrlPublish, |input| {
                let NewCrl { ca } = input.json()?;
                Ok(Request::CrlPublish { ca })
            }),
            list::<answer::CrlLine>,
        )
        .with(Method::POST, shape::<NewCrl>)
        .conflicting(),
        Route::get(
            "/api/v1/cas/{name}/crl",
            "Takes the CRL of a CA whose private key is elsewhere, such as an offline root, and publishes it",
            ask(Verb::CrlImport, |input| {
                let BroughtCrl { crl } = input.json()?;
                Ok(Request::CrlImport { crl, ca: Some(input.label("name")?) })
            }),
            shape::<answer::CrlLine>,
        )
        .with(Method::POST, shape::<BroughtCrl>)
        .conflicting(),
        Route::get(
            "/api/v1/vendors",
            "Lists the vendors whose devices may enrol by their factory certificates",
            ask(Verb::TrustList, |_| Ok(Request::TrustList)),
            list::<answer::VendorLine>,
        ),
        Route::get(
            "/api/v1/vendors",
            "Trusts a vendor",
            ask(Verb::TrustAdd, |input| {
                Ok(Request::TrustAdd { vendor: input.json::<RequestedVendor>()? })
            }),
            shape::<answer::VendorInFull>,
        )
        .creating(shape::<RequestedVendor>),
        Route::get(
            "/api/v1/vendors/{name}",
            "Shows a vendor",
            ask(Verb::TrustShow, |input| Ok(Request::TrustShow { name: input.label("name")? })),
            shape::<answer::VendorInFull>,
        ),
        Route::get(
            "/api/v1/vendors/{name}",
            "Ends the trust in a vendor",
            ask(Verb::TrustRemove, |input| Ok(Request::TrustRemove { name: input.label("name")? })),
            shape::<answer::Removed>,
        )
        .removing(),
        Route::get(
            "/api/v1/directories",
            "Lists the LDAP directories, and whether they have the entries that they should have",
            ask(Verb::PublishStatus, |_| Ok(Request::PublishStatus)),
            list::<answer::DirectoryState>,
        ),
        Route::get(
            "/api/v1/directories/reconciliation",
            "Compares directories with the entries that they should have, and mends them",
            ask(Verb::PublishRun, |input| {
                let Reconciliation { directory, dry_run } = input.json()?;
                Ok(Request::PublishRun { directory, dry_run })
            }),
            list::<answer::DirectoryReport>,
        )
        .with(Method::POST, shape::<Reconciliation>),
        Route::get(
            "/api/v1/revocations",
            "Revokes certificates; nothing is revoked if one of them is not known",
            ask(Verb::CertRevokeMany, |input| {
                let RevocationOfMany { certificates, dry_run } = input.json()?;
                if certificates.is_empty() {
                    return Err(Problem::malformed("expected certificates, found none"));
                }
                Ok(Request::CertRevokeMany { certificates, dry_run })
            }),
            shape::<answer::RevokedMany>,
        )
        .with(Method::POST, shape::<RevocationOfMany>)
        .conflicting(),
        Route::get(
            "/api/v1/receivers",
            "Lists the receivers of notifications, and how messages to them went",
            ask(Verb::NotifyShow, |_| Ok(Request::NotifyShow)),
            list::<answer::ReceiverLine>,
        ),
        Route::get(
            "/api/v1/receivers/{name}/test",
            "Sends a test to a receiver of notifications, and waits until it has taken it",
            ask(Verb::NotifyTest, |input| Ok(Request::NotifyTest { receiver: input.text("name") })),
            shape::<answer::DeliveredTest>,
        )
        .posting(),
        Route::get(
            "/api/v1/documents/cps",
            "Writes a certification practice statement by RFC 3647, from the configuration and the records",
            ask(Verb::DocsCps, |_| Ok(Request::DocsCps)),
            shape::<answer::CpsAnswer>,
        ),
        Route::get(
            "/api/v1/status",
            "Shows the state of the instance, and what an administrator should look at",
            ask(Verb::Status, |_| Ok(Request::Status)),
            shape::<answer::StatusAnswer>,
        ),
        Route::get(
            "/api/v1/store",
            "Shows the state of the journal and its index",
            ask(Verb::StoreStatus, |_| Ok(Request::StoreStatus)),
            shape::<answer::StoreState>,
        ),
        Route::get(
            "/api/v1/audit/report",
            "Reports who did what, in the order of the journal, one page at a time",
            ask(Verb::AuditReport, |input| Ok(input.query::<ReportQuery>()?.into())),
            shape::<answer::ReportPage>,
        )
        .asking(vec![
            number("after", "The `next` of the page before"),
            number("limit", "The most lines of the page, up to 1,000; 100 without it"),
            number("since", "Recorded at this moment or later, in seconds since 1970"),
            text("account", "The account, also under its former names"),
            text("actor", "Who did it: the whole text, or an administrator's name"),
        ]),
    ]
}

fn administrators() -> Vec<Route> {
    vec![
        Route::get(
            "/api/v1/roles",
            "Lists the roles with their verbs",
            ask(Verb::AdminRoles, |_| Ok(Request::AdminRoles)),
            list::<answer::RoleLine>,
        ),
        Route::get(
            "/api/v1/administrators",
            "Lists the administrators, sorted by name",
            ask(Verb::AdminList, |_| Ok(Request::AdminList)),
            list::<answer::AdministratorLine>,
        ),
        Route::get(
            "/api/v1/administrators",
            "Adds an administrator; the secret for the first certificate is shown this once",
            ask(Verb::AdminAdd, |input| {
                let NewAdministrator { name, grants, ids, secret, oidc } = input.json()?;
                Ok(Request::AdminAdd { name, grants, ids, secret: Some(secret), oidc })
            }),
            shape::<answer::NewAdministratorLine>,
        )
        .creating(shape::<NewAdministrator>),
        Route::get(
            "/api/v1/administrators/{name}",
            "Shows an administrator; the ETag is for If-Match",
            ask(Verb::AdminShow, |input| Ok(Request::AdminShow { name: input.label("name")? })),
            shape::<answer::AdministratorLine>,
        ),
        Route::get(
            "/api/v1/administrators/{name}/grants",
            "Gives an administrator these grants in place of the present ones; with If-Match, only if nobody changed them meanwhile",
            ask(Verb::AdminGrant, |input| {
                let NewGrants { grants } = input.json()?;
                let (name, expected) = (input.label("name")?, input.if_match()?);
                Ok(Request::AdminGrant { name, grants, expected })
            }),
            shape::<answer::AdministratorLine>,
        )
        .with(Method::PUT, shape::<NewGrants>)
        .conflicting(),
        Route::get(
            "/api/v1/administrators/{name}/oidc",
            "Says which user of the OpenID provider an administrator is",
            ask(Verb::AdminBind, |input| {
                let NewBinding { subject } = input.json()?;
                Ok(Request::AdminBind { name: input.label("name")?, oidc: subject })
            }),
            shape::<answer::AdministratorLine>,
        )
        .with(Method::PUT, shape::<NewBinding>)
        .conflicting(),
        Route::get(
            "/api/v1/administrators/{name}",
            "Removes an administrator, and revokes the certificates",
            ask(Verb::AdminRemove, |input| Ok(Request::AdminRemove { name: input.label("name")? })),
            shape::<answer::RemovedAdministrator>,
        )
        .removing()
        .conflicting(),
        Route::get(
            "/api/v1/administrators/{name}/tokens",
            "Makes a token for a program of an administrator; its text is shown this once",
            ask(Verb::AdminTokenAdd, |input| {
                let NewToken { name: token, seconds, roles } = input.json()?;
                Ok(Request::AdminTokenAdd { name: input.label("name")?, token, seconds, roles })
            }),
            shape::<answer::NewTokenLine>,
        )
        .creating(shape::<NewToken>),
        Route::get(
            "/api/v1/administrators/{name}/tokens/{token}",
            "Ends a token",
            ask(Verb::AdminTokenRemove, |input| {
                let (name, token) = (input.label("name")?, input.label("token")?);
                Ok(Request::AdminTokenRemove { name, token })
            }),
            shape::<answer::AdministratorLine>,
        )
        .removing(),
        Route::get("/api/v1/caller", "Shows the caller, and what the caller may do", Action::Caller, shape::<Caller>),
        Route::get(
            "/api/v1/command",
            "Carries out a request as the command line sends it; `do` is the verb",
            Action::Command,
            shape::<Anything>,
        )
        .with(Method::POST, shape::<Command>)
        .conflicting(),
    ]
}

/// A request as the command line sends it: the verb, and its arguments beside it.
#[derive(ToSchema)]
#[schema(as = Command)]
#[expect(dead_code, reason = "only its schema is used")]
pub struct Command {
    /// The verb of the request.
    r#do: String,
    /// The arguments of the verb.
    #[schema(additional_properties)]
    #[serde(flatten)]
    arguments: std::collections::BTreeMap<String, serde_json::Value>,
}

/// The answer, which depends on the verb.
#[derive(ToSchema)]
#[schema(as = Answer)]
#[expect(dead_code, reason = "only its schema is used")]
pub struct Anything(serde_json::Value);
