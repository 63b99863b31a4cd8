//! An instance with the administration API, and curl and our own command line as its clients.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use super::http::{Reply, curl};
use super::{COUNTERSIGN, Instance, output_of};

/// The configuration of the API on a free port.
pub const LISTEN: (&str, &str) = ("admin", "listen = \"127.0.0.1:0\"");

/// An instance with the administration API.
pub struct Site {
    pub instance: Instance,
}

/// How a caller proves who it is.
#[derive(Clone, Copy)]
pub enum By<'a> {
    Token(&'a str),
    Login(&'a str),
    /// By the session in a file of curl's cookies.
    Session(&'a str),
    Nothing,
}

impl Site {
    pub fn start() -> Self {
        Self { instance: Instance::start_with(&[LISTEN]) }
    }

    pub fn start_with(lines: &[(&str, &str)], profile: &str) -> Self {
        let lines = [&[LISTEN], lines].concat();
        Self { instance: Instance::start_with_profile(&lines, profile) }
    }

    /// The URL of the API, with a name that its certificate has.
    pub fn url(&self) -> String {
        let file = self.instance.data().join("listen.admin");
        let url = fs::read_to_string(file).expect("listen.admin");
        let port = url.trim().rsplit(':').next().expect("a port").to_owned();
        format!("https://localhost:{port}")
    }

    pub fn root(&self) -> String {
        self.instance.root().to_str().expect("a path in UTF-8").to_owned()
    }

    /// Adds an administrator with these roles.
    pub fn admin(&self, name: &str, flags: &[&str]) -> Value {
        self.instance.json(&[&["admin", "add", name], flags].concat())
    }

    /// Adds an administrator with this role, and gives the text of a token.
    pub fn token_of(&self, name: &str, flags: &[&str]) -> String {
        self.admin(name, flags);
        self.token(name, "test", &[])
    }

    pub fn token(&self, name: &str, token: &str, flags: &[&str]) -> String {
        let made = self.instance.json(&[&["admin", "token", "add", name, token], flags].concat());
        made["token"].as_str().expect("a token").to_owned()
    }

    /// Enrols an administrator, into the folder of that name.
    pub fn enrol(&self, name: &str, added: &Value) {
        let text = |key: &str| added["account"][key].as_str().expect("a text").to_owned();
        private(&self.instance.file("secret"), &text("secret"));
        let root = self.root();
        let output = Command::new(COUNTERSIGN)
            .args(["enroll", "--server", &format!("http://{}", self.instance.address)])
            .args(["--reference", &text("reference"), "--secret-file", "secret"])
            .args(["--trust", &root, "--out", name, "--name", name])
            .current_dir(self.instance.file("."))
            .output()
            .expect("our program runs");
        assert!(output.status.success(), "{}", super::text(&output));
    }

    /// A request by curl.
    #[track_caller]
    pub fn curl(&self, by: By<'_>, path: &str, arguments: &[&str]) -> Reply {
        let (root, url) = (self.root(), format!("{}{path}", self.url()));
        let mut all = vec!["--cacert".to_owned(), root];
        match by {
            By::Token(token) => {
                all.extend(["-H".to_owned(), format!("Authorization: Bearer {token}")]);
            }
            By::Login(folder) => all.extend([
                "--cert".to_owned(),
                format!("{folder}/enrolment/current/certificate.pem"),
                "--key".to_owned(),
                format!("{folder}/enrolment/current/key.pem"),
            ]),
            By::Session(jar) => all.extend(["-b".to_owned(), jar.to_owned()]),
            By::Nothing => {}
        }
        all.extend(arguments.iter().map(|text| (*text).to_owned()));
        all.push(url);
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        curl(&self.instance, &all)
    }

    #[track_caller]
    pub fn get(&self, by: By<'_>, path: &str) -> Reply {
        self.curl(by, path, &[])
    }

    /// A request with a body.
    #[track_caller]
    pub fn send(&self, by: By<'_>, method: &str, path: &str, body: &Value) -> Reply {
        self.send_with(by, method, path, body, &[])
    }

    #[track_caller]
    pub fn send_with(
        &self,
        by: By<'_>,
        method: &str,
        path: &str,
        body: &Value,
        headers: &[&str],
    ) -> Reply {
        let body = body.to_string();
        let mut all = vec!["-X", method, "-H", "Content-Type: application/json", "-d", &body];
        for header in headers {
            all.extend(["-H", header]);
        }
        self.curl(by, path, &all)
    }

    /// Our command line, which works from another folder.
    pub fn remote(&self, by: By<'_>, arguments: &[&str]) -> Output {
        let url = self.url();
        let mut command = Command::new(COUNTERSIGN);
        command.args(arguments).args(["--server", &url]).current_dir(self.instance.file("."));
        match by {
            By::Login(folder) => command.args(["--login", folder]),
            By::Token(token) => {
                private(&self.instance.file("token"), token);
                let root = self.root();
                command.args(["--token-file", "token", "--server-ca", &root])
            }
            By::Session(_) | By::Nothing => &mut command,
        };
        output_of(&mut command)
    }

    /// The actors in the journal who did this.
    pub fn actors(&self, action: &str) -> Vec<String> {
        let export = self.instance.ok(&["audit", "export"]);
        let lines = export.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let done = lines.filter(|line| line["action"] == action);
        done.map(|line| line["actor"].as_str().expect("an actor").to_owned()).collect()
    }
}

/// Writes a file that only its owner may read.
pub fn private(file: &Path, text: &str) {
    fs::write(file, text).expect("a file");
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).expect("its mode");
}
