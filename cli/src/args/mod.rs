//! The command line: what may be asked for, and its `--help`.
//!
//! Options default to what the engine defaults to. What clap accepts here is
//! checked once more as a whole by [`wharf::EngineBuilder::validate`].

mod engine;
mod management;
mod steer;
mod steering;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};

use crate::exit::{Failure, one_line};
pub use engine::EngineArgs;
pub use management::ManagementArgs;
pub use steer::{FlowCommand, Guard, SteerArgs, SteerCommand};
pub use steering::SteeringArgs;

/// Reads the command line; `None` when it asked for help or the version, which
/// have been printed then.
pub fn parse(
    arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
) -> Result<Option<Command>, Failure> {
    match Cli::try_parse_from(arguments) {
        Ok(cli) => Ok(Some(cli.command)),
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                // A closed standard output (`wharf --help | head -1`) is fine.
                let _ = error.print();
                Ok(None)
            }
            _ => Err(Failure::Usage(describe(&error.render().to_string()))),
        },
    }
}

/// Forwards frames between network interfaces in user space, on AF_XDP.
#[derive(Debug, Parser)]
#[command(name = "wharf", version, after_help = EXAMPLES)]
#[command(subcommand_required = true, arg_required_else_help = false)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Carry frames from A to B and from B to A, all or by rules, until told to
    /// stop
    #[command(after_help = FORWARD_NOTES)]
    Forward(ForwardArgs),
    /// Look at and change the rules of a running forwarder
    #[command(after_help = STEER_NOTES)]
    Steer(SteerArgs),
    /// Show that it works here: real TCP, UDP and ping through the forwarder
    #[command(after_help = DEMO_NOTES)]
    Demo(DemoArgs),
    /// Say what forwarding would get on this machine, and what to change
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
    /// Print one JSON object per second and a final one on standard output
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
    /// How long to send traffic, e.g. 5 or 0.5
    #[arg(long, value_name = "N", value_parser = demo_seconds, default_value = "5", allow_negative_numbers = true)]
    pub seconds: Duration,
    /// Print one JSON object per second and a final one on standard output
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `wharf doctor`.
#[derive(Args, Debug)]
pub struct DoctorArgs {
    /// Interfaces to look at [default: all but lo]
    #[arg(value_name = "INTERFACE", value_parser = NonEmptyStringValueParser::new())]
    pub interfaces: Vec<String>,
    /// Print one JSON object on standard output
    #[arg(long)]
    pub json: bool,
}

const EXAMPLES: &str = "\
Examples:
  sudo wharf demo                     see it work here, on virtual interfaces
  sudo wharf doctor                   what would forwarding get on this machine?
  sudo wharf forward eth0 eth1        a bump in the wire, until Ctrl-C
  sudo wharf forward eth0 eth1 --match 'tcp port 8080'
                                      only that; the rest is the kernel's
  sudo wharf steer list               the rules of the running forwarder

Exit codes: 0 good, 1 it could not be done or went wrong, 2 wrong usage.";

const FORWARD_NOTES: &str = "\
Both interfaces are promiscuous while it runs. Every second it prints, for each
direction, millions of frames per second (Mpps), Gbit/s without the frame check
sequence, the CPU use of each worker, and the frames that were dropped and why.
It ends with totals, and with an account of every frame and every chunk.
It needs CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF, and CAP_IPC_LOCK where packet
memory exceeds the limit on locked memory.

An interface that carries the default route keeps management traffic with the
kernel, so that nobody is locked out: ARP, neighbour discovery and DHCP, and what
comes to this host's own addresses for SSH (port 22) or for connections that its
sockets have. Such frames are not forwarded, so hosts on the two sides cannot
resolve each other's addresses through that interface. It takes CAP_PERFMON.

Frames go on as they are, with one exception: TCP and UDP checksums that a stack
left to the hardware of a veth or tun interface, which has none, are finished.
Large packets and VLAN tags left to it cannot be: at the sending end of a veth,
run `ethtool -K NAME txvlan off`, and with --attach generic also `tso off gso off`.

Rules are asked in order, and the first that matches decides: redirect (to the
forwarder; understood where no action is named), pass (to the kernel) or drop.
They are written as for tcpdump: ip, ip6, arp, tcp, udp, icmp, vlan ID, host,
net, port, portrange with src or dst, tcp[tcpflags], and, or, not, parentheses.
A rules file has one rule a line, # comments, and may say `default ACTION`.
Hosts on the two sides that find each other by ARP or neighbour discovery need
these taken as well: --match arp --match icmp6.

