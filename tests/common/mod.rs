//! The parts that the end-to-end tests share: an instance in an empty folder, and programs of others that talk to it.
#![allow(dead_code, reason = "each test file uses its own part of it")]

pub mod api;
pub mod cmp;
pub mod cms;
pub mod der;
pub mod est;
pub mod gateway;
pub mod gateways;
pub mod general;
pub mod hostile;
pub mod http;
pub mod nested;
pub mod offline;
pub mod openssl;
pub mod scep;
pub mod slapd;
pub mod vendor;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// A server that is not to start. If it does, it is in nobody's way.
pub const SERVE: [&str; 5] = ["serve", "--listen", "127.0.0.1:0", "--ldap-listen", "off"];

/// The program under test.
pub const COUNTERSIGN: &str = env!("CARGO_BIN_EXE_countersign");

/// An instance of the test's own: a data folder and, while it runs, a server on a free port.
pub struct Instance {
    folder: TempDir,
    server: Option<Child>,
    /// The address of its HTTP server.
    pub address: String,
    /// The address of its LDAP directory.
    pub ldap: String,
}

/// An account as `peer add --format json` prints it.
pub struct Peer {
    pub name: String,
    pub reference: String,
    pub secret: String,
}

impl Instance {
    /// Founds an instance with `countersign init` and starts it.
    pub fn start() -> Self {
        let mut instance = Self::init(&[]);
        instance.serve();
        instance
    }

    /// Founds an instance, adds these lines to sections of its configuration, and starts it.
    pub fn start_with(lines: &[(&str, &str)]) -> Self {
        Self::start_with_profile(lines, "")
    }

    /// As [`Self::start_with`], with a profile at the end of the configuration.
    pub fn start_with_profile(lines: &[(&str, &str)], profile: &str) -> Self {
        let mut instance = Self::init(&[]);
        let path = instance.data().join("countersign.toml");
        let mut text = fs::read_to_string(&path).expect("a configuration");
        for (section, line) in lines {
            let head = format!("[{section}]\n");
            assert!(text.contains(&head), "no section {head}");
            text = text.replacen(&head, &format!("{head}{line}\n"), 1);
        }
        fs::write(&path, format!("{text}\n{profile}")).expect("the configuration is written");
        instance.serve();
        instance
    }

