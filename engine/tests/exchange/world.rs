//! Several UMEMs with xsks, NICs and frames, of which nothing says which belongs to
//! which: what an application may do with them, one random step at a time.

use std::collections::{HashMap, HashSet};
use std::mem::{forget, swap};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use wharf::{
    Amount, ChunkSize, CompletionQueue, Copybreak, DetachedFrame, Frame, LimitPolicy, Limits,
    MultiBuffer, RingCapacity, SimulatedNic, Umem, UmemConfig, Xsk, XskConfig,
};

use crate::tagged::{self, Tagged};

/// UMEMs at a time, of which the last has unaligned chunks.
const UMEMS: usize = 3;
/// Chunks of each.
const CHUNKS: u32 = 192;
/// Entries of a ring.
const RING: u32 = 64;
/// Xsks at a time, at most.
const XSKS: usize = 8;
/// Frames that the application holds at most.
const HELD: usize = 96;

/// Whether the kernel keeps its part of the contract.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    Honest,
    Lying,
}

/// Numbers that look random, the same for a seed.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let high = usize::try_from(self.0 >> 33).expect("31 bits");
        high % limit.max(1)
    }

    fn small(&mut self, limit: u32) -> u32 {
        u32::try_from(self.below(limit as usize)).expect("below a u32")
    }
}

type Detached = Tagged<DetachedFrame>;

pub struct World {
    random: Random,
    kernel: Kernel,
    umems: Vec<Umem>,
    xsks: Vec<Xsk>,
    nics: Vec<SimulatedNic>,
    held: Vec<Tagged<Frame>>,
    detached: Vec<Detached>,
    next_tag: u64,
    /// Frames that a NIC delivered, or an application sent, and which have not come
    /// out on the other side.
    under_way: HashSet<u64>,
    /// How often a frame is in transmit and its end is to be reported, by its tag.
    reported: HashMap<u64, u32>,
    /// The completions of every xsk that there was.
    completions: Vec<CompletionQueue>,
    far: Option<Sender<Detached>>,
    back: Receiver<Detached>,
    far_thread: Option<JoinHandle<()>>,
}

impl World {
    pub fn new(seed: u64, kernel: Kernel) -> Self {
        let (far, to_do) = channel::<Detached>();
        let (done, back) = channel();
        let far_thread = std::thread::spawn(move || far_away(&to_do, &done));
        let mut world = Self {
            random: Random::new(seed),
            kernel,
            umems: (0..UMEMS).map(umem).collect(),
            xsks: Vec::new(),
            nics: Vec::new(),
            held: Vec::new(),
            detached: Vec::new(),
            next_tag: 0,
            under_way: HashSet::new(),
            reported: HashMap::new(),
            completions: Vec::new(),
            far: Some(far),
            back,
            far_thread: Some(far_thread),
        };
        (0..UMEMS).for_each(|_| world.bind());
        world
    }

    /// Does something, and checks that all is still right.
    pub fn step(&mut self) {
        match self.random.below(47) {
            0..=5 => self.deliver(),
            6..=9 => self.receive(),
            10..=13 => self.transmit(),
            14..=17 => self.send_and_complete(),
            18..=19 => self.allocate(),
            20 => self.drop_held(),
            21 => self.change_length(),
            22 => self.append(),
            23..=24 => self.detach(),
            25..=26 => self.attach(),
            27 => self.receive_two_batches(),
            28 => self.exchange_views(),
            29 => self.forward_and_exchange(),
            30..=31 => self.exchange_values(),
            32 => self.share(),
            33 => self.panic_in_a_batch(),
            34 => self.lie(),
            35 => self.check_all(),
            36 => match self.random.below(8) {
                0..=2 => self.bind(),
                3..=5 => self.drop_xsk(),
                6 => self.drop_nic(),
                _ => self.replace_umem(),
            },
            38 => self.read_completions(),
            37 => match self.random.below(50) {
                0 => forget(self.take_xsk()),
                1 => forget(self.take_held()),
                _ => self.recycle(),
            },
            39..=40 => self.hold_on(),
            41 => self.make_room_behind(),
            42 => self.change_limits(),
            43 => self.complete_everything(),
            _ => self.recycle(),
        }
        self.xsks.iter().for_each(|xsk| self.check_counts(xsk));
        for umem in &self.umems {
            let audit = umem.audit();
            assert!(audit.is_balanced(), "{audit:?}");
        }
    }

