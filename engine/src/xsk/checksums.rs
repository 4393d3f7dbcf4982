//! Whether received frames get the checksums that their senders left to hardware.

use std::fmt;

use crate::kernel::interface::{Interface, InterfaceError, SoftwareSource};

/// Whether received frames get the checksums that their senders left to hardware: see
/// [`Frame::finish_checksum`](crate::Frame::finish_checksum).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksums {
    /// Where no hardware is known to be under the interface, or the XDP program runs in
    /// generic mode. Where there is hardware, this costs nothing.
    #[default]
    Auto,
    /// On every frame that lacks one.
    Finish,
    /// Frames stay as they come.
    Leave,
}

/// What was asked for, and what is done on one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChecksumsReport {
    /// What was asked for.
    pub requested: Checksums,
    /// Why frames may lack a checksum, if they may.
    pub source: Option<SoftwareSource>,
}

impl ChecksumsReport {
    /// What is done on `interface`, from what is there now.
    ///
    /// # Errors
    ///
    /// [`InterfaceError`] when it cannot be looked at.
    pub fn of(requested: Checksums, interface: &Interface) -> Result<Self, InterfaceError> {
        Ok(Self {
            requested,
            source: interface.software_source()?,
        })
    }

    /// Whether checksums are finished.
    #[must_use]
    pub fn are_finished(&self) -> bool {
        self.decision() == Checksums::Finish
    }

    /// [`Checksums::Finish`] or [`Checksums::Leave`].
    pub(super) fn decision(&self) -> Checksums {
        match (self.requested, &self.source) {
            (Checksums::Auto, Some(_)) => Checksums::Finish,
            (Checksums::Auto, None) => Checksums::Leave,
            (asked, _) => asked,
        }
    }
}

impl fmt::Display for ChecksumsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.are_finished() {
            "completed"
        } else {
            "left as they come"
        };
        let asked = match self.requested {
            Checksums::Auto => "",
            Checksums::Finish | Checksums::Leave => "as asked, ",
        };
        write!(f, "checksums are {verb}: {asked}")?;
        match &self.source {
            Some(source) => write!(f, "{source}"),
            None => f.write_str("hardware has done them"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{ChunkSize, RingCapacity};
    use crate::memory::checksum::samples::{Sample, Version, ethernet, vxlan};
    use crate::memory::{Umem, UmemConfig};
    use crate::xsk::{MultiBuffer, Xsk, XskConfig};

    fn frames() -> Vec<Sample> {
        let packet = Version::V6.tcp(&[0xa5; 1001]);
        let inner = ethernet(0x86dd, packet);
        let outer = Version::V4.unsummed_udp(4789, vxlan(inner.clone()));
        let jumbo = ethernet(0x0800, Version::V4.tcp(&[0x5a; 6001]));
        vec![inner, ethernet(0x0800, outer), jumbo]
    }

    #[test]
    fn frames_come_whole_where_that_was_asked_for() {
        for chunk_size in [
            ChunkSize::new(2048).expect("a size"),
            ChunkSize::unaligned(3000).expect("a size"),
        ] {
            for checksums in [Checksums::Finish, Checksums::Auto, Checksums::Leave] {
                let umem = Umem::new(&UmemConfig {
                    chunk_size,
                    ..UmemConfig::new(256)
                });
                let umem = umem.expect("a small UMEM");
                let config = XskConfig {
                    checksums,
                    multi_buffer: MultiBuffer::Always,
                    ..XskConfig::new(RingCapacity::new(64).expect("a power of two"))
                };
                let (mut xsk, mut nic) = Xsk::simulated(&umem, &config).expect("memory");

                // Round the ring a few times, in batches of all sizes.
                for batch in 1..40_u32 {
                    let frame = &frames()[batch as usize % 3];
                    let sent = frame.left_undone(0);
                    for _ in 0..batch % 3 + 1 {
                        assert!(nic.deliver(&sent));
                    }
                    let mut count = 0;
                    while count < batch % 3 + 1 {
                        for received in xsk.receive(batch) {
                            let bytes = received.segments().collect::<Vec<_>>().concat();
                            match checksums {
                                Checksums::Finish => assert_eq!(bytes, frame.bytes),
                                _ => assert_eq!(bytes, sent),
                            }
                            count += 1;
                        }
                    }
                    xsk.recycle();
                }

                let counters = xsk.rx_counters();
                assert_eq!(counters.frames, 78);
                assert_eq!((counters.invalid, xsk.violations()), (0, 0));
                drop(xsk);
                assert!(umem.audit().is_balanced());
            }
        }
    }

    #[test]
    fn report_follows_what_was_asked_for() {
        let report = |requested, source| ChecksumsReport { requested, source };
        let veth = || {
            Some(SoftwareSource::Virtual {
                interface: "v0".to_owned(),
                kind: "veth".to_owned(),
            })
        };
        for (report, are_finished, said) in [
            (
                report(Checksums::Auto, veth()),
                true,
                "completed: `v0` is virtual (veth)",
            ),
            (
                report(Checksums::Auto, None),
                false,
                "left as they come: hardware has done them",
            ),
            (
                report(Checksums::Leave, veth()),
                false,
                "left as they come: as asked, `v0` is virtual (veth)",
            ),
            (
                report(Checksums::Finish, None),
                true,
                "completed: as asked, hardware has done them",
            ),
        ] {
            assert_eq!(report.are_finished(), are_finished);
            assert_eq!(report.to_string(), format!("checksums are {said}"));
        }
    }
}
