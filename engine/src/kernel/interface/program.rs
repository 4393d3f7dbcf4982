//! The XDP program that is attached to an interface, who holds it there, and
//! how to take it off.
//!
//! A program attached over netlink stays until somebody detaches it. One
//! attached by a bpf_link stays for as long as a process holds the link, or a
//! file in bpffs pins it. rtnetlink shows the program's id and no more; the rest
//! is found by that id, which is unique on the host (Linux 4.13), and takes
//! CAP_SYS_ADMIN (`bpf_prog_get_fd_by_id`, `kernel/bpf/syscall.c`).

use std::fmt;
use std::fs;
use std::path::Path;

use aya::programs::{links::LinkType, loaded_links, loaded_programs};

use crate::kernel::terms::ProgramMode;

/// A program that runs on frames before anything of ours does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AttachedProgram {
    /// The kernel's number for the program, as `bpftool prog` shows it.
    pub id: u32,
    /// Where it runs.
    pub mode: ProgramMode,
    /// Its name, where it has one and we may know it.
    pub name: Option<String>,
    /// What keeps it attached.
    pub holder: Holder,
}

/// What keeps an XDP program attached.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Holder {
    /// Nobody: it was attached over netlink and stays until it is detached.
    Netlink,
    /// A bpf_link, as `bpftool link` shows it.
    Link {
        /// The kernel's number for the link.
        id: u32,
        /// A process that has it open, as `(pid, name)`, where one is visible;
        /// a link pinned in bpffs needs none.
        process: Option<(u32, String)>,
    },
    /// Not known: asking takes CAP_SYS_ADMIN.
    Unknown,
}

impl AttachedProgram {
    pub(super) fn look_up(id: u32, mode: ProgramMode) -> Self {
        Self {
            id,
            mode,
            name: program_name(id),
            holder: Holder::of(id),
        }
    }

    /// What to run, or to stop, so that it leaves `interface`: an imperative
    /// clause without a full stop.
    #[must_use]
    pub fn removal(&self, interface: &str) -> String {
        // libxdp's dispatcher, which runs several programs in turn; taking it
        // off behind libxdp's back would leave its state in bpffs.
        if self.name.as_deref() == Some(DISPATCHER) {
            return format!(
                "it is libxdp's dispatcher, which runs the programs that \
                 `xdp-loader status {interface}` lists: \
                 unload them with `xdp-loader unload {interface} --all`"
            );
        }
        let option = match self.mode {
            ProgramMode::Native => "xdpdrv",
            ProgramMode::Generic => "xdpgeneric",
            ProgramMode::Offloaded => "xdpoffload",
        };
        match &self.holder {
            Holder::Netlink => format!("remove it with `ip link set dev {interface} {option} off`"),
            Holder::Link {
                process: Some((pid, name)),
                ..
            } => format!("stop process {pid} ({name}), which holds it by a bpf_link"),
            Holder::Link { id, process: None } => format!(
                "bpf_link {id} holds it: stop its process, unpin it, or run `bpftool link detach id {id}`"
            ),
            Holder::Unknown => format!(
                "remove it with `ip link set dev {interface} {option} off`, \
                 or stop the process that holds its bpf_link (`bpftool link list`)"
            ),
        }
    }
}

impl fmt::Display for AttachedProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "XDP program `{name}` (id {}, {})", self.id, self.mode),
            None => write!(f, "an XDP program (id {}, {})", self.id, self.mode),
        }
    }
}

impl Holder {
    fn of(program: u32) -> Self {
        for link in loaded_links() {
            let link = match link {
                Ok(link) => link,
                // A link that went away between two steps of the iteration is
                // an error as well, so only one without the privilege is final.
                Err(_) if !may_look_up() => return Self::Unknown,
                Err(_) => continue,
            };
            if link.program_id() == program && matches!(link.link_type(), Ok(LinkType::Xdp)) {
                let id = link.id();
                let process = process_holding(id, Path::new("/proc"));
                return Self::Link { id, process };
            }
        }
        if may_look_up() {
            Self::Netlink
        } else {
            Self::Unknown
        }
    }
}

/// What libxdp calls its dispatcher (`lib/libxdp/xdp-dispatcher.c.in` of
/// xdp-tools), and the kernel shows in full, having room for 15 characters.
const DISPATCHER: &str = "xdp_dispatcher";

/// Whether the kernel lets us look up programs and links that others loaded.
fn may_look_up() -> bool {
    caps::has_cap(
        None,
        caps::CapSet::Effective,
        caps::Capability::CAP_SYS_ADMIN,
    )
    .unwrap_or(false)
}

fn program_name(id: u32) -> Option<String> {
    loaded_programs()
        .filter_map(Result::ok)
        .find(|program| program.id() == id)?
        .name_as_str()
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
}

/// A process that has the bpf_link open. The kernel shows a link's number in
/// the descriptor's `fdinfo` (`bpf_link_show_fdinfo`, Linux 5.8).
fn process_holding(link: u32, proc: &Path) -> Option<(u32, String)> {
    let wanted = format!("link_id:\t{link}");
    let processes = fs::read_dir(proc).ok()?.flatten();
    for process in processes {
        let name = process.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // One that ended, or is not ours to see, is passed over.
        let Ok(descriptors) = fs::read_dir(process.path().join("fd")) else {
            continue;
        };
        let holds = descriptors.flatten().any(|descriptor| {
            let target = fs::read_link(descriptor.path()).unwrap_or_default();
            if !target.as_os_str().to_string_lossy().contains("bpf") {
                return false;
            }
            let info = process.path().join("fdinfo").join(descriptor.file_name());
            let info = fs::read_to_string(info).unwrap_or_default();
            info.lines().any(|line| line == wanted)
        });
        if holds {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some((pid, name.trim_end().to_owned()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(name: Option<&str>, holder: Holder) -> AttachedProgram {
        AttachedProgram {
            id: 7,
            mode: ProgramMode::Generic,
            name: name.map(str::to_owned),
            holder,
        }
    }

    #[test]
    fn program_names_itself_and_its_mode() {
        let named = program(Some("filter"), Holder::Unknown);
        assert_eq!(named.to_string(), "XDP program `filter` (id 7, generic)");
        let nameless = program(None, Holder::Unknown);
        assert_eq!(nameless.to_string(), "an XDP program (id 7, generic)");
    }

    #[test]
    fn removal_depends_on_what_holds_the_program() {
        let by_netlink = program(None, Holder::Netlink);
        assert_eq!(
            by_netlink.removal("eth0"),
            "remove it with `ip link set dev eth0 xdpgeneric off`"
        );
        let process = Some((12, "wharf".to_owned()));
        let by_process = program(None, Holder::Link { id: 3, process });
        assert_eq!(
            by_process.removal("eth0"),
            "stop process 12 (wharf), which holds it by a bpf_link"
        );
        let pinned = Holder::Link {
            id: 3,
            process: None,
        };
        assert!(
            program(None, pinned)
                .removal("eth0")
                .contains("bpftool link detach id 3")
        );
    }

    #[test]
    fn dispatcher_of_libxdp_is_left_to_libxdp() {
        let dispatcher = program(Some("xdp_dispatcher"), Holder::Netlink);

        assert_eq!(
            dispatcher.removal("eth0"),
            "it is libxdp's dispatcher, which runs the programs that `xdp-loader status eth0` \
             lists: unload them with `xdp-loader unload eth0 --all`"
        );
    }
}
