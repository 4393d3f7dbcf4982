//! A control group with a limit, for a program that is to run under it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use wharf_testbed::{Host, HostCommand, require_nothing_missing};

use crate::waiting::eventually;
use crate::{SOON, keep_sockets_apart, wharf};

/// A control group; removed on drop.
#[derive(Debug)]
pub struct ControlGroup(PathBuf);

impl ControlGroup {
    /// A group whose processes may have `mib` MiB of memory together; `None`, and a word
    /// on standard error, where control groups of that kind cannot be made.
    #[must_use]
    pub fn with_memory(mib: u64) -> Option<Self> {
        Self::with("memory", ["memory.max", "memory.limit_in_bytes"], mib << 20)
    }

    /// As [`with_memory`](Self::with_memory), of up to `count` processes and threads.
    #[must_use]
    pub fn with_tasks(count: u64) -> Option<Self> {
        Self::with("pids", ["pids.max"; 2], count)
    }

    fn with(controller: &str, [new, old]: [&str; 2], limit: u64) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "wharf-tests-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        // Each controller is in version 1 or in version 2, which is mounted at the top.
        let top = Path::new("/sys/fs/cgroup");
        for (parent, file) in [(top.join(controller), old), (top.to_owned(), new)] {
            let _ = fs::write(
                parent.join("cgroup.subtree_control"),
                format!("+{controller}"),
            );
            let directory = parent.join(&name);
            if fs::create_dir(&directory).is_err() {
                continue;
            }
            let group = Self(directory);
            if fs::write(group.0.join(file), limit.to_string()).is_ok() {
                return Some(group);
            }
        }
        let missing = format!("control groups with a limit of `{controller}`");
        let _ = require_nothing_missing(Some(&missing));
        None
    }

    /// Its directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.0
    }

    /// The `wharf` command in `host`, to run in the group.
    #[must_use]
    pub fn wharf_in(&self, host: &Host) -> HostCommand {
        let mut command = host.command("sh");
        keep_sockets_apart(&mut command);
        command
            .args(["-c", "echo $$ >\"$1\" && shift && exec \"$@\"", "sh"])
            .arg(self.0.join("cgroup.procs"))
            .arg(wharf());
        command
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        // Its processes have been reaped, and leave it a little later.
        eventually("the control group is empty", SOON, || {
            fs::remove_dir(&self.0).ok()
        });
    }
}