    /// Ends in some order, with frames that outlive all else.
    pub fn end(mut self) {
        self.check_all();
        self.far = None;
        let far = self.far_thread.take().expect("one thread");
        let back: Vec<_> = self.back.iter().collect();
        far.join()
            .expect("the far thread finds each frame as it was");
        back.iter().for_each(Detached::check);
        for _ in 0..4 {
            match self.random.below(4) {
                0 => self.umems.clear(),
                1 => self.xsks.clear(),
                2 => self.nics.clear(),
                _ => self.held.truncate(self.held.len() / 2),
            }
        }
        self.held.iter().for_each(Tagged::<Frame>::check);
    }

    fn tag(&mut self) -> u64 {
        self.next_tag += 1;
        self.next_tag
    }

    fn hold(&mut self, frame: Frame) {
        let tag = self.tag();
        let frame = Tagged::new(frame, tag);
        if self.held.len() == HELD {
            let place = self.random.below(HELD);
            self.held.swap_remove(place).check();
        }
        self.held.push(frame);
    }

    /// A received frame: as a NIC delivered it, unless the kernel lies.
    fn received(&mut self, frames: Vec<Frame>) {
        for frame in frames {
            if self.kernel == Kernel::Honest {
                let bytes: Vec<u8> = frame.segments().flatten().copied().collect();
                let tag = tagged::tag_of(&bytes);
                assert!(self.under_way.remove(&tag), "{tag:#x} was received twice");
            }
            self.hold(frame);
        }
    }

    fn take_held(&mut self) -> Option<Tagged<Frame>> {
        let place = self.random.below(self.held.len());
        let taken = (!self.held.is_empty()).then(|| self.held.swap_remove(place));
        taken.inspect(Tagged::<Frame>::check)
    }

    fn take_xsk(&mut self) -> Option<Xsk> {
        let place = self.random.below(self.xsks.len());
        (!self.xsks.is_empty()).then(|| self.xsks.swap_remove(place))
    }

    fn xsk(&mut self) -> Option<usize> {
        let place = self.random.below(self.xsks.len());
        (!self.xsks.is_empty()).then_some(place)
    }

    /// Two of the xsks.
    fn two(&mut self) -> Option<[usize; 2]> {
        let (one, other) = (self.xsk()?, self.xsk()?);
        (one != other).then_some([one, other])
    }

    fn nic(&mut self) -> Option<usize> {
        let place = self.random.below(self.nics.len());
        (!self.nics.is_empty()).then_some(place)
    }

    fn deliver(&mut self) {
        let Some(nic) = self.nic() else { return };
        for _ in 0..self.random.below(12) {
            let len = match self.random.below(6) {
                0 => self.random.below(9000),
                _ => self.random.below(1500),
            };
            let tag = self.tag();
            if self.nics[nic].deliver(&tagged::bytes(tag, len + 8)) {
                self.under_way.insert(tag);
            }
        }
    }

    fn receive(&mut self) {
        let (Some(xsk), max) = (self.xsk(), self.random.small(24)) else {
            return;
        };
        let most = self.random.below(24);
        let mut batch = self.xsks[xsk].receive(max);
        let frames: Vec<_> = batch.by_ref().take(most).collect();
        if self.random.below(4) == 0 {
            forget(batch);
        } else {
            drop(batch);
        }
        self.received(frames);
    }

