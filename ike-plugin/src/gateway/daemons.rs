//! The one place that knows every daemon: what each can do, and how its files are written. A new daemon is a folder beside this file and
//! an arm in each of the two functions here.

use super::abilities::Abilities;
use super::daemon::{Daemon, Mode};
use super::error::GatewayError;
use super::export::{Export, Writer};
use super::files::Files;
use super::proposal::Proposal;
use super::{iked, isakmpd, libreswan, racoon, requirements, strongswan, text};

impl Daemon {
    /// What the daemon can do.
    pub const fn abilities(self) -> &'static Abilities {
        match self {
            Self::Strongswan => &strongswan::ABILITIES,
            Self::Libreswan => &libreswan::ABILITIES,
            Self::Iked => &iked::ABILITIES,
            Self::Isakmpd => &isakmpd::ABILITIES,
            Self::Racoon => &racoon::ABILITIES,
        }
    }

    /// How the daemon's files are written.
    pub(super) const fn writer(self) -> &'static Writer {
        match self {
            Self::Strongswan => &strongswan::WRITER,
            Self::Libreswan => &libreswan::WRITER,
            Self::Iked => &iked::WRITER,
            Self::Isakmpd => &isakmpd::WRITER,
            Self::Racoon => &racoon::WRITER,
        }
    }

    /// Whether the daemon supports this mode of phase 1.
    pub fn speaks(self, mode: Mode) -> bool {
        self.abilities().modes.contains(&mode)
    }

    /// The daemon's default proposals in a mode. Any two daemons that support the mode have one of them in common.
    pub const fn proposals(self, mode: Mode) -> &'static [Proposal] {
        match mode {
            Mode::Main | Mode::Aggressive => &[Proposal::DEFAULT_V1],
            Mode::Ikev2 => self.abilities().default_v2,
        }
    }
}

impl Export<'_> {
    /// The files of the gateway's folder: configuration, credentials and a README.
    ///
    /// # Errors
    /// The daemon cannot do what the gateway's description says, its configuration cannot express it, or a certificate, CRL or name cannot
    /// be used.
    pub fn files(&self) -> Result<Files, GatewayError> {
        for (role, gateway) in
            std::iter::once(("", self.own)).chain(self.peers.iter().map(|peer| ("peer ", *peer)))
        {
            text::plain_name(&gateway.name).map_err(|e| GatewayError::new(format!("{role}{e}")))?;
        }
        requirements::check(self, self.own.daemon.abilities())?;
        let writer = self.own.daemon.writer();
        let mut files = Files::default();
        for folder in writer.folders {
            files.add_folder(folder);
        }
        (writer.configuration)(self, &mut files)?;
        if let Some(certified) = self.certified() {
            (writer.credentials)(&mut files, &self.own.name, &certified)?;
        }
        let mut readme = text::heading("#", &self.own.name, writer.title);
        (writer.readme)(self, &mut readme);
        files.add("README", readme);
        Ok(files)
    }

    /// Warnings for the operator about the folder, as sentences, besides the obstacles that [`alone`](super::alone) finds.
    pub fn warnings(&self) -> Vec<String> {
        (self.own.daemon.writer().warnings)(self)
    }
}
