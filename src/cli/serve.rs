//! `countersign serve`: its options, and the founding of an instance before the start. The server itself is in `serve.rs`.

use std::cell::Cell;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::net::{SocketAddr, TcpListener};

use clap::Args;

use super::context::Context;
use super::init::Init;
use crate::admin::socket;
use crate::exit::Failure;
use crate::folder::{DataFolder, Private};
use crate::instance::Instance;
use crate::logging::{self, LogControl};
use crate::output;

/// `countersign serve`
#[derive(Debug, Args)]
pub struct Serve {
    /// The address and port of the HTTP server, if not that of the configuration
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
    /// The address and port of the built-in LDAP directory, or `off`, if not that of the configuration
    #[arg(long, value_name = "ADDR:PORT")]
    ldap_listen: Option<String>,
    /// Found the instance first, if there is none, and show commands to try it
    #[arg(long)]
    init: bool,
}

impl Serve {
    /// Carries out the command.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        let folder = &context.location.folder;
        // Every file that the server makes, as long as it runs, is for its owner only.
        let _private = Private::begin();
        if folder.is_founded() {
            return self.start(context, &Cell::new(false));
        }
        if !self.init {
            return Err(Failure::unavailable(format!(
                "there is no instance in `{}`; `countersign serve --init` makes one and starts it",
                folder.path().display()
            )));
        }
        // Refuse before anything is made, if the server could not start.
        self.try_addresses(context)?;
        let before = FolderContent::read(folder)?;
        let made = Init::standard()?.found(context).inspect_err(|_| {
            if !folder.is_founded() {
                before.restore(folder);
            }
        })?;
        output::print(context.format, &made);
        let listens = Cell::new(false);
        self.start(context, &listens).inspect_err(|_| {
            // The server never listened, so that no peer has anything of this instance.
            if !listens.get() {
                before.restore(folder);
            }
        })
    }

    fn start(&self, context: &Context, listens: &Cell<bool>) -> Result<(), Failure> {
        let folder = &context.location.folder;
        let config = context.location.config()?;
        let filter = context.log.as_ref().unwrap_or(&config.file.log.filter);
        let log = LogControl::start(filter, context.log_format.unwrap_or(config.file.log.format))?;
        let mut instance = Instance::open(&context.location)?;
        if let Some(why) = instance.wrong_clock() {
            return Err(Failure::unavailable(why));
        }
        if let Some(listen) = &self.ldap_listen {
            instance.config.set_ldap_listen(listen)?;
        }
        let data = folder.path().display().to_string();
        crate::serve::run(instance, self.listen, &log, &|address| {
            listens.set(true);
            logging::announce(&format!("listening on http://{address}"));
            if self.init {
                output::line(&how_to_try(&data, address));
            }
        })
    }

    /// Checks that the addresses of HTTP and of the built-in directory (without LDAPS) can be bound, and that the path of the admin socket
    /// is not too long.
    fn try_addresses(&self, context: &Context) -> Result<(), Failure> {
        let mut config = context.location.config()?;
        if let Some(listen) = &self.ldap_listen {
            config.set_ldap_listen(listen)?;
        }
        let http = self.listen.unwrap_or(config.http.listen);
        let ldap = config.file.ldap.listen.parse::<SocketAddr>().ok();
        for address in std::iter::once(http).chain(ldap) {
            TcpListener::bind(address)
                .map_err(|e| Failure::unavailable(format!("`{address}`: {e}; nothing was made")))?;
        }
        socket::check_path(&context.location.folder.socket())
    }
}

/// The content of a data folder before an instance is founded in it.
struct FolderContent {
    /// The names in the folder; `None` if there is no folder.
    names: Option<Vec<OsString>>,
}

