//! The editor on a fake engine.

use super::*;
use crate::control::message::reply_from_line;
use crate::control::steerable::Hits;
use crate::control::steerable::tests::Fake;

fn info(flow_capacity: u32) -> ForwarderInfo {
    ForwarderInfo {
        pid: 7,
        interfaces: vec!["left".to_owned(), "right".to_owned()],
        flow_capacity,
    }
}

fn ask(editor: &Editor<'_>, command: &Command) -> Result<Value, Refusal> {
    let reply = editor.reply_to(&command.to_line());
    reply_from_line(&reply).expect("a reply")
}

fn add(rule: &str, at: Option<usize>) -> Command {
    Command::Add {
        rule: rule.to_owned(),
        at,
        revision: None,
    }
}

fn rules(editor: &Editor<'_>) -> Vec<String> {
    let listing = editor.listing().expect("it counts");
    listing.rules.into_iter().map(|entry| entry.rule).collect()
}

#[test]
fn rules_are_added_and_removed_by_number_and_the_revision_goes_up() {
    let fake = Fake::default();
    let editor = Editor::new(&fake, info(0));

    for (rule, at) in [
        ("tcp port 80", None),
        ("drop udp", None),
        ("pass arp", Some(1)),
    ] {
        ask(&editor, &add(rule, at)).expect("a good rule");
    }
    let removed = Command::Remove {
        number: 2,
        revision: Some(4),
    };
    let removed = ask(&editor, &removed).expect("it is there");

    assert_eq!(removed["revision"], 5);
    assert_eq!(removed["number"], 2);
    assert_eq!(removed["rules"], 2);
    assert!(
        removed["rule"]
            .as_str()
            .is_some_and(|rule| rule.contains("port 80")),
        "{removed}"
    );
    let left = rules(&editor);
    assert_eq!(left.len(), 2);
    assert!(
        left[0].contains("arp") && left[1].contains("udp"),
        "{left:?}"
    );
    assert_eq!(fake.rules(), editor.target.rules());
}

#[test]
fn edit_of_another_revision_changes_nothing() {
    let fake = Fake::default();
    let editor = Editor::new(&fake, info(0));
    ask(&editor, &add("tcp port 80", None)).expect("a good rule");
    let before = fake.rules();

    let stale = Some(1);
    let commands = [
        Command::Remove {
            number: 1,
            revision: stale,
        },
        Command::Add {
            rule: "udp".into(),
            at: None,
            revision: stale,
        },
        Command::Replace {
            rules: "udp".into(),
            revision: stale,
        },
        Command::Default {
            action: "drop".into(),
            revision: stale,
        },
    ];

    for command in commands {
        let refusal = ask(&editor, &command).expect_err("the revision is 2");
        assert_eq!(refusal.code, RefusalCode::RulesChanged);
        assert!(refusal.error.contains("revision 2, not 1"), "{refusal:?}");
        assert_eq!(fake.rules(), before);
    }
}

#[test]
fn bad_edit_changes_nothing_and_says_why() {
    let fake = Fake::default();
    let editor = Editor::new(&fake, info(0));
    ask(&editor, &add("tcp port 80", None)).expect("a good rule");
    let before = fake.rules();
    let remove = |number| Command::Remove {
        number,
        revision: None,
    };
    let cases = [
        (add("tcp port 70000", None), RefusalCode::BadRule, "70000"),
        (add("udp", Some(0)), RefusalCode::NoSuchRule, "1 to 2"),
        (add("udp", Some(3)), RefusalCode::NoSuchRule, "1 to 2"),
        (remove(0), RefusalCode::NoSuchRule, "1 to 1"),
        (remove(2), RefusalCode::NoSuchRule, "1 to 1"),
        (
            Command::Default {
                action: "accept".into(),
                revision: None,
            },
            RefusalCode::BadRule,
            "accept",
        ),
        (
            Command::Replace {
                rules: "udp
nonsense"
                    .into(),
                revision: None,
            },
            RefusalCode::BadRule,
            "nonsense",
        ),
    ];

    for (command, code, needle) in cases {
        let refusal = ask(&editor, &command).expect_err("it is bad");
        assert_eq!(refusal.code, code, "{command:?}: {refusal:?}");
        assert!(refusal.error.contains(needle), "{refusal:?}");
        assert_eq!(fake.rules(), before, "{command:?}");
    }
    assert_eq!(editor.listing().expect("it counts").revision, 2);
}