    fn sent(&mut self, xsk: usize, tagged: Tagged<Frame>) {
        tagged.check();
        let Tagged { frame, tag } = tagged;
        let kind = self.random.below(3);
        let xsk = &mut self.xsks[xsk];
        let sent = match kind {
            0 => xsk.transmit(frame),
            1 => xsk.transmit_tagged(frame, tag),
            _ => xsk.transmit_returning(frame, tag),
        };
        match sent {
            Ok(()) => {
                self.under_way.insert(tag);
                *self.reported.entry(tag).or_default() += u32::from(kind > 0);
            }
            Err(error) => {
                let frame = error.into_frame();
                self.held.push(Tagged { frame, tag });
            }
        }
    }

    fn transmit(&mut self) {
        let Some(xsk) = self.xsk() else { return };
        for _ in 0..self.random.below(12) {
            let Some(frame) = self.take_held() else {
                return;
            };
            self.sent(xsk, frame);
        }
        match self.random.below(3) {
            0 => {}
            1 => self.xsks[xsk].publish(),
            _ => self.xsks[xsk].wake().expect("nothing to wake"),
        }
    }

    fn send_and_complete(&mut self) {
        let Some(nic) = self.nic() else { return };
        for _ in 0..self.random.below(12) {
            let Some(bytes) = self.nics[nic].transmitted() else {
                break;
            };
            let cut_short = bytes.len() < 8 || self.kernel == Kernel::Lying;
            if !cut_short {
                let tag = tagged::tag_of(&bytes);
                assert!(self.under_way.remove(&tag), "{tag:#x} was sent twice");
            }
        }
        if let Some(xsk) = self.xsk() {
            self.xsks[xsk].tx().complete();
        }
    }

    /// Each as often as it was to be reported, and no frame changed.
    fn read_completions(&mut self) {
        if self.completions.len() > 1 {
            let last = self.completions.len() - 1;
            let place = self.random.below(last);
            self.completions.swap(place, last);
        }
        let most = self.random.below(24);
        let completions = self.completions.last().map(CompletionQueue::completions);
        let read: Vec<_> = completions.into_iter().flatten().take(most).collect();
        for completion in read {
            let tag = completion.cookie;
            let left = self.reported.get_mut(&tag).expect("it was sent");
            *left = left.checked_sub(1).expect("it is reported once");
            if let Some(frame) = completion.frame {
                let frame = Tagged { frame, tag };
                frame.check();
                // Else it would be under way twice with one tag.
                if self.held.len() < HELD && !self.under_way.contains(&tag) {
                    self.held.push(frame);
                }
            }
        }
    }

    fn allocate(&mut self) {
        let umem = self.random.below(UMEMS);
        for _ in 0..self.random.below(8) {
            let len = self.random.small(1500) + 8;
            let Some(mut frame) = self.umems[umem].allocate() else {
                return;
            };
            frame.grow_back(len).expect("a chunk has as many");
            self.hold(frame);
        }
    }

    fn drop_held(&mut self) {
        for _ in 0..self.random.below(24) {
            self.take_held();
        }
    }

    fn change_length(&mut self) {
        let Some(Tagged { mut frame, .. }) = self.take_held() else {
            return;
        };
        let by = self.random.small(2000);
        // Too much is refused, and changes nothing.
        match self.random.below(4) {
            0 => frame.grow_front(by).map(drop),
            1 => frame.grow_back(by).map(drop),
            2 => frame.shrink_front(by),
            _ => frame.shrink_back(by),
        }
        .unwrap_or_default();
        if frame.total_len() >= 8 {
            self.hold(frame);
        }
    }

    fn append(&mut self) {
        let (Some(front), Some(end)) = (self.take_held(), self.take_held()) else {
            return;
        };
        let mut frame = front.frame;
        if let Err(error) = frame.append(end.frame) {
            self.hold(error.into_frame());
        }
        if self.random.below(8) == 0 {
            let first = u32::try_from(frame.len()).expect("a chunk");
            frame.shrink_front(first).expect("as many as there are");
        }
        if frame.total_len() >= 8 {
            self.hold(frame);
        }
    }

    fn detach(&mut self) {
        for _ in 0..self.random.below(6) {
            let Some(frame) = self.take_held() else {
                return;
            };
            match (self.random.below(3), &self.far) {
                (0, _) | (_, None) => self.detached.push(frame.detach()),
                (_, Some(far)) => far.send(frame.detach()).expect("it listens"),
            }
        }
    }