    /// An empty folder for an instance.
    pub fn empty() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self { folder, server: None, address: String::new(), ldap: String::new() }
    }

    /// Founds an instance, without starting it.
    pub fn init(flags: &[&str]) -> Self {
        let instance = Self::empty();
        let mut arguments = vec!["init"];
        arguments.extend(flags);
        instance.ok(&arguments);
        instance
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A path beside the data folder, for a test's own files.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The root certificate, PEM.
    pub fn root(&self) -> PathBuf {
        self.data().join("keys/root.crt")
    }

    /// Asserts that neither the log nor a file of the data folder has this secret: in octets, in hexadecimal, in base64, or as Rust prints
    /// octets.
    #[track_caller]
    pub fn holds_nowhere(&self, secret: &[u8]) {
        let mut forms = vec![secret.to_vec()];
        forms.push(data_encoding::HEXLOWER.encode(secret).into_bytes());
        forms.push(data_encoding::HEXUPPER.encode(secret).into_bytes());
        forms.push(format!("{secret:?}").trim_matches(['[', ']']).as_bytes().to_vec());
        // In base64, what stands before a secret shifts it. Its first and last characters depend on its neighbours.
        for shift in 0..3 {
            let text = data_encoding::BASE64.encode(&[&vec![0; shift][..], secret].concat());
            forms.push(text.as_bytes()[4..text.len() - 4].to_vec());
        }
        let mut seen = 0;
        let mut look = |path: &Path| {
            let octets = fs::read(path).expect("a file");
            for form in &forms {
                let has = octets.windows(form.len()).any(|window| window == form);
                assert!(!has, "{} has the secret", path.display());
            }
            seen += 1;
        };
        look(&self.file("server.log"));
        let mut folders = vec![self.data()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder").map(Result::unwrap) {
                match entry.file_type().expect("its kind") {
                    kind if kind.is_dir() => folders.push(entry.path()),
                    kind if kind.is_file() => look(&entry.path()),
                    _ => {}
                }
            }
        }
        assert!(seen > 5, "{seen} files were looked at");
    }

    /// Starts the server and waits until it listens.
    pub fn serve(&mut self) {
        self.serve_with(Command::new(COUNTERSIGN));
    }

    /// As [`Self::serve`], through a command that runs the program, such as one that sets another clock.
    pub fn serve_with(&mut self, mut command: Command) {
        let listen = self.data().join("listen");
        let _ = fs::remove_file(&listen);
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.file("server.log"))
            .expect("a log");
        let child = command
            .args(["serve", "--listen", "127.0.0.1:0", "--ldap-listen", "127.0.0.1:0", "--data"])
            .arg(self.data())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the server starts");
        self.server = Some(child);
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Ok(text) = fs::read_to_string(&listen)
                && text.ends_with('\n')
            {
                self.address = text.trim().trim_start_matches("http://").to_owned();
                let ldap = fs::read_to_string(self.data().join("listen.ldap")).unwrap_or_default();
                self.ldap = ldap.trim().trim_start_matches("ldap://").to_owned();
                if self
                    .http("GET", "/healthz", "text/plain", &[])
                    .is_ok_and(|answer| answer.status == 200)
                    && self.has_fed_its_directory()
                {
                    return;
                }
            }
            let ended = self
                .server
                .as_mut()
                .is_some_and(|server| server.try_wait().is_ok_and(|s| s.is_some()));
            assert!(
                !ended && Instant::now() < deadline,
                "the server did not start:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whether its directory has been fed, so that from here on only the test's actions change its readiness.
    fn has_fed_its_directory(&self) -> bool {
        self.http("GET", "/readyz", "text/plain", &[]).is_ok_and(|answer| {
            !String::from_utf8_lossy(&answer.body).contains("directories are being read")
        })
    }

    /// The server's log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.file("server.log")).unwrap_or_default()
    }

    /// The server's process.
    pub fn pid(&self) -> u32 {
        self.server.as_ref().expect("a running server").id()
    }

    /// Kills the server as a power cut would.
    pub fn kill(&mut self) {
        let mut server = self.server.take().expect("a running server");
        server.kill().expect("SIGKILL");
        server.wait().expect("it ended");
    }

    /// Stops the server by SIGTERM, and asserts that it succeeds.
    pub fn stop(&mut self) {
        let mut server = self.server.take().expect("a running server");
        let sent = Command::new("kill").args(["-TERM", &server.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "SIGTERM was not sent");
        let ended = ends(&mut server, PATIENCE);
        let status = ended.unwrap_or_else(|| panic!("the server did not end:\n{}", self.log()));
        assert!(status.success(), "the server ended with {status}:\n{}", self.log());
    }

    /// Runs a command of the program on this instance.
    pub fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(COUNTERSIGN);
        command.args(arguments);
        // Without these, a part of the names is the instance's own.
        if arguments.first() == Some(&"init") {
            for named in
                ["--subject=CN=Countersign issuing CA", "--root-subject=CN=Countersign root CA"]
            {
                let flag = named.split('=').next().unwrap_or_default();
                let is_without = flag == "--subject" && arguments.contains(&"--root-only");
                if !arguments.contains(&flag) && !is_without {
                    command.arg(named);
                }
            }
        }
        output_of(command.arg("--data").arg(self.data()))
    }

    /// Runs a command that must succeed, and gives its standard output.
    #[track_caller]
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{arguments:?}: {}\n{}",
            text,
            String::from_utf8_lossy(&output.stderr)
        );
        text
    }

    /// Runs a command that must succeed, and reads its JSON.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        let mut all = arguments.to_vec();
        all.extend(["--format", "json"]);
        let text = self.ok(&all);
        serde_json::from_str(&text)
            .unwrap_or_else(|e| panic!("{arguments:?} printed no JSON: {e}\n{text}"))
    }

    /// Adds an account whose secret is good for many certificates.
    pub fn peer(&self, name: &str, ids: &[&str]) -> Peer {
        self.peer_with(name, ids, &["--uses", "100"])
    }

    /// Adds an account with further flags.
    pub fn peer_with(&self, name: &str, ids: &[&str], flags: &[&str]) -> Peer {
        let mut arguments = vec!["peer", "add", name];
        for id in ids {
            arguments.extend(["--id", id]);
        }
        arguments.extend(flags);
        let added = self.json(&arguments);
        let text = |key: &str| {
            added[key].as_str().unwrap_or_else(|| panic!("no `{key}` in {added}")).to_owned()
        };
        Peer { name: name.to_owned(), reference: text("reference"), secret: text("secret") }
    }

    /// Every certificate of an account, oldest first, as `cert list` shows them.
    pub fn certificates(&self, account: &str) -> Vec<Value> {
        let list = self.json(&["cert", "list", "--account", account]);
        list.as_array().expect("an array").clone()
    }

    /// One request over HTTP/1.1 on a new connection.
    pub fn http(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: &[u8],
    ) -> std::io::Result<Answer> {
        http(&self.address, method, path, content_type, body)
    }

    /// Sends a CMP message and gives the answer's DER.
    pub fn cmp(&self, message: &[u8]) -> Vec<u8> {
        let answer = self
            .http("POST", "/.well-known/cmp", "application/pkixcmp", message)
            .unwrap_or_else(|e| panic!("the server gave no answer: {e}\n{}", self.log()));
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        answer.body
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- the server's log ---\n{}", self.log());
        }
    }
}

/// A process that is killed at the end of the test, also if the test fails.
pub struct Process(pub Child);

