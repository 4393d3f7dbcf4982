//! Shows the verdict: as text behind the account of the run, or as one object with it.

use std::io::{self, Write};

use serde::Serialize;

use super::verdict::Verdict;
use crate::report::{Format, Summary, filled, write_line, write_summary};

/// Writes `verdict` and the run's `summary`.
pub fn show(
    out: &mut impl Write,
    format: Format,
    verdict: &Verdict,
    summary: &Summary,
) -> io::Result<()> {
    match format {
        Format::Json => write_line(out, &Line { verdict, summary }),
        Format::Table => write_text(out, verdict, summary),
    }
}

fn write_text(out: &mut impl Write, verdict: &Verdict, summary: &Summary) -> io::Result<()> {
    write_summary(out, summary)?;
    writeln!(out)?;
    for check in verdict.checks() {
        let mark = if check.passed { "ok  " } else { "FAIL" };
        let mut pieces: Vec<String> = check
            .detail
            .split(", ")
            .map(|part| format!("{part},"))
            .collect();
        if let Some(last) = pieces.last_mut() {
            last.pop();
        }
        let lead = format!("  {mark}  {:<8} ", check.name);
        pieces.insert(0, lead);
        writeln!(out, "{}", filled(&pieces, &" ".repeat(INDENT)))?;
    }
    writeln!(out, "\nverdict: {}", verdict.label())?;
    out.flush()
}

/// The columns before a check's detail.
const INDENT: usize = 18;

/// The last object, told apart from the others by its `type`.
#[derive(Serialize)]
#[serde(tag = "type", rename = "verdict")]
struct Line<'a> {
    #[serde(flatten)]
    verdict: &'a Verdict,
    #[serde(flatten)]
    summary: &'a Summary,
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::report::tests::summary;

    fn shown(format: Format) -> String {
        let nothing_sent = Verdict::of(Default::default(), &summary(500, 500));
        let mut bytes = Vec::new();
        show(&mut bytes, format, &nothing_sent, &summary(500, 500))
            .expect("memory takes everything");
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn text_lists_every_check_before_the_verdict() {
        let text = shown(Format::Table);

        assert!(text.contains("  FAIL  TCP "), "{text}");
        assert!(text.ends_with("\nverdict: fail\n"), "{text}");
    }

    #[test]
    fn line_of_the_verdict_holds_the_summary_too() {
        let text = shown(Format::Json);

        assert_eq!(text.matches('\n').count(), 1, "one line");
        let json: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(json["type"], "verdict");
        assert_eq!(json["verdict"], "fail", "nothing was sent");
        assert_eq!(json["conserved"], true);
        assert_eq!(json["tcp"]["sent_bytes"], 0);
    }
}
