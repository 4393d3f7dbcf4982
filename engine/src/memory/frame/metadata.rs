//! What an XDP program put in front of a frame.
//!
//! The kernel copies or leaves it where it is, in front of the first byte
//! (`xsk_copy_xdp` and `xsk_rcv_zc`, `net/xdp/xsk.c`), and says nothing of it in
//! the descriptor. So it is the bytes there, whatever they are.

use super::frame::Frame;
use crate::memory::geometry::Place;

impl Frame {
    /// The `len_bytes` bytes in front of the frame's first: of a received frame,
    /// those that an [XDP program of your own](crate::Xsk#an-xdp-program-of-your-own)
    /// put there with `bpf_xdp_adjust_meta`. `None` when its first chunk has fewer
    /// there, which [`headroom`](Self::headroom) says. No system call.
    ///
    /// A program can put up to 252 bytes there, a multiple of 4
    /// (`xdp_metalen_invalid`, `include/net/xdp.h`, Linux 6.18; 32 where that is
    /// older). **The kernel does not say whether it did, nor how many**: where it
    /// did not, these are bytes of earlier frames or of the driver. So let the
    /// program write its bytes always, in one length, and begin them with a number
    /// that nothing else does, with the length if there are several, and with a
    /// bit for each field that may be missing:
    ///
    /// ```
    /// /// As the program has it: `struct { __u32 magic; __u32 number; }`.
    /// fn number(frame: &wharf::Frame) -> Option<u32> {
    ///     let (magic, number) = frame.metadata(8)?.split_at(4);
    ///     let number = number.try_into().expect("4 of 8 bytes");
    ///     (magic == *b"mine").then(|| u32::from_ne_bytes(number))
    /// }
    /// # use wharf::{Umem, UmemConfig};
    /// # let umem = Umem::new(&UmemConfig::new(1)).unwrap();
    /// # let mut frame = umem.allocate().unwrap();
    /// # assert_eq!(number(&frame), None);
    /// # frame.grow_front(8).unwrap().copy_from_slice(b"mine\x07\0\0\0");
    /// # frame.shrink_front(8).unwrap();
    /// # assert_eq!(number(&frame), Some(u32::from_le_bytes([7, 0, 0, 0])));
    /// ```
    ///
    /// Ask before the front moves: [`shrink_front`](Self::shrink_front) leaves what
    /// it takes off here, and [`grow_front`](Self::grow_front) overwrites it. It
    /// stays with the frame through [`detach`](Self::detach) and
    /// [`append`](Self::append). Sending a frame sends none of it.
    #[must_use]
    pub fn metadata(&self, len_bytes: u32) -> Option<&[u8]> {
        let place = in_front_of(self.place(), len_bytes)?;
        let start = self.umem().region().bytes(place, len_bytes);
        // SAFETY: `bytes` returns the address of `len_bytes` mapped bytes, zeroed once
        // and so initialised, of the chunk that this frame alone owns, by its
        // invariant: the kernel writes none of it, and other Rust code reaches it
        // through `self` only.
        Some(unsafe { std::slice::from_raw_parts(start.as_ptr(), len_bytes as usize) })
    }
}

/// Where `len_bytes` bytes in front of `first` begin, if that is in its chunk.
pub(super) fn in_front_of(first: Place, len_bytes: u32) -> Option<Place> {
    let offset = first.offset.checked_sub(len_bytes)?;
    Some(Place { offset, ..first })
}

#[cfg(test)]
mod tests {
    use crate::{ChunkSize, Frame, Umem, UmemConfig};

    fn frame_of(umem: &Umem, bytes: &[u8], metadata: &[u8]) -> Frame {
        let len = |bytes: &[u8]| u32::try_from(bytes.len()).expect("short");
        let mut frame = umem.allocate().expect("a free chunk");
        let room = frame.grow_back(len(bytes)).expect("room");
        room.copy_from_slice(bytes);
        let room = frame.grow_front(len(metadata)).expect("headroom");
        room.copy_from_slice(metadata);
        frame.shrink_front(len(metadata)).expect("it is there");
        frame
    }

    #[test]
    fn metadata_is_what_lies_in_front_of_the_first_byte() {
        let umem = Umem::new(&UmemConfig::new(1)).expect("memory");

        let frame = frame_of(&umem, b"packet", b"\x01\x02\x03\x04\x05\x06\x07\x08");

        assert_eq!(frame.metadata(4), Some(&[5, 6, 7, 8][..]));
        assert_eq!(frame.metadata(8), Some(&[1, 2, 3, 4, 5, 6, 7, 8][..]));
        assert_eq!(frame.metadata(0), Some(&[][..]));
        assert_eq!(&*frame, b"packet");
    }

    #[test]
    fn metadata_ends_where_the_chunk_begins() {
        let mut config = UmemConfig::new(2);
        config.chunk_size = ChunkSize::new(2048).expect("a chunk size");
        let umem = Umem::new(&config).expect("memory");
        // The bytes in front of the second chunk are the first one's.
        let mut frames = [(); 2].map(|()| umem.allocate().expect("a free chunk"));

        for frame in &mut frames {
            let headroom = frame.headroom();
            assert_eq!(frame.metadata(headroom).map(<[u8]>::len), Some(256));
            for beyond in [headroom + 1, 2048, u32::MAX] {
                assert_eq!(frame.metadata(beyond), None, "{beyond}");
            }
            frame.grow_front(headroom).expect("all of it");
            assert_eq!(frame.metadata(1), None);
        }
    }

    #[test]
    fn metadata_follows_the_front_of_the_frame() {
        let umem = Umem::new(&UmemConfig::new(1)).expect("memory");
        let mut frame = frame_of(&umem, b"packet", b"metadata");

        frame.shrink_front(2).expect("six bytes");
        assert_eq!(frame.metadata(4), Some(&b"tapa"[..]));
        frame.grow_front(4).expect("headroom").fill(b'.');
        assert_eq!(frame.metadata(4), Some(&b"tada"[..]));
    }

    #[test]
    fn metadata_stays_with_a_frame_that_grows_and_travels() {
        let umem = Umem::new(&UmemConfig::new(2)).expect("memory");
        let mut frame = frame_of(&umem, b"packet", b"metadata");
        let end = frame_of(&umem, b"'s end", b"of none.");

        frame.append(end).expect("a sensible end");
        assert_eq!(frame.metadata(8), Some(&b"metadata"[..]));
        let detached = frame.detach();
        let far = std::thread::spawn(move || {
            assert_eq!(detached.metadata(8), Some(&b"metadata"[..]));
            assert_eq!(detached.metadata(257), None);
            detached
        });
        let frame = umem.attach(far.join().expect("no panic")).expect("its own");

        assert_eq!(frame.metadata(8), Some(&b"metadata"[..]));
        assert_eq!(frame.total_len(), 12);
    }
}
