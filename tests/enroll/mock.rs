//! `openssl cmp` as a server.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::eventually;

/// A mock server that ends with the test.
pub struct Mock {
    child: Child,
    pub url: String,
}

impl Mock {
    /// Starts it with these arguments in this folder.
    pub fn start(folder: &Path, arguments: &[&str]) -> Self {
        // It takes no port 0: one that is free is asked for, and may be taken by then.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = File::create(folder.join(format!("mock-{port}.log"))).unwrap();
        let child = Command::new("openssl")
            .args(["cmp", "-port", &port.to_string()])
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("this test needs the package `openssl`: run `make deps`");
        let mock = Self { child, url: format!("http://127.0.0.1:{port}/pkix/") };
        eventually("the mock server", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        mock
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
