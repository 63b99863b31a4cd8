//! `countersign demo`: its options. The demo itself is in `demo/`.

use std::path::PathBuf;

use clap::Args;

use crate::demo::{self, Settings};
use crate::exit::Failure;

/// `countersign demo`
#[derive(Debug, Args)]
#[command(
    after_help = "It needs no root where users may make namespaces, listens to nobody outside, and leaves nothing behind. It needs the plugin \
                  (`make charon-plugin`) and, of Debian: `apt-get install build-essential charon-systemd iproute2 iputils-ping \
                  libcharon-extra-plugins libjansson-dev openssl strongswan-swanctl`."
)]
pub struct Demo {
    /// Wait for Enter between the steps
    #[arg(long)]
    pause: bool,
    /// Make this folder for the demo's files, and leave it there
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// charon's plugin, if it is not beside this program, as `make charon-plugin` leaves it, or installed
    #[arg(long, value_name = "FILE")]
    plugin: Option<PathBuf>,
    /// Run the demo itself with its files in this folder, within the namespaces that `countersign demo` has made
    #[arg(long, hide = true, value_name = "DIR")]
    inside: Option<PathBuf>,
}

impl Demo {
    /// Carries out the command.
    pub fn run(self) -> Result<(), Failure> {
        let settings = Settings { plugin: self.plugin, keep: self.keep, pause: self.pause };
        match self.inside {
            Some(folder) => demo::inside(&folder, &settings),
            None => demo::play(&settings),
        }
    }
}
