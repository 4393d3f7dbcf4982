//! The command line: what may be asked for, and its `--help`.
//!
//! Options default to what the engine defaults to. What clap accepts here is
//! checked once more as a whole by [`wharf::EngineBuilder::validate`].

mod engine;
mod management;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};

use crate::exit::{Failure, one_line};
pub use engine::EngineArgs;
pub use management::ManagementArgs;

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
    /// Carry every frame from A to B and from B to A, until told to stop
    #[command(after_help = FORWARD_NOTES)]
    Forward(ForwardArgs),
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

Examples:
  sudo wharf forward eth0 eth1
  sudo wharf forward eth0 eth1 --queues 2 --cpus 2,3 --wait spin
  sudo wharf forward eth0 eth1 --duration 10 --json | jq .directions
  sudo wharf forward eth0 eth1 --metrics 127.0.0.1:9100

Exit codes: 0 stopped as asked and every frame accounted for, 1 it could not
start or went wrong, 2 wrong usage.";

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
What the kernel can do is found out by doing it, on virtual interfaces in a
private namespace. The machine's own interfaces are only asked: attaching and
binding would reset many NICs.

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
mod tests {
    use clap::CommandFactory;

    use super::engine::{AttachArg, ModeArg, WaitArg};
    use super::*;

    fn forward(options: &str) -> Result<ForwardArgs, Failure> {
        let line = format!("wharf forward eth0 eth1 {options}");
        match parse(line.split_whitespace())? {
            Some(Command::Forward(arguments)) => Ok(arguments),
            other => panic!("not a forward: {other:?}"),
        }
    }

    fn usage_error(options: &str) -> String {
        match forward(options) {
            Err(Failure::Usage(text)) => text,
            other => panic!("{options}: {other:?}"),
        }
    }

    #[test]
    fn command_line_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_option_of_forward_is_read() {
        let arguments = forward(
            "--queues 2 --mode zero-copy --attach generic --frames 4096 --chunk-size 2048 \
             --ring-size 512 --batch 32 --cpus 0,1 --wait poll --duration 2.5 --json \
             --metrics 127.0.0.1:9100",
        )
        .expect("all of them are good");

        assert_eq!(
            (arguments.a.as_str(), arguments.b.as_str()),
            ("eth0", "eth1")
        );
        assert_eq!(arguments.engine.queues, Some(2));
        assert_eq!(arguments.engine.mode, ModeArg::ZeroCopy);
        assert_eq!(arguments.engine.attach, AttachArg::Generic);
        assert_eq!(arguments.engine.frames, 4096);
        assert_eq!(arguments.engine.chunk_size, 2048);
        assert_eq!(arguments.engine.ring_size, 512);
        assert_eq!(arguments.engine.batch, 32);
        assert_eq!(arguments.engine.cpus, [0, 1]);
        assert_eq!(arguments.engine.wait, WaitArg::Poll);
        assert_eq!(arguments.duration, Some(Duration::from_millis(2500)));
        assert!(arguments.json);
        assert_eq!(arguments.metrics, Some(([127, 0, 0, 1], 9100).into()));
    }

    #[test]
    fn duration_must_be_a_positive_number_of_seconds() {
        for bad in ["0", "-1", "0.0", "1e-12", "nan", "inf", "1e300", "1s", "''"] {
            let text = usage_error(&format!("--duration {bad}"));
            assert!(text.contains("seconds above 0"), "{bad}: {text}");
        }
    }

    #[test]
    fn metrics_address_must_be_an_address_and_a_port() {
        for bad in [
            "9100",
            ":9100",
            "127.0.0.1",
            "127.0.0.1:0",
            "127.0.0.1:70000",
        ] {
            let text = usage_error(&format!("--metrics {bad}"));
            assert!(text.contains("an IP address and a port"), "{bad}: {text}");
        }
    }

    #[test]
    fn usage_error_is_one_line_without_claps_trimmings() {
        let unknown = usage_error("--queue 1");
        let missing = parse(["wharf", "forward", "eth0"]).expect_err("B is missing");
        let nothing = parse(["wharf"]).expect_err("there is no command");

        assert!(
            unknown.starts_with("unexpected argument '--queue' found; "),
            "{unknown}"
        );
        assert!(
            unknown.contains("'--queues'") && !unknown.contains('\n'),
            "{unknown}"
        );
        assert!(
            missing
                .to_string()
                .contains("required arguments were not provided: <B>")
        );
        assert!(
            nothing.to_string().contains("forward, demo, doctor"),
            "{nothing}"
        );
    }

    #[test]
    fn demo_takes_five_seconds_unless_told_otherwise() {
        let Ok(Some(Command::Demo(by_default))) = parse(["wharf", "demo"]) else {
            panic!("a good command line");
        };

        assert_eq!(by_default.seconds, Duration::from_secs(5));
        assert!(parse(["wharf", "demo", "--seconds", "0"]).is_err());
        assert!(parse(["wharf", "demo", "--seconds", "3601"]).is_err());
    }
}
