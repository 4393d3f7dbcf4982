//! Slots and the xsks that go into them: whatever is exchanged, no frame goes to an
//! xsk of another queue or interface.

use super::*;
use crate::kernel::RingCapacity;
use crate::kernel::interface::Interface;
use crate::kernel::interface::testing::{in_private_network, ip};
use crate::memory::{Umem, UmemConfig};
use crate::steering::tests::{attach, veth_pair};
use crate::steering::{Attach, SteeringConfig, Verdict};
use crate::xsk::{NicQueue, XskConfig};

const FRAME: [u8; 60] = [0; 60];

fn config() -> XskConfig {
    XskConfig::new(RingCapacity::new(64).expect("a power of two"))
}

fn bound(interface: &Interface, queue: u32) -> Xsk {
    let umem = Umem::new(&UmemConfig::new(128)).expect("there is memory");
    let queue = QueueIndex::new(queue).expect("small");
    let queue = NicQueue::new(&umem, interface, queue);
    queue.bind(&config()).expect("it binds").0
}

fn interface(name: &str) -> Interface {
    Interface::by_name(name).expect("it exists")
}

fn verdict(steering: &Steering, queue: u32) -> Verdict {
    steering.test_run(queue, &FRAME).expect("Linux 5.15")
}

#[test]
fn xsk_gets_the_frames_of_its_own_queue_only() {
    in_private_network(|| {
        let one = veth_pair();
        let mut steering = attach(&one, Attach::Native);
        let xsk = bound(&one, 2);

        steering.insert(&xsk).expect("there is a slot");

        let redirects = (0..4).map(|queue| verdict(&steering, queue) == Verdict::Redirect);
        assert_eq!(redirects.collect::<Vec<_>>(), [false, false, true, false]);
    });
}

#[test]
fn exchanged_steerings_refuse_the_xsks_of_each_other() {
    in_private_network(|| {
        let one = veth_pair();
        let two = interface("two");
        let mut steerings = [attach(&one, Attach::Native), attach(&two, Attach::Native)];
        let xsks = [bound(&one, 0), bound(&two, 0)];

        let [a, b] = &mut steerings;
        std::mem::swap(a, b);

        for (steering, xsk) in steerings.iter_mut().zip(&xsks) {
            let error = steering.insert(xsk).expect_err("another interface");
            assert!(
                matches!(error.kind(), SteeringErrorKind::OtherInterface { .. }),
                "{error}"
            );
            assert!(
                error.to_string().ends_with("of its own interface"),
                "{error}"
            );
            assert_eq!(verdict(steering, 0), Verdict::Pass, "the slot is empty");
        }
        let [b, a] = &mut steerings;
        a.insert(&xsks[0]).expect("its own");
        b.insert(&xsks[1]).expect("its own");
    });
}

#[test]
fn interface_with_the_same_index_in_another_namespace_is_another() {
    in_private_network(|| {
        ip("link add one index 4242 type veth peer name two");
        ip("link set dev two up");
        ip("link set dev one up");
        let mut steering = attach(&interface("one"), Attach::Native);

        in_private_network(|| {
            ip("link add other index 4242 type veth peer name far");
            ip("link set dev far up");
            ip("link set dev other up");
            let xsk = bound(&interface("other"), 0);

            // Linux 5.14 says which namespace a socket is in.
            let error = steering.insert(&xsk).expect_err("another interface");

            assert!(
                error.to_string().contains("in another network namespace"),
                "{error}"
            );
        });
    });
}

#[test]
fn xsk_of_a_queue_takes_the_frames_of_another_where_asked() {
    in_private_network(|| {
        let one = veth_pair();
        let mut steering = attach(&one, Attach::Native);
        let umem = Umem::new(&UmemConfig::new(128)).expect("there is memory");
        let queue = NicQueue::new(&umem, &one, QueueIndex::new(1).expect("small"));
        let config = XskConfig {
            xsks: 2,
            ..config()
        };
        let (first, _) = queue.bind(&config).expect("it binds");
        let (second, _) = queue.share().expect("the kernel shares");

        let beyond = steering.insert(&second).expect_err("queues have one slot");
        steering.insert(&first).expect("there is a slot");
        let first_alone = steering.insert_as(XskIndex(0), &second);
        drop(first);

        assert!(
            matches!(beyond.kind(), SteeringErrorKind::XskOutOfRange { .. }),
            "{beyond}"
        );
        first_alone.expect("there is a slot");
        assert_eq!(verdict(&steering, 1), Verdict::Redirect, "to the second");
    });
}

#[test]
fn simulated_xsk_has_no_slot() {
    in_private_network(|| {
        let lo = interface("lo");
        let mut steering = Steering::attach(&lo, Attach::Auto, 1, &SteeringConfig::default())
            .expect("it attaches");
        let umem = Umem::new(&UmemConfig::new(128)).expect("there is memory");
        let (xsk, _nic) = Xsk::simulated(&umem, &config()).expect("there is memory");

        let error = steering.insert(&xsk).expect_err("no socket");

        assert!(
            matches!(error.kind(), SteeringErrorKind::NoSocket),
            "{error}"
        );
    });
}
