//! Whether the machine, the control groups of this process and its address space have
//! room for the memory of UMEMs.
//!
//! It is looked at before the memory is asked for: a group that exceeds its limit is not
//! refused, the kernel kills one of its processes (`mem_cgroup_oom` in
//! `mm/memcontrol.c`). Nor is who asks for more than the machine has, if it is for a memfd:
//! that reserves nothing (`VM_NORESERVE` in `mm/memfd.c`). Huge pages are counted in
//! neither. A process that meets `RLIMIT_AS` is refused, but ends on the spot if it was
//! for a few bytes.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::huge::HugePages;
use super::{Pages, UmemConfig, UmemError};
use crate::kernel::limits::{MemoryGroup, address_space, available_memory, tightest_memory_group};

/// Held until the memory is mapped, so that no other thread of this process is told of
/// the same room meanwhile.
#[derive(Debug)]
pub(super) struct Room {
    _turn: MutexGuard<'static, ()>,
}

/// An error where there is no room for `umems` UMEMs of `config` and for what else it
/// takes to use them: said before anything is set up.
pub(crate) fn check_room(umems: usize, config: &UmemConfig) -> Result<(), UmemError> {
    if let Some((limit, in_use)) = address_space() {
        judge_address_space(umems as u64, config, limit, in_use)?;
    }
    let on_huge_pages = match config.pages {
        Pages::Base => false,
        Pages::Huge => true,
        Pages::PreferHuge => HugePages::have(config.len_bytes().saturating_mul(umems as u64)),
    };
    if on_huge_pages {
        return Ok(());
    }
    look(umems, config, &SETUP).map(drop)
}

/// Room for a UMEM on the usual pages that is to be mapped.
pub(super) fn take_room(config: &UmemConfig) -> Result<Room, UmemError> {
    look(1, config, &USE)
}

fn look(umems: usize, config: &UmemConfig, needs: &Needs) -> Result<Room, UmemError> {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(available) = available_memory() {
        judge_machine(umems as u64, config, available)?;
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        let judged = match tightest_memory_group() {
            Some(group) => judge(umems as u64, config, needs, &group),
            None => Ok(()),
        };
        match judged {
            Ok(()) => return Ok(Room { _turn: turn }),
            Err(error) if Instant::now() >= deadline => return Err(error),
            Err(_) => thread::sleep(Duration::from_millis(10)),
        }
    }
}

fn judge_machine(umems: u64, config: &UmemConfig, available: u64) -> Result<(), UmemError> {
    let request = umems.saturating_mul(config.len_bytes());
    if request <= available {
        return Ok(());
    }
    Err(UmemError::Machine { request, available })
}

fn judge_address_space(
    umems: u64,
    config: &UmemConfig,
    limit: u64,
    in_use: u64,
) -> Result<(), UmemError> {
    let each = config.len_bytes() + u64::from(config.frames) * RECORD_BYTES + STACK_BYTES;
    let request = umems.saturating_mul(each).saturating_add(SETUP.before);
    if request <= limit.saturating_sub(in_use) {
        return Ok(());
    }
    Err(UmemError::AddressSpace {
        request,
        in_use,
        limit,
    })
}

fn judge(
    umems: u64,
    config: &UmemConfig,
    needs: &Needs,
    group: &MemoryGroup,
) -> Result<(), UmemError> {
    let chunk = u64::from(config.chunk_size.get());
    let each = config.len_bytes() + u64::from(config.frames) * RECORD_BYTES;
    let left = if group.left() < needs.before {
        0
    } else {
        group.left().saturating_sub(needs.beside)
    };
    if umems.saturating_mul(each) <= left {
        return Ok(());
    }
    Err(UmemError::ControlGroup {
        request: umems.saturating_mul(config.len_bytes()),
        beside: needs.beside.max(needs.before),
        group: group.directory.display().to_string(),
        in_use: group.used,
        limit: group.limit,
        // Next time a little more may be in use.
        frames: round_down(
            left.saturating_sub(SLACK_BYTES) / umems.max(1) / (chunk + RECORD_BYTES),
        ),
    })
}

/// To 64, below a thousand, and to 1024 from there on.
fn round_down(frames: u64) -> u64 {
    let unit = if frames < 1024 { 64 } else { 1024 };
    frames - frames % unit
}

static TURN: Mutex<()> = Mutex::new(());

