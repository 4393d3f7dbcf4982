//! The counts that were written down, in `counts.txt` beside this file.

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::loops::BATCHES;
use crate::table::Count;

/// How much a count may grow over the one written down.
const GROWTH: f64 = 0.02;

/// What is done with counts over their limits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Limits {
    Enforced,
    Reported,
}

/// A loop with batches of one size.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) batch: u32,
    pub(crate) count: f64,
    limit: Option<f64>,
}

/// The file.
pub(crate) struct Record {
    /// The compiler of the binary that was counted.
    rustc: String,
    limits: Limits,
    lines: Vec<Line>,
}

const HEAD: &str = "\
# Instructions per frame of each loop, by batch size; of `empty`, per round. Written by
#     cargo bench -p wharf-xdp --bench cycle -- --write
# and compared by `-- --check`, which fails when a count grows by more than 2 % over
# the one here or is over its limit. With another compiler it looks at limits only.
# Limits are kept by `--write`; `limits reported` prints what is over them and goes on.
";

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/cycle/counts.txt")
}

impl Record {
    pub(crate) fn read() -> Result<Self, String> {
        let path = path();
        let text = std::fs::read_to_string(&path)
            .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        Self::parse(&text).map_err(|line| format!("{}: what is `{line}`?", path.display()))
    }

    fn parse(text: &str) -> Result<Self, &str> {
        let mut record = Self {
            rustc: String::new(),
            limits: Limits::Enforced,
            lines: Vec::new(),
        };
        let lines = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        for line in lines {
            if let Some(rustc) = line.strip_prefix("rustc ") {
                record.rustc = rustc.to_owned();
            } else if let Some(limits) = line.strip_prefix("limits ") {
                record.limits = match limits {
                    "enforced" => Limits::Enforced,
                    "reported" => Limits::Reported,
                    _ => return Err(line),
                };
            } else {
                record.lines.push(Line::parse(line).ok_or(line)?);
            }
        }
        Ok(record)
    }

    /// Writes `counts` in the place of those that are there, with their limits.
    pub(crate) fn write(mut self, counts: &[Count]) -> Result<(), String> {
        let line = |&(name, batch, count): &Count| Line {
            name: name.to_owned(),
            batch,
            count,
            limit: self.line(name, batch).and_then(|line| line.limit),
        };
        self.lines = counts.iter().map(line).collect();
        self.rustc = rustc();
        let path = path();
        std::fs::write(&path, self.text())
            .map_err(|error| format!("{} cannot be written: {error}", path.display()))
    }

    fn text(&self) -> String {
        let limits = match self.limits {
            Limits::Enforced => "enforced",
            Limits::Reported => "reported",
        };
        let mut text = format!(
            "{HEAD}rustc {}\nlimits {limits}\n\n# loop     batch   count  limit\n",
            self.rustc
        );
        for line in &self.lines {
            let limit = line.limit.map_or("-".to_owned(), |limit| limit.to_string());
            writeln!(
                text,
                "{:<11}{:>5}{:>8.1}{limit:>7}",
                line.name, line.batch, line.count
            )
            .expect("a string takes all");
        }
        text
    }

    fn line(&self, name: &str, batch: u32) -> Option<&Line> {
        let is_it = |line: &&Line| line.name == name && line.batch == batch;
        self.lines.iter().find(is_it)
    }

    /// What is wrong with `counts`, a sentence each.
    pub(crate) fn complaints(&self, counts: &[Count]) -> Vec<String> {
        let compiler = rustc();
        let same = compiler == self.rustc;
        if !same {
            println!(
                "counts.txt is of rustc {}, this binary of {compiler}: limits only",
                self.rustc
            );
        }
        let mut complaints = Vec::new();
        for &(name, batch, count) in counts {
            let Some(line) = self.line(name, batch) else {
                complaints.push(format!(
                    "{name}, batch {batch}: not in counts.txt (--write)"
                ));
                continue;
            };
            if same && count > line.count * (1.0 + GROWTH) {
                complaints.push(format!(
                    "{name}, batch {batch}: {count:.1} instructions, {:.1} % over the {:.1} in counts.txt",
                    (count / line.count - 1.0) * 100.0,
                    line.count
                ));
            }
            let Some(limit) = line.limit.filter(|limit| count > *limit) else {
                continue;
            };
            let complaint =
                format!("{name}, batch {batch}: {count:.1} instructions, the limit is {limit}");
            match self.limits {
                Limits::Enforced => complaints.push(complaint),
                Limits::Reported => println!("reported, not enforced: {complaint}"),
            }
        }
        complaints.extend(self.missing(counts));
        complaints
    }

    /// Lines that are of no loop.
    fn missing(&self, counts: &[Count]) -> Vec<String> {
        let is_counted = |line: &&Line| {
            counts
                .iter()
                .any(|&(name, batch, _)| line.name == name && line.batch == batch)
        };
        let gone = self.lines.iter().filter(|line| !is_counted(line));
        gone.map(|line| {
            format!(
                "{}, batch {}: in counts.txt, but no such loop",
                line.name, line.batch
            )
        })
        .collect()
    }
}

impl Line {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let line = Self {
            name: words.next()?.to_owned(),
            batch: words
                .next()?
                .parse()
                .ok()
                .filter(|batch| BATCHES.contains(batch))?,
            count: words.next()?.parse().ok()?,
            limit: match words.next()? {
                "-" => None,
                limit => Some(limit.parse().ok()?),
            },
        };
        words.next().is_none().then_some(line)
    }
}

/// The compiler of this binary, as it left its name in there, and the target.
fn rustc() -> String {
    const MARK: &[u8] = b"rustc version ";
    let binary = std::env::current_exe()
        .and_then(std::fs::read)
        .unwrap_or_default();
    let found = binary
        .windows(MARK.len())
        .enumerate()
        .filter(|(_, window)| *window == MARK);
    // This function's own constant is followed by something else.
    let mut versions = found.filter_map(|(at, _)| {
        let rest = &binary[at + MARK.len()..];
        let end = rest.iter().position(|&byte| byte == 0)?;
        std::str::from_utf8(&rest[..end])
            .ok()
            .filter(|text| text.starts_with(|c: char| c.is_ascii_digit()))
    });
    let version = versions.next().unwrap_or("unknown");
    format!("{version} {}", std::env::consts::ARCH)
}
