//! One column of the sweep: a UMEM, an xsk on a simulated NIC, and an application that
//! keeps frames.

use std::collections::VecDeque;
use std::hint::black_box;
use std::time::{Duration, Instant};

use wharf::{
    Copybreak, Frame, RingCapacity, SimulatedNic, TransmitError, Umem, UmemConfig, Xsk, XskConfig,
};

use crate::exit::Failure;

/// An application that keeps the newest frames, and reads and sends the others.
pub struct Lane {
    umem: Umem,
    xsk: Xsk,
    nic: SimulatedNic,
    /// The frames of a message, as they arrive.
    message: Vec<Vec<u8>>,
    held: VecDeque<Frame>,
    most_held: usize,
    received: u64,
    sent: u64,
    /// Nanoseconds per message, of each turn.
    turns: Vec<f64>,
}

impl Lane {
    pub fn new(copybreak: Copybreak, most_held: u32, bytes: u32) -> Result<Self, Failure> {
        // In place, frames that wait take chunks from those that arrive.
        let chunks = most_held + 4 * RING_ENTRIES;
        let umem = Umem::new(&UmemConfig {
            copybreak,
            ..UmemConfig::new(chunks)
        });
        let umem = umem.map_err(|error| Failure::Run(error.to_string()))?;
        let ring = RingCapacity::new(RING_ENTRIES).expect("a power of two");
        let bound = Xsk::simulated(&umem, &XskConfig::new(ring));
        let (xsk, nic) = bound.map_err(|error| Failure::Run(error.to_string()))?;
        let whole = vec![0xa5; bytes as usize];
        let frames = whole.chunks(FRAME_BYTES as usize);
        let mut lane = Self {
            umem,
            xsk,
            nic,
            message: frames.map(<[u8]>::to_vec).collect(),
            held: VecDeque::new(),
            most_held: most_held as usize,
            received: 0,
            sent: 0,
            turns: Vec::new(),
        };
        // Until the application holds all that it keeps, and memory has its pages.
        while lane.received < u64::from(most_held) + u64::from(RING_ENTRIES) {
            lane.batch()?;
        }
        Ok(lane)
    }

    /// Handles messages for a few milliseconds. What a batch takes mostly counts, so that
    /// it does not matter if the thread loses its CPU in some.
    pub fn take_turn(&mut self) -> Result<(), Failure> {
        let mut batches = Vec::new();
        let mut spent = Duration::ZERO;
        while spent < TURN || batches.len() < LEAST_BATCHES {
            let (time, messages) = self.batch()?;
            spent += time;
            batches.push(time.as_secs_f64() * 1e9 / messages as f64);
        }
        self.turns.extend(median(&mut batches));
        Ok(())
    }

    /// Handles a batch of messages. Returns the time without the NIC's, and their number.
    fn batch(&mut self) -> Result<(Duration, u64), Failure> {
        let messages = (BATCH / self.message.len()).max(1);
        let frames = messages * self.message.len();
        for frame in self.message.iter().cycle().take(frames) {
            if !self.nic.deliver(frame) {
                return Err(lost("the NIC found no chunk for a frame"));
            }
        }
        let start = Instant::now();
        self.xsk.recycle();
        let most = u32::try_from(frames).expect("a few");
        for frame in self.xsk.receive(most) {
            self.held.push_back(frame.hold());
            self.received += 1;
        }
        while self.held.len() > self.most_held
            && let Some(frame) = self.held.pop_front()
        {
            black_box(read(&frame));
            self.xsk.transmit(frame).map_err(|error| refused(&error))?;
        }
        self.xsk.publish();
        let time = start.elapsed();
        while let Some(bytes) = self.nic.transmitted() {
            self.sent += u64::from(!bytes.is_empty());
        }
        Ok((time, messages as u64))
    }

    /// The median of the turns, if no frame got lost.
    pub fn finish(mut self) -> Result<f64, Failure> {
        let held = self.held.len() as u64;
        let audit = self.umem.audit();
        if self.received != self.sent + held || !audit.is_balanced() || audit.held() != held {
            return Err(lost("the frames do not add up"));
        }
        median(&mut self.turns).ok_or_else(|| lost("there was no turn"))
    }
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// What an application does with a payload at the least.
fn read(frame: &Frame) -> u64 {
    frame.iter().map(|byte| u64::from(*byte)).sum()
}

fn lost(what: &str) -> Failure {
    Failure::Run(format!("the sweep lost frames: {what}"))
}

fn refused(error: &TransmitError) -> Failure {
    lost(&error.to_string())
}

/// Bytes of a frame at the most: what a chunk takes.
pub const FRAME_BYTES: u32 = 3840;
const RING_ENTRIES: u32 = 256;
/// Frames at a time.
const BATCH: usize = 64;
/// How long a column is measured until it is another's turn.
const TURN: Duration = Duration::from_millis(2);
const LEAST_BATCHES: usize = 9;
