//! Suggestions for misspelt words.

/// What to write instead of `word`, if one of `words` is near.
pub(crate) fn suggestion<'a>(
    word: &str,
    words: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    if let Some((_, meant)) = OTHER_NAMES.iter().find(|(other, _)| *other == word) {
        return Some(meant);
    }
    let length = word.chars().count();
    let most = match length {
        0..2 => 0,
        2..7 => 1,
        7..=LONGEST => 2,
        _ => return None,
    };
    // Another letter makes another word of a short one: `ipx` is neither `ip` nor
    // `ip6`. One that is missing, or two that are swapped, do not.
    let may_be = |candidate: &&str| {
        length > SHORT
            || candidate.chars().count() == length + 1
            || letters(candidate) == letters(&word)
    };
    words
        .into_iter()
        .filter(may_be)
        .map(|candidate| (distance(&word, candidate), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn letters(word: &str) -> Vec<char> {
    let mut letters: Vec<char> = word.chars().collect();
    letters.sort_unstable();
    letters
}

/// Letters to add, remove, replace, or swap with the next.
fn distance(one: &str, other: &str) -> usize {
    let one: Vec<char> = one.chars().collect();
    let other: Vec<char> = other.chars().collect();
    let mut before = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for i in 0..one.len() {
        let mut row = vec![i + 1];
        for j in 0..other.len() {
            let replaced = last[j] + usize::from(one[i] != other[j]);
            let mut least = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && one[i] == other[j - 1] && one[i - 1] == other[j] {
                let swapped: &Vec<usize> = &before;
                least = least.min(swapped[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[other.len()]
}

/// Names that other tools have for the same.
const OTHER_NAMES: &[(&str, &str)] = &[
    // Actions, as other filters call them.
    ("accept", "pass"),
    ("allow", "pass"),
    ("permit", "pass"),
    ("deny", "drop"),
    ("reject", "drop"),
    ("block", "drop"),
    ("discard", "drop"),
    ("ipv4", "ip"),
    ("ipv6", "ip6"),
    ("icmpv6", "icmp6"),
    ("icmp4", "icmp"),
    ("dport", "dst port"),
    ("sport", "src port"),
    ("source", "src"),
    ("destination", "dst"),
    ("daddr", "dst host"),
    ("saddr", "src host"),
    ("ports", "portrange"),
];

const SHORT: usize = 3;

/// Longer words are not looked for: the search takes the square of it.
const LONGEST: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let words = ["tcp", "udp", "portrange", "fragment"];

        assert_eq!(suggestion("tpc", words), Some("tcp"));
        assert_eq!(suggestion("TCP", words), Some("tcp"));
        assert_eq!(suggestion("protrange", words), Some("portrange"));
        assert_eq!(suggestion("fragmnts", words), Some("fragment"));
        assert_eq!(suggestion("ipv6", words), Some("ip6"));
        assert_eq!(suggestion("gre", words), None);
        assert_eq!(suggestion("ucp", words), None, "one of two others");
        assert_eq!(suggestion("tc", words), Some("tcp"));
        assert_eq!(suggestion("ipx", ["ip", "ip6"]), None);
        assert_eq!(suggestion(&"x".repeat(100_000), words), None);
    }
}
