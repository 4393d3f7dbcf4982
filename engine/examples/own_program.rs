//! Receives through an XDP program of your own in place of Wharf's.
//!
//! ```text
//! cargo run -p wharf-xdp --example own_program -- eth0 tests/programs/metadata.bpf.o number_one xsks
//! ```
//!
//! takes queue 0 of `eth0`, and prints for each frame its length and the eight
//! bytes that the program put in front of it, until Ctrl-C, which detaches the
//! program too: its link goes with the process. The program is any that
//! redirects to an XSKMAP by queue; tests/programs has three.

use std::env;
use std::error::Error;
use std::ops::ControlFlow;
use std::thread;
use std::time::Duration;

use aya::Ebpf;
use aya::maps::XskMap;
use aya::programs::{Xdp, XdpMode};
use wharf::{
    Frame, Interface, KernelStatistics, NicQueue, QueueIndex, RingCapacity, RxCounters, Umem,
    UmemConfig, XskConfig,
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [interface, object, program, map] = &arguments[..] else {
        return Err("usage: own_program INTERFACE OBJECT PROGRAM XSKMAP".into());
    };
    let object = std::fs::read(object).map_err(|error| format!("cannot read {object}: {error}"))?;

    let print = |frame: &Frame| {
        let metadata = frame.metadata(8).unwrap_or_default();
        println!(
            "{} bytes, in front of them {metadata:02x?}",
            frame.total_len()
        );
        ControlFlow::Continue(())
    };
    receive(interface, &object, program, map, print).map(drop)
}

/// Gives each frame of queue 0 to `application` until it breaks off; then what the
/// queue received, and what the kernel dropped of the frames redirected to it.
pub fn receive(
    interface: &str,
    object: &[u8],
    program: &str,
    map: &str,
    mut application: impl FnMut(&Frame) -> ControlFlow<()>,
) -> Result<(RxCounters, KernelStatistics), Box<dyn Error>> {
    let mut ebpf = Ebpf::load(object)?;
    let xdp: &mut Xdp = ebpf
        .program_mut(program)
        .ok_or_else(|| format!("the object has no program `{program}`"))?
        .try_into()?;
    xdp.load()?;
    // Before the queue is bound, as attaching resets the queues of many NICs; and
    // in a mode by name, as the default is generic wherever native fails.
    xdp.attach(interface, XdpMode::Driver)?;

    let umem = Umem::new(&UmemConfig::new(4096))?;
    let config = XskConfig::new(RingCapacity::new(1024)?);
    let index = QueueIndex::new(0)?;
    let queue = NicQueue::new(&umem, &Interface::by_name(interface)?, index);
    let (mut xsk, report) = queue.bind(&config)?;
    eprintln!("got {}", report.got.label());

    // Last, as frames for a socket that is not bound are lost.
    let xsks = ebpf
        .map_mut(map)
        .ok_or_else(|| format!("the object has no map `{map}`"))?;
    let socket = xsk.socket().expect("a bound queue has a socket");
    XskMap::try_from(xsks)?.set(0, socket, 0)?;

    let mut goes_on = ControlFlow::Continue(());
    while goes_on.is_continue() {
        let mut batch = xsk.receive(64);
        if batch.is_empty() {
            // A program that is in a hurry waits with poll(2), or not at all.
            thread::sleep(Duration::from_millis(1));
        }
        goes_on = batch.try_for_each(|frame| application(&frame));
        drop(batch);
        xsk.recycle();
    }

    // The program goes before the queue: frames take their usual way again.
    drop(ebpf);
    let rx = xsk.rx();
    Ok((rx.counters(), rx.kernel_statistics()?))
}
