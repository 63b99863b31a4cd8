//! Answers POSTs of the simplest form on the socket itself, before the HTTP library sees them: the library takes longer for a request than
//! an OCSP answer from the cache does.
//!
//! A request that is not exactly of that form, or has no direct answer, is left to the library from its first octet on, together with the
//! rest of its connection. So nothing is refused here. The bounds are those of the library's connections: a slot, one request after the
//! other, and no wait that the slots or the kernel do not end.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_server::GracefulShutdownSignal;
use actix_web::http::header::HttpDate;
use actix_web::web::Bytes;
use countersign_ldap_bridge::slots::Activity;
use tokio::io::ReadBuf;
use tokio::task::yield_now;
use tokio::time::timeout;

use super::stream::Stream;

/// The longest request with its head, in octets. An OCSP request about one certificate has some 300.
const ROOM: usize = 2 << 10;

/// The most header fields of a request.
const FIELDS: usize = 16;

/// How long the first octets of a connection are waited for here. Then the library waits, whose time-outs begin with that.
const FIRST: Duration = Duration::from_millis(50);

/// The header fields that a request may have besides its Content-Type and Content-Length. None of them changes the answer.
const IGNORED: [&str; 5] = ["host", "accept", "user-agent", "accept-encoding", "accept-language"];

/// A POST that has arrived whole.
#[derive(Debug, PartialEq, Eq)]
pub struct Post<'a> {
    /// The target of the request line.
    pub target: &'a str,
    /// The value of the header Content-Type.
    pub content_type: &'a str,
    /// The body of the request.
    pub body: &'a [u8],
}

/// An answer with the status 200.
pub struct Answer {
    /// Header fields, each with the end of its line, besides Date, Content-Length and X-Content-Type-Options.
    pub fields: &'static str,
    /// The body.
    pub body: Bytes,
}

/// Answers a POST at once, or leaves it to the HTTP service. It must not block.
pub type Direct = Arc<dyn Fn(&Post<'_>) -> Option<Answer> + Send + Sync>;

/// The end of a wait for octets.
enum Event {
    Read(usize),
    /// The HTTP service is to wait from now on.
    Left,
}

/// Serves a connection as long as its requests have direct answers. Returns the stream if a request is left to the HTTP service, or if the
/// server stops; `None` at the end of the connection.
///
/// # Errors
/// The socket fails, or others need the connection's slot.
pub async fn serve(
    mut stream: Stream,
    direct: &Direct,
    date: &DateField,
    stopping: &GracefulShutdownSignal,
) -> io::Result<Option<Stream>> {
    let mut octets = Box::new([0u8; ROOM]);
    let (mut filled, mut output, mut is_first) = (0, Vec::new(), true);
    let mut stopping = pin!(stopping.notified());
    loop {
        if filled == 0 {
            let reading = read(&mut stream, octets.as_mut_slice(), stopping.as_mut());
            let event = match std::mem::take(&mut is_first) {
                true => timeout(FIRST, reading).await.unwrap_or(Ok(Event::Left))?,
                false => reading.await?,
            };
            match event {
                Event::Read(0) => return Ok(None),
                Event::Read(number) => filled = number,
                Event::Left => return Ok(Some(stream)),
            }
        }
        let arrived = octets.get(..filled).unwrap_or_default();
        let answered = whole(arrived).and_then(|(length, post)| Some((length, direct(&post)?)));
        let Some((length, answer)) = answered else {
            stream.put_back(arrived);
            return Ok(Some(stream));
        };
        output.clear();
        date.with(|date| {
            output.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-length: ");
            output.extend_from_slice(answer.body.len().to_string().as_bytes());
            for part in ["\r\nx-content-type-options: nosniff\r\n", answer.fields, "date: ", date] {
                output.extend_from_slice(part.as_bytes());
            }
        });
        output.extend_from_slice(b"\r\n\r\n");
        output.extend_from_slice(&answer.body);
        write(&mut stream, &output).await?;
        // The work on it took some microseconds, and was not noted: until here the connection was idle, or waited for its client to read.
        stream.note(Activity::Idle);
        octets.copy_within(length..filled, 0);
        filled = filled.saturating_sub(length);
        if filled > 0 {
            // A client that sends ahead waits behind the other connections of this event loop.
            yield_now().await;
        }
    }
}

async fn read(
    stream: &mut Stream,
    octets: &mut [u8],
    mut stopping: Pin<&mut impl Future<Output = ()>>,
) -> io::Result<Event> {
    let (mut free, mut is_first) = (ReadBuf::new(octets), true);
    poll_fn(|context| {
        // Before anything is read, so that a client that sends without a pause does not keep a stopping server waiting.
        let looks = std::mem::take(&mut is_first);
        if looks && stopping.as_mut().poll(context).is_ready() {
            return Poll::Ready(Ok(Event::Left));
        }
        match stream.poll_read_raw(context, &mut free) {
            Poll::Ready(read) => Poll::Ready(read.map(|()| Event::Read(free.filled().len()))),
            Poll::Pending if looks => Poll::Pending,
            Poll::Pending => stopping.as_mut().poll(context).map(|()| Ok(Event::Left)),
        }
    })
    .await
}

async fn write(stream: &mut Stream, octets: &[u8]) -> io::Result<()> {
    let mut rest = octets;
    poll_fn(|context| {
        while !rest.is_empty() {
            let Poll::Ready(written) = stream.poll_write_raw(context, rest) else {
                stream.note(Activity::Waiting);
                return Poll::Pending;
            };
            rest = match written? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                octets => rest.get(octets..).unwrap_or_default(),
            };
        }
        Poll::Ready(Ok(()))
    })
    .await
}

