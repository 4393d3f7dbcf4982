//! Interfaces that go, and come back, under queues that send and receive.

use wharf::{NicQueue, QueueIndex, WakeError, XskError, XskErrorKind};
use wharf_testbed::Link;

use super::{
    End, EndConfig, Medium, Side, Track, Usual, assert_usable, at_once, ends, exchange, frames_of,
    give, roomy,
};
use crate::{SOON, wait_until};

/// The interface is deleted while frames are on their way: the queue says so at
/// once, again and again, and writes off what the kernel had. The UMEM serves
/// another interface then, though not by way of the dead queue.
///
/// # Panics
///
/// When it does not hold.
pub fn device_deleted_in_traffic(medium: Medium) {
    let Some(track) = Track::new(medium) else {
        return;
    };
    let mut near = End::bind_with(&track, Side::Near, &roomy(&track));
    let mut far = End::bind(&track, Side::Far);
    exchange(&mut Usual, &mut near, &mut far, &frames_of(&track, 300, 64));
    near.flush();
    give(&mut near, &frames_of(&track, 40, 64));

    let pair = track.pair().expect("a veth pair");
    pair.link().delete().expect("it can be deleted");

    for _ in 0..3 {
        let gone = at_once("the wake-up", || near.xsk.wake());
        assert!(matches!(gone, Err(WakeError::Gone)), "{gone:?}");
        at_once("the rest", || near.xsk.recycle());
        assert_eq!(at_once("receiving", || far.xsk.receive(64).count()), 0);
    }
    assert_eq!(near.xsk.tx().in_flight(), 40, "none came back");

    let again = Link::between(pair.client(), pair.server());
    let _again = again.names("eth0", "eth0").create().expect("a new link");
    let umem = near.umem.clone();
    // The dead queue has the UMEM registered.
    let refused = bind_error(&track, &umem);
    assert!(
        matches!(refused.kind(), XskErrorKind::RegistrantsGone),
        "{refused}"
    );
    assert!(
        refused
            .to_string()
            .contains("drop the xsks of those queues first")
    );
    let lent = umem.audit().fill;
    drop(near);
    let audit = umem.audit();
    assert!(audit.is_balanced(), "{audit:?}");
    assert_eq!(
        (audit.fill, audit.transmit, audit.stranded),
        (0, 0, lent + 40),
        "{audit:?}"
    );
    drop(far);
    let mut near = End::bind_to(&track, Side::Near, &roomy(&track), umem);
    let mut far = End::bind(&track, Side::Far);
    assert_usable(&track, &mut near, &mut far);
}

/// Why queue 0 of the near interface is not to be had.
fn bind_error(track: &Track, umem: &wharf::Umem) -> XskError {
    let _inside = track.enter(Side::Near);
    let interface = wharf::Interface::by_name("eth0").expect("it exists");
    let index = QueueIndex::new(0).expect("small");
    let config = EndConfig::new(track).queue;
    NicQueue::new(umem, &interface, index)
        .bind(&config)
        .expect_err("it cannot be had")
}

/// The interface is set down while frames are on their way, and up again: the
/// queue says that it is down as long as it is, keeps the frames, and sends them
/// afterwards.
///
/// # Panics
///
/// When it does not hold.
pub fn device_down_and_up_in_traffic(medium: Medium) {
    let Some(track) = Track::new(medium) else {
        return;
    };
    let (mut near, mut far) = ends(&track);
    let frames = frames_of(&track, 600, 64);
    exchange(&mut Usual, &mut near, &mut far, &frames[..300]);
    near.flush();

    track.set_down(Side::Near);
    give(&mut near, &frames[300..340]);
    for _ in 0..3 {
        let down = at_once("the wake-up", || near.xsk.wake());
        assert!(matches!(down, Err(WakeError::Down)), "{down:?}");
        near.xsk.recycle();
        assert_eq!(far.xsk.receive(64).count(), 0);
    }
    assert_eq!(near.xsk.tx().in_flight(), 40, "they wait");
    track.set_up(Side::Near);

    // In their order, with those behind them.
    wait_until("the frames that waited are sent", SOON, || {
        near.xsk.wake().expect("the interface is up");
        near.xsk.recycle();
        near.xsk.tx().in_flight() == 0
    });
    let mut waited = Vec::new();
    wait_until("the frames that waited arrive", SOON, || {
        waited.extend(far.xsk.receive(64).map(|frame| frame.to_vec()));
        waited.len() >= 40
    });
    assert!(waited == frames[300..340], "those, in their order");
    exchange(&mut Usual, &mut near, &mut far, &frames[340..]);
    near.assert_settled();
    far.assert_settled();
}

/// A UMEM serves queues of interfaces in different network namespaces, which
/// have the same names and numbers there. One of them goes, and the other one
/// carries on, and shares the UMEM with one that is new.
///
/// # Panics
///
/// When it does not hold.
pub fn several_network_namespaces(medium: Medium) {
    let Some(tracks) = [Track::new(medium), Track::new(medium)]
        .into_iter()
        .collect::<Option<Vec<_>>>()
    else {
        return;
    };
    let config = roomy(&tracks[0]);
    let umem = wharf::Umem::new(&config.umem).expect("there is memory");
    let pair_of = |track: &Track| {
        track
            .pair()
            .expect("a veth pair")
            .client_interface()
            .index()
    };
    assert_eq!(
        pair_of(&tracks[0]),
        pair_of(&tracks[1]),
        "the same number, so that it proves something"
    );
    let near = |track| End::bind_to(track, Side::Near, &config, umem.clone());
    let far = |track| End::bind(track, Side::Far);
    let (mut dying, mut dying_far) = (near(&tracks[0]), far(&tracks[0]));
    let (mut staying, mut staying_far) = (near(&tracks[1]), far(&tracks[1]));

    for _ in 0..5 {
        for (track, near, far) in [
            (&tracks[0], &mut dying, &mut dying_far),
            (&tracks[1], &mut staying, &mut staying_far),
        ] {
            exchange(&mut Usual, near, far, &frames_of(track, 100, 64));
        }
    }
    for end in [&mut dying, &mut staying] {
        // Once both have nothing under way: they share the UMEM.
        end.flush();
    }
    for end in [&mut dying, &mut dying_far, &mut staying, &mut staying_far] {
        end.assert_settled();
    }

    let link = tracks[0].pair().expect("a veth pair").link();
    link.delete().expect("it can be deleted");
    assert_usable(&tracks[1], &mut staying, &mut staying_far);
    // The first that registered the UMEM is dead, and still open.
    let third = Track::new(medium).expect("as before");
    let mut joined = near(&third);
    let mut joined_far = far(&third);
    assert_usable(&third, &mut joined, &mut joined_far);
    drop(dying);
    assert_usable(&tracks[1], &mut staying, &mut staying_far);
}
