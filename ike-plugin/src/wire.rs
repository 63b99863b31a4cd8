//! The protocol between an IKE daemon and the authorizer: a question and an answer, each one JSON object on a line, over a Unix socket.
//!
//! Binary values are Base64 (RFC 4648 §4). Unknown members are ignored, so that a daemon may send more than this version reads; `v` changes
//! when a member changes its meaning. `docs/authorizer.md` describes the protocol for those who write hooks for daemons.

use std::net::IpAddr;

use data_encoding::BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// The version of the protocol: the value of `v` in questions and answers.
pub const VERSION: u32 = 1;
/// The longest question in octets, without its line feed.
pub const MAX_QUESTION: usize = 256 << 10;
/// The most certificates in the `chain` of a question.
pub const MAX_CHAIN: usize = 16;
/// The most traffic selectors of one side, local or remote, in a question about phase 2.
pub const MAX_SELECTORS: usize = 16;
/// The longest time that a daemon may wait for an answer, in milliseconds. A larger `timeout_ms` counts as this.
pub const MAX_TIMEOUT: u32 = 60_000;

/// A daemon's question: may this peer connect?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// [`VERSION`].
    pub v: u32,
    /// A name for the question. The answer repeats its first 64 characters.
    #[serde(default)]
    pub id: String,
    /// How long the daemon waits for the answer, in milliseconds: at most [`MAX_TIMEOUT`], and 5000 if it is missing. If the decision takes
    /// longer, the peer is denied.
    #[serde(default = "default_timeout")]
    pub timeout_ms: u32,
    /// The name of the daemon, such as `charon` or `pluto`, for the log.
    pub daemon: String,
    /// The daemon's name for the connection, for the log.
    #[serde(default)]
    pub connection: String,
    /// The version of IKE: 1 or 2.
    pub ike: u8,
    /// How phase 1 is negotiated.
    pub mode: Mode,
    /// Whether the daemon initiated phase 1, or the peer.
    pub role: Role,
    /// The daemon's end of the IKE SA.
    pub local: End,
    /// The peer's end of the IKE SA.
    pub remote: End,
    /// The method by which the peer was authenticated. If it is missing, it is `psk` if the question has a pre-shared key, otherwise `cert`
    /// if `chain` is not empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// The peer's certificates in DER, its own first, as far as the daemon has them. If it is empty with [`Auth::Cert`], the authorizer looks
    /// a certificate up by the identity.
    #[serde(default)]
    pub chain: Vec<Octets>,
    /// The pre-shared key that the peer has proved to know. It is wiped, and never logged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub psk: Option<Secret>,
    /// With [`Auth::Raw`], the public key whose private key the peer has proved to hold: a SubjectPublicKeyInfo in DER.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Octets>,
    /// The proposal that was selected for the IKE SA.
    #[serde(default)]
    pub proposal: IkeProposal,
    /// What was negotiated in phase 2. If it is missing, the question is about phase 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub child: Option<Child>,
}

fn default_timeout() -> u32 {
    5_000
}

/// The method that authenticated a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// A certificate.
    Cert,
    /// A pre-shared key.
    Psk,
    /// A public key that the daemon knows without a certificate (RFC 7670, `rightrsasigkey`).
    Raw,
    /// EAP, if the peer has shown no certificate in addition.
    Eap,
    /// XAuth, if the peer has proved nothing else.
    Xauth,
}

/// How phase 1 is negotiated: an exchange of IKEv1, or IKEv2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// IKEv1 main mode.
    Main,
    /// IKEv1 aggressive mode.
    Aggressive,
    /// IKEv2, which has neither main nor aggressive mode.
    IkeSa,
}

/// The daemon's role in phase 1 or phase 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The daemon initiated the IKE SA.
    Initiator,
    /// The peer initiated the IKE SA.
    Responder,
}

/// One end of an IKE SA.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct End {
    /// The IP address of this end, as the daemon sees it.
    pub address: IpAddr,
    /// The UDP port of this end, as the daemon sees it, for the log; 0 if the daemon did not tell it.
    #[serde(default)]
    pub port: u16,
    /// The identity that this end claims.
    pub id: IkeId,
}

/// An ID payload: its type and its data.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct IkeId {
    /// The ID type by its IANA number (RFC 7296 §3.5, RFC 2407 §4.6.2.1): 1 IPv4 address, 2 FQDN, 3 e-mail, 4 IPv4 subnet, 5 IPv6
    /// address, 6 IPv6 subnet, 7 IPv4 range, 8 IPv6 range, 9 distinguished name, 10 general name, 11 key ID.
    #[serde(rename = "type")]
    pub kind: u8,
    /// The identification data as it was sent.
    pub data: Octets,
}

