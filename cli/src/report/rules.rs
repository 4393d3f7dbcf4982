//! Rules and what they counted, for people.

use std::io::{self, Write};
use std::time::Duration;

use super::interval::per_second;
use super::text::grouped;
use super::units::frame_rate;
use crate::control::{HitCount, Listing};

/// Writes a row for each rule, the default action, flows, management traffic and
/// removed rules.
pub fn write_listing(out: &mut impl Write, listing: &Listing) -> io::Result<()> {
    writeln!(out, "{:>5}  {:>15}  rule", "", "hits")?;
    for Row {
        number, hits, what, ..
    } in rows(listing).filter(|row| row.is_shown)
    {
        writeln!(out, "{number:>5}  {:>15}  {what}", grouped(hits))?;
    }
    Ok(())
}

/// As [`write_listing`], with the hits per second since `before`, which is `time` ago.
/// An edit in between moves what rules counted, so there is no rate then.
pub fn write_listing_since(
    out: &mut impl Write,
    listing: &Listing,
    before: &Listing,
    time: Duration,
) -> io::Result<()> {
    writeln!(out, "{:>5}  {:>15}  {:>9}  rule", "", "hits", "rate")?;
    let is_same = listing.revision == before.revision;
    let mut earlier = rows(before);
    for row in rows(listing) {
        let earlier = earlier.next().filter(|_| is_same);
        let rate = earlier.map_or_else(
            || "-".to_owned(),
            |earlier| frame_rate(per_second(row.hits.saturating_sub(earlier.hits), time)),
        );
        let Row {
            number,
            hits,
            what,
            is_shown,
        } = row;
        if is_shown {
            writeln!(out, "{number:>5}  {:>15}  {rate:>9}  {what}", grouped(hits))?;
        }
    }
    Ok(())
}

/// A row of a listing.
struct Row {
    /// Empty where it is no rule.
    number: String,
    hits: u64,
    what: String,
    is_shown: bool,
}

/// As many rows for all listings of one revision.
fn rows(listing: &Listing) -> impl Iterator<Item = Row> {
    let rules = listing.rules.iter().map(|entry| Row {
        number: entry.number.to_string(),
        hits: entry.hits.hits,
        what: entry.rule.clone(),
        is_shown: true,
    });
    let other = |hits: &HitCount, what: String, is_shown| Row {
        number: String::new(),
        hits: hits.hits,
        what,
        is_shown,
    };
    let (default, flows) = (&listing.default, &listing.flows);
    let undecided = &listing.undecided;
    let others = [
        (&listing.management, "management traffic"),
        (&listing.no_xsk, "to redirect, but no socket"),
        (&listing.removed, "removed rules"),
    ];
    let others =
        others.map(|(entry, what)| other(&entry.hits, what.to_owned(), entry.hits.hits > 0));
    rules
        .chain([
            other(
                &undecided.hits,
                format!("undecided {}", undecided.action),
                undecided.action != "next" || undecided.hits.hits > 0,
            ),
            other(&default.hits, format!("default {}", default.action), true),
            other(
                &flows.hits,
                format!("flows: {} of up to {}", flows.count, flows.capacity),
                flows.capacity > 0,
            ),
        ])
        .chain(others)
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::control::{DefaultEntry, FlowsEntry, OtherEntry, RuleEntry};

    /// Two rules that decided 1234 and no frames.
    pub fn listing() -> Listing {
        let hits = |there, back| HitCount::of([there, back].into_iter());
        let rule = |number, rule: &str, hits| RuleEntry {
            number,
            rule: rule.into(),
            hits,
        };
        Listing {
            pid: 7,
            interfaces: vec!["eth0".into(), "eth1".into()],
            revision: 3,
            rules: vec![
                rule(1, "redirect tcp port 8080", hits(1000, 234)),
                rule(2, "drop udp", hits(0, 0)),
            ],
            default: DefaultEntry {
                action: "pass".into(),
                hits: hits(5, 0),
            },
            undecided: DefaultEntry {
                action: "next".into(),
                hits: hits(0, 0),
            },
            flows: FlowsEntry {
                count: 0,
                capacity: 0,
                hits: hits(0, 0),
            },
            management: OtherEntry { hits: hits(0, 0) },
            no_xsk: OtherEntry { hits: hits(0, 0) },
            removed: OtherEntry { hits: hits(0, 0) },
        }
    }

    fn written(listing: &Listing) -> Vec<String> {
        let mut bytes = Vec::new();
        write_listing(&mut bytes, listing).expect("memory takes everything");
        let text = String::from_utf8(bytes).expect("text");
        text.lines().map(|line| line.trim().to_owned()).collect()
    }

    #[test]
    fn listing_has_a_row_for_each_rule_and_the_default() {
        let rows = written(&listing());

        assert_eq!(
            rows,
            [
                "hits  rule",
                "1            1 234  redirect tcp port 8080",
                "2                0  drop udp",
                "5  default pass",
            ]
        );
    }

    #[test]
    fn watched_listing_has_the_hits_per_second() {
        let before = listing();
        let mut now = listing();
        now.rules[0].hits.hits += 3000;
        let seconds = Duration::from_secs(2);
        let write = |now: &Listing| {
            let mut bytes = Vec::new();
            write_listing_since(&mut bytes, now, &before, seconds).expect("memory");
            String::from_utf8(bytes).expect("text")
        };

        let same_rules = write(&now);
        now.revision += 1;
        let other_rules = write(&now);

        assert!(
            same_rules.contains("4 234  1.50 kpps  redirect tcp"),
            "{same_rules}"
        );
        assert!(
            same_rules.contains("5      0 pps  default pass"),
            "{same_rules}"
        );
        assert!(
            other_rules.contains("4 234          -  redirect tcp"),
            "{other_rules}"
        );
    }

    #[test]
    fn listing_has_flows_and_other_decisions_where_there_are_some() {
        let mut listing = listing();
        listing.flows.capacity = 64;
        listing.undecided.action = "drop".into();
        listing.undecided.hits.hits = 3;
        listing.management.hits.hits = 9;
        listing.no_xsk.hits.hits = 7;
        listing.removed.hits.hits = 8;

        let rows = written(&listing);

        assert_eq!(rows[3], "3  undecided drop");
        assert_eq!(rows[5], "0  flows: 0 of up to 64");
        assert!(rows[6].starts_with("9  management"), "{}", rows[6]);
        assert_eq!(rows[7], "7  to redirect, but no socket");
        assert!(rows[8].starts_with("8  removed rules"), "{}", rows[8]);
    }
}
