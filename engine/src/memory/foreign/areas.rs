//! What `/proc/self/smaps` says of a range of addresses.

use std::ops::Range;

/// A mapping of this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Area {
    pub(super) addresses: Range<u64>,
    pub(super) readable: bool,
    pub(super) writable: bool,
    pub(super) shared: bool,
    /// Where in its file it begins.
    pub(super) offset: u64,
    pub(super) major: u32,
    pub(super) minor: u32,
    /// Zero for none.
    pub(super) inode: u64,
    /// Bytes of its pages.
    pub(super) page_bytes: u64,
    /// Whether a child has it not.
    pub(super) is_left_out_of_children: bool,
    /// Whether it is of a device, without memory that can be pinned.
    pub(super) is_io: bool,
}

/// The mappings that `text` has of `range`, in order.
pub(super) fn areas(text: &str, range: &Range<u64>) -> Vec<Area> {
    let mut areas: Vec<Area> = Vec::new();
    for line in text.lines() {
        if let Some(area) = head(line) {
            areas.push(area);
        } else if let Some(area) = areas.last_mut() {
            detail(area, line);
        }
    }
    areas.retain(|area| area.addresses.start < range.end && range.start < area.addresses.end);
    areas
}

/// `55d4… -55d4… rw-s 00001000 00:01 1044  /memfd:name (deleted)`: proc_pid_maps(5).
fn head(line: &str) -> Option<Area> {
    let mut words = line.split_whitespace();
    let hexadecimal = |text: &str| u64::from_str_radix(text, 16).ok();
    let (start, end) = words.next()?.split_once('-')?;
    let flags = words.next()?.as_bytes();
    let offset = hexadecimal(words.next()?)?;
    let (major, minor) = words.next()?.split_once(':')?;
    let [readable, writable, _, sharing] = flags else {
        return None;
    };
    Some(Area {
        addresses: hexadecimal(start)?..hexadecimal(end)?,
        readable: *readable == b'r',
        writable: *writable == b'w',
        shared: *sharing == b's',
        offset,
        major: u32::from_str_radix(major, 16).ok()?,
        minor: u32::from_str_radix(minor, 16).ok()?,
        inode: words.next()?.parse().ok()?,
        page_bytes: 0,
        is_left_out_of_children: false,
        is_io: false,
    })
}

fn detail(area: &mut Area, line: &str) {
    if let Some(size) = line.strip_prefix("KernelPageSize:") {
        let kib = size
            .split_whitespace()
            .next()
            .and_then(|kib| kib.parse().ok());
        area.page_bytes = kib.unwrap_or(0_u64) << 10;
    } else if let Some(flags) = line.strip_prefix("VmFlags:") {
        let has = |flag| flags.split_whitespace().any(|each| each == flag);
        area.is_left_out_of_children = has("dc");
        area.is_io = has("io") || has("pf");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
7f0000000000-7f0000200000 rw-s 00400000 00:0f 1044                       /memfd:mine (deleted)
Size:               2048 kB
KernelPageSize:     2048 kB
MMUPageSize:        2048 kB
VmFlags: rd wr sh mr mw me ms dc de ht sd
7f0000200000-7f0000201000 r--p 00000000 00:00 0
Size:                  4 kB
KernelPageSize:        4 kB
VmFlags: rd mr mw me sd
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
";

    #[test]
    fn areas_of_a_range_are_found_with_what_they_are() {
        let found = areas(TEXT, &(0x7f00_001f_f000..0x7f00_0020_0001));

        let [huge, usual] = found.as_slice() else {
            panic!("{found:?}");
        };
        assert_eq!(
            (huge.readable, huge.writable, huge.shared),
            (true, true, true)
        );
        assert_eq!((huge.offset, huge.inode), (0x0040_0000, 1044));
        assert_eq!((huge.major, huge.minor), (0, 15));
        assert_eq!(huge.page_bytes, 2 << 20);
        assert!(huge.is_left_out_of_children && !huge.is_io);
        assert_eq!((usual.writable, usual.shared), (false, false));
        assert_eq!(usual.page_bytes, 4096);
        assert!(areas(TEXT, &(0..4096)).is_empty());
    }

    #[test]
    fn own_stack_is_an_area() {
        let text = std::fs::read_to_string("/proc/self/smaps").expect("our own");
        let variable = 0_u8;
        let address = std::ptr::from_ref(&variable).addr() as u64;

        let found = areas(&text, &(address..address + 1));

        let [area] = found.as_slice() else {
            panic!("{found:?}");
        };
        assert!(area.readable && area.writable && !area.shared);
        assert_eq!(
            area.page_bytes,
            crate::kernel::sys::memory::page_size().into()
        );
    }
}
