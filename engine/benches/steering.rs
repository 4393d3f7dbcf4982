//! What steering costs a frame: the XDP program under `BPF_PROG_TEST_RUN`, on the
//! loopback of a network namespace that nothing else uses.
//!
//! `cargo bench -p wharf-xdp --bench steering`, as root, prints nanoseconds per frame
//! (medians of interleaved rounds of a million), and the difference to the program
//! that takes every frame. All include what the kernel spends on a round itself,
//! and not the delivery of a redirected frame.

use std::net::{IpAddr, SocketAddr};
use std::process::{Command, ExitCode};

use wharf::{
    Action, Attach, Expression, Flow, Interface, Prefix, Primitive, Rule, RuleSet, Side, Steering,
    SteeringConfig, TcpFlags,
};

/// Runs of the program in a round, and rounds of each kind.
const RUNS: u32 = 1_000_000;
const ROUNDS: usize = 15;

/// Set in the process that is in the namespace.
const INSIDE: &str = "WHARF_BENCH_INSIDE";

struct Kind {
    name: &'static str,
    steering: Steering,
    frames: Vec<Vec<u8>>,
    rounds: Vec<f64>,
}

fn main() -> ExitCode {
    if std::env::var_os(INSIDE).is_some() {
        measure();
        return ExitCode::SUCCESS;
    }
    let program = std::env::current_exe().expect("it runs");
    let status = Command::new("unshare")
        .arg("--net")
        .arg(program)
        .env(INSIDE, "1")
        .status();
    match status {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        _ => {
            eprintln!("steering: run as root, with unshare(1)");
            ExitCode::FAILURE
        }
    }
}

fn measure() {
    let mut kinds = kinds();
    for _ in 0..ROUNDS {
        for kind in &mut kinds {
            let runs = RUNS / u32::try_from(kind.frames.len()).expect("a few");
            let round = kind.frames.iter().map(|frame| {
                let run = kind.steering.test_run_repeated(0, frame, runs);
                let (_, mean) = run.expect("it runs");
                u32::try_from(mean.as_nanos()).expect("below a second")
            });
            let sum: u32 = round.sum();
            let count = u32::try_from(kind.frames.len()).expect("a few");
            kind.rounds.push(f64::from(sum) / f64::from(count));
        }
    }
    let medians: Vec<_> = kinds
        .iter_mut()
        .map(|kind| {
            kind.rounds.sort_by(f64::total_cmp);
            kind.rounds[ROUNDS / 2]
        })
        .collect();
    println!("{:44} {:>10} {:>12}", "", "ns/frame", "more than 0");
    for (kind, median) in kinds.iter().zip(&medians) {
        let more = median - medians[0];
        println!("{:44} {median:10.1} {more:12.1}", kind.name);
    }
}

fn kinds() -> Vec<Kind> {
    let ports = |count: u16| RuleSet::only((1..=count).map(udp_to));
    let hosts = |count: u8| {
        RuleSet::only((1..=count).map(|last| {
            let prefix = Prefix::host(IpAddr::from([10, 1, 0, last]));
            Rule::from(Expression::dst_net(prefix))
        }))
    };
    let last = |count| vec![udp([10, 0, 0, 1], 1000, count)];
    let kind = |name, rules, frames| kind(name, SteeringConfig::new(rules), frames);
    let syn = Expression::from(Primitive::TcpFlags(TcpFlags::Any(2)));
    let mixed = RuleSet::only([
        Rule::from(Expression::udp() & Expression::dst_port(53)),
        Rule::from(Expression::vlan() & Expression::tcp()),
        Rule::from(Expression::src_net(prefix([192, 168, 0, 0], 16)) & !Expression::dst_port(22)),
        Rule::from(syn),
        Rule::from(Expression::ip6() & Expression::udp()),
        Rule::from(Expression::udp() & Expression::dst_port(64)),
    ]);
    let mut all = vec![
        kind("0 rules", RuleSet::everything(), last(64)),
        kind("1 rule: udp dst port, hit", ports(1), last(1)),
        kind("1 rule: udp dst port, missed", ports(1), last(64)),
        kind("64 rules: udp dst port, the last hit", ports(64), last(64)),
        kind("64 rules: udp dst port, missed", ports(64), last(65)),
        kind(
            "256 rules: udp dst port, the last hit",
            ports(256),
            last(256),
        ),
        kind("1 rule: dst host, missed", hosts(1), last(64)),
        kind("64 rules: dst host, missed", hosts(64), last(64)),
        kind("6 rules of 6 kinds, the last hit", mixed, last(64)),
    ];
    all.push(flows("10 flows, hit", 10));
    all.push(flows("1,000,000 flows, hit", 1_000_000));
    all
}

fn kind(name: &'static str, config: SteeringConfig, frames: Vec<Vec<u8>>) -> Kind {
    let lo = Interface::by_name("lo").expect("every namespace has one");
    // One at a time can be attached. The program stays when it is detached.
    let mut steering = Steering::attach(&lo, Attach::Generic, 1, &config).expect("root may");
    steering.detach();
    Kind {
        name,
        steering,
        frames,
        rounds: Vec::new(),
    }
}

/// Frames of ten of the flows, spread over all of them.
fn flows(name: &'static str, count: u32) -> Kind {
    let mut config = SteeringConfig::default();
    config.flow_capacity = 1 << 20;
    let spread: Vec<_> = (0..10).map(|n| n * (count / 10)).collect();
    let ends = |flow: u32| {
        let [_, high, middle, low] = flow.to_be_bytes();
        let port = u16::from_be_bytes([middle, low]);
        ([10, high, middle, low], port)
    };
    let frames = spread.iter().map(|&flow| {
        let (address, port) = ends(flow);
        udp(address, port, 4433)
    });
    let mut kind = kind(name, config, frames.collect());
    for flow in 0..count {
        let (address, port) = ends(flow);
        let flow = Flow {
            protocol: 17,
            source: SocketAddr::from((address, port)),
            destination: SocketAddr::from(([10, 0, 0, 2], 4433)),
        };
        let inserted = kind.steering.insert_flow(&flow, Action::REDIRECT);
        inserted.expect("there is room");
    }
    kind
}

fn udp_to(port: u16) -> Rule {
    Rule::from(Expression::udp() & Primitive::Port(Side::Destination, wharf::Ports::one(port)))
}

fn prefix(address: [u8; 4], length: u8) -> Prefix {
    Prefix::new(address.into(), length).expect("a prefix")
}

/// Ethernet, IPv4, UDP and eight bytes.
fn udp(source: [u8; 4], source_port: u16, destination_port: u16) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    frame.extend([0x45, 0, 0, 36, 0, 0, 0, 0, 64, 17, 0, 0]);
    frame.extend(source);
    frame.extend([10, 0, 0, 2]);
    frame.extend(source_port.to_be_bytes());
    frame.extend(destination_port.to_be_bytes());
    frame.extend([0, 16, 0, 0]);
    frame.extend([0; 8]);
    frame.resize(60, 0);
    frame
}
