//! Steering beside programs of others: they stay, and are named.

use wharf::{Attach, Engine, Interface, Steering, SteeringConfig, SteeringErrorKind};
use wharf_testbed::{Testbed, require_privileges};
use wharf_tests::{Occupant, Place, assert_no_program, state_of};

struct Drop;

impl wharf::Application for Drop {
    fn receive(&mut self, batch: wharf::Batch<'_>, _: &mut wharf::Outbox<'_>) {
        batch.for_each(std::mem::drop);
    }
}

fn assert_occupied(place: Place) {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().expect("a pair");
    let occupant = Occupant::attach(pair.server_interface(), place);
    let before = state_of(pair.server_interface());
    assert_eq!(before.program, Some(occupant.id()), "it is there");
    let _inside = pair.server().enter().expect("the host lives");
    let interface = Interface::by_name("eth0").expect("it exists");

    for attach in [Attach::Auto, Attach::Native, Attach::Generic] {
        let steering = Steering::attach(&interface, attach, 1, &SteeringConfig::default())
            .expect_err("it is taken");
        let engine = Engine::builder()
            .interface("eth0")
            .attach(attach)
            .start(|_| Drop);
        let engine = engine.expect_err("it is taken").to_string();

        let SteeringErrorKind::Occupied(program) = steering.kind() else {
            panic!("not occupied: {steering}");
        };
        assert_eq!(program.id, occupant.id());
        assert_eq!(steering.to_string(), engine, "the engine says the same");
        assert!(
            engine.contains(&format!("(id {}, ", occupant.id())),
            "{engine}"
        );
        assert_eq!(
            state_of(pair.server_interface()),
            before,
            "and it is left alone"
        );
    }
}

#[test]
fn native_program_is_named_and_left_alone() {
    assert_occupied(Place::Native);
}

#[test]
fn generic_program_is_named_and_left_alone() {
    assert_occupied(Place::Generic);
}

#[test]
fn program_by_link_is_named_and_left_alone() {
    assert_occupied(Place::Link);
}

#[test]
fn dispatcher_of_libxdp_is_named_with_what_to_do_about_it() {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().expect("a pair");
    let server = pair.server_interface();
    let dispatcher = Occupant::attach_named(server, Place::Native, "xdp_dispatcher");
    let before = state_of(server);
    let _inside = pair.server().enter().expect("the host lives");

    let engine = Engine::builder().interface("eth0").start(|_| Drop);

    let error = engine.expect_err("it is taken").to_string();
    let expected = format!(
        "interface `eth0` already has XDP program `xdp_dispatcher` (id {}, native): \
         it is libxdp's dispatcher, which runs the programs that `xdp-loader status eth0` lists: \
         unload them with `xdp-loader unload eth0 --all`",
        dispatcher.id()
    );
    assert_eq!(error, expected);
    assert_eq!(state_of(server), before, "and it is left alone");
}

#[test]
fn program_goes_with_its_steering() {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().expect("a pair");
    let _inside = pair.server().enter().expect("the host lives");
    let interface = Interface::by_name("eth0").expect("it exists");

    for attach in [Attach::Native, Attach::Generic] {
        let steering = Steering::attach(&interface, attach, 1, &SteeringConfig::default())
            .expect("it attaches");
        let attached = state_of(pair.server_interface()).program;
        assert_eq!(attached, Some(steering.program_id()));

        drop(steering);

        assert_no_program(pair.server_interface());
    }
}
