//! The command line and its `--help`.
//!
//! Options default to what the engine defaults to. What clap accepts here is
//! checked once more as a whole by [`wharf::EngineBuilder::validate`].

mod engine;
mod management;
mod number;
mod rules;
mod steer;
mod steering;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::exit::{Failure, one_line};
pub use engine::EngineArgs;
pub use management::ManagementArgs;
pub use number::CpuList;
use number::{seconds, seconds_within};
pub use rules::{RulesArgs, RulesCommand};
pub use steer::{FlowCommand, Guard, SteerArgs, SteerCommand};
pub use steering::SteeringArgs;

/// Reads the command line. Prints the help or the version if asked to, and returns
/// `None`.
pub fn parse(
    arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
) -> Result<Option<Command>, Failure> {
    let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
    match Cli::try_parse_from(&arguments) {
        Ok(cli) => Ok(Some(cli.command)),
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                // A closed standard output (`wharf --help | head -1`) is fine.
                let _ = error.print();
                Ok(None)
            }
            _ => Err(Failure::Usage(format!(
                "{} (see `{} --help`)",
                describe(&error.render().to_string()),
                command_of(&arguments)
            ))),
        },
    }
}

/// Forward frames between network interfaces in user space, on AF_XDP
#[derive(Debug, Parser)]
#[command(name = "wharf", version, after_help = EXAMPLES)]
#[command(subcommand_required = true, arg_required_else_help = false)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Forward frames between two interfaces, all or by rules, until stopped
    #[command(after_help = FORWARD_NOTES)]
    Forward(ForwardArgs),
    /// List and change the rules of a running forwarder
    #[command(after_help = STEER_NOTES)]
    Steer(SteerArgs),
    /// Work on rules without an interface
    #[command(after_help = rules::RULES_NOTES)]
    Rules(RulesArgs),
    /// Send real TCP, UDP and ping through the forwarder, on virtual interfaces
    #[command(after_help = DEMO_NOTES)]
    Demo(DemoArgs),
    /// Check what forwarding would get on this machine, and what to change
    #[command(after_help = DOCTOR_NOTES)]
    Doctor(DoctorArgs),
}

/// Arguments of `wharf forward`.
#[derive(Args, Debug)]
pub struct ForwardArgs {
    /// One interface, e.g. eth0
    #[arg(value_name = "A", value_parser = NonEmptyStringValueParser::new())]
    pub a: String,
    /// The other interface, e.g. eth1
    #[arg(value_name = "B", value_parser = NonEmptyStringValueParser::new())]
    pub b: String,

    /// Stop after this many seconds, e.g. 10 or 0.5 [default: run until Ctrl-C]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    pub duration: Option<Duration>,
    /// Report every this many seconds, e.g. 10 or 0.5
    #[arg(long, value_name = "SECONDS", value_parser = seconds_within(INTERVAL_SECONDS), default_value = "1", allow_negative_numbers = true)]
    pub interval: Duration,
    /// Print no table: only the setup, what happens, and the summary
    #[arg(short, long)]
    pub quiet: bool,
    /// Print one JSON object per interval and a final one
    #[arg(long)]
    pub json: bool,
    /// Serve Prometheus metrics at http://ADDR/metrics, e.g. 127.0.0.1:9100
    #[arg(long, value_name = "ADDR", value_parser = listen_address)]
    pub metrics: Option<SocketAddr>,

