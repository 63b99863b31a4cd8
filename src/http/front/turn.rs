//! Whose turn it is on a connection. A request is worked on when the answer before it has left, and what stands behind it is not
//! read until its own has.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use countersign_ldap_bridge::places::{Doing, Place};

use super::framing::Framing;

/// The state of a connection, which its stream and its requests share.
pub struct Turn {
    place: Place,
    /// Whether a request is worked on, or its answer is being made.
    serves: Cell<bool>,
    /// What the client's next octets belong to; `None` while a head was handed on, and its request is not begun with.
    framing: Cell<Option<Framing>>,
    /// Whether something of an answer may not have left.
    is_unsent: Cell<bool>,
    /// Who would read on.
    reader: RefCell<Option<Waker>>,
    /// Who would begin with the next request.
    next: RefCell<Option<Waker>>,
}

impl Turn {
    pub fn new(place: Place) -> Rc<Self> {
        Rc::new(Self {
            place,
            serves: Cell::new(false),
            framing: Cell::new(Some(Framing::HEAD)),
            is_unsent: Cell::new(false),
            reader: RefCell::default(),
            next: RefCell::default(),
        })
    }

    /// Whether others need the connection's place.
    pub fn is_ended(&self, context: &Context<'_>) -> bool {
        self.place.is_ended(context)
    }

    /// Whether nothing is read from the client now. Of what belongs to a request that is worked on, something may be to come.
    pub fn is_closed(&self) -> bool {
        match self.framing.get() {
            None => true,
            Some(Framing::Head(_)) => self.serves.get() || self.is_unsent.get(),
            Some(_) => !self.serves.get() && self.is_unsent.get(),
        }
    }

    /// How many of these octets may be handed on, to the end of a head or a body at most. They count as handed on.
    pub fn hand_on(&self, octets: &[u8]) -> usize {
        let Some(mut framing) = self.framing.get() else { return 0 };
        let is_head = matches!(framing, Framing::Head(_));
        let (most, ends) = framing.take(octets);
        self.framing.set(match (ends, is_head) {
            (false, _) => Some(framing),
            (true, true) => None,
            (true, false) => Some(Framing::HEAD),
        });
        most
    }

    /// Has the task woken when there is something to read for again.
    pub fn await_open(&self, context: &Context<'_>) {
        *self.reader.borrow_mut() = Some(context.waker().clone());
    }

    /// Begins with a request, which may have a body, when the answers before it have left.
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
        self.place.note(if body.is_some() { Doing::Waiting } else { Doing::Working });
        wake(&self.reader);
        Serving(Rc::clone(self))
    }

    /// The body is here.
    pub fn has_body(&self) {
        self.place.note(Doing::Working);
    }

    /// Part of the answer goes out.
    pub fn answers(&self) {
        self.place.note(Doing::Waiting);
    }

    /// Everything that was made has left.
    pub fn has_left(&self) {
        if self.serves.get() || !self.is_unsent.get() {
            return;
        }
        self.is_unsent.set(false);
        self.place.note(Doing::Idle);
        wake(&self.next);
        wake(&self.reader);
    }
}

fn wake(waiting: &RefCell<Option<Waker>>) {
    if let Some(waker) = waiting.borrow_mut().take() {
        waker.wake();
    }
}

/// A request that is worked on. When this is dropped, its answer is made, or nobody waits for it any more.
pub struct Serving(Rc<Turn>);

impl Serving {
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
