//! A process that is killed in traffic, and the one that comes next.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{End, Medium, Side, Track, assert_usable, frames_of, give};

/// Names the medium to the process that is to be killed, in its environment.
const VICTIM: &str = "WHARF_TESTS_VICTIM";
/// What that prints once it has bound the queue.
const BOUND: &str = "the victim has bound the queue";

/// The victim; killed on drop.
struct Victim(Child);

impl Drop for Victim {
    fn drop(&mut self) {
        // It may be dead already, which is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A process that receives on queue 0 is killed in traffic. The next one binds the
/// queue without waiting longer than a bind does of itself; the time that it took
/// is printed.
///
/// # Panics
///
/// When it does not hold.
pub fn sigkill_and_restart(medium: Medium) {
    match std::env::var(VICTIM) {
        Ok(name) if name == format!("{medium:?}") => be_killed(medium),
        // The process is the victim of another medium.
        Ok(_) => return,
        Err(_) => {}
    }
    let Some(track) = Track::new(medium) else {
        return;
    };
    let mut near = End::bind(&track, Side::Near);
    let frames = frames_of(&track, 20, 64);
    for round in 0..3 {
        let victim = start_victim(&track);
        for _ in 0..20 {
            give(&mut near, &frames);
            near.flush();
        }

        let killed = Instant::now();
        drop(victim);
        let reaped = killed.elapsed();
        let mut far = End::bind(&track, Side::Far);

        println!(
            "{medium:?}, round {round}: bound {:?} after SIGKILL, {reaped:?} of which the process took to die",
            killed.elapsed()
        );
        assert!(killed.elapsed() < Duration::from_secs(5));
        // Those that were sent while nobody received are in nobody's counters.
        assert_usable(&track, &mut near, &mut far);
    }
}

/// Runs this same test in another process, where the interface is.
fn start_victim(track: &Track) -> Victim {
    let _inside = track.enter(Side::Far);
    let mut command = Command::new(std::env::current_exe().expect("it has a path"));
    command
        .args(["sigkill_and_restart", "--nocapture", "--test-threads", "1"])
        .env(VICTIM, format!("{:?}", track.medium()))
        .stdout(Stdio::piped());
    let mut victim = Victim(command.spawn().expect("it can be run"));
    let said = victim.0.stdout.take().expect("it is piped");
    // Ends with the victim, which dies by itself if it cannot bind.
    let bound = BufReader::new(said)
        .lines()
        .map_while(Result::ok)
        .any(|line| line.contains(BOUND));
    assert!(bound, "the victim could not bind the queue");
    victim
}

/// What the victim does.
fn be_killed(medium: Medium) -> ! {
    let track = Track::inherited(medium);
    let mut far = End::bind(&track, Side::Far);
    println!("{BOUND}");
    // Should nobody kill it, it ends.
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(60) {
        far.xsk.receive(64).for_each(drop);
        far.xsk.recycle();
        std::thread::yield_now();
    }
    std::process::exit(1)
}