#[test]
fn edit_that_the_engine_refuses_leaves_the_revision() {
    let fake = Fake::default();
    fake.refuse("the kernel has no memory");
    let editor = Editor::new(&fake, info(4));

    let rule = ask(&editor, &add("tcp", None)).expect_err("refused");
    let flow = Command::FlowAdd {
        flows: vec![flow_text(1)],
    };
    let flow = ask(&editor, &flow).expect_err("refused");

    assert_eq!(rule.code, RefusalCode::Refused);
    assert_eq!(flow.error, "the kernel has no memory");
    assert_eq!(editor.listing().expect("it counts").revision, 1);
    assert_eq!(editor.flow_count().count, 0);
}

#[test]
fn hits_are_summed_over_interfaces_and_listed_for_each() {
    let fake = Fake::default();
    let editor = Editor::new(&fake, info(0));
    ask(&editor, &add("tcp port 80", None)).expect("a good rule");
    fake.count(vec![
        Hits {
            rules: vec![5],
            default: 1,
            ..Hits::default()
        },
        Hits {
            rules: vec![7],
            management: 2,
            ..Hits::default()
        },
    ]);

    let listing = editor.listing().expect("it counts");

    assert_eq!(listing.rules[0].hits.hits, 12);
    assert_eq!(listing.rules[0].hits.hits_by_interface, [5, 7]);
    assert_eq!(listing.default.hits.hits_by_interface, [1, 0]);
    assert_eq!(listing.management.hits.hits, 2);
    assert_eq!(listing.interfaces, ["left", "right"]);
}

fn flow_text(port: usize) -> String {
    format!("tcp 10.0.0.1:{port} > 10.0.0.2:80")
}

#[test]
fn flows_come_and_go_in_batches_up_to_the_capacity_and_are_listed_in_pages() {
    let fake = Fake::default();
    let editor = Editor::new(&fake, info(2000));
    let batch = |ports: std::ops::Range<usize>| Command::FlowAdd {
        flows: ports.map(flow_text).collect(),
    };

    let first = ask(&editor, &batch(1..1501)).expect("there is room");
    let over = ask(&editor, &batch(1001..2002)).expect_err("one too many");
    let second = ask(&editor, &batch(1001..2001)).expect("there is room");
    let removed = Command::FlowRemove {
        flows: vec![flow_text(5), flow_text(5), flow_text(3000)],
    };
    let removed = ask(&editor, &removed).expect("one of them was there");

    assert_eq!(first["changed"], 1500);
    assert_eq!(over.code, RefusalCode::FlowsFull);
    assert_eq!(
        (&second["changed"], &second["count"]),
        (&500.into(), &2000.into())
    );
    assert_eq!(
        (&removed["changed"], &removed["count"]),
        (&1.into(), &1999.into())
    );
    let mut listed = Vec::new();
    let mut after = None;
    loop {
        let page = ask(&editor, &Command::FlowList { after }).expect("a page");
        let page: FlowPage = serde_json::from_value(page).expect("a page");
        assert!(page.flows.len() <= FLOWS_PER_MESSAGE);
        listed.extend(page.flows);
        after = page.after;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(listed.len(), 1999);
    let distinct: BTreeSet<_> = listed.iter().collect();
    assert_eq!(distinct.len(), 1999);
    assert!(
        listed.contains(&format!("redirect {}", flow_text(1))),
        "{}",
        listed[0]
    );
    assert_eq!(fake.flow_count(), 1999);
}

#[test]
fn flows_of_which_one_is_refused_are_all_as_they_were() {
    let fake = Fake::default();
    let editor = Editor::new(&fake, info(8));
    let add = |flows: &[String]| {
        let flows = flows.to_vec();
        ask(&editor, &Command::FlowAdd { flows })
    };
    add(&[format!("drop {}", flow_text(1))]).expect("a good flow");

    let bad = format!("redirect:1 {}", flow_text(3));
    let refusal = add(&[flow_text(1), flow_text(2), flow_text(1), bad]).expect_err("one xsk");

    assert_eq!(refusal.code, RefusalCode::Refused);
    let first = flow_text(1).parse().expect("a flow");
    assert_eq!(fake.flow(&first), Some(Action::Drop));
    assert_eq!((fake.flow_count(), editor.flow_count().count), (1, 1));
    let listed = editor.list_flows(None).expect("a page").flows;
    assert_eq!(listed, [format!("drop {}", flow_text(1))]);
}

#[test]
fn rules_at_the_end_are_those_of_the_last_edit() {
    let fake = Fake::default();
    let editor = Editor::new(&fake, info(0));
    ask(&editor, &add("tcp port 80", None)).expect("a good rule");

    let hits = Hits {
        rules: vec![3],
        ..Hits::default()
    };
    let listing = editor.close().listing(&[hits]);

    assert_eq!((listing.revision, listing.rules.len()), (2, 1));
    assert_eq!(listing.rules[0].hits.hits, 3);
}

#[test]
fn forwarder_without_room_for_flows_says_how_to_have_some() {
    let fake = Fake::default();
    let editor = Editor::new(&fake, info(0));

    let flow = Command::FlowAdd {
        flows: vec![flow_text(1)],
    };
    let refusal = ask(&editor, &flow).expect_err("no room");

    assert!(refusal.error.contains("--flow-capacity"), "{refusal:?}");
}

#[test]
fn rules_whose_listing_would_not_fit_a_reply_are_refused() {
    let fake = Fake::default();
    let editor = Editor::new(&fake, info(0));
    let long = vec!["tcp"; RULES_BYTES_MAX / 16].join(" and ");
    ask(&editor, &add(&long, None)).expect("there is room for one");

    let refusal = ask(&editor, &add(&long, None)).expect_err("not for two");

    assert!(refusal.error.contains("the limit is 262144"), "{refusal:?}");
    assert_eq!(rules(&editor).len(), 1);
}

fn replace(rules: &str) -> Command {
    Command::Replace {
        rules: rules.to_owned(),
        revision: None,
    }
}

/// An editor of rules that redirect everything.
fn redirecting(fake: &Fake) -> Editor<'_> {
    fake.replace_rules(&RuleSet::everything()).expect("a fake");
    Editor::new(fake, info(0))
}

