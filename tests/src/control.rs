//! Control sockets apart from those of the machine and of other cases, and
//! `wharf steer`, which finds forwarders by them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use wharf::Attach;
use wharf_testbed::Wire;

use crate::binary::{CONTROL_VARIABLE, wharf, wharf_in};
use crate::forward::Forward;

/// A directory for control sockets and files of a case; removed on drop.
#[derive(Debug)]
pub struct ControlDirectory(PathBuf);

impl ControlDirectory {
    /// A directory of its own, which only forwarders make.
    ///
    /// # Panics
    ///
    /// When its parent cannot be made.
    #[must_use]
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "wharf-control-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a new directory");
        Self(path)
    }

    /// Where forwarders put their sockets.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.0.join("sockets")
    }

    /// A file beside the sockets.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    #[must_use]
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, content).expect("a new file");
        text_of(&path)
    }

    /// A path beside the sockets at which there is nothing.
    #[must_use]
    pub fn free_path(&self, name: &str) -> String {
        text_of(&self.0.join(name))
    }

    /// As [`Forward::start`], with its socket here.
    ///
    /// # Panics
    ///
    /// As [`Forward::start`].
    #[must_use]
    pub fn forward(&self, wire: &Wire, attach: Attach, options: &[&str]) -> Forward {
        let mut command = wharf_in(wire.forwarder());
        command.env(CONTROL_VARIABLE, self.path());
        Forward::start_as(command, wire, attach, options)
    }

    /// Runs `wharf steer` with these words to its end.
    ///
    /// # Panics
    ///
    /// When it cannot be run.
    #[must_use]
    pub fn try_steer(&self, words: &[&str]) -> Output {
        self.run(words, Stdio::null())
    }

    /// Runs `wharf impair` with these words to its end.
    ///
    /// # Panics
    ///
    /// When it cannot be run.
    #[must_use]
    pub fn try_impair(&self, words: &[&str]) -> Output {
        self.run_command("impair", words, Stdio::null())
    }

    /// As [`try_impair`](Self::try_impair), and it has to do what it was told; returns
    /// what it said.
    ///
    /// # Panics
    ///
    /// When it does not.
    #[track_caller]
    pub fn impair(&self, words: &[&str]) -> String {
        good(words, self.try_impair(words))
    }

    /// What `wharf impair list --json` says.
    ///
    /// # Panics
    ///
    /// When it says anything else.
    #[must_use]
    #[track_caller]
    pub fn impairments(&self) -> Value {
        let text = self.impair(&["list", "--json"]);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    fn run(&self, words: &[&str], input: Stdio) -> Output {
        self.run_command("steer", words, input)
    }

    fn run_command(&self, command: &str, words: &[&str], input: Stdio) -> Output {
        Command::new(wharf())
            .arg(command)
            .args(words)
            .env(CONTROL_VARIABLE, self.path())
            .stdin(input)
            .output()
            .expect("the command can be run")
    }

    /// As [`steer`](Self::steer), with a file as standard input.
    ///
    /// # Panics
    ///
    /// As [`steer`](Self::steer), and when there is no such file.
    #[track_caller]
    pub fn steer_from(&self, file: &str, words: &[&str]) -> String {
        let input = File::open(file).expect("it is there");
        good(words, self.run(words, input.into()))
    }

    /// As [`try_steer`](Self::try_steer), and it has to do what it was told; gives
    /// what it said.
    ///
    /// # Panics
    ///
    /// When it does not.
    #[track_caller]
    pub fn steer(&self, words: &[&str]) -> String {
        good(words, self.try_steer(words))
    }

    /// What `wharf steer list --json` says.
    ///
    /// # Panics
    ///
    /// When it says anything else.
    #[must_use]
    #[track_caller]
    pub fn listing(&self) -> Value {
        let text = self.steer(&["list", "--json"]);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }
}

impl Default for ControlDirectory {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for ControlDirectory {
    fn drop(&mut self) {
        // It is in the directory for temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[track_caller]
fn good(words: &[&str], output: Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{words:?}: {errors}");
    // On a machine that is very busy it may have had to wait.
    let said = errors
        .lines()
        .filter(|line| !line.contains("has not answered for"));
    assert_eq!(said.collect::<Vec<_>>(), [""; 0], "steer {words:?}");
    String::from_utf8(output.stdout).expect("text")
}

fn text_of(path: &Path) -> String {
    path.to_str().expect("a plain name").to_owned()
}
