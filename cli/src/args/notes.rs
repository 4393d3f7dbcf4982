//! What `--help` says below the options, and `-h` of the whole command. A paragraph is
//! one line here, which clap wraps to the terminal.

pub const START: &str = "\
Try `sudo wharf demo`, then `sudo wharf doctor` and `sudo wharf forward A B`.";

pub const EXAMPLES: &str = "\
Examples:
  sudo wharf demo                watch it work here, on virtual interfaces
  sudo wharf doctor              check what forwarding would get here
  sudo wharf forward eth0 eth1   connect two interfaces, until Ctrl-C
  sudo wharf forward eth0 eth1 --match 'tcp port 8080'   leave the rest alone
  sudo wharf steer list          list the rules of the running forwarder
  sudo wharf impair set delay 20ms   delay what the running forwarder forwards
  wharf rules test RULES PCAP    see what rules decide about captured frames
  sudo wharf bench machine       see what benchmarks would run on

Exit codes: 0 success, 1 it failed, 2 wrong usage.";

pub const FORWARD: &str = "\
Sets both interfaces to promiscuous mode while it runs. Prints for each interface, once \
a second, the rates of frames that came in, went out on the other interface, were \
passed to the kernel and were dropped; the bits per second that went out, without the \
frame check sequence; and the CPU use of the workers, from the least to the most. Ends \
with the totals and an account of every frame and every chunk.

Needs CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF; CAP_PERFMON for rules, flows and \
management traffic; CAP_IPC_LOCK if packet memory exceeds `ulimit -l`.

Frames go around the kernel's stack. tcpdump on either interface does not see them, and \
iptables, nftables, tc and the queueing disciplines do not apply to them. To look at the \
traffic, use tcpdump on the hosts at the two ends.

Leaves management traffic to the kernel on an interface that carries the default route, \
so that you cannot lock yourself out: ARP, neighbour discovery and DHCP, and packets to \
this host's own addresses for SSH (port 22) or for connections of its sockets. These \
frames are not forwarded, so hosts on the two sides cannot resolve each other's \
addresses through that interface.

Forwards frames unchanged, with one exception: it completes checksums that a stack left \
to the hardware of a virtual interface, which has none. Large packets and VLAN tags left \
to that hardware are lost: at the sending end of a veth, run `ethtool -K NAME txvlan \
off`, and with --attach generic also `tso off gso off`.

Applies the first rule that matches: redirect (forward the frame; the default action), \
pass (leave it to the kernel) or drop. Rules are written as for tcpdump: ip, ip6, arp, \
tcp, udp, icmp, vlan ID, host, net, port, portrange with src or dst, tcp[tcpflags], and, \
or, not, parentheses. A rules file has one rule per line and # comments, and may contain \
`default ACTION` and `undecided ACTION`. If hosts on the two sides find each other by ARP or neighbour \
discovery, add --match arp --match icmp6.

Examples:
  sudo wharf forward eth0 eth1
  sudo wharf forward eth0 eth1 --match 'tcp port 8080' --match 'udp dst port 53'
  sudo wharf forward eth0 eth1 --match 'drop udp port 53' --default redirect
  sudo wharf forward eth0 eth1 --match 'pass tcp port 22' --rules rules.txt
  sudo wharf forward eth0 eth1 --queues 2 --cpus 2-3 --wait spin
  sudo wharf forward eth0 eth1 --duration 10 --json | jq .directions
  sudo wharf forward eth0 eth1 --quiet --metrics 127.0.0.1:9100
  sudo wharf forward eth0 eth1 --impair 'delay 20ms 2ms loss 0.5% rate 100mbit'
  sudo wharf forward eth0 eth1 --impair-from eth0 'delay 20ms'
  sudo wharf forward eth0 eth1 --limit held=1024,policy=backpressure

Exit codes: 0 stopped as asked and every frame accounted for, 1 it could not start or \
failed, 2 wrong usage.";

pub const IMPAIR: &str = "\
Impairs frames as `tc netem` does, for a forwarder that goes around queueing \
disciplines. Connects to it through the socket of `wharf steer`. A change takes effect \
at once, for frames that come in from then on.

IMPAIRMENT is any of: delay TIME [JITTER [CORRELATION]], distribution NAME, loss PERCENT \
[CORRELATION], loss state P13 [P31 [P32 [P23 [P14]]]], loss gemodel P [R [1-H [1-K]]], \
duplicate PERCENT, corrupt PERCENT, reorder PERCENT [gap N], rate RATE [OVERHEAD], limit \
FRAMES, seed N. Times are in s, ms, us (the default) or ns, rates in bit, kbit, mbit or \
gbit, and in bytes per second as kbps, mbps and so on. Without a limit, as many frames \
are held as there is memory for: start the forwarder with more --frames to hold more.

