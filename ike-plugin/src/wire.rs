//! What an IKE daemon asks and what it is answered: one JSON object a line each way, over a Unix socket.
//!
//! Binary values are Base64 (RFC 4648 §4). Unknown members are ignored, so that an asker may say more than this version reads;
//! `v` changes when a member changes its meaning. `docs/authorizer.md` shows it to those who write askers.

use std::net::IpAddr;

use data_encoding::BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// The version of the protocol.
pub const VERSION: u32 = 1;
/// The longest question, in octets, with its line feed.
pub const MAX_QUESTION: usize = 256 << 10;
/// The most certificates of a chain.
pub const MAX_CHAIN: usize = 16;
/// The most traffic selectors of a side.
pub const MAX_SELECTORS: usize = 16;
/// The longest that an answer may take, in milliseconds.
pub const MAX_TIMEOUT: u32 = 60_000;

/// May this peer come in?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// [`VERSION`].
    pub v: u32,
    /// What the answer repeats, at most 64 characters.
    #[serde(default)]
    pub id: String,
    /// How long the asker waits, in milliseconds, at most [`MAX_TIMEOUT`]. What takes longer is answered as a denial.
    #[serde(default = "default_timeout")]
    pub timeout_ms: u32,
    /// The daemon, such as `charon` or `pluto`.
    pub daemon: String,
    /// The daemon's name for the connection.
    #[serde(default)]
    pub connection: String,
    /// The version of IKE: 1 or 2.
    pub ike: u8,
    /// The exchange of phase 1.
    pub mode: Mode,
    /// Whether the daemon began phase 1, or was asked.
    pub role: Role,
    /// This end.
    pub local: End,
    /// The peer.
    pub remote: End,
    /// What the peer was authenticated with. Without it, `chain` or `psk` says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// The peer's certificates in DER, its own first, as far as the daemon has them. Empty with [`Auth::Cert`]: one is looked up by the
    /// identity.
    #[serde(default)]
    pub chain: Vec<Octets>,
    /// The pre-shared key that the peer has proved to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub psk: Option<Secret>,
    /// The public key that the peer has proved to have the private one of, where it has no certificate: a SubjectPublicKeyInfo in DER.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Octets>,
    /// What was agreed for the IKE SA.
    #[serde(default)]
    pub proposal: IkeProposal,
    /// What is asked for in phase 2; without it the question is about phase 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub child: Option<Child>,
}

fn default_timeout() -> u32 {
    5_000
}

/// What a peer was authenticated with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// A certificate.
    Cert,
    /// A pre-shared key.
    Psk,
    /// A public key that the daemon knows without a certificate (RFC 7670, `rightrsasigkey`).
    Raw,
    /// EAP, without a certificate that the daemon has seen.
    Eap,
    /// XAuth alone.
    Xauth,
}

/// The exchange of phase 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// IKEv1 main mode.
    Main,
    /// IKEv1 aggressive mode.
    Aggressive,
    /// IKEv2, which has one exchange only.
    IkeSa,
}

/// Which side began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// This one.
    Initiator,
    /// The peer.
    Responder,
}

/// One end of an IKE SA.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct End {
    /// Its address as this end sees it.
    pub address: IpAddr,
    /// Its port as this end sees it.
    #[serde(default)]
    pub port: u16,
    /// Who it says it is.
    pub id: IkeId,
}

/// The body of an ID payload.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct IkeId {
    /// The ID type by its IANA number (RFC 7296 §3.5, RFC 2407 §4.6.2.1): 1 IPv4 address, 2 FQDN, 3 e-mail, 4 IPv4 subnet, 5 IPv6
    /// address, 6 IPv6 subnet, 7 IPv4 range, 8 IPv6 range, 9 distinguished name, 10 general name, 11 key ID.
    #[serde(rename = "type")]
    pub kind: u8,
    /// The identification data as it was sent.
    pub data: Octets,
}

/// What was agreed for the IKE SA.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct IkeProposal {
    /// The Diffie-Hellman group by its IANA number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<u16>,
    /// The whole proposal in the daemon's words, for the log.
    #[serde(default)]
    pub text: String,
}

/// What is asked for in phase 2.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Child {
    /// The daemon's name for it.
    #[serde(default)]
    pub name: String,
    /// Which side began phase 2.
    pub role: Role,
    /// The traffic of this end.
    pub local: Vec<TrafficSelector>,
    /// The traffic of the peer's end.
    pub remote: Vec<TrafficSelector>,
    /// Tunnel or transport mode.
    pub mode: ChildMode,
    /// The group of a key exchange of its own, by its IANA number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<u16>,
    /// What protects the traffic.
    pub proposal: ChildProposal,
}

/// How packets are encapsulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChildMode {
    /// Whole packets.
    Tunnel,
    /// Payloads only.
    Transport,
}

/// A range of addresses and ports (RFC 7296 §3.13.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TrafficSelector {
    /// The first address.
    pub from: IpAddr,
    /// The last address.
    pub to: IpAddr,
    /// The IP protocol number; 0 for any.
    #[serde(default)]
    pub protocol: u8,
    /// The first port.
    #[serde(default)]
    pub from_port: u16,
    /// The last port.
    #[serde(default = "last_port")]
    pub to_port: u16,
}

fn last_port() -> u16 {
    u16::MAX
}

/// One proposal of phase 2, with IKEv2's transform numbers; an IKEv1 daemon translates its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ChildProposal {
    /// `esp` or `ah`.
    pub protocol: Protocol,
    /// The encryption algorithm (transform type 1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<u16>,
    /// The length of its key in bits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_length: Option<u16>,
    /// The integrity algorithm (transform type 3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integrity: Option<u16>,
    /// The lifetime in seconds, as configured here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub life_seconds: Option<u32>,
    /// The lifetime in kilobytes, as configured here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub life_kbytes: Option<u32>,
    /// Whether the packets are compressed, too.
    #[serde(default)]
    pub ipcomp: bool,
}

/// The protocol of a child SA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Encapsulating Security Payload.
    Esp,
    /// Authentication Header.
    Ah,
}

/// Yes or no, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// [`VERSION`].
    pub v: u32,
    /// What the question said.
    pub id: String,
    /// Whether the peer may come in.
    pub decision: Verdict,
    /// What decided: the step that denied, or `policy`, the last one, where all agreed.
    pub step: Step,
    /// Why, in words.
    pub reason: String,
    /// Under which name the decision log has it.
    pub trace: String,
}

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The peer may come in.
    Allow,
    /// It may not.
    Deny,
}

/// The steps of a decision, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The question itself: it could not be read, or nothing is known that it is about.
    Question,
    /// The certification path.
    Path,
    /// Revocation.
    Status,
    /// The ID payload against the certificate.
    Identity,
    /// KeyNote.
    Policy,
    /// The authorizer could not decide.
    Authorizer,
}

/// Octets, in Base64.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Octets(pub Vec<u8>);

impl Serialize for Octets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        let octets = BASE64.decode(text.as_bytes());
        octets.map(Self).map_err(|e| serde::de::Error::custom(format!("not Base64: {e}")))
    }
}

/// A secret, in Base64; wiped when dropped, and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Zeroizing<Vec<u8>>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(BASE64.encode(&self.0)))
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let octets = BASE64.decode(text.as_bytes());
        octets
            .map(|octets| Self(Zeroizing::new(octets)))
            .map_err(|_| serde::de::Error::custom("the secret is not Base64"))
    }
}
