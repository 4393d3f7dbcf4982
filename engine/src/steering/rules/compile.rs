//! Rules as the XDP program matches them: for each field, which clauses a value
//! does not rule out.
//!
//! A table is filled by asking the clauses' own primitives about every value, so
//! it cannot mean anything but what the reference means. Most values of a field
//! are told apart by no rule; they are asked about once.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use wharf_ebpf::{ASKS_ANYTHING, CLAUSES, Mask, RowsFull, Table, Tables};

use super::clause::{Clause, clauses};
use super::error::{ActionPlace, RulesError};
use super::fields::{Field, Fields};
use super::literal::Literal;
use super::primitive::{MacAddress, Prefix, Primitive, Side};
use super::reference::Truth;
use super::rule::{Action, RuleSet};
use super::table::{edges, name, table_of, with_field};
use crate::kernel::XskIndex;

/// Rules, ready to be loaded.
#[derive(Clone, Debug)]
pub(crate) struct Compiled {
    /// `Config::fields`.
    pub(crate) fields: u32,
    /// `Config::words`.
    pub(crate) words: u32,
    /// `Config::default_action`.
    pub(crate) default_action: u32,
    /// `Config::undecided_action`.
    pub(crate) undecided_action: u32,
    /// The number of rules.
    pub(crate) rules: u32,
    pub(crate) tables: Tables,
    /// Keys and values of `SOURCE_MACS` and `MACS`.
    pub(crate) macs: [Vec<(u64, Mask)>; 2],
    /// Keys and values of the tries: source and destination.
    pub(crate) prefixes_v4: [Vec<(Prefix, Mask)>; 2],
    pub(crate) prefixes_v6: [Vec<(Prefix, Mask)>; 2],
    /// Those in ARP.
    pub(crate) prefixes_arp: [Vec<(Prefix, Mask)>; 2],
}

/// Compiles `rules` for queues that have `xsks` xsks each.
///
/// # Errors
///
/// When the rules do not fit, name an xsk that there is not, or never match.
pub(crate) fn compile(rules: &RuleSet, xsks: u8) -> Result<Compiled, RulesError> {
    let mut actions = Vec::new();
    for (index, rule) in rules.rules.iter().enumerate() {
        let code = action_code(rule.action, xsks);
        actions.push(code.map_err(|xsk| no_such_xsk(Some(index + 1), xsk, xsks))?);
    }
    let default_action = action_code(rules.default, xsks);
    let default_action = default_action.map_err(|xsk| no_such_xsk(None, xsk, xsks))?;
    let undecided_action = match rules.undecided {
        None => wharf_ebpf::UNDECIDED_NEXT,
        Some(action) => action_code(action, xsks).map_err(|xsk| RulesError::NoSuchXsk {
            place: ActionPlace::Undecided,
            xsk: xsk.0,
            xsks,
        })?,
    };
    let clauses = clauses(rules, CLAUSES)?;
    let mut tables = Tables::default();
    for (index, clause) in clauses.iter().enumerate() {
        let hit = wharf_ebpf::HIT_RULES + number(clause.rule);
        tables.set_clause(index, actions[clause.rule], hit);
    }
    if rules.undecided.is_some() {
        set_differing(rules, &clauses, &mut tables);
    }
    let matcher = Matcher(&clauses);
    let asked = Table::ALL.into_iter().filter(|table| matcher.asks(*table));
    let mut fields = if rules.rules.is_empty() {
        0
    } else {
        ASKS_ANYTHING
    };
    for table in asked {
        fields |= table.asks();
        matcher
            .fill(table, &mut tables)
            .map_err(|RowsFull { most, .. }| RulesError::TooManyValues {
                field: name(table),
                limit: most,
            })?;
    }
    let all_ipv4 = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let all_ipv6 = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    Ok(Compiled {
        fields,
        words: number(clauses.len().div_ceil(64)),
        default_action,
        undecided_action,
        rules: number(rules.rules.len()),
        tables,
        macs: SIDES.map(|side| matcher.macs(side)),
        prefixes_v4: SIDES.map(|side| matcher.prefixes(address_table(side), all_ipv4)),
        prefixes_v6: SIDES.map(|side| matcher.prefixes(address_table(side), all_ipv6)),
        prefixes_arp: SIDES.map(|side| matcher.prefixes(arp_table(side), all_ipv4)),
    })
}

/// The action as the program has it.
///
/// # Errors
///
/// The xsk that the action names, when it is none of the `xsks` of a queue.
pub(crate) fn action_code(action: Action, xsks: u8) -> Result<u32, XskIndex> {
    match action {
        Action::Pass => Ok(wharf_ebpf::ACTION_PASS),
        Action::Drop => Ok(wharf_ebpf::ACTION_DROP),
        Action::Redirect(XskIndex(xsk)) if xsk < xsks => Ok(wharf_ebpf::action_redirect(xsk)),
        Action::Redirect(xsk) => Err(xsk),
    }
}

