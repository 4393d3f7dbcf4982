//! Who forbids a system call: a missing capability, a filter of system calls, a user
//! namespace, or a security module.

use std::fs;

use caps::{CapSet, Capability, CapsHashSet};

use super::kernel_call::KernelCall;

/// Who forbids `call`, and what to do, as the end of a sentence. `else_missing` is what
/// the kernel may also mean, if it is no capability.
pub(super) fn by_whom(call: KernelCall, else_missing: &str) -> String {
    let facts = Facts {
        held: caps::read(None, CapSet::Effective).unwrap_or_default(),
        is_filtered: is_filtered(),
        is_in_user_namespace: is_in_user_namespace(),
        modules: security_modules(),
    };
    judge(call, &facts, else_missing)
}

/// Whether a filter of system calls (seccomp) is over the calling thread.
pub(super) fn is_filtered() -> bool {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let mode = status
        .lines()
        .find_map(|line| line.strip_prefix("Seccomp:"));
    mode.is_some_and(|mode| mode.trim() == "2")
}

/// What is known of the calling thread.
struct Facts {
    held: CapsHashSet,
    is_filtered: bool,
    is_in_user_namespace: bool,
    modules: Vec<String>,
}

fn judge(call: KernelCall, facts: &Facts, else_missing: &str) -> String {
    let missing: Vec<String> = needed(call)
        .iter()
        .filter(|capability| {
            !facts.held.contains(capability) && !stands_in(&facts.held, **capability)
        })
        .map(Capability::to_string)
        .collect();
    if !missing.is_empty() {
        return format!("run as root, or grant {}", missing.join(" and "));
    }
    format!("{}{else_missing}", judge_others(call, facts))
}

fn judge_others(call: KernelCall, facts: &Facts) -> String {
    let named = call.names();
    if facts.is_filtered {
        return format!(
            "a filter of system calls (seccomp) is over this process and may forbid {named}, as the default ones of containers do: allow it there"
        );
    }
    if facts.is_in_user_namespace {
        return format!(
            "this process is in a user namespace, where root may not do all that the machine's root may ({named}): run it outside"
        );
    }
    if facts.modules.is_empty() {
        return format!("something forbids {named}: look for the reason in `dmesg`");
    }
    format!(
        "a security module may forbid {named} ({}): look for the reason in `dmesg` or the audit log",
        facts.modules.join(", ")
    )
}

/// Whether what is held includes `capability` under another name (`bpf_capable` and
/// `perfmon_capable` in `include/linux/capability.h`).
fn stands_in(held: &CapsHashSet, capability: Capability) -> bool {
    matches!(capability, Capability::CAP_BPF | Capability::CAP_PERFMON)
        && held.contains(&Capability::CAP_SYS_ADMIN)
}

fn needed(call: KernelCall) -> &'static [Capability] {
    match call {
        KernelCall::Bpf => &[Capability::CAP_BPF, Capability::CAP_NET_ADMIN],
        KernelCall::Xsk => &[Capability::CAP_NET_RAW],
        KernelCall::Interface => &[Capability::CAP_NET_RAW, Capability::CAP_NET_ADMIN],
        KernelCall::Memory | KernelCall::Thread | KernelCall::Other => &[],
    }
}

fn is_in_user_namespace() -> bool {
    // The first one maps all numbers to themselves.
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let numbers: Vec<&str> = map.split_whitespace().collect();
    !numbers.is_empty() && numbers != ["0", "0", "4294967295"]
}

/// The security modules that refuse what others allow.
fn security_modules() -> Vec<String> {
    let list = fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
    // The first two are always there, and the next refuses other things.
    let others = ["capability", "yama", "landlock", "integrity", "ima", "evm"];
    let names = list.trim().split(',').filter(|name| !name.is_empty());
    names
        .filter(|name| !others.contains(name))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(held: &[Capability]) -> Facts {
        Facts {
            held: held.iter().copied().collect(),
            is_filtered: false,
            is_in_user_namespace: false,
            modules: Vec::new(),
        }
    }

    #[test]
    fn missing_capability_comes_before_all_else() {
        let mut facts = facts(&[Capability::CAP_NET_ADMIN]);
        facts.is_filtered = true;

        assert!(judge(KernelCall::Bpf, &facts, "").ends_with("grant CAP_BPF"));
        assert!(judge(KernelCall::Xsk, &facts, "").ends_with("grant CAP_NET_RAW"));
        facts.held.insert(Capability::CAP_SYS_ADMIN);
        assert!(judge(KernelCall::Bpf, &facts, "").contains("(seccomp)"));
        assert!(judge(KernelCall::Bpf, &facts, "; or else").ends_with("; or else"));
        assert!(!judge(KernelCall::Xsk, &facts, "; or else").ends_with("; or else"));
    }

    #[test]
    fn with_all_capabilities_it_is_the_filter_the_namespace_or_a_module() {
        let mut facts = facts(&[Capability::CAP_NET_RAW]);
        assert!(judge(KernelCall::Xsk, &facts, "").contains("AF_XDP sockets"));

        facts.modules = vec!["selinux".to_owned(), "bpf".to_owned()];
        assert!(judge(KernelCall::Xsk, &facts, "").contains("(selinux, bpf)"));
        facts.is_in_user_namespace = true;
        assert!(judge(KernelCall::Xsk, &facts, "").contains("user namespace"));
        facts.is_filtered = true;
        assert!(judge(KernelCall::Xsk, &facts, "").contains("(seccomp)"));
    }
}
