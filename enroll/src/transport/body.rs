//! Reads the body of a request: within bounds of octets and time, and so that large bodies cannot fill the memory together.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::{BodyStream, MessageBody};
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_LENGTH, RETRY_AFTER};
use actix_web::{HttpRequest, HttpResponse, web};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::response::{BUSY, RETRY_AFTER_SECONDS, closing, no_store};

/// The number of octets at the beginning of each body that do not count against the bound on all bodies together. Nearly every enrolment
/// message is smaller.
pub const SMALL: usize = 16 << 10;

/// The default of [`BodyBounds::large`], in octets.
const LARGE: usize = 32 << 20;

/// The default of [`BodyBounds::timeout`]. A message has about a kilobyte.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Bounds on the bodies of requests. Clones share the bound on all bodies together.
#[derive(Debug, Clone)]
pub struct BodyBounds {
    /// The largest body, in octets.
    pub octets: usize,
    /// The time within which a body must arrive whole, from when it begins to be read.
    pub timeout: Duration,
    /// One permit for each octet that all bodies together may have beyond the first 16 KiB of each.
    large: Arc<Semaphore>,
}

/// A body that has arrived. Its octets count against the bound on large bodies until it is dropped.
pub struct Body {
    /// The body, whole.
    pub octets: Vec<u8>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Body {
    /// A message that came in the head of a request, whose size is bounded already.
    pub const fn small(octets: Vec<u8>) -> Self {
        Self { octets, _permit: None }
    }
}

/// Why a body was not read to its end: a status, and a line of text.
struct Unread {
    status: StatusCode,
    line: String,
}

impl BodyBounds {
    /// Bounds each body to this many octets and 10 seconds, and all bodies together to 32 MiB beyond the first 16 KiB of each.
    pub fn new(octets: usize) -> Self {
        Self { octets, timeout: TIMEOUT, large: Arc::new(Semaphore::new(LARGE)) }
    }

    /// Bounds all bodies together to this many octets beyond the first 16 KiB of each. A body beyond that is answered "busy".
    #[must_use]
    pub fn with_large(mut self, octets: usize) -> Self {
        self.large = Arc::new(Semaphore::new(octets.min(Semaphore::MAX_PERMITS)));
        self
    }

    /// Reads the body of a request, whole.
    ///
    /// # Errors
    /// The answer that refuses the body, with the status 400, 408, 413 or 503. It closes the connection: the rest of the body is not
    /// waited for.
    pub async fn read(
        &self,
        request: &HttpRequest,
        payload: web::Payload,
    ) -> Result<Body, Box<HttpResponse>> {
        let content_length =
            request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        let content_length = content_length.and_then(|text| text.parse::<usize>().ok());
        let mut stream = Box::pin(BodyStream::new(payload.into_inner()));
        let arriving = self.arrive(content_length, stream.as_mut());
        let late = |_| {
            let line = "the body took too long to arrive".to_owned();
            Err(Unread { status: StatusCode::REQUEST_TIMEOUT, line })
        };
        let arrived = tokio::time::timeout(self.timeout, arriving).await.unwrap_or_else(late);
        arrived.map_err(|Unread { status, line }| {
            let mut refusal = no_store(status);
            if status == StatusCode::SERVICE_UNAVAILABLE {
                refusal.insert_header((RETRY_AFTER, RETRY_AFTER_SECONDS));
            }
            Box::new(closing(refusal, &line, stream))
        })
    }

    /// Reads a body to its end. `content_length` is the value of the header field Content-Length; `None` if there is none or it is no
    /// number.
    async fn arrive(
        &self,
        content_length: Option<usize>,
        mut stream: Pin<&mut impl MessageBody>,
    ) -> Result<Body, Unread> {
        let limit = self.octets;
        let too_large = || Unread {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            line: format!("expected at most {limit} octets"),
        };
        let no_room = || Unread { status: StatusCode::SERVICE_UNAVAILABLE, line: BUSY.to_owned() };
        if content_length.is_some_and(|length| length > limit) {
            return Err(too_large());
        }
        let (mut octets, mut permit) = (Vec::new(), None);
        while let Some(chunk) = poll_fn(|cx| stream.as_mut().poll_next(cx)).await {
            let chunk = chunk.map_err(|_| Unread {
                status: StatusCode::BAD_REQUEST,
                line: "the body was cut off".to_owned(),
            })?;
            if octets.len().saturating_add(chunk.len()) > limit {
                return Err(too_large());
            }
            let beyond = chunk.len().min((octets.len() + chunk.len()).saturating_sub(SMALL));
            if beyond > 0 {
                self.acquire(&mut permit, beyond).ok_or_else(no_room)?;
            }
            octets.extend_from_slice(&chunk);
        }
        Ok(Body { octets, _permit: permit })
    }

    /// Takes a permit for this many more octets of a large body, and merges it into `permit`; `None` if all large bodies together would be
    /// too large.
    fn acquire(&self, permit: &mut Option<OwnedSemaphorePermit>, octets: usize) -> Option<()> {
        let octets = u32::try_from(octets).ok()?;
        let more = Arc::clone(&self.large).try_acquire_many_owned(octets).ok()?;
        match permit {
            Some(permit) => permit.merge(more),
            None => *permit = Some(more),
        }
        Some(())
    }
}