    /// Says of some frames that they stay, so that small ones are copied.
    fn hold_on(&mut self) {
        for _ in 0..self.random.below(12) {
            let Some(Tagged { frame, tag }) = self.take_held() else {
                return;
            };
            let frame = frame.hold();
            self.held.push(Tagged { frame, tag });
        }
    }

    /// For more bytes at the end, which moves copies out of small chunks.
    fn make_room_behind(&mut self) {
        for _ in 0..self.random.below(6) {
            let Some(Tagged { mut frame, tag }) = self.take_held() else {
                return;
            };
            let by = self.random.small(3000);
            let has_room = frame.ensure_tailroom(by).is_ok();
            assert_eq!(has_room, frame.tailroom() >= by);
            self.held.push(Tagged { frame, tag });
        }
    }

    fn change_limits(&mut self) {
        let (Some(xsk), limits) = (self.xsk(), self.limits()) else {
            return;
        };
        let before = self.xsks[xsk].limits();
        if self.xsks[xsk].set_limits(&limits).is_err() {
            assert_eq!(self.xsks[xsk].limits(), before);
        }
    }

    /// Completes what the kernel has, what it was never given, and what nobody sent.
    fn complete_everything(&mut self) {
        let (Some(nic), Kernel::Lying) = (self.nic(), self.kernel) else {
            return;
        };
        let stride = [4096, 3000][self.random.below(2)];
        for chunk in 0..u64::from(CHUNKS) {
            self.nics[nic].inject_completion(chunk * stride);
        }
        if let Some(xsk) = self.xsk() {
            self.xsks[xsk].tx().complete();
        }
    }

    /// Nothing that is counted wraps, whatever the kernel says; and only if it lies, it
    /// makes no sense.
    fn check_counts(&self, xsk: &Xsk) {
        let (usage, limits) = (xsk.usage(), xsk.limits());
        let in_flight = xsk.in_flight();
        let (received, sent) = (xsk.rx_counters(), xsk.tx_counters());
        assert!(limits.chunks <= CHUNKS && limits.floor <= limits.chunks);
        assert!(in_flight <= usage.in_transmit && usage.in_transmit <= RING);
        assert!(sent.completed <= sent.frames);
        if self.kernel == Kernel::Honest {
            assert!(usage.charged <= CHUNKS, "{usage:?}");
            assert!(usage.held <= CHUNKS, "{usage:?}");
            assert_eq!((received.invalid, sent.invalid), (0, 0));
        }
    }

    fn attach(&mut self) {
        let back: Vec<_> = self.back.try_iter().take(6).collect();
        let first = self.random.below(UMEMS);
        self.detached.extend(back);
        for _ in 0..self.random.below(6) {
            let Some(detached) = self.detached.pop() else {
                return;
            };
            detached.check();
            let Tagged { frame, tag } = detached;
            let mut candidates = (0..UMEMS).map(|place| &self.umems[(first + place) % UMEMS]);
            let attached = candidates.try_fold(frame, |frame, umem| match umem.attach(frame) {
                Ok(frame) => Err(frame),
                Err(frame) => Ok(frame),
            });
            // Else its UMEM has no handle any more.
            if let Err(frame) = attached {
                let frame = Tagged { frame, tag };
                frame.check();
                self.held.push(frame);
            }
        }
    }

    fn receive_two_batches(&mut self) {
        let Some(places) = self.two() else { return };
        let [first, second, third] = [(); 3].map(|()| self.random.below(6));
        let [one, other] = self.xsks.get_disjoint_mut(places).expect("two of them");
        let (mut a, mut b) = (one.receive(12), other.receive(12));
        let mut frames: Vec<_> = a.by_ref().take(first).collect();
        swap(&mut a, &mut b);
        frames.extend(a.by_ref().take(second));
        frames.extend(b.by_ref().take(third));
        match self.random.below(4) {
            0 => {
                forget(a);
                drop(b);
            }
            1 => {
                forget(b);
                drop(a);
            }
            2 => forget((a, b)),
            _ => drop((b, a)),
        }
        self.received(frames);
    }

