//! What the clients of all protocols share: trust, the certificate that is asked for, its PKCS #10 request, the checks of the certificate that
//! came, and HTTP. No file is read or written here; trust, time and randomness are handed in.

mod credential;
mod error;
mod examine;
pub(crate) mod http;
mod issued;
pub(crate) mod pkcs10;
mod request;
mod tls;
mod trust;
pub(crate) mod wait;

pub use credential::Credential;
pub(crate) use credential::sign;
pub use error::{ClientError, Refusal};
pub(crate) use examine::{Arrived, Examined, Roots};
pub use http::{MAX_ANSWER, Web};
pub use issued::{Confirmation, Issued};
pub use request::{Body, EnrolmentRequest};
pub use tls::TlsTrust;
pub use trust::{Anchors, Paths};
