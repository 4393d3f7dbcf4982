//! Bad input to `wharf forward`: each case ends with its exit code and one line
//! that names what was wrong and what to do, and leaves the interfaces as they
//! were.

use std::process::Output;
use std::time::Duration;

use wharf::{Interface, NicQueue, QueueIndex, RingCapacity, Umem, UmemConfig, XskConfig};
use wharf_testbed::{Switch, Testbed, TopologyOptions, Wire, require_privileges, require_program};
use wharf_tests::{
    InterfaceState, Occupant, Place, assert_no_program, keep_sockets_apart, single_line, state_of,
    wharf,
};

/// Exit code for what can be judged without looking at the machine.
const USAGE: i32 = 2;
/// Exit code for the rest.
const RUN: i32 = 1;

/// A case whose request would otherwise be served.
struct Case {
    wire: Wire,
    /// Before the command and its options: what takes privileges away.
    wrapper: Vec<&'static str>,
    before: [InterfaceState; 2],
}

impl Case {
    fn new() -> Option<Self> {
        Self::with(Testbed::options())
    }

    fn with(options: TopologyOptions) -> Option<Self> {
        require_privileges().then(|| Self::on(options.wire().expect("a wire")))
    }

    fn on(wire: Wire) -> Self {
        let before = [state_of(wire.left()), state_of(wire.right())];
        Self {
            wire,
            wrapper: Vec::new(),
            before,
        }
    }

    /// Takes privileges away from the command by a program of util-linux.
    fn under(mut self, wrapper: &[&'static str]) -> Option<Self> {
        let program = wrapper.first().expect("a wrapper is a program");
        self.wrapper.extend(wrapper);
        require_program(program).then_some(self)
    }

    fn run(&self, options: &str) -> Output {
        let command = format!("forward left right {options}");
        self.run_command(&command)
    }

    fn run_command(&self, arguments: &str) -> Output {
        let binary = wharf().display().to_string();
        let words: Vec<&str> = self
            .wrapper
            .iter()
            .copied()
            .chain([binary.as_str()])
            .collect();
        let (program, first) = words.split_first().expect("the command itself");
        let mut command = self.wire.forwarder().command(program);
        keep_sockets_apart(&mut command);
        // Should it start after all, it ends, and the case fails.
        command
            .args(first)
            .args(arguments.split_whitespace())
            .args(["--duration", "0.2"]);
        command
            .run_bounded(Duration::from_secs(20))
            .expect("it ends by itself")
    }

    /// The command was refused with `code`, in one line that says each of
    /// `needles`, and the interfaces are as they were.
    #[track_caller]
    fn assert_refused(&self, output: &Output, code: i32, needles: &[&str]) {
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{errors}");
        let line = single_line(output);
        for needle in needles {
            assert!(line.contains(needle), "no `{needle}` in: {line}");
        }
        assert_eq!(
            output.stdout, b"",
            "nothing ran, so there is nothing to report"
        );
        let after = [state_of(self.wire.left()), state_of(self.wire.right())];
        assert_eq!(after, self.before, "the interfaces are not as they were");
    }
}

/// Runs `wharf forward left right` with `options` on a plain wire.
#[track_caller]
fn assert_options_refused(options: &str, code: i32, needles: &[&str]) {
    let Some(case) = Case::new() else { return };

    let output = case.run(options);

    case.assert_refused(&output, code, needles);
}

#[test]
fn good_input_is_not_refused() {
    let Some(case) = Case::new() else { return };

    let output = case.run("");

    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(0),
        "the other cases prove something: {errors}"
    );
    assert_no_program(case.wire.left());
    assert_no_program(case.wire.right());
}

#[test]
fn unknown_interface_is_refused_and_the_known_ones_are_named() {
    let Some(case) = Case::new() else { return };

    let output = case.run_command("forward left rihgt");

    case.assert_refused(&output, RUN, &["`rihgt` does not exist", "left", "right"]);
}

#[test]
fn same_interface_twice_is_refused() {
    let Some(case) = Case::new() else { return };

    let output = case.run_command("forward left left");

    case.assert_refused(&output, USAGE, &["`left` is named twice", "two different"]);
}

