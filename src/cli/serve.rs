//! `countersign serve`

use std::net::SocketAddr;

use clap::Args;

use super::Context;
use super::init::Init;
use crate::exit::Failure;
use crate::folder::Private;
use crate::instance::Instance;
use crate::logging::{self, LogControl};
use crate::output;

/// `countersign serve`
#[derive(Debug, Args)]
pub struct Serve {
    /// Where to listen, if not as the configuration says
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
    /// Where the built-in directory listens, or `off`, if not as the configuration says
    #[arg(long, value_name = "ADDR:PORT")]
    ldap_listen: Option<String>,
    /// Found the instance first, if there is none, and show how to try it
    #[arg(long)]
    init: bool,
}

impl Serve {
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        let folder = &context.place.folder;
        // As long as it runs: whatever a server makes is its own.
        let _private = Private::begin();
        if !folder.is_founded() {
            if !self.init {
                return Err(Failure::unavailable(format!(
                    "there is no instance in `{}`; `countersign serve --init` makes one and starts it",
                    folder.path().display()
                )));
            }
            let made = Init::standard()?.found(context)?;
            output::print(context.format, &made);
        }
        let config = context.place.config()?;
        let filter = context.log.as_ref().unwrap_or(&config.file.log.filter);
        let log = LogControl::start(filter, context.log_format.unwrap_or(config.file.log.format))?;
        let mut instance = Instance::open(&context.place)?;
        if let Some(why) = instance.wrong_clock() {
            return Err(Failure::unavailable(why));
        }
        if let Some(listen) = &self.ldap_listen {
            instance.config.set_ldap_listen(listen)?;
        }
        let data = folder.path().display().to_string();
        crate::serve::run(instance, self.listen, &log, &|address| {
            logging::announce(&format!("listening on http://{address}"));
            if self.init {
                output::line(&how_to_try(&data, address));
            }
        })
    }
}

/// The exact lines of a first enrolment, renewal and revocation: to be pasted into another shell as they stand. The account is not
/// that of the README's examples, so that both may be tried.
fn how_to_try(data: &str, address: SocketAddr) -> String {
    let program = std::env::current_exe()
        .map_or_else(|_| "countersign".into(), |path| path.display().to_string());
    let data = std::path::absolute(data)
        .map_or_else(|_| data.to_owned(), |path| path.display().to_string());
    let cmp = format!("openssl cmp -server {address} -path .well-known/cmp");
    let key = "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out";
    let field = |name: &str| format!("$(sed -n 's/.*\"{name}\": \"\\(.*\\)\".*/\\1/p' try1.json)");
    let (reference, secret) = (field("reference"), field("secret"));
    format!(
        "\n\
# Try it: paste this into another shell. An account for try1, with a reference and a secret that are shown once:\n\
{program} --data {data} peer add try1 --id fqdn:try1.example.net --id ip:192.0.2.101 --format json > try1.json\n\
# try1 makes a key and enrols with the secret:\n\
{key} try1.key\n\
(umask 077; echo \"{secret}\" > try1.secret)\n\
{cmp} -cmd ir -ref \"{reference}\" -secret file:try1.secret -newkey try1.key -certout try1.crt -cacertsout root.crt\n\
# It renews with a new key, signed by the old certificate:\n\
{key} try1-new.key\n\
{cmp} -cmd kur -cert try1.crt -key try1.key -trusted root.crt -newkey try1-new.key -certout try1-new.crt\n\
# It revokes the new certificate, and the CRL says so:\n\
{cmp} -cmd rr -cert try1-new.crt -key try1-new.key -trusted root.crt -oldcert try1-new.crt -revreason 4\n\
{program} --data {data} cert list\n"
    )
}
