//! Whose turn it is on a connection. A request is worked on when the answer before it has left, and what stands behind it is not
//! read until its own has.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use countersign_ldap_bridge::places::{Doing, Place};

/// The state of a connection, which its stream and its requests share.
pub struct Turn {
    place: Place,
    /// Whether a request is worked on, or its answer is being made.
    serves: Cell<bool>,
    /// Whether the body of that request may have more octets.
    awaits_body: Cell<bool>,
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
            awaits_body: Cell::new(false),
            is_unsent: Cell::new(false),
            reader: RefCell::default(),
            next: RefCell::default(),
        })
    }

    /// Whether others need the connection's place.
    pub fn is_ended(&self, context: &Context<'_>) -> bool {
        self.place.is_ended(context)
    }

    /// Whether nothing is read from the client now.
    pub fn is_closed(&self) -> bool {
        match self.serves.get() {
            true => !self.awaits_body.get(),
            false => self.is_unsent.get(),
        }
    }

    /// Has the task woken when there is something to read for again.
    pub fn await_open(&self, context: &Context<'_>) {
        *self.reader.borrow_mut() = Some(context.waker().clone());
    }

    /// Begins with a request when the answers before it have left.
    pub async fn begin(self: &Rc<Self>, has_body: bool) -> Serving {
        poll_fn(|context| {
            if self.serves.get() || self.is_unsent.get() {
                *self.next.borrow_mut() = Some(context.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
        self.serves.set(true);
        self.awaits_body.set(has_body);
        self.place.note(if has_body { Doing::Waiting } else { Doing::Working });
        Serving(Rc::clone(self))
    }

    /// The body is here.
    pub fn has_body(&self) {
        self.awaits_body.set(false);
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
        for waiting in [&self.next, &self.reader] {
            if let Some(waker) = waiting.borrow_mut().take() {
                waker.wake();
            }
        }
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
