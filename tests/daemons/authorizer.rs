//! An authorizer without a CA, on West, as a gateway has it.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::plugin::socket;
use super::site::Site;
use super::{Daemon, run, wait_for};
use crate::common::COUNTERSIGN;

/// A policy that allows peers with certificates of our CA for which this condition holds.
pub fn policy(condition: &str) -> String {
    format!(
        "Authorizer: \"POLICY\"\nLicensees: \"DN:/CN=Countersign issuing CA\"\n\
         Conditions: app_domain == \"IPsec policy\" && ({condition}) -> \"true\";\n"
    )
}

/// An authorizer with a folder of its own.
pub struct Authorizer<'s> {
    site: &'s Site,
    _process: Daemon,
}

impl<'s> Authorizer<'s> {
    /// Starts it on the socket of West's plugin.
    pub fn start(site: &'s Site, policy: &str, anchor: &Path) -> Self {
        let folder = site.instance.file("authorizer");
        fs::create_dir_all(&folder).expect("a folder");
        let file = folder.join("policy");
        fs::write(&file, policy).expect("a file");
        let crl = |ca: &str| format!("http://{}/crl/{ca}.crl", site.instance.address);
        let config = format!(
            "[authorizer]\nsocket = {:?}\npolicy = [{file:?}]\nanchors = [{anchor:?}]\nintermediates = [{:?}]\ncrls = [{:?}, {:?}]\n\
             crl_refresh = \"2s\"\n",
            socket(site),
            site.ca("issuing"),
            crl("issuing"),
            crl("root"),
        );
        fs::write(folder.join("countersign.toml"), config).expect("a file");
        let mut command = Command::new(COUNTERSIGN);
        command.args(["authorizer", "run", "--data"]).arg(&folder);
        let mut process = Daemon::start(&mut command, &folder.join("log"));
        process.wait_until("the authorizer's start", |_| UnixStream::connect(socket(site)).is_ok());
        Self { site, _process: process }
    }

    /// Puts another policy in force.
    pub fn replace(&self, policy: &str) {
        fs::write(self.site.instance.file("authorizer/policy"), policy).expect("a file");
        self.cli(&["authorizer", "reload"]);
    }

    /// The latest decision about a peer.
    pub fn last(&self, peer: &str) -> Value {
        let list = self.cli(&["decision", "list", "--peer", peer, "--limit", "1", "--json"]);
        let list: Value = serde_json::from_str(&list).expect("JSON");
        list[0].clone()
    }

    /// Waits until the latest decision about a peer has these members, and gives the decision.
    #[track_caller]
    pub fn wait_for(&self, peer: &str, members: &[(&str, &str)]) -> Value {
        wait_for(
            &format!("the decision about `{peer}` with {members:?}"),
            || self.last(peer).to_string(),
            || {
                let last = self.last(peer);
                members
                    .iter()
                    .all(|(pointer, wanted)| {
                        last.pointer(pointer).and_then(Value::as_str) == Some(*wanted)
                    })
                    .then_some(last)
            },
        )
    }

    /// The output of a command for its folder.
    pub fn cli(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(COUNTERSIGN);
        command.args(arguments).arg("--data").arg(self.site.instance.file("authorizer"));
        run(&mut command)
    }
}
