#!/usr/bin/env python3
"""CPU per frame and round-trip time of `wharf forward` by rate, side by side.

    tests/bench/waiting.py [--seconds S] [--rounds N] LABEL=COMMAND LABEL=COMMAND ...

COMMAND is a wharf binary, with environment settings before it if need be
(`before=VARIABLE=1 target/release/wharf`). Builds a client, a forwarder and a server
in network namespaces of its own, joined by veth pairs (native mode, copy), and runs
the commands in turn at each rate, so that a slow spell of the machine hits all of
them. The client sends single UDP datagrams at an even pace; the server echoes 500 of
them a second. Needs root. Prints medians over the rounds.
"""

import argparse
import ctypes
import json
import os
import select
import shlex
import signal
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time

RATES = (2_000, 20_000, 100_000)
ECHOES_PER_SECOND = 500
PORT = 4000
CLONE_NEWNET = 0x40000000


def run(command):
    subprocess.run(shlex.split(command), check=True)


class Wire:
    """Three namespaces in a row: client, forwarder, server."""

    def __init__(self):
        self.names = {host: f"wait{os.getpid()}{host}" for host in "cfs"}
        for name in self.names.values():
            run(f"ip netns add {name}")
        for host, address, near in (("c", "10.9.0.1", "left"), ("s", "10.9.0.2", "right")):
            end, middle = self.names[host], self.names["f"]
            run(f"ip -n {middle} link add {near} type veth peer name eth0 netns {end}")
            for namespace, interface in ((middle, near), (end, "eth0")):
                run(f"ip -n {namespace} link set {interface} up")
                run(
                    f"ip netns exec {namespace} sysctl -qw"
                    f" net.ipv6.conf.{interface}.disable_ipv6=1"
                )
            run(f"ip -n {end} address add {address}/24 dev eth0")

    def socket(self, host, bind):
        """A UDP socket in the namespace of `host`."""
        made = []

        def make():
            with open(f"/var/run/netns/{self.names[host]}") as namespace:
                if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
            made.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            made[0].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            made[0].bind(bind)

        # The namespace is the thread's, which ends with it.
        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        return made[0]

    def remove(self):
        for name in self.names.values():
            subprocess.run(["ip", "netns", "del", name], check=False)


def echo(server, stop):
    """Sends back what asks for it, until told to stop. In a process of its own."""
    while not stop.is_set():
        if not select.select([server], [], [], 0.05)[0]:
            continue
        try:
            while True:
                data, peer = server.recvfrom(64, socket.MSG_DONTWAIT)
                if data[0]:
                    server.sendto(data, peer)
        except BlockingIOError:
            pass


def pace(client, rate, seconds):
    """Sends at `rate`; marks some datagrams with their number and time."""
    plain, every = bytes(64), max(1, rate // ECHOES_PER_SECOND)
    start, sent, total = time.monotonic(), 0, int(rate * seconds)
    while sent < total:
        due = min(total, int((time.monotonic() - start) * rate) + 1)
        if sent >= due:
            if rate <= 5_000:
                time.sleep(max(0.0, start + sent / rate - time.monotonic()))
            continue
        # Late ones go out at once, so that the rate holds on average.
        for number in range(sent, due):
            if number % every:
                client.send(plain)
            else:
                client.send(struct.pack("!Bd", 1, time.monotonic()).ljust(64, b"\0"))
        sent = due


def listen(client, stop, trips):
    while not stop.is_set():
        if select.select([client], [], [], 0.05)[0]:
            data = client.recv(64)
            trips.append(time.monotonic() - struct.unpack("!Bd", data[:9])[1])


def in_child(work):
    """Runs `work` in a process of its own; returns its number."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return child


def measure(wire, command, rate, seconds):
    words = shlex.split(command)
    forwarder = subprocess.Popen(
        ["ip", "netns", "exec", wire.names["f"], "env"]
        + words
        + ["forward", "left", "right", "--json", "--attach", "native", "--mode", "copy"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        return drive(wire, command, forwarder, rate, seconds)
    finally:
        forwarder.kill()
        forwarder.wait()


def drive(wire, command, forwarder, rate, seconds):
    for line in forwarder.stderr:
        if "worker 0" in line:
            break
    threading.Thread(target=forwarder.stderr.read, daemon=True).start()
    output = []
    reader = threading.Thread(target=lambda: output.extend(forwarder.stdout), daemon=True)
    reader.start()
    server = wire.socket("s", ("10.9.0.2", PORT))
    client = wire.socket("c", ("10.9.0.1", 0))
    client.connect(("10.9.0.2", PORT))
    client.send(bytes(64))  # ARP
    time.sleep(0.2)

    stop, trips = threading.Event(), []
    echoing = in_child(lambda: echo(server, threading.Event()))
    sending = in_child(lambda: pace(client, rate, seconds))
    listener = threading.Thread(target=listen, args=(client, stop, trips))
    started = time.monotonic()
    listener.start()
    os.waitpid(sending, 0)
    elapsed = time.monotonic() - started
    time.sleep(0.1)
    stop.set()
    listener.join()
    os.kill(echoing, signal.SIGKILL)
    os.waitpid(echoing, 0)
    server.close()
    client.close()
    forwarder.send_signal(signal.SIGTERM)
    forwarder.wait(10)
    reader.join()
    summary = json.loads(output[-1])
    if not summary["conserved"]:
        sys.exit(f"{command}: not conserved: {summary}")
    frames = summary["totals"]["tx_frames"]
    worker = summary["workers"][0]
    trips.sort()
    at = lambda part: trips[min(len(trips) - 1, int(len(trips) * part))] * 1e6
    return {
        "kpps": frames / elapsed / 1e3,
        "cpu %": worker["cpu_seconds"] / elapsed * 100,
        "µs/frame": worker["cpu_seconds"] / frames * 1e6,
        "sleeps/s": worker["sleeps"] / elapsed,
        "rounds/sleep": worker["rounds"] / max(1, worker["sleeps"]),
        "rtt p50 µs": at(0.5),
        "rtt p99 µs": at(0.99),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("commands", nargs="+", metavar="LABEL=COMMAND")
    arguments = parser.parse_args()
    commands = [command.split("=", 1) for command in arguments.commands]
    results = {}
    wire = Wire()
    try:
        for _ in range(arguments.rounds):
            for rate in RATES:
                for label, command in commands:
                    result = measure(wire, command, rate, arguments.seconds)
                    results.setdefault((rate, label), []).append(result)
    finally:
        wire.remove()
    columns = list(next(iter(results.values()))[0])
    print(f"{'rate':>8} {'':<10}" + "".join(f"{column:>14}" for column in columns))
    for (rate, label), rounds in results.items():
        values = [statistics.median(one[column] for one in rounds) for column in columns]
        print(f"{rate:>8} {label:<10}" + "".join(f"{value:>14.1f}" for value in values))


if __name__ == "__main__":
    main()
