//! Scenarios of two xsks on one queue.

use std::mem;

use wharf::{Action, Interface, MacAddress, Primitive, Rule, RuleSet, SteeringConfig, XskIndex};

use super::traffic::STREAM;
use super::{End, Medium, Provoked, Side, Track, Usual, ends, exchange, frames_of};
use crate::{SOON, assert_no_program, wait_until};

/// Has the end go on with a second xsk on the same queue, in the slot of the
/// first, and returns the first.
fn swap_xsk(track: &Track, side: Side, end: &mut End) -> wharf::Xsk {
    let _inside = track.enter(side);
    let (second, _) = end.nic_queue.share().expect("the kernel shares");
    let inserted = end.steering.insert_as(XskIndex(0), &second);
    inserted.expect("there is a slot");
    mem::replace(&mut end.xsk, second)
}

/// `XDP_PROG_CLEANUP`, once `BPF_RES`: two xsks at either end. After traffic over
/// the first, the second takes its place in the program's map, and traffic goes
/// on: with the first unused, and with it gone.
///
/// # Panics
///
/// When it does not hold.
pub fn xdp_prog_cleanup(medium: Medium) {
    let Some(track) = Track::new(medium) else {
        return;
    };
    let (mut near, mut far) = ends(&track, |_, end| end.queue.xsks = 2);
    let sent = frames_of(&track, STREAM, 64);

    exchange(&mut Usual, &mut near, &mut far, &sent);
    near.assert_settled();
    far.assert_settled();
    let first = [
        swap_xsk(&track, Side::Near, &mut near),
        swap_xsk(&track, Side::Far, &mut far),
    ];
    exchange(&mut Usual, &mut near, &mut far, &sent);
    drop(first);
    exchange(&mut Usual, &mut near, &mut far, &sent);

    near.assert_settled();
    far.assert_settled_but(Provoked {
        elsewhere: STREAM,
        ..Provoked::default()
    });
    for end in [&near, &far] {
        assert_eq!(end.umem.audit().stranded, 0, "the first had nothing left");
    }
}

/// `XDP_SHARED_UMEM`: two xsks on one queue with one UMEM. The program tells
/// their frames by the parity of the destination's MAC address, and each gets its
/// own sequence, whole and in order.
///
/// # Panics
///
/// When it does not hold.
pub fn xdp_shared_umem(medium: Medium) {
    // Nobody has them, so nobody answers.
    const ADDRESSES: [[u8; 6]; 2] = [[2, 0, 0, 0, 9, 8], [2, 0, 0, 0, 9, 9]];
    let Some(track) = Track::new(medium) else {
        return;
    };
    let rule = |xsk: u8| {
        let to = MacAddress(ADDRESSES[usize::from(xsk)]);
        Rule::new(
            Action::Redirect(XskIndex(xsk)),
            Primitive::Ether(wharf::Side::Destination, to),
        )
    };
    let (mut near, mut far) = ends(&track, |side, end| {
        if side == Side::Far {
            end.steering = SteeringConfig::new(RuleSet::only([rule(0), rule(1)]));
            end.steering.xsks_per_queue = 2;
            end.queue.xsks = 2;
        }
    });
    let inside = track.enter(Side::Far);
    let interface = Interface::by_name(track.interface(Side::Far)).expect("it exists");
    // A NIC keeps what is for others from its host.
    let promiscuous = interface.promiscuous().expect("CAP_NET_RAW is held");
    let (mut second, _) = far.nic_queue.share().expect("the kernel shares");
    let inserted = far.steering.insert(&second);
    inserted.expect("there is a slot");
    drop(inside);
    let sent: Vec<_> = frames_of(&track, STREAM, 64)
        .into_iter()
        .enumerate()
        .map(|(number, mut bytes)| {
            bytes[..6].copy_from_slice(&ADDRESSES[number % 2]);
            bytes
        })
        .collect();

    let mut arrived = [Vec::new(), Vec::new()];
    for burst in sent.chunks(64) {
        for bytes in burst {
            let frame = near.make(bytes);
            near.transmit(frame);
        }
        let expected = arrived
            .each_ref()
            .map(|frames| frames.len() + burst.len() / 2);
        wait_until("each xsk gets its own", SOON, || {
            near.xsk.wake().expect("the interface is up");
            near.xsk.recycle();
            for (queue, arrived) in [&mut far.xsk, &mut second].into_iter().zip(&mut arrived) {
                // Either serves both.
                queue.recycle();
                arrived.extend(queue.receive(64).map(|frame| frame.to_vec()));
            }
            arrived.each_ref().map(Vec::len) == expected
        });
    }

    for (parity, arrived) in arrived.iter().enumerate() {
        let expected = sent.iter().skip(parity).step_by(2);
        assert!(arrived.iter().eq(expected), "xsk {parity} got others");
    }
    assert_eq!(second.violations(), 0);
    near.assert_settled();
    far.assert_settled_but(Provoked {
        elsewhere: STREAM / 2,
        ..Provoked::default()
    });
    drop((far.steering, far.xsk, second, promiscuous));
    let audit = far.umem.audit();
    assert!(audit.is_balanced(), "{audit:?}");
    if let Some(pair) = track.pair() {
        assert_no_program(pair.server_interface());
    }
}