#[test]
fn interface_that_is_down_is_refused() {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    wire.right().set_down().expect("it can be set down");
    let case = Case::on(wire);

    let output = case.run("");

    case.assert_refused(&output, RUN, &["`right` is down", "ip link set right up"]);
}

#[test]
fn more_queues_than_the_interface_has_are_refused() {
    let Some(case) = Case::with(Testbed::options().queues(2)) else {
        return;
    };

    let output = case.run("--queues 3");

    case.assert_refused(
        &output,
        RUN,
        &["3 queues asked for", "`left` has 2", "at most"],
    );
}

#[test]
fn more_queues_than_the_kernel_can_number_are_refused() {
    // Index 65537 would silently be queue 1.
    assert_options_refused("--queues 65537", USAGE, &["65537 queues", "at most 65536"]);
}

#[test]
fn no_queues_are_refused() {
    assert_options_refused("--queues 0", USAGE, &["queues", "at least 1"]);
}

#[test]
fn ring_size_that_is_no_power_of_two_is_refused() {
    assert_options_refused("--ring-size 3000", USAGE, &["3000", "power of two"]);
}

#[test]
fn chunk_size_below_the_kernels_least_is_refused() {
    assert_options_refused(
        "--chunk-size 1000",
        USAGE,
        &["chunk size 1000", "from 2048"],
    );
}

#[test]
fn chunk_size_above_the_page_size_is_refused() {
    assert_options_refused(
        "--chunk-size 8192",
        USAGE,
        &["chunk size 8192", "page size"],
    );
}

#[test]
fn chunk_size_that_is_no_power_of_two_is_refused_with_the_option_that_takes_it() {
    assert_options_refused(
        "--chunk-size 3000",
        USAGE,
        &["chunk size 3000", "power of two", "--unaligned-chunks"],
    );
}

#[test]
fn unaligned_chunks_larger_than_a_page_are_refused() {
    assert_options_refused(
        "--unaligned-chunks --chunk-size 4097",
        USAGE,
        &["chunk size 4097", "2048 to 4096", "page size"],
    );
}

#[test]
fn huge_pages_that_nobody_reserved_are_named_with_the_way_to_reserve_them() {
    // 30 GiB of them for each worker are on no machine that runs this.
    assert_options_refused(
        "--huge-pages --frames 8000000 --cpus 0",
        RUN,
        &["15625 huge page(s)", "are free", "`sysctl vm.nr_hugepages="],
    );
}

#[test]
fn too_few_frames_are_refused() {
    assert_options_refused(
        "--frames 100",
        USAGE,
        &["100 frames are too few", "at least 128"],
    );
}

#[test]
fn too_few_frames_for_the_queues_there_are_are_refused() {
    let Some(case) = Case::with(Testbed::options().queues(4)) else {
        return;
    };

    let output = case.run("--frames 128 --cpus 0");

    // The same sort of error as usage, but it took a look at the machine.
    case.assert_refused(
        &output,
        RUN,
        &["128 frames are too few", "8 queue(s)", "512"],
    );
}

#[test]
fn cpu_that_does_not_exist_is_refused() {
    assert_options_refused("--cpus 4000", RUN, &["CPU 4000", "may use"]);
}

#[test]
fn same_cpu_twice_is_refused() {
    assert_options_refused("--cpus 0,0", USAGE, &["CPU 0 is named twice"]);
}

#[test]
fn zero_copy_on_veth_is_refused() {
    let needles = ["zero copy is not available", "`left`", "mode auto or copy"];
    assert_options_refused("--mode zero-copy", RUN, &needles);
}

#[test]
fn mtu_that_does_not_fit_a_small_chunk_is_refused() {
    let Some(case) = Case::with(Testbed::options().mtu(3000)) else {
        return;
    };

    let output = case.run("--chunk-size 2048 --multi-buffer never");

    let needles = [
        "`left` has an MTU of 3000",
        "2048",
        "lower the MTU to 1774",
        "multi-buffer auto",
        "raise the chunk size",
    ];
    case.assert_refused(&output, RUN, &needles);
}