/// How long to wait for memory to be returned. A socket that closes keeps its own for
/// another 20 to 55 ms (6.18), and often it is ours from before.
const PATIENCE: Duration = Duration::from_millis(200);

/// What a chunk takes beside itself: ledger, links, pool and returns, and a
/// `struct xdp_buff_xsk` of the kernel for each queue, which newer kernels charge.
const RECORD_BYTES: u64 = 256;

/// A worker's stack, with its guard.
const STACK_BYTES: u64 = 3 << 20;

/// What the use of a group varies by from one start to the next, several times over.
const SLACK_BYTES: u64 = 1 << 20;

/// What it takes to use UMEMs.
struct Needs {
    /// Bytes at a time while they are there: programs, rings, stacks, page tables.
    beside: u64,
    /// Bytes at a time before they are there.
    before: u64,
}

const USE: Needs = Needs {
    beside: 2 << 20,
    before: 0,
};

/// Loading a program reads the kernel's types, and takes some 18 MiB for a moment.
const SETUP: Needs = Needs {
    beside: 8 << 20,
    before: 22 << 20,
};

#[cfg(test)]
mod tests {
    use super::*;

    fn group(limit: u64, used: u64) -> MemoryGroup {
        MemoryGroup {
            directory: "/sys/fs/cgroup/pod".into(),
            limit,
            used,
        }
    }

    #[test]
    fn umem_that_fits_what_is_left_is_allowed() {
        let config = UmemConfig::new(1024);
        let needed = 1024 * (4096 + RECORD_BYTES) + USE.beside;

        assert!(judge(1, &config, &USE, &group(needed + 7, 7)).is_ok());
        assert!(judge(1, &config, &USE, &group(needed + 6, 7)).is_err());
        assert!(judge(2, &config, &USE, &group(needed + 7, 7)).is_err());
    }

    #[test]
    fn refusal_names_the_group_and_frames_that_fit() {
        let config = UmemConfig::new(16 << 10);
        let group = group(48 << 20, 8 << 20);

        let error = judge(2, &config, &USE, &group).expect_err("128 MiB do not fit");

        let UmemError::ControlGroup { frames, .. } = error else {
            panic!("{error}");
        };
        let text = error.to_string();
        assert!(text.contains("/sys/fs/cgroup/pod"), "{text}");
        assert!(text.contains("`--frames 4096`"), "{text}");
        let fewer = UmemConfig::new(u32::try_from(frames).expect("a small number"));
        assert!(judge(2, &fewer, &USE, &group).is_ok());
    }

    #[test]
    fn machine_has_to_have_the_memory_of_all_umems() {
        let config = UmemConfig::new(1024);

        assert!(judge_machine(2, &config, 8 << 20).is_ok());
        let error = judge_machine(2, &config, (8 << 20) - 1).expect_err("a byte");
        assert!(
            error.to_string().contains("8388607 bytes of memory"),
            "{error}"
        );
    }

    #[test]
    fn umem_that_no_machine_has_is_refused_before_its_pages_are_taken() {
        // As much as a UMEM may have, many times over.
        let error = check_room(1 << 20, &UmemConfig::new(1 << 23)).expect_err("32 PiB");

        assert!(
            matches!(
                error,
                UmemError::Machine { .. } | UmemError::AddressSpace { .. }
            ),
            "{error}"
        );
    }

    #[test]
    fn address_space_has_to_hold_memory_and_stacks() {
        let config = UmemConfig::new(1024);
        let needed = 1024 * (4096 + RECORD_BYTES) + STACK_BYTES + SETUP.before;

        assert!(judge_address_space(1, &config, needed + 7, 7).is_ok());
        assert!(judge_address_space(2, &config, needed + 7, 7).is_err());
        let error = judge_address_space(1, &config, needed + 6, 7).expect_err("a byte");
        assert!(error.to_string().contains("RLIMIT_AS"), "{error}");
    }

    #[test]
    fn where_no_frames_fit_only_the_limit_can_help() {
        let config = UmemConfig::new(16 << 10);

        let error = judge(1, &config, &USE, &group(16 << 20, 15 << 20));

        let text = error.expect_err("nothing is left").to_string();
        assert!(!text.contains("--frames"), "{text}");
        assert!(text.contains("raise its limit"), "{text}");
    }
}