impl Process {
    /// Sends SIGTERM, and gives the exit status.
    pub fn terminate(mut self) -> std::process::ExitStatus {
        let sent = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "SIGTERM was not sent");
        self.0.wait().expect("it ended")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Calls `look` until it gives a value. After a long time the test fails, and the message names `what`. The bound only allows for a busy
/// machine; no test concludes anything from the time that it took.
#[track_caller]
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {} s for {what}", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The peak memory of a process, in KiB.
pub fn peak_memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// The exit status of a process, if it ends within a time; otherwise the process is killed.
fn ends(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait().expect("a child") {
            return Some(status);
        }
        if Instant::now() > deadline {
            child.kill().expect("SIGKILL");
            child.wait().expect("it ended");
            return None;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The output and exit status of a command of the program. If the command does not end, as a server that should not have started, the
/// test fails and the command is killed.
#[track_caller]
pub fn output_of(command: &mut Command) -> Output {
    // Many accounts take their time on a busy machine.
    const COMMAND: Duration = Duration::from_secs(600);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program runs");
    let pipes: [Box<dyn Read + Send>; 2] =
        [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
    let readers = pipes.map(|mut pipe| {
        std::thread::spawn(move || {
            let mut said = Vec::new();
            pipe.read_to_end(&mut said).map(|_| said)
        })
    });
    let status = ends(&mut child, COMMAND);
    let [stdout, stderr] = readers.map(|reader| reader.join().unwrap().expect("what it says"));
    let status = status.unwrap_or_else(|| {
        let said = String::from_utf8_lossy(&stderr);
        panic!("{command:?} went on for {} s: {said}", COMMAND.as_secs())
    });
    Output { status, stdout, stderr }
}

/// The longest wait for an event that must happen.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// An HTTP answer.
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header of this name, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// One request over HTTP/1.1 on a new connection.
pub fn http(
    address: &str,
    method: &str,
    path: &str,
    content_type: &str,
    body: &[u8],
) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status =
        status.ok_or_else(|| std::io::Error::other(format!("no HTTP status in `{line}`")))?;
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((key, value)) => headers.push((key.to_ascii_lowercase(), value.trim().to_owned())),
            None => break,
        }
    }
    let length = headers
        .iter()
        .find(|(key, _)| key == "content-length")
        .and_then(|(_, value)| value.parse().ok());
    let mut body = Vec::new();
    match length {
        Some(length) => {
            body.resize(length, 0);
            reader.read_exact(&mut body)?;
        }
        None => drop(reader.read_to_end(&mut body)?),
    }
    Ok(Answer { status, headers, body })
}

/// A command with a shifted clock, such as by `-100d`. The library is preloaded directly, without the `faketime` program, so that signals
/// reach the command itself.
pub fn at_another_time(shift: &str, program: &str) -> Command {
    let asked = Command::new("faketime").args(["-f", shift, "printenv", "LD_PRELOAD"]).output();
    let library = asked.unwrap_or_else(|e| {
        panic!("`faketime`: {e}; this test needs the package `faketime`: run `make deps`")
    });
    let mut command = Command::new(program);
    command
        .env("LD_PRELOAD", String::from_utf8_lossy(&library.stdout).trim())
        .env("FAKETIME", shift)
        // The kernel waits by its own monotonic clock: with a faked one, a wait of a second would end with the shift.
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("DONT_FAKE_MONOTONIC", "1");
    command
}

/// Runs a program of others. If it is missing, the test fails, and the message names the package to install.
pub fn tool(program: &str, package: &str, arguments: &[&str], folder: &Path) -> Output {
    Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| {
            panic!("`{program}`: {e}; this test needs the package `{package}`: run `make deps`")
        })
}

/// Runs strongSwan 6's `pki`. It finds its libraries and plugins only where Debian has those of strongSwan 5, so that they are mounted there,
/// for this program alone.
pub fn pki_6(arguments: &[&str], folder: &Path) -> Output {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-strongswan6");
    let program = built.join("usr/bin/pki");
    assert!(program.exists(), "{} is missing: run `make deps`", program.display());
    let script =
        "mount --bind \"$0/usr/lib/ipsec\" /usr/lib/ipsec && exec \"$0/usr/bin/pki\" \"$@\"";
    let with = |kind: &str| {
        let mut command = Command::new("unshare");
        command.args([kind, "--propagation=private"]).stdin(Stdio::null());
        command
    };
    // As root, or in a user namespace.
    let is_root = with("-m").arg("true").status().is_ok_and(|status| status.success());
    with(if is_root { "-m" } else { "-Urm" })
        .args(["sh", "-c", script])
        .arg(&built)
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap_or_else(|e| panic!("`unshare`: {e}; this test needs the package `util-linux`"))
}

/// As [`tool`]; the program must succeed.
#[track_caller]
pub fn tool_ok(program: &str, package: &str, arguments: &[&str], folder: &Path) -> String {
    let output = tool(program, package, arguments, folder);
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        output.status.success(),
        "`{program} {}`: {}\n{text}",
        arguments.join(" "),
        output.status
    );
    text
}

/// What a program printed: standard output, then standard error.
pub fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Asserts this exit code, and that the message contains each word.
#[track_caller]
pub fn fails(output: &Output, code: i32, words: &[&str]) {
    let said = text(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "expected `{word}` in: {said}");
    }
}

/// Waits until a condition holds.
#[track_caller]
pub fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !check() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(50));
    }
}
