//! What steering is for: a host that goes on living on the very interface from
//! which Wharf takes a flow.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;

use wharf::Attach;
use wharf_testbed::{SERVER_IPV4, Testbed, Wire, require_privileges, require_program};
use wharf_tests::{ControlDirectory, SOON, in_both_modes, number, wait_until};

in_both_modes! {
    matched_port_goes_through_and_all_else_stays_with_the_kernel,
}

/// The forwarder's own, on the interface towards the client.
const OWN_IPV4: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 3);

const BANNER: &str = "SSH-2.0-test\r\n";
const BODY: usize = 300_000;

fn matched_port_goes_through_and_all_else_stays_with_the_kernel(attach: Attach) {
    if !require_privileges() || !require_program("curl") || !require_program("ping") {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    wire.left()
        .add_address(OWN_IPV4, 24)
        .expect("a new address");
    let control = ControlDirectory::new();
    let client_before = wire.client_interface().counters().expect("it counts");
    let server_before = wire.server_interface().counters().expect("it counts");
    let forward = control.forward(&wire, attach, &["--match", "tcp port 8080"]);

    assert_eq!(log_in(&wire), BANNER, "the login stays with the kernel");
    let pinged = ping(&wire, OWN_IPV4);
    assert!(pinged.contains("5 received, 0% packet loss"), "{pinged}");
    let fetched = fetch(&wire);
    assert_eq!(
        fetched,
        BODY.to_string(),
        "the page comes from the far side"
    );
    let pinged = ping(&wire, OWN_IPV4);
    assert!(
        pinged.contains("5 received, 0% packet loss"),
        "beside it: {pinged}"
    );
    assert_eq!(log_in(&wire), BANNER);
    // Nobody joins left and right for what is not taken.
    let other = ping(&wire, SERVER_IPV4);
    assert!(other.contains("0 received, 100% packet loss"), "{other}");

    // The last acknowledgements are under way until both ends are quiet.
    let mut last = None;
    wait_until("the wire is quiet", SOON, || {
        let now = (
            wire.client_interface().counters().expect("it counts"),
            wire.server_interface().counters().expect("it counts"),
            control.listing(),
        );
        let is_quiet = last.as_ref() == Some(&now);
        last = Some(now);
        thread::sleep(std::time::Duration::from_millis(200));
        is_quiet
    });
    let report = forward.stop();
    let client = wire.client_interface().counters().expect("it counts") - client_before;
    let server = wire.server_interface().counters().expect("it counts") - server_before;

    report.assert_nothing_dropped();
    let [there, back] = [0, 1].map(|index| &report.summary["directions"][index]);
    let rules = &report.summary["rules"];
    assert_eq!(
        number(there, "frames_in") + number(there, "frames_passed"),
        client.tx_packets,
        "each frame of the client's was taken or passed"
    );
    assert_eq!(
        number(back, "frames_in") + number(back, "frames_passed"),
        server.tx_packets,
        "each frame of the server's was taken"
    );
    assert_eq!(number(there, "tx_frames"), server.rx_packets);
    assert_eq!(
        rules["rules"][0]["hits_by_interface"],
        serde_json::json!([number(there, "frames_in"), number(back, "frames_in")]),
        "what the rule decided is what came in"
    );
    assert_eq!(
        number(&rules["default"], "hits") + number(&rules["management"], "hits"),
        report.total("frames_passed")
    );
    // Two logins, ten echoes that are answered and five that are not.
    assert!(report.total("frames_passed") >= 2 * 4 + 10 + 5);
    assert!(
        number(back, "tx_bytes") > 300_000,
        "the page went through Wharf"
    );
}

/// The greeting of a service of the forwarder's own.
fn log_in(wire: &Wire) -> String {
    let address = SocketAddr::from((OWN_IPV4, 22));
    let listener = wire
        .forwarder()
        .run(|| TcpListener::bind(address).expect("the port is free"));
    let service = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client comes");
        stream.write_all(BANNER.as_bytes()).expect("it reads");
    });
    let greeting = wire.client().run(|| {
        let mut stream = TcpStream::connect_timeout(&address, SOON).expect("it is reached");
        stream.set_read_timeout(Some(SOON)).expect("a timeout");
        let mut greeting = String::new();
        stream.read_to_string(&mut greeting).expect("it greets");
        greeting
    });
    service.join().expect("it serves one client");
    greeting
}

fn ping(wire: &Wire, address: Ipv4Addr) -> String {
    let mut ping = wire.client().command("ping");
    let address = address.to_string();
    ping.args(["-c", "5", "-i", "0.02", "-W", "1", &address]);
    let output = ping.run_bounded(SOON).expect("it ends by itself");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// How many bytes of a page the server's has come over.
fn fetch(wire: &Wire) -> String {
    let listener = wire
        .server()
        .run(|| TcpListener::bind((SERVER_IPV4, 8080)).expect("the port is free"));
    let service = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client comes");
        let mut request = [0; 4096];
        let read = stream.read(&mut request).expect("it asks");
        assert!(request[..read].ends_with(b"\r\n\r\n"), "all of the request");
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("it reads");
        stream.write_all(&vec![b'x'; BODY]).expect("it reads");
    });
    let url = format!("http://{SERVER_IPV4}:8080/");
    let mut curl = wire.client().command("curl");
    curl.args(["--silent", "--show-error", "--fail", "--max-time", "9"]);
    curl.args([
        "--output",
        "/dev/null",
        "--write-out",
        "%{size_download}",
        &url,
    ]);
    let said = curl.run_checked(SOON).expect("the page comes");
    service.join().expect("it serves one page");
    said
}
