//! Impairments from options and arguments, read and checked before anything is done
//! with them, and the packet memory that they need.

use wharf::impairment::{Impairment, Impairments, TooManyHeld, chunks_for};
use wharf::{EngineBuilder, EngineReport, Interface, ParseError};

use crate::args::{CpuList, EngineArgs, ImpairmentArgs};
use crate::exit::Failure;

/// Reads an impairment from the argument or option `source`.
pub fn impairment(source: &str, text: &str) -> Result<Impairment, Failure> {
    text.parse().map_err(|error: ParseError| Failure::Text {
        message: format!("{source}: {error}"),
        marked: error.marked(),
    })
}

/// The impairments to start with, of what comes in on each of the two interfaces.
pub fn initial(
    arguments: &ImpairmentArgs,
    interfaces: [&str; 2],
) -> Result<[Option<Impairment>; 2], Failure> {
    let both = arguments.impair.as_deref();
    let both = both.map(|text| impairment("--impair", text)).transpose()?;
    let mut impairments = [both.clone(), both];
    let mut named = [false; 2];
    for pair in arguments.impair_from.chunks(2) {
        let [interface, text] = pair else {
            continue;
        };
        let Some(from) = interfaces.iter().position(|name| name == interface) else {
            let [a, b] = interfaces;
            return Err(Failure::Usage(format!(
                "--impair-from {interface}: this is neither of the two interfaces: use {a} or {b}"
            )));
        };
        if std::mem::replace(&mut named[from], true) {
            return Err(Failure::Usage(format!(
                "--impair-from {interface} is there twice: put all into one"
            )));
        }
        let source = format!("--impair-from {interface}");
        impairments[from] = Some(impairment(&source, text)?);
    }
    Ok(impairments)
}

/// The chunks per worker that these arguments ask for: those of `--frames`, or as many as
/// the impairments need.
pub fn frames(
    arguments: &EngineArgs,
    impairments: &[Option<Impairment>; 2],
    interfaces: [&str; 2],
) -> u32 {
    if let Some(frames) = arguments.frames {
        return frames;
    }
    let needed = impairments.iter().flatten();
    let needed = needed.map(Impairment::frames_needed).max().unwrap_or(0);
    if needed == 0 {
        return EngineBuilder::DEFAULT_FRAMES;
    }
    chunks_for(needed, queues_per_worker(arguments, interfaces)).max(EngineBuilder::DEFAULT_FRAMES)
}

/// The most queues that a worker will have, as far as is known before the start; what it
/// really has is checked after it.
fn queues_per_worker(arguments: &EngineArgs, interfaces: [&str; 2]) -> u32 {
    let queues = interfaces.map(|name| {
        // An interface that is not there is an error of the engine's.
        let queues = Interface::by_name(name).and_then(|interface| interface.queue_counts());
        let most = arguments.queues.unwrap_or(u32::MAX);
        queues.map_or((1, 1), |queues| {
            (queues.rx.clamp(1, most), queues.tx.clamp(1, most))
        })
    });
    let cpus = match &arguments.cpus {
        Some(CpuList(cpus)) => cpus.len(),
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };
    let cpus = u32::try_from(cpus).unwrap_or(u32::MAX);
    let senders = queues.iter().map(|(_, tx)| *tx).min().unwrap_or(1);
    let receivers = queues.iter().map(|(rx, _)| *rx).max().unwrap_or(1);
    let workers = senders.min(receivers).min(cpus).max(1);
    let per_worker = |(rx, _): &(u32, u32)| (*rx).max(workers).div_ceil(workers);
    queues.iter().map(per_worker).sum()
}

/// Whether the workers can hold what the impairments may need.
pub fn check(impairments: &Impairments, report: &EngineReport) -> Result<(), Failure> {
    impairments.check().map_err(|TooManyHeld { needed, capacity, .. }| {
        let workers = report.workers.iter();
        let queues = workers.map(|worker| worker.queues.len()).max().unwrap_or(1);
        let queues = u32::try_from(queues).unwrap_or(u32::MAX);
        let chunks = chunks_for(needed, queues);
        let limits = &report.limits;
        let (what, remedy) = if [limits.chunks, limits.floor, limits.held] == [None; 3] {
            ("the packet memory has room for", format!("use --frames {chunks}"))
        } else {
            let remedy = format!("let --limit hold more, with --frames {chunks} or more");
            ("memory and --limit have room for", remedy)
        };
        Failure::Usage(format!(
            "the impairment may hold {needed} frames per direction, and {what} {capacity}: {remedy}, or `limit {capacity}` in the impairment"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(impair: Option<&str>, from: &[(&str, &str)]) -> ImpairmentArgs {
        ImpairmentArgs {
            impair: impair.map(str::to_owned),
            impair_from: from
                .iter()
                .flat_map(|(interface, text)| [(*interface).to_owned(), (*text).to_owned()])
                .collect(),
        }
    }

    fn shown(arguments: &ImpairmentArgs) -> Result<[String; 2], Failure> {
        let impairments = initial(arguments, ["eth0", "eth1"])?;
        Ok(impairments.map(|one| one.map_or_else(String::new, |one| one.to_string())))
    }

    #[test]
    fn direction_that_is_named_goes_before_both() {
        let both = arguments(Some("delay 1ms"), &[("eth1", "loss 1%")]);
        assert_eq!(shown(&both), Ok(["delay 1ms".into(), "loss 1%".into()]));

        let one = arguments(None, &[("eth0", "loss 1%")]);
        assert_eq!(shown(&one), Ok(["loss 1%".into(), String::new()]));
    }

    #[test]
    fn wrong_impairments_name_their_option() {
        let cases = [
            (arguments(Some("delay -5ms"), &[]), "--impair: column 7"),
            (arguments(Some(""), &[]), "--impair: column 1"),
            (
                arguments(None, &[("eth0", "loss 101%")]),
                "--impair-from eth0: column 6",
            ),
            (arguments(None, &[("eth2", "loss 1%")]), "use eth0 or eth1"),
            (
                arguments(None, &[("eth0", "loss 1%"), ("eth0", "loss 2%")]),
                "twice",
            ),
        ];
        for (arguments, needle) in cases {
            let failure = shown(&arguments).expect_err(needle);
            assert!(failure.to_string().contains(needle), "{failure}");
        }
    }

    #[test]
    fn memory_grows_with_what_is_to_be_held_unless_it_was_named() {
        let impairment = |text: &str| [Some(text.parse().expect(text)), None];
        let frames = |named, text| {
            let arguments = EngineArgs {
                frames: named,
                ..EngineArgs::default()
            };
            frames(&arguments, &impairment(text), ["none.0", "none.1"])
        };

        let usual = EngineBuilder::DEFAULT_FRAMES;
        assert_eq!(frames(None, "delay 50ms"), usual);
        assert_eq!(frames(None, "loss 1% limit 100000"), usual);
        assert_eq!(frames(Some(64), "delay 1ms limit 10000"), 64);
        assert_eq!(frames(None, "delay 1ms limit 10000"), chunks_for(10_000, 2));
        assert!(frames(None, "delay 100ms rate 10gbit") > usual);
    }
}
