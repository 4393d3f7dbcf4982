//! What the kernel is done with, for whoever sent it and asked to be told: a cookie
//! each, or the frame.
//!
//! Every xsk has a queue of them, of a size fixed when it is made. A place in it is
//! taken when the frame is sent, so that there always is one when it completes: what is
//! outstanding and what nobody has read are at most as many as there are places.
//! Whichever xsk of a NIC queue looks at the completion ring puts each cookie into the
//! queue of the xsk that sent it.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;

use crate::kernel::InterfaceId;
use crate::memory::Frame;

/// A transmission that was to be [reported](crate::XskTx::transmit_tagged) has ended.
#[derive(Debug)]
#[non_exhaustive]
pub struct Completion {
    /// What the sender named it by.
    pub cookie: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// The frame, if it was to be [returned](crate::XskTx::transmit_returning) and the
    /// kernel does not have it. It is as it was when it was sent, and counts as one that
    /// the application made.
    pub frame: Option<Frame>,
}

/// How a transmission ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The kernel is done with the frame. It sent it, or dropped it: it does not say of
    /// which frame, only [how many](crate::TxCounters::dropped_by_kernel).
    Sent,
    /// The xsk ended before the kernel said that it was done: the interface is gone, or
    /// the worker stopped. If the frame had reached the kernel, nobody knows whether it
    /// was sent, and it is not returned.
    Aborted,
}

/// The completions of one xsk that nobody has read, oldest first. Iterating reads them;
/// what is left is there next time.
#[derive(Debug)]
pub struct Completions<'a>(&'a Rc<Log>);

/// The [`Completions`] of an xsk, for longer than the xsk: as it drops, what is in transmit
/// [ends](Outcome::Aborted), and can be read here.
///
/// A clone is another handle to the same completions, of which each is read once.
#[derive(Clone, Debug)]
pub struct CompletionQueue(Rc<Log>);

/// A queue of completions.
///
/// # Invariants
///
/// `free` places are neither taken by an entry, from `read` to `written`, nor reserved
/// for a transmission that is outstanding.
pub(crate) struct Log {
    interface: InterfaceId,
    capacity: u32,
    /// Made when the first transmission is to be reported; a power of two of them.
    entries: OnceCell<Box<[Cell<Entry>]>>,
    /// The frames of entries, by their positions. Made when the first one comes back.
    frames: OnceCell<Box<[Cell<Option<Frame>>]>>,
    free: Cell<u32>,
    read: Cell<u32>,
    written: Cell<u32>,
}

#[derive(Clone, Copy)]
struct Entry {
    cookie: u64,
    outcome: Outcome,
    has_frame: bool,
}

impl Entry {
    const NONE: Self = Self {
        cookie: 0,
        outcome: Outcome::Sent,
        has_frame: false,
    };
}

impl Log {
    /// The most places that a queue can have.
    pub(super) const MOST: u32 = 1 << 24;

    pub(super) fn new(interface: InterfaceId, capacity: u32) -> Rc<Self> {
        Rc::new(Self {
            interface,
            capacity: capacity.min(Self::MOST),
            entries: OnceCell::new(),
            frames: OnceCell::new(),
            free: Cell::new(0),
            read: Cell::new(0),
            written: Cell::new(0),
        })
    }

    /// Whether there is a place for one more, as far as is known without a look.
    #[inline]
    pub(super) fn has_room(&self) -> bool {
        self.free.get() > 0
    }

    /// Whether there is a place for one more.
    pub(super) fn make_room(&self) -> bool {
        if self.entries.get().is_none() {
            let places = self.capacity.next_power_of_two();
            let make = || (0..places).map(|_| Cell::new(Entry::NONE)).collect();
            self.entries.get_or_init(make);
            self.free.set(self.capacity);
        }
        self.has_room()
    }

    /// Places that are free.
    pub(super) fn room(&self) -> u32 {
        match self.entries.get() {
            Some(_) => self.free.get(),
            None => self.capacity,
        }
    }

    /// Takes a place, which there is.
    #[inline]
    pub(super) fn reserve(&self) {
        self.free.set(self.free.get() - 1);
    }

