//! For property tests: UMEMs of every layout, and addresses in them or not.

use proptest::prelude::*;

use crate::kernel::ChunkSize;
use crate::memory::{Umem, UmemConfig};

/// A UMEM of `frames` chunks: aligned and not, of even and odd sizes, with
/// headroom and without.
pub(super) fn any_layout(frames: u32) -> impl Strategy<Value = UmemConfig> {
    let aligned = prop_oneof![Just(2048), Just(4096)].prop_map(ChunkSize::new);
    let sizes = prop_oneof![
        Just(2048),
        Just(3000),
        Just(4001),
        Just(4096),
        2048..4096_u32
    ];
    let unaligned = sizes.prop_map(ChunkSize::unaligned);
    let headroom = prop_oneof![Just(0), Just(64), 0..512_u32];
    (prop_oneof![aligned, unaligned], headroom).prop_map(move |(chunk_size, headroom)| UmemConfig {
        chunk_size: chunk_size.expect("a chunk size"),
        headroom,
        ..UmemConfig::new(frames)
    })
}

/// An address that a lying kernel may return: near the chunks of a UMEM of `frames`,
/// with an offset in its upper bits, or anywhere.
pub(super) fn any_addr(frames: u32) -> impl Strategy<Value = u64> {
    let near = || 0..u64::from(frames) * 4096;
    prop_oneof![
        2 => near(),
        2 => (near(), 0..5000_u64).prop_map(|(base, offset)| base | offset << 48),
        1 => any::<u64>(),
    ]
}

/// The chunk that `bytes` of `umem` begin in.
pub(super) fn chunk_of(umem: &Umem, bytes: &[u8]) -> usize {
    let start = umem.shared().region().start().as_ptr().addr();
    let stride = umem.chunk_size().next_multiple_of(2) as usize;
    (bytes.as_ptr().addr() - start) / stride
}