fn no_such_xsk(rule: Option<usize>, XskIndex(xsk): XskIndex, xsks: u8) -> RulesError {
    let place = rule.map_or(ActionPlace::Default, ActionPlace::Rule);
    RulesError::NoSuchXsk { place, xsk, xsks }
}

/// Says for each clause, and for none, which clauses of earlier rules would do
/// something else.
fn set_differing(rules: &RuleSet, clauses: &[Clause], tables: &mut Tables) {
    let differing = |before: usize, action: Action| {
        let mut mask = Mask::default();
        for (index, clause) in clauses.iter().enumerate() {
            if clause.rule < before && rules.rules[clause.rule].action != action {
                mask[index / 64] |= 1 << (index % 64);
            }
        }
        mask
    };
    for (index, clause) in clauses.iter().enumerate() {
        let action = rules.rules[clause.rule].action;
        tables.set_differing(index, &differing(clause.rule, action));
    }
    tables.set_differing(CLAUSES, &differing(rules.rules.len(), rules.default));
}

/// Answers which clauses a value does not rule out.
struct Matcher<'a>(&'a [Clause]);

impl Matcher<'_> {
    fn literals(&self) -> impl Iterator<Item = &Literal> {
        self.0.iter().flat_map(|clause| &clause.literals)
    }

    fn asks(&self, table: Table) -> bool {
        self.literals()
            .any(|literal| table_of(literal.primitive) == table)
    }

    /// The clauses of which all literals that ask `table` hold.
    fn mask(&self, table: Table, answer: impl Fn(Primitive) -> Truth) -> Mask {
        let mut mask = Mask::default();
        for (index, clause) in self.0.iter().enumerate() {
            let holds = |literal: &Literal| {
                let wanted = if literal.positive {
                    Truth::True
                } else {
                    Truth::False
                };
                answer(literal.primitive) == wanted
            };
            let mut asking = clause.literals.iter();
            if asking.all(|literal| table_of(literal.primitive) != table || holds(literal)) {
                mask[index / 64] |= 1 << (index % 64);
            }
        }
        mask
    }

    fn mask_of(&self, table: Table, value: Field<usize>) -> Mask {
        let fields = with_field(table, value);
        self.mask(table, |primitive| primitive.holds(&fields))
    }

    fn fill(&self, table: Table, tables: &mut Tables) -> Result<(), RowsFull> {
        let edges: BTreeSet<_> = self
            .literals()
            .flat_map(|literal| edges(literal.primitive, table))
            .collect();
        let is_wide = table.values() > 256;
        let mut last = None;
        let values = (0..table.values()).map(|value| match last {
            Some(mask) if is_wide && !edges.contains(&value) => mask,
            _ => *last.insert(self.mask_of(table, Field::Is(value))),
        });
        let others = [Field::Absent, Field::Undecided].map(|field| self.mask_of(table, field));
        tables.set(table, values.chain(others))
    }

    /// A mask for every address that is named on this side.
    fn macs(&self, asked_side: Side) -> Vec<(u64, Mask)> {
        let named = self
            .literals()
            .filter_map(|literal| match literal.primitive {
                Primitive::Ether(side, mac) if side == asked_side => Some(mac),
                _ => None,
            });
        let named: BTreeSet<MacAddress> = named.collect();
        let entry = |MacAddress(mac)| {
            let mut fields = Fields::UNDECIDED;
            let table = match asked_side {
                Side::Source => {
                    fields.ether_source = Field::Is(MacAddress(mac));
                    Table::EtherSource
                }
                Side::Destination => {
                    fields.ether_destination = Field::Is(MacAddress(mac));
                    Table::EtherDestination
                }
            };
            let mask = self.mask(table, |asked| asked.holds(&fields));
            let [a, b, c, d, e, f] = mac;
            // The program reads three 16-bit words, and puts the first lowest.
            let word = |one, two| u64::from(u16::from_ne_bytes([one, two]));
            (word(a, b) | word(c, d) << 16 | word(e, f) << 32, mask)
        };
        named.into_iter().map(entry).collect()
    }

    /// A mask for every prefix that is asked of `table`, which is for the addresses in
    /// it that are in no longer one; and one for all addresses. Nothing if none is
    /// asked.
    fn prefixes(&self, table: Table, unspecified: IpAddr) -> Vec<(Prefix, Mask)> {
        if !self.asks(table) {
            return Vec::new();
        }
        let all = Prefix::new(unspecified, 0).expect("all addresses");
        let mut prefixes: BTreeSet<_> = self
            .literals()
            .filter(|literal| table_of(literal.primitive) == table)
            .filter_map(|literal| prefix_of(literal.primitive))
            .filter(|prefix| prefix.address().is_ipv4() == unspecified.is_ipv4())
            .collect();
        prefixes.insert(all);
        let answer = |asked: Primitive, prefix: Prefix| match prefix_of(asked) {
            Some(asked)
                if asked.length() <= prefix.length() && asked.contains(prefix.address()) =>
            {
                Truth::True
            }
            _ => Truth::False,
        };
        prefixes
            .into_iter()
            .map(|prefix| (prefix, self.mask(table, |asked| answer(asked, prefix))))
            .collect()
    }
}