#[test]
fn mtu_that_fits_no_chunk_is_refused_where_frames_must_fit_one() {
    let Some(case) = Case::with(Testbed::options().mtu(9000)) else {
        return;
    };

    let output = case.run("--multi-buffer never");

    case.assert_refused(
        &output,
        RUN,
        &["`left` has an MTU of 9000", "lower the MTU to 3822"],
    );
}

#[test]
fn mtu_of_the_second_interface_is_looked_at_too() {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    wire.right().set_mtu(9000).expect("veth takes it");
    let case = Case::on(wire);

    let output = case.run("--multi-buffer never");

    case.assert_refused(&output, RUN, &["`right` has an MTU of 9000"]);
}

#[test]
fn mtu_that_takes_more_chunks_than_a_frame_can_have_is_refused() {
    let Some(case) = Case::with(Testbed::options().mtu(40_000)) else {
        return;
    };

    let output = case.run("--chunk-size 2048");

    let needles = [
        "18 chunks of 2048",
        "lower the MTU to 32238",
        "raise the chunk size",
    ];
    case.assert_refused(&output, RUN, &needles);
}

#[test]
fn limits_that_cannot_be_kept_are_refused() {
    for (limits, needles) in [
        ("held=0", ["held frames must not be 0", "leave it out"]),
        ("transmit=4095B", ["less than one chunk", "raise the limit"]),
        ("chunks=16385", ["more than the 16384 chunks", "lower it"]),
        (
            "memory=1MiB",
            ["exceed the memory limit", "raise the limit"],
        ),
        (
            "chunks=512,floor=512",
            ["leaves none of the 512 chunks", "lower the floor"],
        ),
        (
            "chunks=512,held=513",
            ["held chunks exceeds the 512 chunks", "lower it"],
        ),
        ("floor=8192", ["4096 entries", "lower the floor"]),
        ("held=many", ["`many` is no amount", "8MiB"]),
        ("policy=lossy", ["no policy `lossy`", "copy-out"]),
        ("held=1,held=2", ["held twice", "give it once"]),
    ] {
        let code = if limits.starts_with("memory") {
            RUN
        } else {
            USAGE
        };
        assert_options_refused(&format!("--limit {limits}"), code, &needles);
    }
}

#[test]
fn limits_that_can_be_kept_are_shown() {
    let Some(case) = Case::new() else { return };

    let output = case.run(
        "--limit chunks=512,floor=64 --limit held=8MiB,policy=copy-out --limit \
         transmit=100,memory=1GiB --json",
    );

    // 8 MiB are more than 512 chunks.
    case.assert_refused(&output, USAGE, &["2048 held chunks", "512"]);
    let output = case.run(
        "--limit chunks=512,floor=64 --limit held=1MiB,policy=copy-out --limit \
         transmit=100,memory=1GiB --json",
    );
    assert!(output.status.success(), "{output:?}");
    let setup = String::from_utf8_lossy(&output.stderr);
    for text in [
        "packet memory: at most 1024 MiB in all",
        "each queue of left: at most 512 chunks, 64 of them to receive into; 256 held, 100 in transmit; copy-out",
    ] {
        assert!(setup.contains(text), "{text} is not in\n{setup}");
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().expect("a summary");
    let summary: serde_json::Value = serde_json::from_str(last).expect("an object");
    assert_eq!(summary["setup"]["limits"]["held"], "1 MiB");
    assert_eq!(summary["xsks"][0]["limits"]["transmit"], 100);
    assert_eq!(summary["xsks"][0]["charged_chunks"], 512);
}

/// Gives up capabilities, for this command and whatever it runs.
fn without(capabilities: &'static [&'static str]) -> Option<Case> {
    let mut wrapper = vec!["setpriv"];
    wrapper.extend(capabilities);
    Case::new()?.under(&wrapper)
}

#[test]
fn more_memory_than_may_be_locked_is_refused() {
    let drop = &["--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock"];
    let Some(case) = without(drop) else { return };
    let Some(case) = case.under(&["prlimit", "--memlock=8388608"]) else {
        return;
    };

    let output = case.run("--frames 16384");

    case.assert_refused(
        &output,
        RUN,
        &["67108864 bytes", "8388608", "CAP_IPC_LOCK", "fewer frames"],
    );
}