/// The proposal that was selected for the IKE SA.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct IkeProposal {
    /// The Diffie-Hellman group by its IANA number; `None` if the daemon did not tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<u16>,
    /// The whole proposal in the daemon's notation. Only the log uses it.
    #[serde(default)]
    pub text: String,
}

/// A child SA (IKEv2) or the SAs of a quick mode (IKEv1), as they were negotiated.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Child {
    /// The daemon's name for the child SA, for the log.
    #[serde(default)]
    pub name: String,
    /// Whether the daemon initiated phase 2, or the peer.
    pub role: Role,
    /// The traffic selectors of the daemon's side.
    pub local: Vec<TrafficSelector>,
    /// The traffic selectors of the peer's side.
    pub remote: Vec<TrafficSelector>,
    /// Tunnel or transport mode.
    pub mode: ChildMode,
    /// The Diffie-Hellman group by its IANA number, if phase 2 has a key exchange of its own (perfect forward secrecy).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<u16>,
    /// The algorithms that protect the traffic.
    pub proposal: ChildProposal,
}

/// How packets are encapsulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChildMode {
    /// Tunnel mode: whole packets are encapsulated.
    Tunnel,
    /// Transport mode: only the payloads are encapsulated.
    Transport,
}

/// A traffic selector: a range of addresses and of ports (RFC 7296 §3.13.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TrafficSelector {
    /// The first address.
    pub from: IpAddr,
    /// The last address.
    pub to: IpAddr,
    /// The IP protocol number; 0 for any.
    #[serde(default)]
    pub protocol: u8,
    /// The first port; 0 if it is missing.
    #[serde(default)]
    pub from_port: u16,
    /// The last port; 65535 if it is missing.
    #[serde(default = "last_port")]
    pub to_port: u16,
}

fn last_port() -> u16 {
    u16::MAX
}

/// The proposal that was selected in phase 2, with the transform numbers of IKEv2. A daemon translates those of IKEv1.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ChildProposal {
    /// `esp` or `ah`.
    pub protocol: Protocol,
    /// The encryption algorithm (transform type 1). ESP must have one; AH has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<u16>,
    /// The key length in bits, if it was negotiated: with ESP that of the encryption algorithm, with AH that of the integrity algorithm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_length: Option<u16>,
    /// The integrity algorithm (transform type 3). AH must have one; ESP has none if the encryption algorithm authenticates, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integrity: Option<u16>,
    /// The lifetime in seconds, as the daemon is configured; `None` if it is unlimited or the daemon did not tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub life_seconds: Option<u32>,
    /// The lifetime in kilobytes of 1024 octets, as the daemon is configured; `None` if it is unlimited or the daemon did not tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub life_kbytes: Option<u32>,
    /// Whether packets are compressed (IPComp). charon says whether its configuration offers that, because the peer has not agreed yet.
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

/// The authorizer's answer: whether the peer may connect, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// [`VERSION`].
    pub v: u32,
    /// The first 64 characters of the question's `id`; empty if what came was not a question.
    pub id: String,
    /// Whether the peer may connect.
    pub decision: Verdict,
    /// The step that denied; if all steps agreed, the last one that was taken.
    pub step: Step,
    /// The reason, as a sentence for people.
    pub reason: String,
    /// The name of the decision in the decision log. A denial that is given again has the name of the first one.
    pub trace: String,
}

/// Whether a peer may connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The peer may connect.
    Allow,
    /// The peer may not connect.
    Deny,
}

/// The steps of a decision, in the order in which they are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Reading the question. It denies if the question is malformed, if the policy's vocabulary cannot express it, or if it comes without
    /// the peer's certificate and none can be looked up.
    Question,
    /// Validating the certification path.
    Path,
    /// Checking that no certificate of the path is revoked.
    Status,
    /// Comparing the ID payload with the certificate, and an identity that is an IP address with the address that the packets come from.
    Identity,
    /// Asking the KeyNote policy.
    Policy,
    /// None of the other steps: the authorizer was unable to decide, for instance because the time ran out.
    Authorizer,
}

/// Octets, which are written in Base64.
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

/// A secret, which is written in Base64. It is wiped when it is dropped, and `Debug` does not show it.
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