/// The POST at the beginning of these octets and its length, if it is whole and has the simple form: HTTP/1.1, and no header field that
/// could change the answer or the framing.
fn whole(octets: &[u8]) -> Option<(usize, Post<'_>)> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let Ok(httparse::Status::Complete(head)) = request.parse(octets) else { return None };
    if (request.method, request.version) != (Some("POST"), Some(1)) {
        return None;
    }
    let (mut length, mut content_type) = (None, None);
    for field in request.headers.iter() {
        let name = |known: &str| field.name.eq_ignore_ascii_case(known);
        if name("content-length") {
            let digits = std::str::from_utf8(field.value).ok()?;
            let is_number =
                !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
            if !is_number || length.replace(digits.parse::<usize>().ok()?).is_some() {
                return None;
            }
        } else if name("content-type") {
            if content_type.replace(std::str::from_utf8(field.value).ok()?).is_some() {
                return None;
            }
        } else if !IGNORED.into_iter().any(name) {
            return None;
        }
    }
    let end = head.checked_add(length?)?;
    let body = octets.get(head..end)?;
    Some((end, Post { target: request.path?, content_type: content_type?, body }))
}

/// The value of the header field Date, which is formatted once a second.
#[derive(Default)]
pub struct DateField(RefCell<(u64, String)>);

impl DateField {
    fn with(&self, used: impl FnOnce(&str)) {
        let now = SystemTime::now();
        let second = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let (known, text) = &mut *self.0.borrow_mut();
        if *known != second || text.is_empty() {
            *known = second;
            *text = HttpDate::from(now).to_string();
        }
        used(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "POST /ocsp HTTP/1.1\r\nHost: x\r\nContent-Type: a/b\r\nContent-Length: 3\r\n";

    #[test]
    fn a_post_of_the_simple_form_is_read_with_its_body_alone() {
        let octets = format!("{HEAD}\r\nabcPOST /next");
        let post = Post { target: "/ocsp", content_type: "a/b", body: b"abc" };
        assert_eq!(whole(octets.as_bytes()), Some((octets.len() - "POST /next".len(), post)));
        // It is not whole before its last octet.
        for end in 0..octets.len() - "POST /next".len() {
            assert_eq!(whole(&octets.as_bytes()[..end]), None, "{end}");
        }
    }

    #[test]
    fn what_could_change_the_answer_or_the_framing_is_left_to_the_library() {
        for field in [
            "Transfer-Encoding: chunked",
            "Content-Length: 3",
            "Content-Length: 4",
            "Content-Type: a/b",
            "Expect: 100-continue",
            "Connection: close",
            "Upgrade: websocket",
            "If-None-Match: *",
            "X-Unknown: x",
        ] {
            assert_eq!(whole(format!("{HEAD}{field}\r\n\r\nabc").as_bytes()), None, "{field}");
        }
        let head = format!("{HEAD}\r\nabc");
        for (from, to) in [
            ("POST ", "GET "),
            ("POST ", "HEAD "),
            ("HTTP/1.1", "HTTP/1.0"),
            ("Content-Length: 3", "Content-Length: +3"),
            ("Content-Length: 3", "Content-Length: 3, 3"),
            ("Content-Length: 3", "Content-Length:"),
            ("Content-Length: 3\r\n", ""),
            ("Content-Type: a/b\r\n", ""),
        ] {
            assert_ne!(head.replace(from, to), head);
            assert_eq!(whole(head.replace(from, to).as_bytes()), None, "{to}");
        }
        let fields = (0..FIELDS).map(|_| "Accept: x\r\n").collect::<String>();
        assert_eq!(whole(format!("{HEAD}{fields}\r\nabc").as_bytes()), None);
    }
}
