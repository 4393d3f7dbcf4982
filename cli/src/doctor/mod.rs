//! `wharf doctor`: what forwarding would get on this machine, and what to change.
//!
//! ```text
//! kernel     what the kernel can do, by trying it
//! machine    privileges, limits; a program attached and a queue bound, by trying it
//! interface  state, program, driver, MTU, queues, management
//! together   whether two interfaces fit each other
//! check      one finding
//! ```

mod check;
mod interface;
mod kernel;
mod machine;
mod numa;
mod together;

use std::io::{self, IsTerminal, Write};

use serde::Serialize;
use wharf::{ConfigError, Interface, KernelFeatures};

use crate::args::DoctorArgs;
use crate::exit::Failure;
use crate::printable;
use crate::report::filled;
use crate::stdout;
use check::{Check, State, worst};
use interface::Examined;

/// Prints what it finds. Fails if forwarding cannot work on the machine, or on an
/// interface that was named.
pub fn run(arguments: &DoctorArgs) -> Result<(), Failure> {
    let interfaces = if arguments.interfaces.is_empty() {
        let all = Interface::all().map_err(wharf::Error::from)?;
        all.into_iter()
            .filter(|interface| interface.name() != "lo")
            .collect()
    } else {
        let named = arguments
            .interfaces
            .iter()
            .map(|name| Interface::by_name(name));
        named
            .collect::<Result<Vec<_>, _>>()
            .map_err(wharf::Error::from)?
    };
    if let ([a, b], [first, second]) = (&interfaces[..], &arguments.interfaces[..])
        && a.index() == b.index()
    {
        // As `forward` refuses it.
        return Err(if first == second {
            wharf::Error::from(ConfigError::SameInterface(first.clone())).into()
        } else {
            wharf::Error::SameInterface {
                first: first.clone(),
                second: second.clone(),
                interface: a.name().to_owned(),
            }
            .into()
        });
    }
    let features = KernelFeatures::probe();
    let (kernel, machine) = (kernel::examine(&features), machine::examine());
    let so_far = worst(kernel.iter().chain(&machine));
    let together = match &interfaces[..] {
        [a, b] if !arguments.interfaces.is_empty() => {
            together::examine(a, b).map_err(wharf::Error::from)?
        }
        _ => Vec::new(),
    };
    let interfaces = interfaces
        .iter()
        .map(|interface| Examined::of(interface, &features, so_far))
        .collect::<Result<_, _>>()
        .map_err(wharf::Error::from)?;
    let report = Report {
        kernel,
        machine,
        interfaces,
        together,
    };
    let written = if arguments.json {
        report.write_json(&mut printable::stdout())
    } else {
        // Programs look for something in whole lines; a terminal breaks long ones anywhere.
        let lines = if io::stdout().is_terminal() {
            Lines::Broken
        } else {
            Lines::Whole
        };
        report.write_text(&mut printable::stdout(), lines)
    };
    stdout::outcome(written)?;
    match report.obstacle(!arguments.interfaces.is_empty()) {
        Some((subject, check)) => Err(Failure::Run(format!("{subject}, {}", check.line()))),
        None => Ok(()),
    }
}

/// All that was found.
#[derive(Debug, Serialize)]
struct Report {
    kernel: Vec<Check>,
    machine: Vec<Check>,
    interfaces: Vec<Examined>,
    /// Where two interfaces were named.
    together: Vec<Check>,
}

