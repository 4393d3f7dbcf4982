//! Files that use each other, directly or through others.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::Uses;

/// The circles of a graph of files, one a line: for each group of files that
/// reach each other, the shortest circle of each of its files, once.
pub(crate) fn find(uses: &Uses) -> Vec<String> {
    let shortest = uses.keys().filter_map(|file| through(uses, file));
    let circles: BTreeSet<_> = shortest.map(from_the_first_name).collect();
    let line = |circle: &Vec<&str>| format!("{} → {}", circle.join(" → "), circle[0]);
    circles.iter().map(line).collect()
}

/// The shortest circle through `file`, if there is one.
fn through<'a>(uses: &'a Uses, file: &'a str) -> Option<Vec<&'a str>> {
    let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
    let mut queue = VecDeque::from([file]);
    while let Some(next) = queue.pop_front() {
        for used in uses.get(next).into_iter().flatten() {
            if used == file {
                let mut circle = vec![next];
                while let Some(before) = came_from.get(circle[circle.len() - 1]) {
                    circle.push(before);
                }
                circle.reverse();
                return Some(circle);
            }
            if !came_from.contains_key(used.as_str()) {
                came_from.insert(used.as_str(), next);
                queue.push_back(used);
            }
        }
    }
    None
}

fn from_the_first_name(mut circle: Vec<&str>) -> Vec<&str> {
    let names = circle.iter().enumerate();
    let first = names.min_by_key(|(_, name)| **name).map_or(0, |(at, _)| at);
    circle.rotate_left(first);
    circle
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(arrows: &[(&str, &str)]) -> Uses {
        let mut uses = Uses::new();
        for (from, to) in arrows {
            uses.entry((*from).to_owned())
                .or_default()
                .insert((*to).to_owned());
        }
        uses
    }

    #[test]
    fn circle_is_named_once_from_whichever_file() {
        let uses = graph(&[("b", "c"), ("c", "a"), ("a", "b"), ("d", "a")]);

        assert_eq!(find(&uses), ["a → b → c → a"]);
    }

    #[test]
    fn graph_without_circle_has_none() {
        assert_eq!(find(&graph(&[("a", "b"), ("a", "c"), ("b", "c")])), [""; 0]);
    }
}
