//! Registration authorities and polling, by the tests' own encoder: nested messages, pollReq, raVerified, and a registration authority
//! that forwards messages between a client and the server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

use der::asn1::{Any, Int, Null};
use der::{Decode, Encode, Sequence};

use super::cmp::{
    Answer, CertReqMsg, CertRequest, Draft, Header, Holder, Info, any, enrolled, implicit, oid,
    plain_request, sequence,
};
use super::{Instance, cmp::Key};

/// The tags of PKIBody (RFC 9810 §5.1.2).
pub const P10CR: u8 = 4;
pub const NESTED: u8 = 20;
pub const POLL_REQ: u8 = 25;
pub const POLL_REP: u8 = 26;
/// id-it-origPKIMessage.
pub const ORIG_PKI_MESSAGE: &str = "1.3.6.1.5.5.7.4.15";

/// A registration authority with its certificate.
pub fn registrar(instance: &Instance, name: &str) -> Holder {
    registrar_of(instance, name, &[])
}

/// The same with further flags of `peer add`.
pub fn registrar_of(instance: &Instance, name: &str, flags: &[&str]) -> Holder {
    let id = format!("fqdn:{name}.example.net");
    let flags = [&["--profile", "ra", "--uses", "100"][..], flags].concat();
    enrolled(instance, &instance.peer_with(name, &[&id], &flags))
}

/// The header of a message.
pub fn header(message: &[u8]) -> Header {
    Answer::read(message).header
}

/// A message that adds protection to another one (RFC 9483 §5.2.2.1).
pub fn around(message: &[u8]) -> Draft {
    let inner = header(message);
    batch(&[message.to_vec()]).with(|header| {
        header.recipient = inner.recipient;
        header.transaction_id = inner.transaction_id;
        header.sender_nonce = inner.sender_nonce;
    })
}

/// A nested message with several messages (RFC 9483 §5.2.2.2).
pub fn batch(messages: &[Vec<u8>]) -> Draft {
    Draft::new(NESTED, sequence(messages))
}

/// The messages in a nested answer.
#[track_caller]
pub fn inside(answer: &Answer) -> Vec<Answer> {
    assert_eq!(answer.kind, NESTED, "{:?}", answer.status());
    let messages: Vec<Any> = answer.body.decode_as().expect("PKIMessages");
    messages.iter().map(|message| Answer::read(&message.to_der().unwrap())).collect()
}

/// CertReqMessages whose proof of possession is raVerified.
pub fn vouched(request: CertRequest) -> Vec<u8> {
    let proof = Some(implicit(0, any(&Null)));
    vec![CertReqMsg { request, proof }].to_der().unwrap()
}

/// The same for a key and a common name.
pub fn vouched_for(key: &Key, subject: &str) -> Vec<u8> {
    let mut request = plain_request(key);
    request.template.subject = Some(subject.parse().expect("a name"));
    vouched(request)
}

/// The same message with an original in generalInfo.
pub fn with_original(draft: Draft, originals: &[Vec<u8>]) -> Draft {
    let value = Any::from_der(&sequence(originals)).expect("DER");
    let info = Info { kind: oid(ORIG_PKI_MESSAGE), value: Some(value) };
    draft.with(|header| header.general_info.get_or_insert_default().push(info))
}

/// The content of a message's body, DER.
pub fn body(message: &[u8]) -> Vec<u8> {
    Answer::read(message).body.to_der().unwrap()
}

#[derive(Sequence)]
struct PollReq {
    id: i8,
}

/// PollRep (RFC 9810 §5.3.22).
#[derive(Sequence)]
pub struct PollRep {
    pub id: Int,
    pub check_after: u32,
    pub reason: Option<Vec<String>>,
}

/// A pollReq after an answer.
pub fn poll(answer: &Answer, ids: &[i8]) -> Draft {
    let polls: Vec<PollReq> = ids.iter().map(|id| PollReq { id: *id }).collect();
    Draft::after(answer, POLL_REQ, polls.to_der().unwrap())
}

/// The only PollRep in an answer.
#[track_caller]
pub fn poll_rep(answer: &Answer) -> PollRep {
    assert_eq!(answer.kind, POLL_REP, "{:?}", answer.status());
    let mut replies: Vec<PollRep> = answer.body.decode_as().expect("a PollRepContent");
    assert_eq!(replies.len(), 1);
    replies.remove(0)
}

/// Starts a registration authority between clients and a server, and gives its address. `pass` changes each message on its way to the
/// server; answers go back unchanged.
pub fn between(server: &str, pass: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    let server = server.to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            // A client that goes away is no matter of this test.
            let _ = relay(stream, &server, &pass);
        }
    });
    address
}

fn relay(
    mut stream: TcpStream,
    server: &str,
    pass: &impl Fn(&[u8]) -> Vec<u8>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((key, value)) if key.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().unwrap_or(0);
            }
            Some(_) => {}
            None if line.trim_end().is_empty() => break,
            None => {}
        }
    }
    let mut message = vec![0; length];
    reader.read_exact(&mut message)?;
    let answer =
        super::http(server, "POST", "/.well-known/cmp", "application/pkixcmp", &pass(&message))?;
    let head = format!(
        "HTTP/1.1 {} OK\r\nContent-Type: application/pkixcmp\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        answer.status,
        answer.body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(&answer.body)
}
