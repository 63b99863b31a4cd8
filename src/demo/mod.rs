//! `countersign demo`: two gateways in network namespaces enrol and bring up a tunnel, and then one of them is revoked. Everything happens
//! in a temporary folder, and in namespaces that end with the demo.

mod daemons;
mod gateway;
mod network;
mod stage;
mod story;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use daemons::{PLUGIN, PLUGINS, USER_SPACE_ESP};

use crate::exit::Failure;
use crate::output;

/// The options of the demo.
#[derive(Debug)]
pub struct Settings {
    /// The plugin of charon, if it is not in one of the usual folders.
    pub plugin: Option<PathBuf>,
    /// The folder of the demo's files, which stays; without it, a temporary one.
    pub keep: Option<PathBuf>,
    /// Whether each step waits for Enter.
    pub pause: bool,
}

/// The programs that the demo needs, each with its Debian package.
const PROGRAMS: [(&str, &str); 12] = [
    ("charon-systemd", "charon-systemd"),
    ("swanctl", "strongswan-swanctl"),
    ("openssl", "openssl"),
    ("ip", "iproute2"),
    ("ping", "iputils-ping"),
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
    ("setpriv", "util-linux"),
    ("mount", "mount"),
    ("cp", "coreutils"),
    ("true", "coreutils"),
    ("kill", "procps"),
];

/// Runs the demo. This process stays outside the namespaces, and cleans up after the process inside.
pub fn play(settings: &Settings) -> Result<(), Failure> {
    let plugin = prepare(settings)?;
    let mut temporary = None;
    let folder = match &settings.keep {
        Some(folder) => {
            if folder.exists() {
                return Err(Failure::missing(format!(
                    "`{}` exists already; `--keep` makes a folder",
                    folder.display()
                )));
            }
            let folder = std::path::absolute(folder)?;
            if !is_outside_run(&folder) {
                return Err(Failure::input(format!(
                    "expected a folder outside /run, of which the demo has its own, found `{}`",
                    folder.display()
                )));
            }
            fs::create_dir_all(&folder)?;
            folder.canonicalize()?
        }
        None => {
            // The demo mounts a /run of its own, which hides every folder below the machine's.
            let parents = [std::env::temp_dir(), "/tmp".into(), "/var/tmp".into()];
            let parent = parents.into_iter().find(|parent| is_outside_run(parent));
            let parent = parent.unwrap_or_else(|| "/".into());
            temporary
                .insert(tempfile::Builder::new().prefix("countersign-demo-").tempdir_in(parent)?)
                .path()
                .to_owned()
        }
    };
    let user_namespace = network::user_namespace()?;
    let mut inside = Command::new("setpriv");
    inside
        .args(["--pdeathsig", "KILL", "unshare"])
        .args(user_namespace)
        .args(network::ALL)
        .arg("--");
    inside
        .arg(std::env::current_exe()?)
        .args(["demo", "--inside"])
        .arg(&folder)
        .arg("--plugin")
        .arg(plugin);
    if settings.pause {
        inside.arg("--pause");
    }
    let ended = wait(inside);
    match temporary {
        None => output::line(&format!("\nEverything is in {}", folder.display())),
        Some(temporary) => remove(temporary)?,
    }
    ended
}

fn is_outside_run(folder: &Path) -> bool {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    !["/run", "/var/run"].iter().any(|run| folder.starts_with(run))
}

/// Removes the temporary folder. It contains the keys of a CA, so that a failure is reported.
fn remove(temporary: tempfile::TempDir) -> Result<(), Failure> {
    let folder = temporary.keep();
    let mut removed = fs::remove_dir_all(&folder);
    for _ in 0..20 {
        if removed.is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
        removed = fs::remove_dir_all(&folder);
    }
    removed.map_err(|e| {
        Failure::unavailable(format!(
            "`{}` could not be removed, remove it by hand: {e}",
            folder.display()
        ))
    })
}

/// Runs the demo inside its namespaces.
pub fn inside(folder: &Path, settings: &Settings) -> Result<(), Failure> {
    let plugin = settings
        .plugin
        .as_deref()
        .filter(|_| network::is_own())
        .ok_or_else(|| Failure::input("`--inside` is for the demo itself"))?;
    let mut stage = stage::Stage::new(folder, settings.pause)?;
    stage.step(
        "A network of our own: a bridge where the CA is, and the gateways west and east on it",
    );
    network::build(&stage)?;
    daemons::install(&stage, folder, plugin)?;
    story::tell(&mut stage)
}

/// Checks that every program is installed, and names all missing packages at once. Returns the path of charon's plugin.
fn prepare(settings: &Settings) -> Result<PathBuf, Failure> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |program: &str| {
        let usual = ["/usr/sbin", "/sbin"].map(PathBuf::from);
        std::env::split_paths(&path).chain(usual).any(|folder| folder.join(program).is_file())
    };
    let mut packages: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(program, _)| !is_there(program))
        .map(|(_, package)| *package)
        .collect();
    if !Path::new(PLUGINS).join(USER_SPACE_ESP).is_file() {
        packages.push("libcharon-extra-plugins");
    }
    packages.sort_unstable();
    packages.dedup();
    if !packages.is_empty() {
        return Err(Failure::unavailable(format!(
            "the demo needs Debian packages that are not installed: `apt-get install {}`",
            packages.join(" ")
        )));
    }
    let candidates = match &settings.plugin {
        Some(plugin) => vec![plugin.clone()],
        None => {
            let program = std::env::current_exe()?;
            let beside = program.parent().unwrap_or_else(|| Path::new("."));
            vec![
                beside.join(PLUGIN),
                beside.join("../charon-plugin").join(PLUGIN),
                Path::new(PLUGINS).join(PLUGIN),
            ]
        }
    };
    let found =
        candidates.iter().find_map(|path| path.canonicalize().ok().filter(|path| path.is_file()));
    found.ok_or_else(|| {
        let tried: Vec<String> = candidates.iter().map(|path| format!("`{}`", path.display())).collect();
        Failure::unavailable(format!(
            "the demo needs charon's plugin, looked for it at {}; `make charon-plugin` builds it, `--plugin` names another place",
            tried.join(", ")
        ))
    })
}

/// The folder in /proc of the first child of a process.
fn first_child(of: u32) -> Option<PathBuf> {
    let children = fs::read_to_string(format!("/proc/{of}/task/{of}/children")).ok()?;
    Some(Path::new("/proc").join(children.split(' ').next().filter(|id| !id.is_empty())?))
}

/// Waits for the process inside the namespaces. On a signal, it is killed first, and with it every process that it started.
fn wait(mut command: Command) -> Result<(), Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut interrupt, mut terminate, mut hangup) = (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        );
        let mut child = command.spawn()?;
        loop {
            if let Some(status) = child.try_wait()? {
                return match status.code() {
                    Some(0) => Ok(()),
                    // The process inside has printed why.
                    code => Err(Failure {
                        code: code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1),
                        message: String::new(),
                    }),
                };
            }
            let stopped = tokio::select! {
                _ = interrupt.recv() => true,
                _ = terminate.recv() => true,
                _ = hangup.recv() => true,
                () = tokio::time::sleep(Duration::from_millis(50)) => false,
            };
            if stopped {
                let inner = first_child(child.id());
                child.kill()?;
                child.wait()?;
                // The kernel ends the first process of a PID namespace last. Once it is gone, no process in the namespace writes any more.
                let gone = || inner.as_ref().is_none_or(|process| !process.exists());
                for _ in 0..200 {
                    if gone() {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                return Err(Failure { code: 5, message: "stopped".into() });
            }
        }
    })
}
