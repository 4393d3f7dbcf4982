//! The lines of flows, `[ACTION] FLOW`.

use wharf::{Action, Flow};

/// Splits the action off a line that may begin with one. Returns the action, the
/// rest, and the offset of the rest in bytes.
pub fn split_action(line: &str, default: Action) -> (Action, &str, usize) {
    let begin = line.len() - line.trim_start().len();
    let text = &line[begin..];
    let word = text.split_whitespace().next().unwrap_or_default();
    match word.parse() {
        Ok(action) => {
            let rest = text[word.len()..].trim_start();
            (action, rest, line.len() - rest.len())
        }
        Err(_) => (default, text, begin),
    }
}

/// The line that [`split_action`] takes apart.
pub fn flow_line(action: Action, flow: &Flow) -> String {
    format!("{action} {flow}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_may_begin_with_an_action() {
        let with = split_action("  drop tcp a", Action::Pass);
        let without = split_action("tcp a", Action::Pass);

        assert_eq!(with, (Action::Drop, "tcp a", 7));
        assert_eq!(without, (Action::Pass, "tcp a", 0));
    }
}
