//! What the kernel's number means: for want of what a call failed, how much there is of
//! it, and what to do.

use std::fs;
use std::io;

use rustix::process::{Resource, getrlimit};

use super::control_group::groups;
use super::forbidden;
use super::kernel_call::KernelCall;
use super::memory::met_memory_limit;

/// The error of a system call, followed by its cause where that is a limit or a
/// prohibition: which one it is, and what to do.
///
/// Looks at the limits of this process, its control groups and the machine, so call it
/// soon, and on the thread that the error is of.
#[must_use]
pub fn explain_refusal(error: &io::Error, call: KernelCall) -> String {
    match cause(error, call) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

fn cause(error: &io::Error, call: KernelCall) -> Option<String> {
    let cause = match error.raw_os_error()? {
        libc::EMFILE => descriptors_of_process(),
        libc::ENFILE => descriptors_of_machine(),
        libc::EAGAIN if call == KernelCall::Thread => threads(),
        libc::ENOMEM => memory(call),
        // Rings beyond what the kernel has in one piece; sockets without memory.
        libc::ENOBUFS => memory(KernelCall::Other),
        // Up to 5.10 the memory of maps is charged to RLIMIT_MEMLOCK.
        libc::EPERM if call == KernelCall::Bpf => forbidden::by_whom(
            call,
            "; before Linux 5.11, `ulimit -l unlimited` may be what is missing",
        ),
        // Older verifiers walk branches that are never taken, and in those frames are
        // read (6.1 refuses, 6.12 does not).
        libc::EACCES if call == KernelCall::Bpf => {
            forbidden::by_whom(call, "; before Linux 6.12, CAP_PERFMON as well")
        }
        libc::EPERM | libc::EACCES if call != KernelCall::Other => forbidden::by_whom(call, ""),
        // What a filter says of a call it does not know, and of a family of sockets
        // that is not on its list.
        libc::ENOSYS | libc::EAFNOSUPPORT if forbidden::is_filtered() => {
            "a filter of system calls (seccomp) is over this process and may be the reason: allow it there".to_owned()
        }
        libc::ENODEV if call == KernelCall::Interface => {
            "it is not in the network namespace of this thread".to_owned()
        }
        _ => return None,
    };
    Some(cause)
}

fn descriptors_of_process() -> String {
    // The next call might need more, and so might more queues.
    const ENOUGH: u64 = 1024;
    match getrlimit(Resource::Nofile).current {
        Some(limit) => format!(
            "RLIMIT_NOFILE lets this process have {limit} file descriptors: raise it, for example with `ulimit -n {}`",
            limit.saturating_mul(2).max(ENOUGH)
        ),
        None => {
            "this process has all the file descriptors it may have: raise fs.nr_open".to_owned()
        }
    }
}

fn descriptors_of_machine() -> String {
    let most = read_number("/proc/sys/fs/file-max")
        .map_or(String::new(), |most| format!(" ({most} files)"));
    format!(
        "the whole machine has as many open files as it may have{most}: raise `sysctl fs.file-max`"
    )
}

fn memory(call: KernelCall) -> String {
    let address_space = getrlimit(Resource::As).current;
    let data = getrlimit(Resource::Data).current;
    match (call, address_space, data) {
        (KernelCall::Memory | KernelCall::Xsk | KernelCall::Thread, Some(limit), _) => {
            return format!(
                "RLIMIT_AS lets this process have {} MiB of address space: raise it with `ulimit -v`, or ask for fewer frames (`--frames`)",
                limit >> 20
            );
        }
        (KernelCall::Memory | KernelCall::Thread, None, Some(limit)) => {
            return format!(
                "RLIMIT_DATA lets this process have {} MiB of data: raise it with `ulimit -d`, or ask for fewer frames (`--frames`)",
                limit >> 20
            );
        }
        _ => {}
    }
    match met_memory_limit() {
        Some(group) => format!(
            "the control group {} may have {} MiB of memory, and has met that limit: raise it, or ask for less (`--frames`, `--ring-size`, `--flow-capacity`)",
            group.directory.display(),
            group.limit >> 20
        ),
        None => "the kernel has no memory for it: free some, or ask for less (`--frames`, `--ring-size`, `--flow-capacity`)".to_owned(),
    }
}

/// Also what a thread gets for whose stack there is no memory (pthread_create(3)).
fn threads() -> String {
    let full = groups("pids").into_iter().find_map(|group| {
        let limit = group.number("pids.max")?;
        // One that ended since leaves room, so the count of failures speaks as well.
        let used = group.number("pids.current")?;
        let refused = group.entry("pids.events", "max");
        (used >= limit || refused.is_some_and(|times| times > 0)).then_some((group, limit))
    });
    if let Some((group, limit)) = full {
        return format!(
            "the control group {} may have {limit} processes and threads (pids.max): raise that",
            group.directory.display()
        );
    }
    if let Some(limit) = getrlimit(Resource::As).current {
        return format!(
            "RLIMIT_AS lets this process have {} MiB of address space, stacks included: raise it with `ulimit -v`",
            limit >> 20
        );
    }
    if let Some(limit) = getrlimit(Resource::Nproc).current {
        return format!(
            "RLIMIT_NPROC lets this user have {limit} processes and threads: raise it with `ulimit -u`"
        );
    }
    let most = read_number("/proc/sys/kernel/threads-max")
        .map_or(String::new(), |most| format!(" ({most})"));
    format!(
        "the whole machine has as many threads as it may have{most}: raise `sysctl kernel.threads-max`"
    )
}

fn read_number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(errno: i32, call: KernelCall) -> String {
        explain_refusal(&io::Error::from_raw_os_error(errno), call)
    }

    #[test]
    fn want_of_descriptors_is_told_with_the_limit_whatever_the_call() {
        for call in [
            KernelCall::Bpf,
            KernelCall::Xsk,
            KernelCall::Interface,
            KernelCall::Other,
        ] {
            let process = words(libc::EMFILE, call);
            let machine = words(libc::ENFILE, call);

            assert!(process.contains("RLIMIT_NOFILE"), "{process}");
            assert!(process.contains("`ulimit -n "), "{process}");
            assert!(machine.contains("fs.file-max"), "{machine}");
        }
    }

    #[test]
    fn want_of_memory_and_threads_says_what_to_lower_or_raise() {
        for call in [
            KernelCall::Bpf,
            KernelCall::Xsk,
            KernelCall::Memory,
            KernelCall::Other,
        ] {
            for errno in [libc::ENOMEM, libc::ENOBUFS] {
                let words = words(errno, call);
                assert!(words.contains("--frames"), "{words}");
            }
        }
        let thread = words(libc::EAGAIN, KernelCall::Thread);
        assert!(thread.contains("threads"), "{thread}");
    }

    #[test]
    fn prohibition_says_more_than_the_number() {
        for call in [KernelCall::Bpf, KernelCall::Xsk, KernelCall::Interface] {
            for errno in [libc::EPERM, libc::EACCES] {
                let error = io::Error::from_raw_os_error(errno);
                assert!(explain_refusal(&error, call).len() > error.to_string().len() + 10);
            }
        }
    }

    #[test]
    fn other_errors_speak_for_themselves() {
        for (errno, call) in [
            (libc::EINVAL, KernelCall::Bpf),
            (libc::EAGAIN, KernelCall::Xsk),
            (libc::EBUSY, KernelCall::Xsk),
            (libc::EACCES, KernelCall::Other),
        ] {
            let error = io::Error::from_raw_os_error(errno);
            assert_eq!(explain_refusal(&error, call), error.to_string());
        }
        let made = io::Error::other("a text");
        assert_eq!(explain_refusal(&made, KernelCall::Bpf), "a text");
    }
}
