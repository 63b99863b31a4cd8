//! The instance that a command works on, and the way to it: a running server, or the store opened by the command itself.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use countersign_ca::store::LOCKED;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::remote::{Remote, Server};
use crate::admin::{self, Request, socket};
use crate::config::LogFormat;
use crate::exit::Failure;
use crate::folder::Private;
use crate::instance::{Instance, Location};
use crate::output::{self, Bar, Format};

/// How long a command waits for the store while a starting server, or another command, has it locked.
const PATIENCE: Duration = Duration::from_secs(20);

/// The process that carries out a request.
enum Reached {
    /// The running server, by its admin socket.
    Server(UnixStream),
    /// This process, which has opened the store.
    Instance(Box<Instance>),
}

/// The instance that a command works on, and the form of its output.
pub struct Context {
    /// The instance's data folder, and the files that the command line names instead of those in it.
    pub location: Location,
    /// The format of results.
    pub format: Format,
    /// The log filter, if not that of the configuration.
    pub log: Option<String>,
    /// The format of log lines, if not that of the configuration.
    pub log_format: Option<LogFormat>,
    /// The instance on another machine that carries out requests, in place of that of the data folder.
    pub remote: Option<Remote>,
}

#[cfg(test)]
impl Context {
    /// A context for an instance in this folder.
    pub fn of_folder(folder: &std::path::Path) -> Self {
        let folder = crate::folder::DataFolder::new(folder);
        let location = Location { folder, config: None, passphrase_file: None };
        Self { location, format: Format::Json, log: None, log_format: None, remote: None }
    }
}

impl Context {
    /// The same context, for the instance on another machine if the command line names one.
    ///
    /// # Errors
    /// As [`Server::open`].
    pub fn at(self, server: &Server) -> Result<Self, Failure> {
        Ok(Self { remote: server.open()?, ..self })
    }

    /// Refuses a command that needs the files of the instance, for an instance on another machine. `command` is its name.
    ///
    /// # Errors
    /// The command line names an instance on another machine.
    pub fn require_here(&self, command: &str) -> Result<(), Failure> {
        match self.remote {
            None => Ok(()),
            Some(_) => Err(Failure::input(format!(
                "`{command}` works on the files of the instance: run it there, without `--server`"
            ))),
        }
    }

    /// Has an administrator's request carried out: by the instance on another machine if one is named, else by the running server, else
    /// by this process.
    pub fn ask(&self, request: Request) -> Result<Value, Failure> {
        if let Some(remote) = &self.remote {
            return remote.ask(&request);
        }
        let mut bar = Bar::new("working");
        let mut progress = |done, total| bar.show(done, total);
        // Without a server, this process makes the files: only their owner may read them.
        let _private = Private::begin();
        let answer = match self.reach()? {
            Reached::Server(stream) => socket::ask(stream, &request, &mut progress),
            Reached::Instance(instance) => {
                admin::handle_alone(&instance, &admin::actor::own(), request, &mut progress)
            }
        };
        bar.done();
        answer
    }

    /// Connects to the running server, or opens the instance. While a server that is starting, or another command, has the store locked,
    /// this tries again for at most [`PATIENCE`].
    fn reach(&self) -> Result<Reached, Failure> {
        let deadline = std::time::Instant::now() + PATIENCE;
        let mut is_announced = false;
        loop {
            if let Some(stream) = self.location.server()? {
                return Ok(Reached::Server(stream));
            }
            match Instance::open(&self.location) {
                Err(failure) if failure.message.contains(LOCKED) => {
                    if std::time::Instant::now() >= deadline {
                        return Err(failure);
                    }
                    if !is_announced {
                        eprintln!(
                            "the server is starting, or another command is at work; waiting for it"
                        );
                        is_announced = true;
                    }
                    std::thread::sleep(Duration::from_millis(100));
                }
                opened => return Ok(Reached::Instance(Box::new(opened?))),
            }
        }
    }

    /// As [`Self::ask`], with the answer parsed as one of the types of [`crate::admin::answer`].
    pub fn ask_for<T: DeserializeOwned>(&self, request: Request) -> Result<T, Failure> {
        serde_json::from_value(self.ask(request)?).map_err(|e| {
            Failure::unavailable(format!("the running server's answer cannot be read: {e}"))
        })
    }

    /// Asks for one page of a list, at most `limit` rows, and prints it: whole as JSON, and otherwise its rows and how to go on.
    pub fn show_page(&self, request: Request, limit: usize) -> Result<(), Failure> {
        let page = self.ask(request)?;
        if self.format == Format::Json {
            output::print(self.format, &page);
            return Ok(());
        }
        output::print(self.format, page.get("items").unwrap_or(&Value::Null));
        if let Some(next) = page.get("next").and_then(Value::as_str) {
            eprintln!("more follow: --page {limit} --after {next}");
        }
        Ok(())
    }

    /// As [`Self::ask`], and prints the answer.
    pub fn show(&self, request: Request) -> Result<(), Failure> {
        let answer = self.ask(request)?;
        output::print(self.format, &answer);
        Ok(())
    }
}
