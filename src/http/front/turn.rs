//! The turn on a connection: either the client may send, or the server may answer. A request begins when the previous answer has left,
//! and the octets after the request are not read until its own answer has left.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use countersign_ldap_bridge::slots::{Activity, ConnectionSlot};

use super::framing::{Advanced, Framing};

/// The state of a connection, which its stream and its requests share.
pub struct Turn {
    slot: ConnectionSlot,
    /// Whether a request is worked on, or its answer is made.
    serves: Cell<bool>,
    /// The part of a request that the client's next octets belong to. `None` between the end of a head and the start of its request.
    framing: Cell<Option<Framing>>,
    /// Whether part of an answer may still be in the service's buffer.
    is_unsent: Cell<bool>,
    /// The task that waits to read from the client.
    reader: RefCell<Option<Waker>>,
    /// The task that waits to begin with the next request.
    next: RefCell<Option<Waker>>,
}

impl Turn {
    /// The state of a new connection: the client may send a request.
    pub fn new(slot: ConnectionSlot) -> Rc<Self> {
        Rc::new(Self {
            slot,
            serves: Cell::new(false),
            framing: Cell::new(Some(Framing::HEAD)),
            is_unsent: Cell::new(false),
            reader: RefCell::default(),
            next: RefCell::default(),
        })
    }

    /// Whether the connection must end, because other clients need its slot.
    pub fn is_ended(&self, context: &Context<'_>) -> bool {
        self.slot.is_ended(context)
    }

    /// Notes the present activity of a connection that no request of the service works on.
    pub fn note(&self, activity: Activity) {
        self.slot.note(activity);
    }

    /// Whether nothing may be read from the client now. While a request is worked on, the rest of its body may be read.
    pub fn is_closed(&self) -> bool {
        match self.framing.get() {
            None => true,
            Some(Framing::Head(_)) => self.serves.get() || self.is_unsent.get(),
            Some(_) => !self.serves.get() && self.is_unsent.get(),
        }
    }

    /// How many of these octets the service may have: at most those up to the end of a head or body. The caller must hand them on.
    pub fn hand_on(&self, octets: &[u8]) -> usize {
        let Some(mut framing) = self.framing.get() else { return 0 };
        let is_head = matches!(framing, Framing::Head(_));
        let Advanced { octets: most, ends } = framing.advance(octets);
        self.framing.set(match (ends, is_head) {
            (false, _) => Some(framing),
            (true, true) => None,
            (true, false) => Some(Framing::HEAD),
        });
        most
    }

    /// Has the task of `context` woken when the client may be read again.
    pub fn await_open(&self, context: &Context<'_>) {
        *self.reader.borrow_mut() = Some(context.waker().clone());
    }

    /// Waits until the answers to earlier requests have left, and begins with a request. `body` is the framing of its body, if it has one.
    pub async fn begin(self: &Rc<Self>, body: Option<Framing>) -> Serving {
        poll_fn(|context| {
            if self.serves.get() || self.is_unsent.get() {
                *self.next.borrow_mut() = Some(context.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
        self.serves.set(true);
        self.framing.set(Some(body.unwrap_or(Framing::HEAD)));
        self.slot.note(if body.is_some() { Activity::Waiting } else { Activity::Working });
        wake(&self.reader);
        Serving(Rc::clone(self))
    }

    /// Notes that the request's body has arrived whole.
    pub fn has_body(&self) {
        self.slot.note(Activity::Working);
    }

    /// Notes that part of the answer was sent.
    pub fn answers(&self) {
        self.slot.note(Activity::Waiting);
    }

    /// Notes that the service has written everything that it has. If the answer is complete, the next request may begin.
    pub fn has_left(&self) {
        if self.serves.get() || !self.is_unsent.get() {
            return;
        }
        self.is_unsent.set(false);
        self.slot.note(Activity::Idle);
        wake(&self.next);
        wake(&self.reader);
    }
}

fn wake(waiting: &RefCell<Option<Waker>>) {
    if let Some(waker) = waiting.borrow_mut().take() {
        waker.wake();
    }
}

/// A request that is worked on. It is dropped when its answer is made, or when the client has gone.
pub struct Serving(Rc<Turn>);

impl Serving {
    /// The state of the request's connection.
    pub fn turn(&self) -> &Rc<Turn> {
        &self.0
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.serves.set(false);
        self.0.is_unsent.set(true);
    }
}
