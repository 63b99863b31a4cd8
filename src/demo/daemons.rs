//! Two processes of charon, strongSwan's IKE daemon, on one machine: each with settings of its own, and both with Countersign's plugin.

use std::fs;
use std::path::Path;

use super::gateway::Gateway;
use super::stage::{Host, Stage};
use crate::exit::Failure;

/// The plugin folder of Debian's strongSwan.
pub const PLUGINS: &str = "/usr/lib/ipsec/plugins";

/// The plugin that does ESP in user space.
pub const USER_SPACE_ESP: &str = "libstrongswan-kernel-libipsec.so";

/// Countersign's plugin for charon.
pub const PLUGIN: &str = "libstrongswan-countersign.so";

/// `strongswan.conf` of a gateway. ESP is done in user space, because the kernel of a container may not do it.
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

/// Binds a folder with all plugins over charon's plugin folder, in the demo's mount namespace only, and writes the settings.
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
            // The settings of the second gateway differ only in its name, and are not shown again.
            Gateway::East => {
                fs::write(stage.file(&file), settings)?;
                stage.say("and east.conf, where `west` is `east`");
            }
        }
    }
    Ok(())
}

/// A path as text, for configuration files and commands. It must need no quoting.
fn utf8(path: &Path) -> Result<&str, Failure> {
    path.to_str().filter(|text| !text.contains([' ', '"', '{', '}', '#', '\n'])).ok_or_else(|| {
        Failure::input(format!("expected a folder without spaces and signs in its path, found `{}`; set TMPDIR or `--keep`", path.display()))
    })
}
