//! Frame → TX ring.
#![expect(unsafe_code, reason = "a record by a number that is known to be one")]

use std::cell::Cell;
use std::ptr::NonNull;
use std::rc::Rc;

use crate::kernel::sys::if_xdp::Descriptor;
use crate::memory::frame::Frame;
use crate::memory::handle::{Handle, UmemPointer};
use crate::memory::ledger::{Record, XskRecords};
use crate::memory::links::Next;
use crate::memory::umem::UmemState;

/// Makes descriptors of the frames that one xsk sends: of all in a run, of which
/// each has the same record and becomes the same, with little more than a
/// comparison.
///
/// # Invariants
///
/// `records` is the first record of the UMEM, which has one for each chunk.
pub(crate) struct Transmitter {
    umem: Rc<UmemState>,
    pointer: UmemPointer,
    records: NonNull<Cell<Record>>,
    xsk: XskRecords,
    from: Record,
    to: Record,
    /// The cookies of the chunks; none before the first was sent.
    cookies: Rc<[Cell<u64>]>,
}

/// What is reported of a frame when the kernel is done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Report {
    /// The cookie.
    Cookie,
    /// The cookie and the frame.
    Frame,
}

/// Where a frame lies that is about to be sent.
#[derive(Clone, Copy)]
pub(crate) struct Outgoing {
    chunk: u32,
    addr: u64,
    extent: u64,
}

impl Outgoing {
    pub(crate) fn of(frame: &Frame) -> Self {
        Self {
            chunk: frame.chunk(),
            addr: frame.addr(),
            extent: frame.extent(),
        }
    }
}

impl Transmitter {
    pub(crate) fn new(umem: &Rc<UmemState>, xsk: XskRecords) -> Self {
        Self {
            umem: Rc::clone(umem),
            pointer: UmemPointer::of(umem),
            records: NonNull::from(umem.ledger.records()).cast(),
            xsk,
            from: Record::NEVER,
            to: Record::NEVER,
            cookies: Rc::default(),
        }
    }

    #[inline]
    pub(crate) fn umem(&self) -> &Rc<UmemState> {
        &self.umem
    }

    /// Whether a frame belongs to the UMEM.
    #[inline]
    pub(crate) fn owns(&self, frame: &Frame) -> bool {
        frame.pointer() == self.pointer
    }

    /// Application → TX ring, for a frame of the run: it has bytes, lies in one chunk,
    /// belongs to the UMEM, and its record is the run's. Returns any other frame.
    ///
    /// The frame stays counted, and what it is charged is not changed, until the run
    /// is [settled](Self::settle).
    #[inline(always)]
    pub(crate) fn run(&self, frame: Frame) -> Result<Descriptor, Frame> {
        self.run_to(frame, self.to)
    }

    /// As [`run`](Self::run), and has `cookie` reported when the kernel is done with the
    /// frame.
    #[inline(always)]
    pub(crate) fn run_tagged(&self, frame: Frame, cookie: u64) -> Result<Descriptor, Frame> {
        let Some(place) = self.cookies.get(frame.chunk() as usize) else {
            return Err(frame);
        };
        let descriptor = self.run_to(frame, self.to.tagged())?;
        place.set(cookie);
        Ok(descriptor)
    }

    /// As [`run_tagged`](Self::run_tagged), and has the frame come back with it.
    #[inline]
    pub(crate) fn run_returning(&self, frame: Frame, cookie: u64) -> Result<Descriptor, Frame> {
        let (chunk, place) = (frame.chunk(), (frame.addr(), frame.extent()));
        let Some(cookie_place) = self.cookies.get(chunk as usize) else {
            return Err(frame);
        };
        let descriptor = self.run_to(frame, self.to.returning())?;
        cookie_place.set(cookie);
        self.umem.tags.remember_plain(chunk, place);
        Ok(descriptor)
    }

    #[inline(always)]
    fn run_to(&self, frame: Frame, to: Record) -> Result<Descriptor, Frame> {
        if frame.pointer() != self.pointer || !frame.is_plain() {
            return Err(frame);
        }
        // SAFETY: by its invariant the frame's chunk is one of its UMEM, which is this
        // one, and by ours there is a record for each.
        let cell = unsafe { self.records.add(frame.chunk() as usize) };
        // SAFETY: the records live as long as `umem`, and nobody has them but behind
        // shared references, on this thread.
        let cell = unsafe { cell.as_ref() };
        if cell.get() != self.from {
            return Err(frame);
        }
        cell.set(to);
        let descriptor = Descriptor::with_extent(frame.addr(), frame.extent());
        frame.leave_counted();
        Ok(descriptor)
    }

    /// Application → TX ring, for any frame in one chunk that belongs to the UMEM and
    /// has bytes. The next run is of its kind. Returns whether the application made it.
    pub(crate) fn first(&mut self, frame: Frame) -> (Descriptor, bool) {
        let descriptor = Descriptor::with_extent(frame.addr(), frame.extent());
        let from = self.umem.ledger.transmit(&frame.into_claim(), &self.xsk);
        self.from = from;
        self.to = self.xsk.sent(from);
        (descriptor, from.is_made())
    }

    /// Has a frame reported that was sent just now, and not as one of the run: with its
    /// cookie, when the kernel is done with it.
    pub(crate) fn report(&mut self, sent: Outgoing, cookie: u64, report: Report) {
        let UmemState { ledger, tags, .. } = &*self.umem;
        self.cookies = Rc::clone(tags.cookies());
        let links = &self.umem.backing().links;
        let chunks = || {
            let parts = links.parts(Next::of_extent(sent.extent));
            std::iter::once(sent.chunk).chain(parts.map(|part| part.place.chunk))
        };
        let last = chunks().last().expect("the first, if no other");
        match report {
            Report::Cookie => {
                ledger.tag(last);
                tags.cookies()[last as usize].set(cookie);
            }
            Report::Frame => {
                chunks().for_each(|chunk| ledger.let_return(chunk, chunk == last));
                tags.remember(sent.chunk, (sent.addr, sent.extent), chunks());
                tags.cookies()[sent.chunk as usize].set(cookie);
            }
        }
    }

    /// Whether the application made the frames of the run.
    #[inline]
    pub(crate) fn run_is_made(&self) -> bool {
        self.from.is_made()
    }

    /// Counts `frames` of the run that have been sent.
    #[inline]
    pub(crate) fn settle(&self, frames: u32) {
        if self.from.is_made() {
            self.umem.ledger.charge(self.xsk.queue, frames);
        } else {
            self.umem.ledger.let_go(self.from.xsk(), frames);
        }
        Handle::release(&self.umem, frames);
    }
}