#[test]
fn default_stays_unless_the_new_rules_name_one_and_a_change_is_said() {
    let fake = Fake::default();
    let editor = redirecting(&fake);

    let kept = ask(&editor, &replace("drop udp port 53")).expect("good rules");
    let named = ask(&editor, &replace("tcp\ndefault drop")).expect("good rules");
    let empty = ask(&editor, &replace("# none\n")).expect("no rules are good, too");
    let set = Command::Default {
        action: "pass".into(),
        revision: None,
    };
    let set = ask(&editor, &set).expect("a good action");

    assert_eq!(kept["default"], "redirect");
    assert_eq!(kept.get("previous_default"), None);
    assert_eq!(named["default"], "drop");
    assert_eq!(named["previous_default"], "redirect");
    assert_eq!(empty["default"], "drop");
    assert_eq!(empty.get("previous_default"), None);
    assert_eq!(
        (&set["default"], &set["previous_default"]),
        (&"pass".into(), &"drop".into())
    );
}

fn notes(reply: &Value) -> Vec<&str> {
    let notes = reply["notes"].as_array().expect("an array");
    notes.iter().filter_map(Value::as_str).collect()
}

#[test]
fn edit_that_leaves_nothing_to_forward_says_so_once() {
    let fake = Fake::default();
    let editor = redirecting(&fake);
    let default = |action: &str| Command::Default {
        action: action.to_owned(),
        revision: None,
    };

    let forwards = ask(&editor, &add("drop udp port 53", None)).expect("good");
    let leads_there = ask(&editor, &default("pass")).expect("good");
    let was_there = ask(&editor, &add("pass tcp", None)).expect("good");
    let back = ask(&editor, &default("redirect")).expect("good");
    let replaced = ask(&editor, &replace("drop udp\ndefault pass")).expect("good");

    assert!(notes(&forwards).is_empty(), "{forwards}");
    for reply in [&leads_there, &replaced] {
        let notes = notes(reply);
        assert_eq!(notes.len(), 1, "{reply}");
        assert!(
            notes[0].contains("`wharf steer default redirect`"),
            "{reply}"
        );
    }
    assert!(notes(&was_there).is_empty(), "{was_there}");
    assert!(notes(&back).is_empty(), "{back}");
}

#[test]
fn flows_may_redirect_where_no_rule_does() {
    let fake = Fake::default();
    fake.replace_rules(&RuleSet::everything()).expect("a fake");
    let editor = Editor::new(&fake, info(8));

    let reply = ask(&editor, &replace("default pass")).expect("good");

    assert!(notes(&reply).is_empty(), "{reply}");
}

#[test]
fn repeated_rule_is_noted_when_it_is_added() {
    let fake = Fake::default();
    let editor = redirecting(&fake);

    let first = ask(&editor, &add("tcp port 80", None)).expect("good");
    let second = ask(&editor, &add("redirect tcp port 80", None)).expect("good");
    let other = ask(&editor, &add("udp", Some(1))).expect("good");

    assert!(notes(&first).is_empty(), "{first}");
    assert!(notes(&second)[0].contains("repeats rule 1"), "{second}");
    assert!(notes(&other).is_empty(), "{other}");
}
