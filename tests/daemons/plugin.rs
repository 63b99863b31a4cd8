//! The plugin `countersign` in a charon, connections for tests of it, and an authorizer with scripted answers.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::namespaces::{Gateway, bind};
use super::site::{Credentials, Site};
use super::{charon, run};

/// The plugin.
const LIBRARY: &str = "libstrongswan-countersign.so";

/// Binds a folder with charon's plugins and ours over charon's plugin folder.
pub fn install(site: &Site) {
    let folder = site.instance.file("plugins");
    run(Command::new("cp").args(["-r", "/usr/lib/ipsec/plugins"]).arg(&folder));
    let installed = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/charon-plugin");
    let built = charon::another().unwrap_or_else(installed).join(LIBRARY);
    let copied = fs::copy(&built, folder.join(LIBRARY));
    copied.unwrap_or_else(|e| panic!("`{}`: {e}; `make deps` builds it", built.display()));
    bind(&folder, "/usr/lib/ipsec/plugins");
}

/// The authorizer's socket.
pub fn socket(site: &Site) -> PathBuf {
    site.instance.file("authorizer.sock")
}

/// The settings of the plugin: the file that comes with it, and the authorizer's socket.
pub fn plugin(site: &Site) -> String {
    let settings = Path::new(env!("CARGO_MANIFEST_DIR")).join("ike-plugin/charon/countersign.conf");
    format!(
        "include {}\n countersign {{ socket = {}\n }}",
        settings.display(),
        socket(site).display()
    )
}

/// A connection of `own`, with the further settings `more`.
pub fn connection(name: &str, gateway: Gateway, own: &str, more: &str) -> String {
    let remote = if gateway == Gateway::West { Gateway::East } else { Gateway::West };
    let (local, remote) = (gateway.address(), remote.address());
    format!("{name} {{\n local_addrs = {local}\n remote_addrs = {remote}\n {own}\n {more}\n}}\n")
}

/// Settings for authentication by certificate on both sides.
pub fn by_certificate(own: &Credentials) -> String {
    let id = &own.id;
    format!(
        "local {{ auth = pubkey\n certs = {id}.crt\n id = {id} }}\n remote {{ auth = pubkey\n id = %any }}"
    )
}

/// An authorizer with scripted answers, which records the questions.
pub struct Told {
    pub questions: Arc<Mutex<Vec<Value>>>,
}

impl Told {
    /// Listens on the socket of West's plugin.
    pub fn start(site: &Site, answer: impl Fn(&Value) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let path = socket(site);
        let _ = fs::remove_file(&path);
        let listener = UnixListener::bind(path).unwrap();
        let (questions, answer) = (Arc::new(Mutex::new(Vec::new())), Arc::new(answer));
        let asked = Arc::clone(&questions);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (asked, answer) = (Arc::clone(&asked), Arc::clone(&answer));
                std::thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    let mut line = String::new();
                    BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).unwrap();
                    let question: Value = serde_json::from_str(&line).unwrap();
                    asked.lock().unwrap().push(question.clone());
                    let _ = stream.write_all(&answer(&question));
                });
            }
        });
        Self { questions }
    }
}

/// An answer as a line.
pub fn answered(decision: &str) -> Vec<u8> {
    let answer = json!({"v": 1, "id": "", "decision": decision, "step": "policy", "reason": "as told", "trace": "00"});
    format!("{answer}\n").into_bytes()
}

/// The identity that a question is about, as text.
pub fn id(question: &Value) -> String {
    let data = question["remote"]["id"]["data"].as_str().unwrap();
    String::from_utf8(data_encoding::BASE64.decode(data.as_bytes()).unwrap()).unwrap()
}