#[test]
fn memory_that_may_be_locked_needs_no_capability() {
    let drop = &["--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock"];
    let Some(case) = without(drop) else { return };
    let Some(case) = case.under(&["prlimit", "--memlock=8388608"]) else {
        return;
    };

    let output = case.run("--frames 512 --ring-size 128 --cpus 0");

    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    assert_no_program(case.wire.left());
}

#[test]
fn missing_cap_net_raw_is_named() {
    let Some(case) = without(&["--bounding-set=-net_raw", "--inh-caps=-net_raw"]) else {
        return;
    };

    let output = case.run("");

    case.assert_refused(&output, RUN, &["CAP_NET_RAW", "sudo"]);
}

#[test]
fn missing_cap_net_admin_is_named() {
    let Some(case) = without(&["--bounding-set=-net_admin", "--inh-caps=-net_admin"]) else {
        return;
    };

    let output = case.run("");

    case.assert_refused(&output, RUN, &["CAP_NET_ADMIN", "sudo"]);
}

#[test]
fn missing_cap_bpf_is_named() {
    // CAP_SYS_ADMIN stands in for it.
    let drop = &[
        "--bounding-set=-bpf,-sys_admin",
        "--inh-caps=-bpf,-sys_admin",
    ];
    let Some(case) = without(drop) else { return };

    let output = case.run("");

    case.assert_refused(&output, RUN, &["CAP_BPF", "sudo"]);
}

#[test]
fn no_capability_at_all_names_each_that_is_missing() {
    let Some(case) = without(&["--bounding-set=-all", "--inh-caps=-all"]) else {
        return;
    };

    let output = case.run("");

    case.assert_refused(&output, RUN, &["CAP_NET_RAW", "CAP_NET_ADMIN", "CAP_BPF"]);
}

/// On the second interface, so that the first one has been attached to by then.
fn assert_occupied(place: Place, remedy: &str) {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    let occupant = Occupant::attach(wire.right(), place);
    let case = Case::on(wire);
    let named = format!("(id {}, ", occupant.id());

    for options in ["", "--attach native", "--attach generic"] {
        let output = case.run(options);

        let needles = ["`right` already has XDP program", named.as_str(), remedy];
        case.assert_refused(&output, RUN, &needles);
    }
    assert_eq!(
        case.before[1].program,
        Some(occupant.id()),
        "it was there, and still is"
    );
}

#[test]
fn interface_with_a_native_program_is_refused() {
    assert_occupied(Place::Native, "`ip link set dev right xdpdrv off`");
}

#[test]
fn interface_with_a_generic_program_is_refused() {
    assert_occupied(Place::Generic, "`ip link set dev right xdpgeneric off`");
}

#[test]
fn interface_with_a_program_by_link_is_refused() {
    let process = format!("stop process {} ", std::process::id());
    assert_occupied(Place::Link, &process);
}

#[test]
fn queue_of_another_socket_is_refused() {
    let Some(case) = Case::new() else { return };
    // Without a program, so that only the queue is in the way.
    let inside = case.wire.forwarder().enter().expect("the host lives");
    let interface = Interface::by_name("right").expect("it exists");
    let umem = Umem::new(&UmemConfig::new(64)).expect("memory");
    let config = XskConfig::new(RingCapacity::new(64).expect("a power of two"));
    let index = QueueIndex::new(0).expect("a small index");
    let bound = NicQueue::new(&umem, &interface, index)
        .bind(&config)
        .expect("the queue is free");

    let output = case.run("");

    case.assert_refused(
        &output,
        RUN,
        &["queue 0 of `right` is taken", "stop the program"],
    );
    drop(bound);
    drop(inside);
}

#[test]
fn offloads_are_no_reason_to_refuse() {
    let Some(case) = Case::with(Testbed::options().offloads(Switch::On)) else {
        return;
    };

    let output = case.run("");

    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
}
