//! The demo's commands. Each is printed as a person could type it, followed by its output.

use std::fs;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::gateway::Gateway;
use crate::exit::Failure;
use crate::output;

/// The longest wait for an event. Only a broken demo waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many lines of each log a failure shows.
const TAIL: usize = 30;

/// The host, a network namespace, on which a command runs.
#[derive(Debug, Clone, Copy)]
pub enum Host {
    /// The namespace of the server.
    Server,
    /// The namespace of this gateway.
    Gateway(Gateway),
}

/// The result of a command.
pub struct CommandResult {
    /// Whether the command succeeded.
    pub ok: bool,
    /// The standard output of the command, followed by its standard error.
    pub text: String,
}

/// The folder of the demo, and the processes that run until its end.
pub struct Stage {
    folder: PathBuf,
    program: PathBuf,
    pause: bool,
    step: usize,
    running: Vec<Child>,
}

impl Stage {
    /// The demo in this folder, before its first step. With `pause`, each step but the first waits for Enter.
    pub fn new(folder: &Path, pause: bool) -> Result<Self, Failure> {
        Ok(Self {
            folder: folder.to_owned(),
            program: std::env::current_exe()?,
            pause,
            step: 0,
            running: Vec::new(),
        })
    }

    /// The path of a file in the demo's folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Prints the title of a step. With `--pause`, waits for Enter first.
    pub fn step(&mut self, what: &str) {
        if self.pause && self.step > 0 {
            let _ = write!(std::io::stdout(), "\n[Enter]");
            let _ = std::io::stdout().flush();
            let _ = std::io::stdin().lock().read_line(&mut String::new());
        }
        self.step = self.step.saturating_add(1);
        output::line(&format!("\n── {}. {what}", self.step));
    }

    /// Prints an explanation.
    pub fn say(&self, text: &str) {
        for line in text.lines() {
            output::line(&format!("   {line}"));
        }
    }

    /// Writes a file, and prints it.
    pub fn write(&self, name: &str, content: &str) -> Result<(), Failure> {
        fs::write(self.file(name), content)?;
        output::line(&format!("$ cat {name}"));
        self.say(content);
        Ok(())
    }

    /// Runs a command that must succeed. `shown` selects the lines of its output that are printed.
    pub fn run(
        &self,
        host: Host,
        line: &[&str],
        shown: impl Fn(&str) -> bool,
    ) -> Result<String, Failure> {
        let result = self.attempt(host, line, shown)?;
        if result.ok {
            return Ok(result.text);
        }
        Err(self.failure(&format!("`{}` failed:\n{}", quoted(line), result.text.trim_end())))
    }

    /// Runs a command that may fail.
    pub fn attempt(
        &self,
        host: Host,
        line: &[&str],
        shown: impl Fn(&str) -> bool,
    ) -> Result<CommandResult, Failure> {
        self.announce(host, line);
        let output = self.command(host, line).stdin(Stdio::null()).output();
        let output = output.map_err(|e| self.failure(&format!("`{}`: {e}", quoted(line))))?;
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        text.lines().filter(|line| shown(line)).for_each(|line| self.say(&output::safe(line)));
        Ok(CommandResult { ok: output.status.success(), text })
    }

    /// Starts a process that runs until the end of the demo. Its output goes to a log.
    pub fn start(&mut self, host: Host, line: &[&str], log: &str) -> Result<(), Failure> {
        self.announce(host, &[line, &["&"]].concat());
        let log = fs::File::create(self.file(log))?;
        let mut command = self.command(host, line);
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn();
        self.running.push(child.map_err(|e| self.failure(&format!("`{}`: {e}", quoted(line))))?);
        Ok(())
    }

    /// Waits until `ready` holds. Fails after [`PATIENCE`], or when a started process has ended. `what` names the event in the message.
    pub fn wait_until(
        &mut self,
        what: &str,
        mut ready: impl FnMut() -> bool,
    ) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        while !ready() {
            let ended = self.running.iter_mut().any(|child| !matches!(child.try_wait(), Ok(None)));
            if ended || Instant::now() > deadline {
                return Err(self.failure(&format!("{what} did not happen")));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Waits for a line of a log, from octet `from` on, with all these words, and returns the last such line.
    pub fn logged(&mut self, log: &str, from: usize, words: &[&str]) -> Result<String, Failure> {
        let path = self.file(log);
        let line = || {
            let text = fs::read_to_string(&path).unwrap_or_default();
            text.get(from..)?
                .lines()
                .rfind(|line| words.iter().all(|word| line.contains(word)))
                .map(str::to_owned)
        };
        self.wait_until(&format!("a line with {words:?} in {log}"), || line().is_some())?;
        Ok(output::safe(&line().unwrap_or_default()))
    }

    /// A failure with the last lines of each log.
    pub fn failure(&self, message: &str) -> Failure {
        let mut text = message.to_owned();
        for log in ["server.log", "west.log", "east.log"] {
            if let Ok(content) = fs::read_to_string(self.file(log)) {
                let lines: Vec<&str> = content.lines().collect();
                let tail = lines.get(lines.len().saturating_sub(TAIL)..).unwrap_or_default();
                text.push_str(&format!("\n--- the end of {log} ---\n{}", tail.join("\n")));
            }
        }
        Failure::found(text)
    }

    fn announce(&self, host: Host, line: &[&str]) {
        let prompt = match host {
            Host::Server => "$".to_owned(),
            Host::Gateway(gateway) => format!("{}#", gateway.name()),
        };
        output::line(&format!("{prompt} {}", quoted(line)));
    }

    fn command(&self, host: Host, line: &[&str]) -> Command {
        let (name, arguments) =
            line.split_first().map_or(("true", line), |(name, rest)| (*name, rest));
        let program = if name == "countersign" { self.program.as_os_str() } else { name.as_ref() };
        let mut command = match host {
            Host::Server => Command::new(program),
            Host::Gateway(gateway) => {
                let mut command = Command::new("nsenter");
                command.arg(format!("--net=/run/netns/{}", gateway.name())).arg("--").arg(program);
                let name = gateway.name();
                command.env("STRONGSWAN_CONF", self.file(&format!("{name}.conf")));
                command.env("SWANCTL_DIR", self.file(&format!("{name}-strongswan")));
                command
            }
        };
        command.args(arguments).current_dir(&self.folder);
        command.env("COUNTERSIGN_DATA", self.file("ca"));
        command
    }
}

/// A command as a person would type it.
fn quoted(line: &[&str]) -> String {
    let plain = |word: &str| {
        !word.is_empty()
            && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./:=,@%+&".contains(&b))
    };
    let words: Vec<String> = line
        .iter()
        .map(|word| if plain(word) { (*word).to_owned() } else { format!("'{word}'") })
        .collect();
    words.join(" ")
}

impl Drop for Stage {
    fn drop(&mut self) {
        for child in &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