Examples:
  sudo wharf forward eth0 eth1
  sudo wharf forward eth0 eth1 --match 'tcp port 8080' --match 'udp dst port 53'
  sudo wharf forward eth0 eth1 --match 'pass tcp port 22' --rules rules.txt
  sudo wharf forward eth0 eth1 --queues 2 --cpus 2,3 --wait spin
  sudo wharf forward eth0 eth1 --duration 10 --json | jq .directions
  sudo wharf forward eth0 eth1 --metrics 127.0.0.1:9100

Exit codes: 0 stopped as asked and every frame accounted for, 1 it could not
start or went wrong, 2 wrong usage.";

const STEER_NOTES: &str = "\
It talks to the forwarder through a Unix socket in /run/wharf ($WHARF_CONTROL_DIR)
that only its owner can open. An edit takes effect at once and as a whole, and
each rule is written as for `wharf forward --match`. A rule that is wrong is refused
before anything is sent. With --revision, an edit is refused where the rules are no
longer those that `wharf steer list` showed.

Examples:
  sudo wharf steer list
  sudo wharf steer add --at 1 'drop src net 192.0.2.0/24'
  sudo wharf steer remove 3 --revision 7
  sudo wharf steer replace rules.txt
  sudo wharf steer default pass
  sudo wharf steer flow add 'tcp 10.0.0.1:1234 > 10.0.0.2:80'
  sudo wharf steer flow load flows.txt --action drop

Exit codes: 0 done, 1 the forwarder is not there or refused, 2 wrong usage.";

const DEMO_NOTES: &str = "\
Builds three private network namespaces, client, wire and server, runs the
forwarder as the wire, and sends TCP both ways, UDP and ICMP echo between the
kernels' own stacks through it. Every byte is verified. It touches none of the
machine's interfaces and leaves nothing behind.
It needs CAP_SYS_ADMIN, CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF, and
CAP_IPC_LOCK unless 64 MiB of memory may be locked (`ulimit -l`).

Examples:
  sudo wharf demo
  sudo wharf demo --seconds 2 --json | tail -1 | jq .verdict

Exit codes: 0 only if every payload arrived intact and every frame is accounted
for, 1 otherwise, 2 wrong usage.";

const DOCTOR_NOTES: &str = "\
What the kernel can do is found out by doing it, on sockets and programs made for
that and on virtual interfaces in a private namespace. The machine's own interfaces
are only asked: attaching and binding would reset many NICs. Of two that are named
it also says what they mean for each other.

Examples:
  sudo wharf doctor
  sudo wharf doctor eth0 eth1
  sudo wharf doctor --json | jq '.interfaces[] | {name, forward}'

Exit codes: 0 nothing is in the way, 1 something is on this machine or on an
interface that was named, 2 wrong usage.";

/// The longest demo, in seconds: it is a demonstration, and bounded.
const DEMO_SECONDS_MAX: u64 = 3600;

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "give a number of seconds above 0, e.g. 10 or 0.5".to_owned())
}

fn demo_seconds(text: &str) -> Result<Duration, String> {
    seconds(text).and_then(|duration| {
        if duration > Duration::from_secs(DEMO_SECONDS_MAX) {
            Err(format!("give at most {DEMO_SECONDS_MAX} seconds"))
        } else {
            Ok(duration)
        }
    })
}

fn listen_address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .ok()
        .filter(|address: &SocketAddr| address.port() != 0)
        .ok_or_else(|| {
            "give an IP address and a port above 0, e.g. 127.0.0.1:9100 or [::1]:9100".to_owned()
        })
}

/// clap's error in one line: without usage and pointers to help, which take
/// whole paragraphs.
fn describe(rendered: &str) -> String {
    let paragraphs: Vec<String> = rendered
        .split("\n\n")
        .map(one_line)
        .filter(|paragraph| !paragraph.is_empty())
        .filter(|paragraph| !paragraph.starts_with("Usage:"))
        .filter(|paragraph| !paragraph.starts_with("For more information"))
        .collect();
    let text = paragraphs.join("; ");
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    format!("{text} (see `wharf --help`)")
}

#[cfg(test)]
mod tests;
