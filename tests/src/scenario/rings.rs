//! Scenarios of the NIC's own rings, beside those of the xsk. A veth has none.

use wharf::{
    Amount, Error, Interface, Mode, NicQueue, QueueIndex, RingCapacity, Umem, UmemConfig, XskConfig,
};
use wharf_testbed::RingSizes;

use super::traffic::STREAM;
use super::{EndConfig, Medium, Side, Steps, Track, ends, exchange, frames_of};

/// NICs whose rings have been resized, until it is dropped.
struct Resized(Vec<(&'static str, RingSizes)>);

impl Resized {
    /// Gives both ends of `track` rings as `sizes` says.
    fn new(track: &Track, sizes: impl Fn(RingSizes) -> (u32, u32)) -> Self {
        let mut before = Self(Vec::new());
        for side in [Side::Near, Side::Far] {
            let _inside = track.enter(side);
            let interface = track.interface(side);
            let had = RingSizes::of(interface).expect("the NIC has rings");
            let (rx, tx) = sizes(had);
            before.0.push((interface, had));
            RingSizes::set(interface, rx, tx).expect("the NIC takes these");
            let now = RingSizes::of(interface).expect("the NIC has rings");
            assert_eq!((now.rx, now.tx), (rx, tx), "of {had:?}");
        }
        before
    }
}

impl Drop for Resized {
    fn drop(&mut self) {
        for (interface, sizes) in &self.0 {
            let free = wait_for_teardown(interface);
            let restored = RingSizes::set(interface, sizes.rx, sizes.tx);
            if !std::thread::panicking() {
                free.expect("the other goes");
                restored.expect("the NIC had them before");
            }
        }
    }
}

/// Waits until the kernel is done with the xsk that was bound to queue 0 in zero
/// copy, some 50 ms after it was closed. Until then virtio_net fills its ring by
/// way of an array with an entry for each place that the ring had when the xsk was
/// bound, and writes past the end of that if the ring has grown
/// (`virtnet_add_recvbuf_xsk` in `drivers/net/virtio_net.c`, seen on 6.18.15).
fn wait_for_teardown(interface: &str) -> Result<(), Error> {
    let interface = Interface::by_name(interface)?;
    let umem = Umem::new(&UmemConfig::new(64))?;
    let config = XskConfig {
        mode: Mode::Copy,
        ..XskConfig::new(RingCapacity::new(64).expect("a power of two"))
    };
    let index = QueueIndex::new(0).expect("small");
    // The queue is busy for as long as the other is there, and this waits.
    NicQueue::new(&umem, &interface, index)
        .bind(&config)
        .map(drop)
        .map_err(Error::from)
}

/// So many frames at once, and no more before they have arrived.
struct AtOnce(u32);

impl Steps for AtOnce {
    fn window(&self) -> usize {
        self.0 as usize
    }
}

/// `HW_SW_MIN_RING_SIZE`: the NIC's rings hold 64 frames to send and 128 to
/// receive. Frames go one at a time, and then one less than a ring at a time.
///
/// # Panics
///
/// When it does not hold.
pub fn hw_sw_min_ring_size(medium: Medium) {
    const TX: u32 = 64;
    let Some(track) = Track::new(medium) else {
        return;
    };
    let _resized = Resized::new(&track, |_| (2 * TX, TX));
    let (mut near, mut far) = ends(&track, |_, _| ());
    let sent = frames_of(&track, STREAM, 64);

    for at_once in [1, TX - 1] {
        exchange(&mut AtOnce(at_once), &mut near, &mut far, &sent);
    }

    near.assert_settled();
    far.assert_settled();
}

/// `HW_SW_MAX_RING_SIZE`: the NIC's rings are as large as they can be, and the
/// xsk's four times that. Frames go the usual way, and then eight less than a
/// ring at a time.
///
/// # Panics
///
/// When it does not hold.
pub fn hw_sw_max_ring_size(medium: Medium) {
    let Some(track) = Track::new(medium) else {
        return;
    };
    let _resized = Resized::new(&track, |had| (had.max_rx, had.max_tx));
    let sizes = RingSizes::of(track.interface(Side::Near)).expect("the NIC has rings");
    let ring = sizes.max_rx.min(sizes.max_tx);
    let (mut near, mut far) = ends(&track, |_, end: &mut EndConfig| {
        end.umem.frames = 8 * ring;
        end.queue.ring_size = RingCapacity::new(4 * ring).expect("NICs have powers of two");
        end.queue.limits.chunks = Some(Amount::Frames(4 * ring));
    });
    let usual = frames_of(&track, STREAM, 64);
    let more = frames_of(&track, STREAM.max(u64::from(4 * ring)), 64);

    exchange(&mut AtOnce(128), &mut near, &mut far, &usual);
    exchange(&mut AtOnce(ring - 8), &mut near, &mut far, &more);

    near.assert_settled();
    far.assert_settled();
}
