//! The control groups that a process is in: its own, and all above that one, whose
//! limits hold for it as well.
//!
//! Each controller is in version 1 or in version 2 of the interface, with other names of
//! files and other words for "no limit" (`Documentation/admin-guide/cgroup-v1` and
//! `cgroup-v2.rst`).

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

/// A directory of the cgroup file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// Where it is mounted, for messages.
    pub(super) directory: PathBuf,
    pub(super) version: Version,
    /// What leads there from here: empty, or the root of a process that sees it.
    view: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    One,
    Two,
}

impl Group {
    #[cfg(test)]
    pub(super) fn fake(directory: PathBuf, version: Version) -> Self {
        Self {
            directory,
            version,
            view: String::new(),
        }
    }

    /// A number that a file of the group holds; `None` where there is no such file, or
    /// it says that there is no limit.
    pub(super) fn number(&self, file: &str) -> Option<u64> {
        let text = self.read(file)?;
        // `max` in version 2; in version 1 as many whole pages as a number holds.
        let number = text.trim().parse::<u64>().ok()?;
        (number < NO_LIMIT).then_some(number)
    }

    /// The number behind `name` in a file of lines `name number`.
    pub(super) fn entry(&self, file: &str, name: &str) -> Option<u64> {
        let text = self.read(file)?;
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        let (_, number) = lines.find(|(found, _)| *found == name)?;
        number.trim().parse().ok()
    }

    fn can_be_seen(&self) -> bool {
        self.read("cgroup.procs").is_some()
    }

    fn read(&self, file: &str) -> Option<String> {
        let mut path = OsString::from(&self.view);
        path.push(self.directory.join(file));
        fs::read_to_string(path).ok()
    }
}

/// The groups that `controller` puts this process into, its own first. Empty where the
/// controller is not mounted.
///
/// `ip netns exec` mounts a `/sys` of its own, without the cgroup file system. There it
/// is looked for through the processes that this one descends from, as root may.
pub(super) fn groups(controller: &str) -> Vec<Group> {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let own = read("/proc/self/cgroup");
    let groups = groups_in(&own, &read("/proc/self/mountinfo"), controller, "");
    if !groups.is_empty() {
        return groups;
    }
    let mut ancestor = parent("self");
    for _ in 0..ANCESTORS_MAX {
        let Some(pid) = ancestor else { break };
        let mounts = read(&format!("/proc/{pid}/mountinfo"));
        let view = format!("/proc/{pid}/root");
        let groups = groups_in(&own, &mounts, controller, &view);
        if groups.first().is_some_and(Group::can_be_seen) {
            return groups;
        }
        ancestor = parent(&pid);
    }
    Vec::new()
}

/// The process that started `pid`, unless that is the kernel.
fn parent(pid: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    Some(parent.trim().to_owned()).filter(|parent| parent != "0")
}

/// A shell in a shell in a supervisor, and some more.
const ANCESTORS_MAX: usize = 32;

/// `own` and `mounts` are what cgroups(7) and proc_pid_mountinfo(5) describe.
fn groups_in(own: &str, mounts: &str, controller: &str, view: &str) -> Vec<Group> {
    let mounts: Vec<Mount<'_>> = mounts.lines().filter_map(Mount::parse).collect();
    let found = own.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let has = |list: &str| list.split(',').any(|name| name == controller);
        // A controller of version 1 is not in version 2 at the same time.
        let mount = mounts
            .iter()
            .find(|mount| has(controllers) && mount.kind == "cgroup" && has(mount.options))?;
        Some((mount, path, Version::One))
    });
    let found = found.or_else(|| {
        let path = own.lines().find_map(|line| line.strip_prefix("0::"))?;
        let mount = mounts.iter().find(|mount| mount.kind == "cgroup2")?;
        Some((mount, path, Version::Two))
    });
    let Some((mount, path, version)) = found else {
        return Vec::new();
    };
    let top = mount.point();
    let own = match mount.below(path) {
        "" => top.clone(),
        below => top.join(below),
    };
    let mut groups: Vec<Group> = Vec::new();
    for directory in own.ancestors() {
        groups.push(Group {
            directory: directory.to_owned(),
            version,
            view: view.to_owned(),
        });
        if directory == top {
            break;
        }
    }
    groups
}