Examples:
  sudo wharf impair list --watch
  sudo wharf impair set delay 20ms 2ms loss 0.5%
  sudo wharf impair set --from eth0 'rate 100mbit delay 10ms limit 1000'
  sudo wharf impair clear";

pub const STEER: &str = "\
Connects to the forwarder through a Unix socket in /run/wharf ($WHARF_CONTROL_DIR) that \
only its owner can open. Checks its input before it sends anything. Rules are written as \
for `wharf forward --match`. An edit takes effect at once and as a whole. With \
--revision, it is refused if the rules have changed since `wharf steer list` showed that \
revision.

Examples:
  sudo wharf steer list --watch
  sudo wharf steer add --at 1 'drop src net 192.0.2.0/24'
  sudo wharf steer remove 3 --revision 7
  sudo wharf steer replace rules.txt
  sudo wharf steer default pass
  sudo wharf steer explain frames.pcap
  sudo wharf steer flow add 'tcp 10.0.0.1:1234 > 10.0.0.2:80'
  sudo wharf steer flow load flows.txt --action drop

Exit codes: 0 done, 1 there is no such forwarder or it refused, 2 wrong usage.";

pub const RULES: &str = "\
Needs no interface and no privileges. Asks the rules exactly as a forwarder does. Names \
the questions that a frame leaves undecided, such as the ports of a fragment.

Examples:
  tcpdump -i eth0 -c 1000 -w frames.pcap
  wharf rules test rules.txt frames.pcap
  wharf rules test rules.txt frames.pcap --json | tail -1 | jq .rules

Exit codes: 0 done, 1 the capture is damaged, 2 wrong usage.";

pub const DEMO: &str = "\
Builds three private network namespaces, client, wire and server, and runs the forwarder \
as the wire. Sends TCP both ways, UDP and ICMP echo between the kernels' own stacks \
through it, and verifies every byte. Touches none of the machine's interfaces and leaves \
nothing behind.

Needs CAP_SYS_ADMIN, CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF, and CAP_IPC_LOCK if \
`ulimit -l` is below 64 MiB.

Examples:
  sudo wharf demo
  sudo wharf demo --seconds 2 --json | tail -1 | jq .verdict

Exit codes: 0 every payload arrived intact and every frame is accounted for, 1 \
otherwise, 2 wrong usage.";

pub const DOCTOR: &str = "\
Tries the kernel's features on throw-away sockets and programs, and on virtual \
interfaces in a private namespace. Only queries the machine's own interfaces: attaching \
and binding would reset many NICs. If two interfaces are named, it also checks that they \
fit each other.

Examples:
  sudo wharf doctor
  sudo wharf doctor eth0 eth1
  sudo wharf doctor --json | jq '.interfaces[] | {name, forward}'

Exit codes: 0 forwarding would work, 1 this machine or a named interface prevents it, 2 \
wrong usage.";

pub const BENCH: &str = "\
Builds private network namespaces joined by virtual interfaces, and measures there. \
Touches none of the machine's interfaces and leaves nothing behind. Prints first what it \
runs on: figures of one machine, kernel, driver and mode say nothing of another. Run it \
on an otherwise idle machine, from a release build.

Needs CAP_SYS_ADMIN, CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF, and CAP_IPC_LOCK to pin \
more than `ulimit -l`.

Exit codes: 0 done, and nothing got lost or damaged; 1 otherwise; 2 wrong usage.";

pub const BENCH_MACHINE: &str = "\
Starts an engine on the virtual interfaces that the benchmarks use, and prints what it \
got. Every benchmark begins with the same lines.

Examples:
  sudo wharf bench machine
  sudo wharf bench machine --json | jq .mode";

pub const BENCH_SOAK: &str = "\
Two engines at the ends of a virtual link receive frames, and choose at random what to do \
with each: hold it, detach it to a thread that keeps it, gives it back or drops it, send \
it back with a cookie or to be returned, send what came back again, or drop it. Meanwhile \
limits change. Fails if a byte of a frame changed while somebody had it, a cookie is not \
reported exactly once, or an audit does not balance. Prints a line a second.

Examples:
  sudo wharf bench soak
  sudo wharf bench soak --seconds 10 --seed 7 --json | tail -1 | jq .";