const SIDES: [Side; 2] = [Side::Source, Side::Destination];

fn address_table(side: Side) -> Table {
    match side {
        Side::Source => Table::Source,
        Side::Destination => Table::Destination,
    }
}

fn arp_table(side: Side) -> Table {
    match side {
        Side::Source => Table::ArpSource,
        Side::Destination => Table::ArpDestination,
    }
}

fn prefix_of(primitive: Primitive) -> Option<Prefix> {
    match primitive {
        Primitive::Address(_, prefix) | Primitive::ArpAddress(_, prefix) => Some(prefix),
        _ => None,
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).expect("there is room for a few hundred")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steering::rules::{Expression, Ports, Rule};

    #[test]
    fn empty_rules_ask_nothing() {
        let compiled = compile(&RuleSet::everything(), 1).expect("it fits");

        assert_eq!((compiled.fields, compiled.words), (0, 0));
        assert_eq!(compiled.default_action, wharf_ebpf::action_redirect(0));
    }

    #[test]
    fn only_fields_that_are_asked_for_are_turned_on() {
        let rules = RuleSet::only([Rule::from(Expression::udp() & Expression::dst_port(53))]);

        let compiled = compile(&rules, 1).expect("it fits");

        let asked = Table::Protocol.asks() | Table::DestinationPort.asks() | ASKS_ANYTHING;
        assert_eq!((compiled.fields, compiled.words), (asked, 1));
    }

    #[test]
    fn prefix_in_a_prefix_keeps_what_the_wider_one_keeps() {
        let net = |address: [u8; 4], length| {
            Expression::src_net(Prefix::new(address.into(), length).expect("a prefix"))
        };
        let rules = RuleSet::only([
            net([10, 0, 0, 0], 24).into(),
            net([10, 0, 0, 0], 8).into(),
            Rule::from(!net([10, 0, 0, 0], 8)),
        ]);

        let compiled = compile(&rules, 1).expect("it fits");

        let [source, destination] = compiled.prefixes_v4;
        let masks: Vec<_> = source
            .iter()
            .map(|(prefix, mask)| (prefix.length(), mask[0]))
            .collect();
        assert_eq!(masks, [(0, 0b100), (8, 0b010), (24, 0b011)]);
        assert!(destination.is_empty());
        // An IPv6 address is in no prefix of IPv4.
        assert_eq!(compiled.prefixes_v6[0].len(), 1);
        assert_eq!(compiled.prefixes_v6[0][0].1[0], 0b100);
    }

    #[test]
    fn xsk_that_queues_do_not_have_is_named_with_its_rule() {
        let redirect = Action::Redirect(XskIndex(2));
        let rule = Rule {
            action: redirect,
            expression: Expression::udp(),
        };

        let in_rule = compile(&RuleSet::only([rule]), 2).expect_err("there are 0 and 1");
        let in_default = RuleSet::new([], redirect);
        let in_default = compile(&in_default, 1).expect_err("there is 0");

        assert_eq!(
            in_rule.to_string(),
            "rule 1 redirects to xsk 2, but a queue has 2, counted from 0: name one of those"
        );
        assert!(
            in_default
                .to_string()
                .starts_with("the default redirects to xsk 2"),
            "{in_default}"
        );
    }

    #[test]
    fn rules_fill_the_table_to_the_last_clause_and_no_further() {
        let port = |port| Rule::from(Expression::src_port(port));

        let full = compile(&RuleSet::only((0..256).map(port)), 1).expect("256 clauses");
        let over = compile(&RuleSet::only((0..257).map(port)), 1).expect_err("257 clauses");

        assert_eq!(full.words, 4);
        assert!(
            matches!(over, RulesError::TooManyClauses { rule: 257, .. }),
            "{over}"
        );
    }

    #[test]
    fn too_finely_divided_ports_are_an_error() {
        // Every second port, in one clause of "not": two groups.
        let odd = |from: u16| {
            let ports = (from..from + 1200).step_by(2);
            let not = |port| !Expression::from(Primitive::Port(Side::Source, Ports::one(port)));
            ports.map(not).reduce(Expression::and).expect("not empty")
        };
        let two_groups = compile(&RuleSet::only([Rule::from(odd(0))]), 1);
        // For every two of 50 rules a port that both of them exclude.
        let pairs = |one: u16| {
            let shared = (0..50).map(|other| one.min(other) * 50 + one.max(other));
            let not = |port| !Expression::src_port(port);
            Rule::from(shared.map(not).reduce(Expression::and).expect("fifty"))
        };
        let many = compile(&RuleSet::only((0..50).map(pairs)), 1);

        assert!(two_groups.is_ok());
        let error = many.expect_err("1275 groups").to_string();
        assert!(
            error.contains("groups of values of the source port"),
            "{error}"
        );
    }
}