    fn exchange_views(&mut self) {
        let Some(places) = self.two() else { return };
        let frame = self.take_held();
        let [one, other] = self.xsks.get_disjoint_mut(places).expect("two of them");
        let ((mut rx_a, mut tx_a), (mut rx_b, mut tx_b)) = (one.split(), other.split());
        swap(&mut rx_a, &mut rx_b);
        swap(&mut tx_a, &mut tx_b);
        let frames: Vec<_> = rx_a.receive(8).collect();
        rx_b.top_up();
        tx_b.complete();
        let sent = frame.map(|Tagged { frame, tag }| (tx_a.transmit(frame), tag));
        tx_a.publish();
        match sent {
            Some((Ok(()), tag)) => {
                self.under_way.insert(tag);
            }
            Some((Err(error), tag)) => {
                let frame = error.into_frame();
                self.held.push(Tagged { frame, tag });
            }
            None => {}
        }
        self.received(frames);
    }

    /// From one xsk's batch out of another, with frames exchanged on the way.
    fn forward_and_exchange(&mut self) {
        let Some(places) = self.two() else { return };
        let mut spare = self.take_held();
        let (mut tags, mut returned) = (Vec::new(), Vec::new());
        let mut next_tag = self.next_tag;
        let [one, other] = self.xsks.get_disjoint_mut(places).expect("two of them");
        let (mut rx, mut own) = one.split();
        let mut tx = other.tx();
        for frame in rx.receive(16) {
            if self.kernel == Kernel::Honest {
                let bytes: Vec<u8> = frame.segments().flatten().copied().collect();
                let tag = tagged::tag_of(&bytes);
                assert!(self.under_way.remove(&tag), "{tag:#x} was received twice");
            }
            next_tag += 1;
            let mut tagged = Tagged::new(frame, next_tag);
            if let Some(spare) = &mut spare {
                swap(spare, &mut tagged);
            }
            let Tagged { frame, tag } = tagged;
            let sent = tx.transmit(frame);
            let sent = sent.or_else(|error| own.transmit(error.into_frame()));
            match sent {
                Ok(()) => tags.push(tag),
                Err(error) => {
                    let frame = error.into_frame();
                    returned.push(Tagged { frame, tag });
                }
            }
            own.complete();
            swap(&mut own, &mut tx);
        }
        own.publish();
        self.next_tag = next_tag;
        self.under_way.extend(tags);
        self.held.extend(returned.into_iter().chain(spare));
    }

    fn exchange_values(&mut self) {
        let places = self.two();
        match (self.random.below(4), places) {
            (0, Some(places)) => {
                let [one, other] = self.xsks.get_disjoint_mut(places).expect("two of them");
                swap(one, other);
            }
            (1, _) if self.nics.len() > 1 => self.nics.rotate_left(1),
            (2, _) => self.umems.swap(0, UMEMS - 1),
            _ if self.held.len() > 1 => {
                let last = self.held.len() - 1;
                let [one, other] = self.held.get_disjoint_mut([0, last]).expect("two of them");
                swap(&mut one.frame, &mut other.frame);
                swap(&mut one.tag, &mut other.tag);
            }
            _ => {}
        }
    }

    fn share(&mut self) {
        let Some(nic) = self.nic() else { return };
        if self.xsks.len() < XSKS
            && let Ok((xsk, nic)) = self.nics[nic].share()
        {
            self.completions.push(xsk.completion_queue());
            self.xsks.push(xsk);
            self.nics.push(nic);
        }
    }