    /// Adds the end of a transmission for which a place was reserved.
    #[inline]
    pub(super) fn push(&self, cookie: u64, outcome: Outcome) {
        self.write(Entry {
            cookie,
            outcome,
            has_frame: false,
        });
    }

    /// As [`push`](Self::push), for one whose frame is back.
    pub(super) fn push_frame(&self, cookie: u64, outcome: Outcome, frame: Frame) {
        if let Some(place) = place(self.frames(), self.written.get()) {
            place.set(Some(frame));
        }
        self.write(Entry {
            cookie,
            outcome,
            has_frame: true,
        });
    }

    #[inline]
    fn write(&self, entry: Entry) {
        let written = self.written.get();
        let entries = self.entries.get();
        if let Some(place) = entries.and_then(|entries| place(entries, written)) {
            place.set(entry);
            self.written.set(written.wrapping_add(1));
        }
    }

    #[inline]
    fn peek(&self, ahead: u32) -> Option<Entry> {
        if ahead >= self.unread() {
            return None;
        }
        let place = place(self.entries.get()?, self.read.get().wrapping_add(ahead))?;
        Some(place.get())
    }

    #[inline]
    fn take(&self) -> Option<Completion> {
        let entry = self.peek(0)?;
        let read = self.read.get();
        let frame = if entry.has_frame {
            place(self.frames(), read).and_then(Cell::take)
        } else {
            None
        };
        self.read.set(read.wrapping_add(1));
        self.free.set(self.free.get() + 1);
        Some(Completion {
            cookie: entry.cookie,
            outcome: entry.outcome,
            frame,
        })
    }

    /// Completions that nobody has read.
    #[inline]
    pub(super) fn unread(&self) -> u32 {
        self.written.get().wrapping_sub(self.read.get())
    }

    /// Transmissions to be reported that have not ended.
    pub(super) fn outstanding(&self) -> u32 {
        self.capacity - self.room() - self.unread()
    }

    #[inline]
    fn frames(&self) -> &[Cell<Option<Frame>>] {
        let places = self.entries.get().map_or(0, |entries| entries.len());
        let make = || (0..places).map(|_| Cell::default()).collect();
        self.frames.get_or_init(make)
    }
}

/// The place of an index that runs freely, among a power of two of them.
#[inline]
fn place<T>(places: &[T], index: u32) -> Option<&T> {
    places.get(index as usize & places.len().wrapping_sub(1))
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log")
            .field("capacity", &self.capacity)
            .field("unread", &self.unread())
            .field("outstanding", &self.outstanding())
            .finish_non_exhaustive()
    }
}

impl<'a> Completions<'a> {
    pub(super) fn new(log: &'a Rc<Log>) -> Self {
        Self(log)
    }

    /// The number of completions that can be read.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.unread() as usize
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.unread() == 0
    }

    /// The cookie and the outcome of the next, which is not read by that.
    #[must_use]
    pub fn peek(&self) -> Option<(u64, Outcome)> {
        self.peek_all().next()
    }

    /// The cookies and the outcomes of all that can be read, in order. None of them is
    /// read by that.
    pub fn peek_all(&self) -> impl Iterator<Item = (u64, Outcome)> + '_ {
        let entries = (0..).map_while(|ahead| self.0.peek(ahead));
        entries.map(|entry| (entry.cookie, entry.outcome))
    }

    /// Transmissions to be reported that have not ended.
    #[must_use]
    pub fn outstanding(&self) -> u32 {
        self.0.outstanding()
    }

    /// The interface that the frames were sent on.
    #[must_use]
    pub fn interface(&self) -> InterfaceId {
        self.0.interface
    }
}

impl Iterator for Completions<'_> {
    type Item = Completion;

    /// Reads the next.
    #[inline]
    fn next(&mut self) -> Option<Completion> {
        self.0.take()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len(), Some(self.len()))
    }
}

impl CompletionQueue {
    pub(super) fn new(log: &Rc<Log>) -> Self {
        Self(Rc::clone(log))
    }

    /// The completions that can be read now.
    #[must_use]
    pub fn completions(&self) -> Completions<'_> {
        Completions::new(&self.0)
    }
}