impl Report {
    fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, self)?;
        writeln!(out)
    }

    fn write_text(&self, out: &mut impl Write, lines: Lines) -> io::Result<()> {
        writeln!(out, "this kernel")?;
        write_checks(out, lines, &self.kernel)?;
        writeln!(out, "\nthis machine")?;
        write_checks(out, lines, &self.machine)?;
        for interface in &self.interfaces {
            let driver = interface.driver.as_deref().unwrap_or("no driver");
            writeln!(out, "\n{} ({driver})", interface.name)?;
            write_checks(out, lines, &interface.checks)?;
            lines.write(out, "  `wharf forward` would get: ", &interface.forward, 4)?;
        }
        if let ([a, b], false) = (&self.interfaces[..], self.together.is_empty()) {
            writeln!(out, "\n{} and {}", a.name, b.name)?;
            write_checks(out, lines, &self.together)?;
        }
        Ok(())
    }

    /// The first thing without which nothing works, and what it was found on.
    fn obstacle(&self, count_interfaces: bool) -> Option<(&str, &Check)> {
        let kernel = self.kernel.iter().map(|check| ("this kernel", check));
        let machine = self.machine.iter().map(|check| ("this machine", check));
        let interfaces = self.interfaces.iter().filter(|_| count_interfaces);
        let of_interfaces = interfaces.flat_map(|interface| {
            let checks = interface.checks.iter();
            checks.map(|check| (interface.name.as_str(), check))
        });
        let mut all = kernel.chain(machine).chain(of_interfaces);
        all.find(|(_, check)| check.state == State::Bad)
    }
}

/// Whether lines are broken between words where they do not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lines {
    Whole,
    Broken,
}

impl Lines {
    /// Writes `start` and `text`; lines after the first begin with `indent` blanks.
    fn write(self, out: &mut impl Write, start: &str, text: &str, indent: usize) -> io::Result<()> {
        if self == Self::Whole {
            return writeln!(out, "{start}{text}");
        }
        let mut words: Vec<_> = text.split(' ').map(str::to_owned).collect();
        if let Some(first) = words.first_mut() {
            first.insert_str(0, start);
        }
        writeln!(out, "{}", filled(&words, &" ".repeat(indent)))
    }
}

fn write_checks(out: &mut impl Write, lines: Lines, checks: &[Check]) -> io::Result<()> {
    for check in checks {
        let start = format!("  {:<5} {:<14} ", check.state.label(), check.topic);
        let indent = start.chars().count();
        lines.write(out, &start, &check.finding, indent)?;
        if let Some(remedy) = &check.remedy {
            let start = format!("{}→ ", " ".repeat(indent));
            lines.write(out, &start, remedy, indent + 2)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report {
            kernel: vec![Check::good("version", "Linux 6.18")],
            machine: vec![Check::good("locked memory", "no limit")],
            interfaces: vec![Examined {
                name: "eth0".to_owned(),
                driver: None,
                checks: vec![Check::bad("state", "down", "run `ip link set eth0 up`")],
                forward: "nothing, as it is".to_owned(),
            }],
            together: Vec::new(),
        }
    }

    #[test]
    fn interface_counts_as_an_obstacle_only_when_it_was_named() {
        let report = report();

        assert!(report.obstacle(false).is_none());
        let (subject, check) = report.obstacle(true).expect("it is down");
        assert_eq!((subject, check.topic), ("eth0", "state"));
    }

    #[test]
    fn text_says_what_to_do_under_each_finding() {
        let mut text = Vec::new();

        report()
            .write_text(&mut text, Lines::Whole)
            .expect("memory takes it");

        let text = String::from_utf8(text).expect("text");
        assert!(text.contains("  BAD   state          down\n"), "{text}");
        assert!(text.contains("→ run `ip link set eth0 up`"), "{text}");
        assert!(text.contains("would get: nothing, as it is"), "{text}");
    }

    #[test]
    fn text_on_a_terminal_is_broken_between_words() {
        let mut report = report();
        report.machine = vec![Check::good("descriptors", "word ".repeat(30).trim())];
        report.interfaces[0].forward = "word ".repeat(30).trim().to_owned();
        let mut text = Vec::new();

        report
            .write_text(&mut text, Lines::Broken)
            .expect("memory takes it");

        let text = String::from_utf8(text).expect("text");
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        let under_the_finding = format!("\n{}word word", " ".repeat(23));
        assert_eq!(text.matches(&under_the_finding).count(), 2, "{text}");
        assert!(text.contains("  good  descriptors    word"), "{text}");
    }

    #[test]
    fn json_is_one_line() {
        let mut text = Vec::new();

        report().write_json(&mut text).expect("memory takes it");

        let text = String::from_utf8(text).expect("text");
        assert_eq!(text.lines().count(), 1);
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(value["interfaces"][0]["checks"][0]["state"], "bad");
    }
}
