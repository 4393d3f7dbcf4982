//! The C loops of `libxdp.c`.
#![expect(unsafe_code, reason = "they are in C")]

use std::ptr::NonNull;

use crate::loops::{Kind, LEN, Loop, RING};

pub(crate) const OWNED: Kind = Kind::per_frame("libxdp", "libxdp_owned", |_| {
    Box::new(Libxdp::new(libxdp_owned))
});

pub(crate) const TOUCHED: Kind = Kind::per_frame("libxdp, touched", "libxdp_touched", |_| {
    Box::new(Libxdp::new(libxdp_touched))
});

/// `struct libxdp_xsk`.
#[repr(C)]
struct Opaque {
    _private: [u8; 0],
}

unsafe extern "C" {
    fn libxdp_new(entries: u32) -> Option<NonNull<Opaque>>;
    fn libxdp_free(xsk: NonNull<Opaque>);
    fn libxdp_serve(xsk: NonNull<Opaque>, batch: u32, len: u32);
    fn libxdp_owned(xsk: NonNull<Opaque>, batch: u32) -> u32;
    fn libxdp_touched(xsk: NonNull<Opaque>, batch: u32) -> u32;
}

/// An xsk of libxdp's on rings in plain memory.
///
/// # Invariants
///
/// `xsk` came from `libxdp_new`, which nobody else has, and `cycle` is one of the
/// loops over such a one.
struct Libxdp {
    xsk: NonNull<Opaque>,
    cycle: unsafe extern "C" fn(NonNull<Opaque>, u32) -> u32,
}

impl Libxdp {
    fn new(cycle: unsafe extern "C" fn(NonNull<Opaque>, u32) -> u32) -> Self {
        // SAFETY: it takes any power of two, and ends the process without memory.
        let xsk = unsafe { libxdp_new(RING) };
        Self {
            xsk: xsk.expect("it returns or ends the process"),
            cycle,
        }
    }
}

impl Loop for Libxdp {
    fn serve(&mut self, batch: u32) {
        // SAFETY: `xsk` is whole, by the type's invariant, and borrowed mutably.
        unsafe { libxdp_serve(self.xsk, batch, LEN) };
    }

    fn cycle(&mut self, batch: u32) -> u32 {
        // SAFETY: as in `serve`, and `cycle` is a loop over it.
        unsafe { (self.cycle)(self.xsk, batch) }
    }
}

impl Drop for Libxdp {
    fn drop(&mut self) {
        // SAFETY: it is whole, by the type's invariant, and not used again.
        unsafe { libxdp_free(self.xsk) };
    }
}