    fn panic_in_a_batch(&mut self) {
        let Some(xsk) = self.xsk() else { return };
        let at = self.random.below(4);
        let mut frames = Vec::new();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            for (position, frame) in self.xsks[xsk].receive(8).enumerate() {
                if position == at {
                    resume_unwind(Box::new("in a batch"));
                }
                frames.push(frame);
            }
        }));
        drop(panicked);
        self.received(frames);
    }

    fn lie(&mut self) {
        let Some(nic) = self.nic() else { return };
        if self.kernel == Kernel::Honest {
            return;
        }
        for _ in 0..self.random.below(8) {
            // Where a frame of aligned chunks begins, mostly.
            let chunk = u64::from(self.random.small(CHUNKS)) * 4096;
            let addr = match self.random.below(4) {
                0 => chunk + u64::from(self.random.small(4096)),
                1 => chunk << 20,
                _ => chunk + 256,
            };
            if self.random.below(2) == 0 {
                self.nics[nic].inject_completion(addr);
            } else {
                self.nics[nic].inject_received(addr, self.random.small(2000));
            }
        }
    }

    fn check_all(&self) {
        self.held.iter().for_each(Tagged::<Frame>::check);
        self.detached.iter().for_each(Detached::check);
    }

    fn bind(&mut self) {
        let umem = self.random.below(UMEMS);
        if self.xsks.len() >= XSKS {
            return;
        }
        let config = XskConfig {
            xsks: 3,
            limits: self.limits(),
            multi_buffer: MultiBuffer::Always,
            ..XskConfig::new(RingCapacity::new(RING).expect("a power of two"))
        };
        match Xsk::simulated(&self.umems[umem], &config) {
            Ok((xsk, nic)) => {
                self.completions.push(xsk.completion_queue());
                self.xsks.push(xsk);
                self.nics.push(nic);
            }
            // It has had 255.
            Err(_) => self.umems[umem] = self::umem(umem),
        }
    }

    /// Limits of any kind that fit.
    fn limits(&mut self) -> Limits {
        let frames = |frames: Option<u32>| frames.map(Amount::Frames);
        Limits {
            chunks: frames([None, Some(40), Some(90)][self.random.below(3)]),
            floor: frames([None, Some(1), Some(7)][self.random.below(3)]),
            held: frames([None, Some(1), Some(20)][self.random.below(3)]),
            in_transmit: frames([None, Some(1), Some(20)][self.random.below(3)]),
            policy: LimitPolicy::ALL[self.random.below(LimitPolicy::ALL.len())],
        }
    }

    fn drop_xsk(&mut self) {
        if let Some(xsk) = self.take_xsk()
            && self.kernel == Kernel::Honest
        {
            assert_eq!(xsk.violations(), 0, "{xsk:?}");
        }
    }

    fn drop_nic(&mut self) {
        if let Some(nic) = self.nic() {
            self.nics.swap_remove(nic);
        }
    }

    /// What is there of the UMEM goes on without a handle to it.
    fn replace_umem(&mut self) {
        let place = self.random.below(UMEMS);
        self.umems[place] = umem(place);
    }

    fn recycle(&mut self) {
        if let Some(xsk) = self.xsk() {
            self.xsks[xsk].recycle();
        }
    }
}

fn umem(place: usize) -> Umem {
    let mut config = UmemConfig {
        // Fewer than the frames that wait at times; in small chunks, and in large ones only.
        copies: Some(24),
        copybreak: Copybreak::Below([500, 2500, 500][place]),
        ..UmemConfig::new(CHUNKS)
    };
    if place == UMEMS - 1 {
        config.chunk_size = ChunkSize::unaligned(3000).expect("a chunk size");
    }
    Umem::new(&config).expect("memory for a UMEM")
}

/// Looks at each frame, changes some, and drops, keeps or returns it.
fn far_away(to_do: &Receiver<Detached>, done: &Sender<Detached>) {
    let mut kept = Vec::new();
    for (number, mut detached) in to_do.iter().enumerate() {
        detached.check();
        match number % 5 {
            0 => drop(detached),
            1 => kept.push(detached),
            2 => {
                // Tags of its own.
                let tag = detached.tag | 1 << 63;
                detached.retag(tag);
                let _ = done.send(detached);
            }
            _ => {
                let _ = done.send(detached);
            }
        }
        if kept.len() > 8 {
            kept.iter().for_each(Detached::check);
            kept.clear();
        }
    }
}