impl FolderContent {
    /// Lists the names in the folder.
    ///
    /// # Errors
    /// The folder cannot be read. Nothing may be made in it then, because new files could not be told from old ones.
    fn read(folder: &DataFolder) -> Result<Self, Failure> {
        let names = |entries: std::fs::ReadDir| {
            entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<_, _>>()
        };
        match std::fs::read_dir(folder.path()).and_then(names) {
            Ok(names) => Ok(Self { names: Some(names) }),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Self { names: None }),
            Err(e) => Err(Failure::unavailable(format!("`{}`: {e}", folder.path().display()))),
        }
    }

    /// Removes the files and folders that were made since the content was noted. If another process has the store's lock, its instance is
    /// left alone.
    fn restore(&self, folder: &DataFolder) {
        let lock = OpenOptions::new().write(true).open(folder.path().join("store.lock"));
        if lock.as_ref().is_ok_and(|lock| lock.try_lock().is_err()) {
            return;
        }
        let removed = match &self.names {
            None => std::fs::remove_dir_all(folder.path()),
            Some(names) => std::fs::read_dir(folder.path()).and_then(|entries| {
                for entry in entries.flatten().filter(|entry| !names.contains(&entry.file_name())) {
                    match entry.file_type()?.is_dir() {
                        true => std::fs::remove_dir_all(entry.path())?,
                        false => std::fs::remove_file(entry.path())?,
                    }
                }
                Ok(())
            }),
        };
        if let Err(e) = removed {
            eprintln!("`{}` was founded and not started, and stays: {e}", folder.path().display());
        }
    }
}

/// The commands of a first enrolment, a renewal and a revocation, to be pasted into another shell. The account is another one than in the
/// README's examples, so that both can be tried.
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
{cmp} -cmd ir -ref \"{reference}\" -secret file:try1.secret -trusted {data}/keys/root.crt -newkey try1.key -certout try1.crt -cacertsout root.crt\n\
# It renews with a new key, signed by the old certificate:\n\
{key} try1-new.key\n\
{cmp} -cmd kur -cert try1.crt -key try1.key -trusted root.crt -newkey try1-new.key -certout try1-new.crt\n\
# It revokes the new certificate, and the CRL says so:\n\
{cmp} -cmd rr -cert try1-new.crt -key try1-new.key -trusted root.crt -oldcert try1-new.crt -revreason 4\n\
{program} --data {data} cert list\n"
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use actix_web::body::to_bytes;
    use actix_web::web::Data;
    use countersign_ldap_bridge::slots::ConnectionSlots;

    use super::*;
    use crate::bridge::Bridge;
    use crate::http::health::readyz;
    use crate::http::metrics::Metrics;
    use crate::http::state::ServerState;
    use crate::tasks::{JournalCheck, sign_if_due, signing_cas};
    use crate::threads::Threads;
    use crate::watch::Watch;

    /// The state of a server for a new instance. None of its threads runs but those that the test starts.
    fn server_state(folder: &std::path::Path) -> Data<ServerState> {
        let context = Context::of_folder(&folder.join("data"));
        Init::standard().unwrap().found(&context).unwrap();
        let mut instance = Instance::open(&context.location).unwrap();
        instance.config.ldap.directory = None;
        let authority = Arc::clone(instance.authority().unwrap());
        signing_cas(&authority).iter().for_each(|ca| sign_if_due(&authority, ca));
        let bridge = Arc::new(Bridge::start(&authority, &instance.config.ldap).unwrap());
        Data::new(ServerState {
            instance: Arc::new(instance),
            authority,
            bridge,
            authorizer: None,
            threads: Threads::default(),
            watch: Watch::new(std::time::Duration::from_secs(60)),
            connections: ConnectionSlots::new(1, 1),
            journal: JournalCheck::default(),
        })
    }

    #[actix_web::test]
    async fn a_thread_that_panicked_is_told_by_readiness_and_metrics() {
        let folder = tempfile::tempdir().unwrap();
        let state = server_state(folder.path());
        let metrics = Metrics::new();
        let readiness = async || {
            let answer = readyz(state.clone()).await;
            let status = answer.status().as_u16();
            let text = to_bytes(answer.into_body()).await.unwrap();
            (status, String::from_utf8(text.to_vec()).unwrap())
        };
        let scraped = || metrics.text(&state).unwrap();
        assert_eq!(readiness().await, (200, "ready\n".to_owned()));
        assert!(scraped().contains("countersign_unready_reasons 0\n"));
        let is_first = AtomicBool::new(true);
        let work = move || assert!(!is_first.swap(false, Ordering::SeqCst), "on purpose");
        state.threads.start("crl", work).unwrap().join().unwrap();
        let (status, text) = readiness().await;
        assert!(status == 503 && text.contains("the thread `crl` 1 times"), "{text}");
        let counted = scraped();
        for line in ["thread_panics{thread=\"crl\"} 1", "unready_reasons 1"] {
            assert!(counted.contains(&format!("countersign_{line}\n")), "{counted}");
        }
    }
}
