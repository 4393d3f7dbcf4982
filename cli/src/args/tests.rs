//! Command lines, good and bad.

use super::engine::{AttachArg, ModeArg, WaitArg};
use super::*;

fn forward(options: &str) -> Result<ForwardArgs, Failure> {
    let line = format!("wharf forward eth0 eth1 {options}");
    match parse(line.split_whitespace())? {
        Some(Command::Forward(arguments)) => Ok(*arguments),
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
         --ring-size 512 --batch 32 --cpus 0-1,3 --wait poll --duration 2.5 --json \
         --quiet --interval 0.5 \
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
    assert_eq!(arguments.engine.frames, Some(4096));
    assert_eq!(arguments.engine.chunk_size, 2048);
    assert_eq!(arguments.engine.ring_size, 512);
    assert_eq!(arguments.engine.batch, 32);
    assert_eq!(arguments.engine.cpus, Some(CpuList(vec![0, 1, 3])));
    assert_eq!(arguments.engine.wait, WaitArg::Poll);
    assert_eq!(arguments.duration, Some(Duration::from_millis(2500)));
    assert!(arguments.json && arguments.quiet);
    assert_eq!(arguments.interval, Duration::from_millis(500));
    assert_eq!(arguments.metrics, Some(([127, 0, 0, 1], 9100).into()));
}

#[test]
fn rules_and_where_to_change_them_are_read() {
    let line = [
        "wharf",
        "forward",
        "eth0",
        "eth1",
        "--match",
        "tcp port 80",
        "--match",
        "drop udp",
        "--rules",
        "rules.txt",
        "--flow-capacity",
        "64",
        "--control",
        "/tmp/c",
    ];

    let Ok(Some(Command::Forward(arguments))) = parse(line) else {
        panic!("a good command line");
    };

    let steering = arguments.steering;
    assert_eq!(steering.matches, ["tcp port 80", "drop udp"]);
    assert_eq!(steering.rules.as_deref(), Some("rules.txt".as_ref()));
    assert_eq!(steering.flow_capacity, 64);
    assert_eq!(steering.control.as_deref(), Some("/tmp/c".as_ref()));
    assert!(!steering.no_control);
    let both = usage_error("--control /tmp/c --no-control");
    assert!(both.contains("cannot be used with"), "{both}");
}

fn steer(line: &str) -> SteerArgs {
    let line = format!("wharf steer {line}");
    match parse(line.split_whitespace()) {
        Ok(Some(Command::Steer(arguments))) => arguments,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn every_command_of_steer_is_read() {
    let add = steer("add drop tcp port 80 --at 2 --revision 7 --pid 12");
    let remove = steer("--control /tmp/c remove 3");
    let load = steer("flow load flows.txt --action pass");

    assert_eq!(add.target.pid, Some(12));
    assert!(
        matches!(
            &add.command,
            SteerCommand::Add { at: Some(2), guard: Guard { revision: Some(7) }, rule }
                if rule.join(" ") == "drop tcp port 80"
        ),
        "{add:?}"
    );
    assert_eq!(remove.target.control.as_deref(), Some("/tmp/c".as_ref()));
    assert!(
        matches!(
            &remove.command,
            SteerCommand::Remove {
                number: 3,
                guard: Guard { revision: None }
            }
        ),
        "{remove:?}"
    );
    assert!(
        matches!(
            &load.command,
            SteerCommand::Flow(FlowCommand::Load { action, .. }) if action == "pass"
        ),
        "{load:?}"
    );
}

#[test]
fn duration_must_be_a_positive_number_of_seconds() {
    for bad in ["0", "-1", "0.0", "1e-12", "nan", "inf", "1e300", "1s", "''"] {
        let text = usage_error(&format!("--duration {bad}"));
        assert!(text.contains("seconds above 0"), "{bad}: {text}");
    }
}

#[test]
fn number_that_is_none_is_told_what_to_write() {
    for option in [
        "--queues",
        "--xsks-per-queue",
        "--frames",
        "--chunk-size",
        "--ring-size",
        "--batch",
        "--flow-capacity",
        "--cpus",
    ] {
        for bad in ["many", "1.5", "4k", "-1", "99999999999999999999"] {
            let text = usage_error(&format!("{option} {bad}"));
            assert!(!text.contains("invalid digit"), "{text}");
            assert!(text.contains(bad) && text.contains(option), "{text}");
            assert!(
                ["digits only", "it must", "it is too large"]
                    .iter()
                    .any(|say| text.contains(say)),
                "{option} {bad}: {text}"
            );
        }
    }
}

#[test]
fn interval_is_a_second_by_default_and_a_tenth_at_least() {
    let by_default = forward("").expect("a good command line");

    assert_eq!(by_default.interval, Duration::from_secs(1));
    assert!(!by_default.quiet);
    let text = usage_error("--interval 0.01");
    assert!(text.contains("from 0.1 to 86400 seconds"), "{text}");
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
        nothing
            .to_string()
            .contains("forward, steer, impair, rules, demo, doctor"),
        "{nothing}"
    );
}

#[test]
fn usage_error_names_the_help_of_its_subcommand() {
    let cases = [
        ("", "wharf"),
        ("frobnicate", "wharf"),
        ("forward eth0", "wharf forward"),
        ("forward eth0 eth1 --queues many", "wharf forward"),
        ("forward eth0 eth1 --no-such-option", "wharf forward"),
        ("steer", "wharf steer"),
        ("steer --control list sing", "wharf steer"),
        ("steer --pid 1 remove one", "wharf steer remove"),
        ("steer flow add", "wharf steer flow add"),
        ("demo --seconds 0", "wharf demo"),
    ];

    for (line, command) in cases {
        let arguments = ["wharf"].into_iter().chain(line.split_whitespace());
        let text = parse(arguments).expect_err(line).to_string();

        let hint = format!(" (see `{command} --help`)");
        assert!(text.ends_with(&hint), "`{line}`: {text}");
    }
}

#[test]
fn demo_takes_five_seconds_by_default() {
    let Ok(Some(Command::Demo(by_default))) = parse(["wharf", "demo"]) else {
        panic!("a good command line");
    };

    assert_eq!(by_default.seconds, Duration::from_secs(5));
    assert!(parse(["wharf", "demo", "--seconds", "0"]).is_err());
    assert!(parse(["wharf", "demo", "--seconds", "3601"]).is_err());
}

/// A command and all below it, each as it is written.
fn all_commands() -> Vec<(String, clap::Command)> {
    let mut root = Cli::command();
    root.build();
    let mut found = vec![("wharf".to_owned(), root)];
    let mut next = 0;
    while let Some((name, command)) = found.get(next).cloned() {
        let below = command
            .get_subcommands()
            .filter(|below| below.get_name() != "help");
        found.extend(below.map(|below| (format!("{name} {}", below.get_name()), below.clone())));
        next += 1;
    }
    found
}

#[test]
fn short_help_of_every_command_is_one_screen() {
    let commands = all_commands();

    assert!(commands.len() > 15, "{}", commands.len());
    for (name, mut command) in commands {
        let help = command.render_help().to_string();
        assert!(
            help.trim_end().lines().count() <= 24,
            "`{name} -h` is longer:\n{help}"
        );
        assert_fits(&name, &help);
    }
}

#[test]
fn long_help_of_every_command_fits_eighty_columns() {
    for (name, mut command) in all_commands() {
        let help = command.render_long_help().to_string();
        assert_fits(&name, &help);
    }
}

fn assert_fits(name: &str, help: &str) {
    for line in help.lines() {
        assert!(line.chars().count() <= 80, "`{name}`: {line}");
    }
}

#[test]
fn short_help_leaves_each_description_on_one_line() {
    let mut forward = Cli::command();
    forward.build();
    let forward = forward.find_subcommand_mut("forward").expect("it is there");

    let help = forward.render_help().to_string();

    let options = help.lines().filter(|line| line.contains("--"));
    let continued = help.lines().filter(|line| line.starts_with("          "));
    assert!(options.count() > 10, "{help}");
    assert_eq!(continued.count(), 0, "{help}");
}
