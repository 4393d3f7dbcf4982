//! The forwarder: every frame of one interface leaves on the other.
//!
//! That is an [`ImpairedWire`](wharf::impairment::ImpairedWire), mostly without an
//! impairment.
//!
//! Frames go on as they come from the engine, which completes checksums that were left
//! undone. They are never copied: a received frame *is* the frame sent. When the other
//! side's TX ring is full, frames stay in the RX ring, so a slow receiver slows
//! the wire down before anything is dropped, and what is dropped then is counted
//! by the kernel as `rx_ring_full`. Frames to an interface that is down do not wait.

use wharf::{ChunkSize, ConfigError, Engine, EngineBuilder, InterfaceId, RingCapacity};

use crate::args::{CpuList, EngineArgs, apply_limits};

/// The two ways through the wire: from the first interface to the second, and
/// back.
pub const DIRECTIONS: [(InterfaceId, InterfaceId); 2] = [
    (InterfaceId(0), InterfaceId(1)),
    (InterfaceId(1), InterfaceId(0)),
];

/// An engine for that on two interfaces, checked as far as that is
/// possible without looking at the machine.
pub fn builder(a: &str, b: &str, arguments: &EngineArgs) -> Result<EngineBuilder, ConfigError> {
    let mut builder = Engine::builder()
        .interface(a)
        .interface(b)
        .mode(arguments.mode.into())
        .multi_buffer(arguments.multi_buffer.into())
        .attach(arguments.attach.into())
        .frames(arguments.frames.unwrap_or(EngineBuilder::DEFAULT_FRAMES))
        .chunk_size(if arguments.unaligned_chunks {
            ChunkSize::unaligned(arguments.chunk_size)?
        } else {
            ChunkSize::new(arguments.chunk_size)?
        })
        .pages(arguments.huge_pages.into())
        .ring_size(RingCapacity::new(arguments.ring_size)?)
        .batch_size(arguments.batch)
        .xsks_per_queue(arguments.xsks_per_queue)
        .wait(arguments.wait.into())
        .on_link_down(arguments.on_link_down.into())
        .transmit_watchdog(arguments.tx_watchdog.0)
        .known_panics(if arguments.risk_kernel_panic {
            wharf::KnownPanics::Risk
        } else {
            wharf::KnownPanics::Refuse
        })
        .promiscuous();
    if let Some(copybreak) = arguments.copybreak {
        builder = builder.copybreak(copybreak);
    }
    if let Some(count) = arguments.queues {
        builder = builder.queues(count);
    }
    if let Some(CpuList(cpus)) = &arguments.cpus {
        builder = builder.cpus(cpus.as_slice());
    }
    builder = apply_limits(&arguments.limits, builder);
    builder.validate()?;
    Ok(builder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf::{OutOfRange, UmemConfigError};

    fn refusal(a: &str, b: &str, arguments: EngineArgs) -> ConfigError {
        builder(a, b, &arguments).expect_err("a bad request")
    }

    #[test]
    fn requests_no_machine_could_meet_are_refused_before_looking_at_it() {
        let with = |change: fn(&mut EngineArgs)| {
            let mut arguments = EngineArgs::default();
            change(&mut arguments);
            refusal("eth0", "eth1", arguments)
        };

        assert!(matches!(
            refusal("eth0", "eth0", EngineArgs::default()),
            ConfigError::SameInterface(name) if name == "eth0"
        ));
        assert!(matches!(
            with(|a| a.queues = Some(0)),
            ConfigError::Zero { .. }
        ));
        assert!(matches!(
            with(|a| a.queues = Some(65_537)),
            ConfigError::TooManyQueues(_)
        ));
        assert!(matches!(
            with(|a| a.frames = Some(0)),
            ConfigError::Umem(UmemConfigError::Empty)
        ));
        assert!(matches!(with(|a| a.batch = 0), ConfigError::Zero { .. }));
        assert!(matches!(
            with(|a| a.ring_size = 3000),
            ConfigError::OutOfRange(OutOfRange::RingCapacity(3000))
        ));
        assert!(matches!(
            with(|a| a.chunk_size = 1000),
            ConfigError::OutOfRange(OutOfRange::ChunkSize { .. })
        ));
        assert!(matches!(
            with(|a| {
                a.chunk_size = 4097;
                a.unaligned_chunks = true;
            }),
            ConfigError::OutOfRange(OutOfRange::UnalignedChunkSize { bytes: 4097, .. })
        ));
        assert!(matches!(
            with(|a| a.cpus = Some(CpuList(vec![1, 1]))),
            ConfigError::SameCpu(1)
        ));
    }

    #[test]
    fn chunks_of_any_size_are_a_good_request_if_they_may_be_unaligned() {
        let mut arguments = EngineArgs {
            chunk_size: 3001,
            ..EngineArgs::default()
        };
        assert!(builder("eth0", "eth1", &arguments).is_err());

        arguments.unaligned_chunks = true;

        assert!(builder("eth0", "eth1", &arguments).is_ok());
    }

    #[test]
    fn defaults_are_those_of_the_library() {
        let by_default = builder("eth0", "eth1", &EngineArgs::default()).expect("good");

        let library = Engine::builder().interface("eth0").interface("eth1");
        let library = library.promiscuous();
        assert_eq!(format!("{by_default:?}"), format!("{library:?}"));
    }
}