/// A line of `mountinfo`.
struct Mount<'a> {
    /// The directory of the file system that is mounted.
    root: &'a str,
    /// Where it is mounted.
    point: &'a str,
    kind: &'a str,
    /// Those of the file system, which name the controllers of version 1.
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let mut file_system = file_system.split(' ');
        Some(Self {
            root: mount.next()?,
            point: mount.next()?,
            kind: file_system.next()?,
            options: file_system.nth(1)?,
        })
    }

    /// Blanks and the like are octal numbers in the file.
    fn point(&self) -> PathBuf {
        PathBuf::from(self.point.replace("\\040", " "))
    }

    /// Where the group `path` is below the mount's point. A container's group may be
    /// mounted alone, and a path be that on the host: then it is what is mounted.
    fn below(&self, path: &'a str) -> &'a str {
        let root = self.root.trim_end_matches('/');
        let below = match path.strip_prefix(root) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
            _ => "",
        };
        below.trim_matches('/')
    }
}

/// More than any machine has. Version 1 says no limit by the largest number of bytes
/// in whole pages (`PAGE_COUNTER_MAX`).
const NO_LIMIT: u64 = 1 << 60;

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:7 - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";

    fn directories(own: &str, mounts: &str, controller: &str) -> Vec<String> {
        let groups = groups_in(own, mounts, controller, "");
        let paths = groups.iter().map(|group| group.directory.display());
        paths.map(|path| path.to_string()).collect()
    }

    #[test]
    fn group_of_version_1_comes_with_all_above_it() {
        let own = "9:name=systemd:/x\n4:memory:/pods/one\n8:cpu,pids:/\n0::/elsewhere\n";

        assert_eq!(
            directories(own, MOUNTS, "memory"),
            [
                "/sys/fs/cgroup/memory/pods/one",
                "/sys/fs/cgroup/memory/pods",
                "/sys/fs/cgroup/memory"
            ]
        );
        assert_eq!(directories(own, MOUNTS, "pids"), ["/sys/fs/cgroup/pids"]);
        assert_eq!(
            groups_in(own, MOUNTS, "memory", "")[0].version,
            Version::One
        );
    }

    #[test]
    fn group_of_version_2_has_all_controllers() {
        let mounts = "29 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
        let own = "0::/system.slice/wharf.service\n";

        for controller in ["memory", "pids"] {
            assert_eq!(
                directories(own, mounts, controller),
                [
                    "/sys/fs/cgroup/system.slice/wharf.service",
                    "/sys/fs/cgroup/system.slice",
                    "/sys/fs/cgroup"
                ]
            );
        }
        assert_eq!(
            groups_in(own, mounts, "memory", "")[0].version,
            Version::Two
        );
    }

    #[test]
    fn container_finds_its_group_where_it_is_mounted() {
        // Version 1 without a namespace of control groups, as Docker mounts it.
        let mounts = "9 8 0:3 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        let inside = directories("4:memory:/docker/abc/sub\n", mounts, "memory");
        let elsewhere = directories("4:memory:/docker/abcd\n", mounts, "memory");

        assert_eq!(
            inside,
            ["/sys/fs/cgroup/memory/sub", "/sys/fs/cgroup/memory"]
        );
        assert_eq!(elsewhere, ["/sys/fs/cgroup/memory"]);
        // With one, the path begins at the mount.
        let mounts = "9 8 0:3 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        assert_eq!(directories("0::/\n", mounts, "memory"), ["/sys/fs/cgroup"]);
    }

    #[test]
    fn no_control_groups_are_no_groups() {
        let none: [String; 0] = [];
        let disk = "1 2 0:3 / / rw - ext4 /dev/sda rw\n";
        for (own, mounts) in [("", ""), ("0::/\n", disk), ("nonsense", "nonsense - ")] {
            assert_eq!(directories(own, mounts, "memory"), none);
        }
    }
}
