//! Hands every frame to another thread for half a millisecond of work, and sends it when
//! it comes back: detached, so that no byte is copied, and with a wake, so that it does
//! not wait for the worker's sleep to end.
//!
//! ```text
//! cargo run -p wharf-xdp --example offload -- eth0
//! ```
//!
//! reflects the frames of `eth0` until Enter is pressed.

use std::env;
use std::error::Error;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use wharf::{Application, Batch, DetachedFrame, Engine, InterfaceId, Outbox, Waker, WorkerContext};

fn main() -> Result<(), Box<dyn Error>> {
    let interface = env::args().nth(1).ok_or("usage: offload INTERFACE")?;
    let engine = Engine::builder()
        .interface(interface)
        .start_with(|_worker| {
            // The ends of one pair of channels move into the worker, the others stay here.
            let (to, from_worker) = channel();
            let (to_worker, back) = channel();
            move |context: &WorkerContext| {
                let waker = context.waker();
                thread::spawn(move || work(&from_worker, &to_worker, &waker));
                Offload { to, back }
            }
        })?;
    println!("press Enter to stop");
    std::io::stdin().read_line(&mut String::new())?;
    let summary = engine.stop();
    println!("{summary}");
    Ok(summary.outcome?)
}

/// Hands frames to a thread.
struct Offload {
    to: Sender<DetachedFrame>,
    back: Receiver<DetachedFrame>,
}

impl Application for Offload {
    fn receive(&mut self, batch: Batch<'_>, _: &mut Outbox<'_>) {
        for mut frame in batch {
            frame.swap_mac_addresses();
            // Dropped with the message if the thread has gone.
            let _ = self.to.send(frame.detach());
        }
    }

    fn woken(&mut self, out: &mut Outbox<'_>) {
        for frame in self.back.try_iter() {
            if let Ok(frame) = out.umem().attach(frame) {
                out.send(frame, InterfaceId(0));
            }
        }
    }
}

/// Takes its time over each frame, and returns it. Ends with the worker.
fn work(from: &Receiver<DetachedFrame>, to: &Sender<DetachedFrame>, waker: &Waker) {
    for frame in from {
        thread::sleep(Duration::from_micros(500));
        if to.send(frame).is_err() {
            return;
        }
        waker.wake();
    }
}
