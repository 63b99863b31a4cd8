//! curl as a client of our HTTPS servers, and what it was answered.

use data_encoding::BASE64;
use serde_json::Value;

use super::{Instance, tool_ok};

/// An answer to curl.
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Reply {
    /// The value of a header field.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The body as JSON, after the status was checked.
    #[track_caller]
    pub fn json(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    /// Asserts problem details with this status, and that their text has each of these words.
    #[track_caller]
    pub fn is_problem(&self, status: u16, words: &[&str]) {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let problem = self.json(status);
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], "about:blank");
        let detail = problem["detail"].as_str().unwrap();
        for word in words {
            assert!(detail.contains(word), "expected `{word}` in: {detail}");
        }
    }

    /// Asserts the status, and that the text has each of these words.
    #[track_caller]
    pub fn is(self, status: u16, words: &[&str]) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        for word in words {
            assert!(self.body.contains(word), "expected `{word}` in: {}", self.body);
        }
        self
    }

    /// The DER of its base64.
    pub fn der(&self) -> Vec<u8> {
        let text: String = self.body.split_whitespace().collect();
        BASE64.decode(text.as_bytes()).expect("base64")
    }
}

/// Runs curl with these arguments in a test's own folder. If it made several requests, the answer is the first one.
#[track_caller]
pub fn curl(instance: &Instance, arguments: &[&str]) -> Reply {
    let all = [&["-s", "-S", "-i"], arguments].concat();
    let text = tool_ok("curl", "curl", &all, &instance.file("."));
    let text = text.replace("\r\n", "\n");
    let text = text.strip_prefix("HTTP/1.1 100 Continue\n\n").unwrap_or(&text);
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status");
    let headers = lines.filter_map(|line| line.split_once(": "));
    Reply {
        status: status.parse().expect("a status"),
        headers: headers.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        body: body.to_owned(),
    }
}
