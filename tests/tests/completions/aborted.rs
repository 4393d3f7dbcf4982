//! The interface, the xsk or the engine goes while frames are in transmit.

use std::thread::JoinHandle;
use std::time::Duration;

use wharf::{
    Attach, Engine, Interface, NicQueue, OnLinkDown, Outcome, QueueIndex, RingCapacity, Steering,
    SteeringConfig, Summary, Umem, UmemConfig, XskConfig,
};
use wharf_tests::{assert_balanced, in_both_modes, wait_until};

use super::*;

in_both_modes! {
    deleted_interface_aborts_what_was_in_transmit,
    deleted_peer_aborts_what_was_in_transmit,
    interface_set_down_aborts_what_was_in_transmit,
    interface_moved_away_aborts_what_was_in_transmit,
    peer_moved_away_aborts_what_was_in_transmit_at_the_latest_at_the_end,
    stopped_engine_aborts_what_was_in_transmit,
    dropped_xsk_aborts_what_was_in_transmit,
}

/// What an engine must notice.
enum Lost {
    Nothing,
    Gone,
    /// The kernel removes an interface, and is done when its frames have gone.
    Going(JoinHandle<()>),
}

/// Deletes a link, from inside `host`.
fn delete(host: &Host, name: &str) -> Lost {
    let mut command = host.command("ip");
    command.args(["link", "del", "dev", name]);
    Lost::Going(std::thread::spawn(move || {
        command
            .run_checked(Duration::from_secs(60))
            .expect("it can be");
    }))
}

/// Runs an engine whose frames are stuck while `lose` happens, and then to its end.
fn end_after(attach: Attach, on_link_down: OnLinkDown, lose: impl FnOnce(&mut Dam) -> Lost) {
    let Some(mut dam) = Dam::new() else { return };
    let (log, summary) = run(&mut dam, attach, on_link_down, lose);

    log.assert_complete();
    let counts = log.lock();
    assert!(counts.aborted > 0, "{counts:?}");
    assert_eq!(counts.sent.len() as u64, FRAMES);
    drop(counts);
    assert_balanced(&summary);
    for audit in &summary.audits {
        assert_eq!((audit.application, audit.parts), (0, 0), "{audit:?}");
    }
}

fn run(
    dam: &mut Dam,
    attach: Attach,
    on_link_down: OnLinkDown,
    lose: impl FnOnce(&mut Dam) -> Lost,
) -> (Log, Summary) {
    let inside = dam.sender.enter().expect("the host lives");
    let log = Log::default();
    let engine = Engine::builder()
        .interface(UP)
        .frames(1024)
        .ring_size(RingCapacity::new(256).expect("a power of two"))
        .attach(attach)
        .on_link_down(on_link_down)
        .start({
            let log = log.clone();
            move |_| Send {
                left: FRAMES,
                log: log.clone(),
            }
        })
        .expect("it starts");
    wait_until("all is sent", SOON, || log.sent() == FRAMES);
    // Those that the shaper lets through.
    std::thread::sleep(Duration::from_millis(50));
    assert!(log.reported() < FRAMES, "the dam holds");
    let lost = lose(dam);
    if !matches!(lost, Lost::Nothing) {
        wait_until("the engine notices", SOON, || {
            !engine.wait(Duration::from_millis(10))
        });
    }
    let summary = engine.stop();
    drop(inside);
    if let Lost::Going(deleting) = lost {
        dam.open();
        deleting.join().expect("it goes");
    }
    (log, summary)
}

fn deleted_interface_aborts_what_was_in_transmit(attach: Attach) {
    end_after(attach, OnLinkDown::Wait, |dam| delete(&dam.sender, UP));
}

fn deleted_peer_aborts_what_was_in_transmit(attach: Attach) {
    end_after(attach, OnLinkDown::Wait, |dam| delete(&dam.dam, "down"));
}

fn interface_set_down_aborts_what_was_in_transmit(attach: Attach) {
    end_after(attach, OnLinkDown::End, |dam| {
        dam.up.near().set_down().expect("it can be");
        Lost::Gone
    });
}

fn interface_moved_away_aborts_what_was_in_transmit(attach: Attach) {
    end_after(attach, OnLinkDown::Wait, |dam| {
        let other = Host::new("elsewhere").expect("a host");
        dam.up.near_mut().move_to(&other).expect("it can be");
        Lost::Gone
    });
}

fn peer_moved_away_aborts_what_was_in_transmit_at_the_latest_at_the_end(attach: Attach) {
    end_after(attach, OnLinkDown::Wait, |dam| {
        let other = Host::new("elsewhere").expect("a host");
        dam.up.far_mut().move_to(&other).expect("it can be");
        Lost::Nothing
    });
}

fn stopped_engine_aborts_what_was_in_transmit(attach: Attach) {
    end_after(attach, OnLinkDown::Wait, |_| Lost::Nothing);
}

fn dropped_xsk_aborts_what_was_in_transmit(attach: Attach) {
    let Some(dam) = Dam::new() else { return };
    let inside = dam.sender.enter().expect("the host lives");
    let umem = Umem::new(&UmemConfig::new(1024)).expect("memory");
    let interface = Interface::by_name(UP).expect("it exists");
    let steering =
        Steering::attach(&interface, attach, 1, &SteeringConfig::default()).expect("it attaches");
    let config = XskConfig::new(RingCapacity::new(256).expect("a power of two"));
    let queue = NicQueue::new(&umem, &interface, QueueIndex::new(0).expect("zero"));
    let (mut xsk, _) = queue.bind(&config).expect("it binds");
    let completions = xsk.completion_queue();
    let made = || {
        let mut frame = umem.allocate().expect("a free chunk");
        fill(&mut frame);
        frame
    };

    for cookie in 0..FRAMES {
        if cookie % 2 == 0 {
            xsk.transmit_tagged(made(), cookie).expect("room");
        } else {
            xsk.transmit_returning(made(), cookie).expect("room");
        }
    }
    xsk.wake().expect("it is up");
    // The kernel never hears of this one.
    xsk.transmit_returning(made(), FRAMES).expect("room");
    std::thread::sleep(Duration::from_millis(50));
    xsk.recycle();
    assert!(xsk.outstanding() > 1, "the dam holds");
    drop(xsk);

    let all: Vec<_> = completions.completions().collect();
    let mut cookies: Vec<_> = all.iter().map(|it| it.cookie).collect();
    cookies.sort_unstable();
    assert!(cookies.into_iter().eq(0..=FRAMES), "{all:?}");
    for completion in &all {
        let returns = completion.cookie % 2 == 1 && completion.outcome == Outcome::Sent;
        let is_last = completion.cookie == FRAMES;
        assert_eq!(completion.frame.is_some(), returns || is_last);
    }
    drop(all);
    assert_eq!(completions.completions().outstanding(), 0);
    let audit = umem.audit();
    assert!(audit.is_balanced(), "{audit:?}");
    assert_eq!((audit.application, audit.transmit), (0, 0), "{audit:?}");
    drop((steering, inside));
}
