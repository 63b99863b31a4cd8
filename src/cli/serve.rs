//! `countersign serve`

use std::io::IsTerminal;
use std::net::SocketAddr;

use clap::Args;

use super::Context;
use super::init::Init;
use crate::exit::Failure;
use crate::instance::Instance;
use crate::logging::LogControl;
use crate::output;

/// `countersign serve`
#[derive(Debug, Args)]
pub struct Serve {
    /// Where to listen, if not as the configuration says
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
    /// Found the instance first, if there is none, and show how to try it
    #[arg(long)]
    init: bool,
}

impl Serve {
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        let folder = &context.place.folder;
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
        let instance = Instance::open(&context.place)?;
        let data = folder.path().display().to_string();
        crate::serve::run(instance, self.listen, &log, &|address| {
            eprintln!("listening on http://{address}");
            if self.init {
                output::line(&how_to_try(&data, address, std::io::stdout().is_terminal()));
            }
        })
    }
}

/// The exact lines of a first enrolment, renewal and revocation.
fn how_to_try(data: &str, address: SocketAddr, _terminal: bool) -> String {
    let program = std::env::current_exe()
        .map_or_else(|_| "countersign".into(), |path| path.display().to_string());
    format!(
        "\n\
Try it, in another terminal:\n\n\
{program} peer add gw1 --id fqdn:gw1.example.net --id ip:192.0.2.1 --profile gateway --data {data}\n\n\
It prints a reference and a secret, once. Put them into these lines:\n\n\
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out gw1.key\n\
openssl cmp -cmd ir -server {address} -path .well-known/cmp -ref REFERENCE -secret pass:SECRET \\\n    \
-newkey gw1.key -certout gw1.crt -cacertsout root.crt\n\n\
Renew it with a new key, signed by the old certificate; then revoke it:\n\n\
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out gw1-new.key\n\
openssl cmp -cmd kur -server {address} -path .well-known/cmp -cert gw1.crt -key gw1.key -trusted root.crt \\\n    \
-newkey gw1-new.key -certout gw1-new.crt\n\
openssl cmp -cmd rr -server {address} -path .well-known/cmp -cert gw1-new.crt -key gw1-new.key -trusted root.crt \\\n    \
-oldcert gw1-new.crt -revreason 4\n"
    )
}