pub const BENCH_PASS: &str = "\
Has an application pass frames to the kernel's stack, as if they had just arrived on the \
interface: frames that it makes, at most 1, 8, 64 and 256 in a round, and frames that it \
receives. They are datagrams to a socket, and all that were passed have to be in its \
counters; `lost` is how many are not. `CPU ns each` has the stack's part in it.

Examples:
  sudo wharf bench pass
  sudo wharf bench pass --size 1514 --duration 10 --json | jq .frames_per_second";

pub const BENCH_STRESS: &str = "\
Sends messages in fragments over AF_XDP sockets between two private namespaces, with flow \
control, because nothing is sent again. The server verifies every byte, and answers each \
message. Runs first one message at a time, for the latency of one, then all sockets \
at once; each in place, and copied out to heap buffers. `bad` is the number of messages \
that were corrupt, and of completions, answers and frames that were lost or came twice.

Examples:
  sudo wharf bench stress
  sudo wharf bench stress --messages 100000 --handling in-place   (minutes)
  sudo wharf bench stress --size 64K --json | jq .bytes_per_second

Exit codes: 0 all messages arrived intact, once, and were reported once; 1 otherwise; 2 \
wrong usage.";

pub const BENCH_TIMERS: &str = "\
Measures what an application is called for beside frames, on an idle worker and on one \
that reflects as many frames as another thread can send: `wake` is the time from a wake \
on another thread to the application's call, `tick` how late ticks come, `hold` how late \
frames leave that the application holds. Times are in microseconds. Fails if a frame \
that was held is lost.

Examples:
  sudo wharf bench timers
  sudo wharf bench timers --wait poll --seconds 10
  sudo wharf bench timers --json | jq -c '[.measure, .load, .p99_us]'";

pub const BENCH_IMPAIR: &str = "\
Sends frames of 142 bytes from one host to another through a wire that delays them in \
one direction, and prints how far each was from its time: from sending to receipt, less \
the delay. The first row is without an impairment. Fails if a frame is lost, reordered \
or duplicated.

Examples:
  sudo wharf bench impair
  sudo wharf bench impair --delay-milliseconds 5 --seconds 10 --json";

pub const BENCH_LATENCY: &str = "\
Sends requests at fixed rates to a server that echoes each, and prints how long the \
answers took. A request that could not be sent in time counts from when it was due. The \
servers are an engine with each wait policy (spin, adaptive, poll), and a thread that \
blocks on a kernel UDP socket, all on one CPU. The client is the same for all: it spins on \
another. Servers and rates are measured in turn, and again, five times in all if --seconds \
is 2.5 or more, so that what the machine does meanwhile spoils all alike.

`CPU %` is how busy the server's thread keeps its CPU. The kernel's work for a frame is \
done by the thread that sends it. On a busy machine, real-time priority keeps others out.

Examples:
  sudo wharf bench latency
  sudo chrt -f 10 wharf bench latency --seconds 1
  sudo wharf bench latency --rate 1000,50000 --seconds 20
  sudo wharf bench latency --json | jq 'select(.type==\"latency\")'";

pub const BENCH_SWEEP: &str = "\
Receives frames on rings in memory, keeps the newest of them, and reads and sends the \
others. `copied` moves every frame out of the packet memory as it arrives, and back to \
send it, `in place` none, and `auto` those below the copybreak. The columns take turns; \
each shows its median. `ratio` is the time copied to that in place. Sizes above 3840 \
bytes are messages of several frames. Needs no privileges but CAP_IPC_LOCK, and not even \
that where `ulimit -l` is 16384 or more.

Examples:
  sudo wharf bench sweep
  sudo wharf bench sweep --held 4096 --max-size 1500
  sudo wharf bench sweep --copybreak 256 --json | jq .auto_to_better

Exit codes: 0 no frame got lost; 1 otherwise; 2 wrong usage.";

pub const BENCH_BACKSTORE: &str = "\
Writes blocks to a server in another private namespace, reads each one back and verifies \
it. Runs three times. `copied out`: the server copies payloads to a buffer of the \
request and from there to its store, and back. `store copies`: it copies between frames \
and store. `in place`: the frames that a block was written in are the store, and a read \
sends these frames. `ratio` is the throughput against the first run, `ns/KiB` the CPU \
time of all threads, `server` that of the server's.

Examples:
  sudo wharf bench backstore
  sudo wharf bench backstore --jobs 1 --depth 1 --size 4K --requests 20000

Exit codes: 0 every block came back as it was written; 1 otherwise; 2 wrong usage.";
