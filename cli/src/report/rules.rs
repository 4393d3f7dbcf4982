//! Rules and what they counted, for people.

use std::io::{self, Write};

use super::text::grouped;
use crate::control::Listing;

/// Writes a row for each rule, the default action, flows, management traffic and
/// removed rules.
pub fn write_listing(out: &mut impl Write, listing: &Listing) -> io::Result<()> {
    writeln!(out, "{:>5}  {:>15}  rule", "", "hits")?;
    for entry in &listing.rules {
        let hits = grouped(entry.hits.hits);
        writeln!(out, "{:>5}  {hits:>15}  {}", entry.number, entry.rule)?;
    }
    let mut row = |hits: u64, what: &str| writeln!(out, "{:>5}  {:>15}  {what}", "", grouped(hits));
    let (default, flows) = (&listing.default, &listing.flows);
    row(default.hits.hits, &format!("default {}", default.action))?;
    if flows.capacity > 0 {
        let text = format!("flows: {} of up to {}", flows.count, flows.capacity);
        row(flows.hits.hits, &text)?;
    }
    for (entry, what) in [
        (&listing.management, "management traffic"),
        (&listing.no_xsk, "to redirect, but no socket"),
        (&listing.removed, "removed rules"),
    ] {
        if entry.hits.hits > 0 {
            row(entry.hits.hits, what)?;
        }
    }
    Ok(())
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::control::{DefaultEntry, FlowsEntry, HitCount, OtherEntry, RuleEntry};

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
    fn listing_has_flows_and_other_decisions_where_there_are_some() {
        let mut listing = listing();
        listing.flows.capacity = 64;
        listing.management.hits.hits = 9;
        listing.no_xsk.hits.hits = 7;
        listing.removed.hits.hits = 8;

        let rows = written(&listing);

        assert_eq!(rows[4], "0  flows: 0 of up to 64");
        assert!(rows[5].starts_with("9  management"), "{}", rows[5]);
        assert_eq!(rows[6], "7  to redirect, but no socket");
        assert!(rows[7].starts_with("8  removed rules"), "{}", rows[7]);
    }
}
