//! Two charons on one machine: each has its settings, and both find the plugin.

use std::fs;
use std::path::Path;

use super::gateway::Gateway;
use super::stage::{Host, Stage};
use crate::exit::Failure;

/// Where Debian's strongSwan has its plugins.
pub const PLUGINS: &str = "/usr/lib/ipsec/plugins";

/// The plugin that gives ESP without the kernel.
pub const USER_SPACE_ESP: &str = "libstrongswan-kernel-libipsec.so";

/// Ours.
pub const PLUGIN: &str = "libstrongswan-countersign.so";

/// What an operator has in `/etc/strongswan.conf`, here for each gateway. ESP is done without the kernel.
const SETTINGS: &str = "\
charon-systemd {
  load_modular = yes
  filelog { main { path = FOLDER/NAME.log
      default = 1
      ike = 2
      flush_line = yes } }
  journal { default = -1 }
  plugins {
    include /etc/strongswan.d/charon/*.conf
    vici { socket = unix://FOLDER/NAME.vici }
    stroke { load = no }
    bypass-lan { load = no }
    resolve { load = no }
    kernel-libipsec { load = yes }
    include FOLDER/NAME-strongswan/countersign.conf
    countersign { socket = FOLDER/authorizer.sock
      timeout_authorize = 5000 }
  }
}
";

/// Puts the plugins where charon looks for them, in these namespaces only, and writes the settings.
pub fn install(stage: &Stage, folder: &Path, plugin: &Path) -> Result<(), Failure> {
    let folder = utf8(folder)?;
    let run = |line: &[&str]| stage.run(Host::Server, line, |_| true).map(|_| ());
    run(&["cp", "-r", PLUGINS, "plugins"])?;
    run(&["cp", utf8(plugin)?, &format!("plugins/{PLUGIN}")])?;
    run(&["mount", "--bind", "plugins", PLUGINS])?;
    for gateway in Gateway::BOTH {
        let name = gateway.name();
        let settings = SETTINGS.replace("FOLDER", folder).replace("NAME", name);
        let file = format!("{name}.conf");
        match gateway {
            Gateway::West => stage.write(&file, &settings)?,
            // Reading the same twice tells nobody more.
            Gateway::East => {
                fs::write(stage.file(&file), settings)?;
                stage.say("and east.conf, where `west` is `east`");
            }
        }
    }
    Ok(())
}

/// A path that stands in configurations and in commands.
fn utf8(path: &Path) -> Result<&str, Failure> {
    path.to_str().filter(|text| !text.contains([' ', '"', '{', '}', '#', '\n'])).ok_or_else(|| {
        Failure::input(format!("expected a folder without spaces and signs in its path, found `{}`; set TMPDIR or `--keep`", path.display()))
    })
}
