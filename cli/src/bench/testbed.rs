//! The testbed of a benchmark: two private hosts, and a veth pair between them.
//!
//! Nothing of the machine's own network is touched, and nothing has a name that another
//! benchmark could take at the same time.

use caps::Capability;
use wharf_testbed::{Host, MacAddress, PacketSocket, Pair, Testbed};

use crate::exit::Failure;

/// Two hosts joined by a veth pair, undone on drop.
pub struct Bed {
    pair: Pair,
}

impl Bed {
    /// A pair with so many queues at both ends, and so large an MTU.
    pub fn new(queues: u32, mtu_bytes: u32) -> Result<Self, Failure> {
        let options = Testbed::options().queues(queues).mtu(mtu_bytes);
        let pair = options.pair().map_err(|error| {
            Failure::Run(format!("cannot build the benchmark's network: {error}"))
        })?;
        Ok(Self { pair })
    }

    /// The name of the interface, which is the same at both ends.
    pub fn interface(&self) -> &str {
        self.pair.client_interface().name()
    }

    /// The Ethernet addresses of the client's and the server's end.
    pub fn macs(&self) -> [[u8; 6]; 2] {
        [self.pair.client_interface(), self.pair.server_interface()]
            .map(|interface| interface.mac().octets())
    }

    /// A frame of so many bytes from the client to a UDP port of the server.
    pub fn datagram(&self, port: u16, frame_bytes: usize) -> Vec<u8> {
        let flow = self.pair.udp_flow(CLIENT_PORT, port);
        let headers = flow.frame(&[]).len();
        flow.frame(&vec![0x5a; frame_bytes.saturating_sub(headers)])
    }

    /// A socket that sends frames from the client's interface.
    pub fn sender(&self) -> Result<PacketSocket, Failure> {
        let sender = PacketSocket::sender(self.pair.client_interface());
        sender.map_err(|error| Failure::Run(error.to_string()))
    }

    /// Runs `work` on this thread, in the server's namespace.
    pub fn on_server<T>(&self, work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
        inside(self.pair.server(), work)
    }

    /// A socket that sends from the server to the client.
    pub fn server_sender(&self) -> Result<PacketSocket, Failure> {
        let socket = PacketSocket::sender(self.pair.server_interface());
        socket.map_err(|error| Failure::Run(error.to_string()))
    }

    /// The bytes of a UDP frame from the server to an Ethernet address that nobody has,
    /// so that no stack answers it.
    pub fn frame_to_nobody(&self, payload: &[u8]) -> Vec<u8> {
        let flow = self.pair.udp_flow(4000, 4433);
        flow.macs(flow.source_mac(), MacAddress([2, 0, 0, 0, 9, 9]))
            .frame(payload)
    }

    /// Runs `work` on this thread, in the client's namespace. Engines that it starts
    /// have their threads there.
    pub fn on_client<T>(&self, work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
        inside(self.pair.client(), work)
    }
}

fn inside<T>(host: &Host, work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    let _entered = host
        .enter()
        .map_err(|error| Failure::Run(error.to_string()))?;
    work()
}

/// Of the client's datagrams.
const CLIENT_PORT: u16 = 4000;

/// For namespaces, for interfaces in them, and for AF_XDP sockets. Loading the XDP
/// program is covered by `CAP_SYS_ADMIN`, too.
pub const NEEDED: &[Capability] = &[
    Capability::CAP_SYS_ADMIN,
    Capability::CAP_NET_ADMIN,
    Capability::CAP_NET_RAW,
];
