//! Steering rules beside libpcap: frames and expressions are made, libpcap's own
//! compiler and filter machine say what they think of them, and so does Wharf's
//! reference matcher. README.md says what is compared and what cannot be.
//!
//! Nothing here reads frames the way the reference does. Where libpcap does not
//! look (behind VLAN tags, behind IPv6 extension headers), it is shown the
//! packet's [twin](packet::Rendered): the same packet built without them.

pub mod account;
pub mod expressions;
pub mod fixtures;
pub mod generate;
pub mod libpcap;
pub mod look;
pub mod packet;
pub mod pools;
pub mod shape;
pub mod translate;
pub mod words;

/// Random numbers for the part of the tests that `part` stands for. The same in
/// every run; `WHARF_ORACLE_SEED=N` gives others.
///
/// # Panics
///
/// When `WHARF_ORACLE_SEED` is not a number.
#[must_use]
pub fn seed(part: u64) -> fastrand::Rng {
    let seed = std::env::var("WHARF_ORACLE_SEED").map_or(2026, |text| {
        text.parse().expect("WHARF_ORACLE_SEED is a number")
    });
    println!("WHARF_ORACLE_SEED={seed}");
    fastrand::Rng::with_seed(seed * 1000 + part)
}
