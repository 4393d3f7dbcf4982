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
mod together;

use std::io::{self, Write};

use serde::Serialize;
use wharf::{ConfigError, Interface, KernelFeatures};

use crate::args::DoctorArgs;
use crate::exit::Failure;
use crate::printable;
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
        report.write_text(&mut printable::stdout())
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

    fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "this kernel")?;
        write_checks(out, &self.kernel)?;
        writeln!(out, "\nthis machine")?;
        write_checks(out, &self.machine)?;
        for interface in &self.interfaces {
            let driver = interface.driver.as_deref().unwrap_or("no driver");
            writeln!(out, "\n{} ({driver})", interface.name)?;
            write_checks(out, &interface.checks)?;
            writeln!(out, "  `wharf forward` would get: {}", interface.forward)?;
        }
        if let ([a, b], false) = (&self.interfaces[..], self.together.is_empty()) {
            writeln!(out, "\n{} and {}", a.name, b.name)?;
            write_checks(out, &self.together)?;
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

fn write_checks(out: &mut impl Write, checks: &[Check]) -> io::Result<()> {
    for check in checks {
        let (label, topic) = (check.state.label(), check.topic);
        writeln!(out, "  {label:<5} {topic:<14} {}", check.finding)?;
        if let Some(remedy) = &check.remedy {
            writeln!(out, "  {:<5} {:<14} → {remedy}", "", "")?;
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

        report().write_text(&mut text).expect("memory takes it");

        let text = String::from_utf8(text).expect("text");
        assert!(text.contains("  BAD   state          down\n"), "{text}");
        assert!(text.contains("→ run `ip link set eth0 up`"), "{text}");
        assert!(text.contains("would get: nothing, as it is"), "{text}");
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
