//! `wharf steer list`, once or again and again.

use std::io::{self, IsTerminal, Write};
use std::thread;
use std::time::{Duration, Instant};

use crate::control::{Client, Command, Listing};
use crate::exit::Failure;
use crate::printable;
use crate::report::{Format, write_line, write_listing, write_listing_since};
use crate::stdout;

/// Prints the rules and their hits.
pub fn once(client: &mut Client, format: Format) -> Result<(), Failure> {
    let listing = ask(client)?;
    stdout::outcome(write(&listing, None, format))
}

/// Prints them every `pause`, until the forwarder or the reader of standard output has
/// ended, or a signal ends this process.
pub fn watch(client: &mut Client, format: Format, pause: Duration) -> Result<(), Failure> {
    let clears = matches!(format, Format::Table) && io::stdout().is_terminal();
    let mut before: Option<(Listing, Instant)> = None;
    loop {
        let (listing, now) = (ask(client)?, Instant::now());
        let since = before.as_ref().map(|(before, then)| (before, now - *then));
        let written =
            start(clears, format, since.is_some()).and_then(|()| write(&listing, since, format));
        if written.is_err() {
            return stdout::outcome(written);
        }
        before = Some((listing, now));
        thread::sleep(pause);
    }
}

fn ask(client: &mut Client) -> Result<Listing, Failure> {
    Ok(client.ask(&Command::List {})?)
}

/// Sets a listing off from the one before: a terminal is cleared.
fn start(clears: bool, format: Format, is_another: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match format {
        Format::Table if clears => out.write_all(CLEAR),
        Format::Table if is_another => writeln!(out),
        Format::Table | Format::Json => Ok(()),
    }
}

fn write(listing: &Listing, since: Option<(&Listing, Duration)>, format: Format) -> io::Result<()> {
    let mut out = printable::stdout();
    if let Format::Json = format {
        return write_line(&mut out, listing);
    }
    let interfaces = listing.interfaces.join(" and ");
    let (pid, revision) = (listing.pid, listing.revision);
    writeln!(out, "forwarder {pid} on {interfaces}, revision {revision}")?;
    match since {
        None => write_listing(&mut out, listing)?,
        Some((before, time)) => write_listing_since(&mut out, listing, before, time)?,
    }
    out.flush()
}

/// To the upper left corner, and everything from there on erased (ECMA-48: CUP, ED).
const CLEAR: &[u8] = b"\x1b[H\x1b[J";