    #[command(flatten)]
    pub management: ManagementArgs,
    #[command(flatten)]
    pub steering: SteeringArgs,
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// Arguments of `wharf demo`.
#[derive(Args, Debug)]
pub struct DemoArgs {
    /// Send traffic for N seconds, e.g. 5 or 0.5
    #[arg(long, value_name = "N", value_parser = seconds_within(0.1..=DEMO_SECONDS_MAX), default_value = "5", allow_negative_numbers = true)]
    pub seconds: Duration,
    /// Print one JSON object per second and a final one
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `wharf doctor`.
#[derive(Args, Debug)]
pub struct DoctorArgs {
    /// Check these interfaces [default: all but lo]
    #[arg(value_name = "INTERFACE", value_parser = NonEmptyStringValueParser::new())]
    pub interfaces: Vec<String>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

const EXAMPLES: &str = "\
Examples:
  sudo wharf demo                     watch it work here, on virtual interfaces
  sudo wharf doctor                   check what forwarding would get here
  sudo wharf forward eth0 eth1        connect two interfaces, until Ctrl-C
  sudo wharf forward eth0 eth1 --match 'tcp port 8080'
                                      forward only that; the kernel gets the rest
  sudo wharf steer list               list the rules of the running forwarder
  wharf rules test RULES PCAP         see what rules decide about captured frames

Exit codes: 0 success, 1 it failed, 2 wrong usage.";

const FORWARD_NOTES: &str = "\
Sets both interfaces to promiscuous mode while it runs. Prints, every second and
for each direction, the rates of frames in, out, passed to the kernel and dropped,
bits per second without the frame check sequence, and the CPU use of the workers.
Ends with the totals and an account of every frame and every chunk.
Needs CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF; CAP_PERFMON for rules, flows and
management traffic; CAP_IPC_LOCK if packet memory exceeds `ulimit -l`.

Leaves management traffic to the kernel on an interface that carries the default
route, so that you cannot lock yourself out: ARP, neighbour discovery and DHCP, and
packets to this host's own addresses for SSH (port 22) or for connections of its
sockets. These frames are not forwarded, so hosts on the two sides cannot resolve
each other's addresses through that interface.

Forwards frames unchanged, with one exception: it completes TCP and UDP checksums
that a stack left to the hardware of a veth or tun interface, which has none. Large
packets and VLAN tags left to that hardware are lost: at the sending end of a veth,
run `ethtool -K NAME txvlan off`, and with --attach generic also `tso off gso off`.

Applies the first rule that matches: redirect (to the forwarder; the default
action), pass (to the kernel) or drop. Rules are written as for tcpdump: ip, ip6,
arp, tcp, udp, icmp, vlan ID, host, net, port, portrange with src or dst,
tcp[tcpflags], and, or, not, parentheses. A rules file has one rule per line and #
comments, and may contain `default ACTION`. If hosts on the two sides find each
other by ARP or neighbour discovery, add --match arp --match icmp6.

Examples:
  sudo wharf forward eth0 eth1
  sudo wharf forward eth0 eth1 --match 'tcp port 8080' --match 'udp dst port 53'
  sudo wharf forward eth0 eth1 --match 'pass tcp port 22' --rules rules.txt
  sudo wharf forward eth0 eth1 --queues 2 --cpus 2,3 --wait spin
  sudo wharf forward eth0 eth1 --duration 10 --json | jq .directions
  sudo wharf forward eth0 eth1 --metrics 127.0.0.1:9100

Exit codes: 0 stopped as asked and every frame accounted for, 1 it could not
start or failed, 2 wrong usage.";

const STEER_NOTES: &str = "\
Connects to the forwarder through a Unix socket in /run/wharf ($WHARF_CONTROL_DIR)
that only its owner can open. Checks its input before it sends anything; rules are
written as for `wharf forward --match`. An edit takes effect at once and as a whole.
With --revision, it is refused if the rules have changed since `wharf steer list`
showed that revision.

Examples:
  sudo wharf steer list
  sudo wharf steer add --at 1 'drop src net 192.0.2.0/24'
  sudo wharf steer remove 3 --revision 7
  sudo wharf steer replace rules.txt
  sudo wharf steer default pass
  sudo wharf steer explain frames.pcap
  sudo wharf steer flow add 'tcp 10.0.0.1:1234 > 10.0.0.2:80'
  sudo wharf steer flow load flows.txt --action drop

Exit codes: 0 done, 1 there is no such forwarder or it refused, 2 wrong usage.";

const DEMO_NOTES: &str = "\
Builds three private network namespaces, client, wire and server, and runs the
forwarder as the wire. Sends TCP both ways, UDP and ICMP echo between the kernels'
own stacks through it, and verifies every byte. Touches none of the machine's
interfaces and leaves nothing behind.
Needs CAP_SYS_ADMIN, CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF, and CAP_IPC_LOCK
if `ulimit -l` is below 64 MiB.

Examples:
  sudo wharf demo
  sudo wharf demo --seconds 2 --json | tail -1 | jq .verdict

Exit codes: 0 every payload arrived intact and every frame is accounted for,
1 otherwise, 2 wrong usage.";

const DOCTOR_NOTES: &str = "\
Tries the kernel's features on throw-away sockets and programs, and on virtual
interfaces in a private namespace. Only queries the machine's own interfaces:
attaching and binding would reset many NICs. If two interfaces are named, it also
checks that they fit each other.

Examples:
  sudo wharf doctor
  sudo wharf doctor eth0 eth1
  sudo wharf doctor --json | jq '.interfaces[] | {name, forward}'

Exit codes: 0 forwarding would work, 1 this machine or a named interface prevents
it, 2 wrong usage.";

/// Workers publish their counters every 50 ms, so less shows nothing new.
const INTERVAL_SECONDS: RangeInclusive<f64> = 0.1..=86_400.0;

/// The longest demo, in seconds.
const DEMO_SECONDS_MAX: f64 = 3600.0;

fn listen_address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .ok()
        .filter(|address: &SocketAddr| address.port() != 0)
        .ok_or_else(|| {
            "use an IP address and a port above 0, e.g. 127.0.0.1:9100 or [::1]:9100".to_owned()
        })
}

/// clap's error in one line, without its paragraphs of usage and its hint at the help.
fn describe(rendered: &str) -> String {
    let paragraphs: Vec<String> = rendered
        .split("\n\n")
        .map(one_line)
        .filter(|paragraph| !paragraph.is_empty())
        .filter(|paragraph| !paragraph.starts_with("Usage:"))
        .filter(|paragraph| !paragraph.starts_with("For more information"))
        .collect();
    let text = paragraphs.join("; ");
    text.strip_prefix("error: ").unwrap_or(&text).to_owned()
}

/// The subcommand that `arguments` name, as far as it exists: `wharf steer flow add`.
fn command_of(arguments: &[OsString]) -> String {
    let mut words = vec!["wharf".to_owned()];
    let lenient = Cli::command().ignore_errors(true);
    if let Ok(matches) = lenient.try_get_matches_from(arguments) {
        let mut named = matches.subcommand();
        while let Some((name, matches)) = named {
            words.push(name.to_owned());
            named = matches.subcommand();
        }
    }
    words.join(" ")
}

#[cfg(test)]
mod tests;
