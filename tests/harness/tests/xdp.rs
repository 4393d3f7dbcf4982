//! Attached XDP programs are reported, and so is their absence.

use std::fs;
use std::time::Duration;

use wharf_testbed::{Interface, Testbed, XdpMode, require_privileges, require_program};

const SOON: Duration = Duration::from_secs(30);

fn ip_link_set(interface: &Interface, arguments: &[&str]) {
    interface
        .host()
        .command("ip")
        .args(["link", "set", "dev", interface.name()])
        .args(arguments)
        .run_checked(SOON)
        .unwrap();
}

#[test]
fn program_is_reported_with_its_mode_until_detached() {
    if !require_privileges() || !require_program("ip") {
        return;
    }
    // Any program will do; this one passes frames for which it has no socket.
    let object = concat!(env!("CARGO_TARGET_TMPDIR"), "/program.o");
    fs::write(object, wharf_ebpf::OBJECT).unwrap();
    let pair = Testbed::options().queues(2).pair().unwrap();
    let (native, generic) = (pair.client_interface(), pair.server_interface());
    assert_eq!(native.xdp().unwrap(), None);

    ip_link_set(native, &["xdp", "obj", object, "sec", "xdp"]);
    ip_link_set(generic, &["xdpgeneric", "obj", object, "sec", "xdp"]);

    let on_native = native.xdp().unwrap().unwrap();
    let on_generic = generic.xdp().unwrap().unwrap();
    assert_eq!(on_native.mode, XdpMode::Native);
    assert_eq!(on_generic.mode, XdpMode::Generic);
    assert!(on_native.program_id.is_some());
    assert_ne!(on_native.program_id, on_generic.program_id);

    ip_link_set(native, &["xdp", "off"]);
    ip_link_set(generic, &["xdpgeneric", "off"]);
    assert_eq!(native.xdp().unwrap(), None);
    assert_eq!(generic.xdp().unwrap(), None);
}
