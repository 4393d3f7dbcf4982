//! Huge pages: how large they are, and how many are to be had.

use std::io;
use std::time::{Duration, Instant};

use super::UmemError;

/// How long to wait for pages that are in use. A socket that closes keeps its
/// memory for another 20 to 55 ms (6.18), and often it is our own from before.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the kernel says of huge pages of the default size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HugePages {
    pub(super) page_bytes: u64,
    /// Those there are, in use or not.
    total: u64,
    /// Those that nobody uses or was promised.
    free: u64,
}

impl HugePages {
    pub(super) fn look() -> Result<Self, UmemError> {
        let text = std::fs::read_to_string("/proc/meminfo").map_err(UmemError::Meminfo)?;
        parse(&text).ok_or(UmemError::NoHugePages)
    }

    /// Whether `bytes` are to be had now.
    pub(super) fn have(bytes: u64) -> bool {
        Self::look().is_ok_and(|pages| bytes.div_ceil(pages.page_bytes) <= pages.free)
    }

    /// Attempts to map `mapped` bytes for a UMEM of `bytes`, and again for a while
    /// if there are enough pages, only not free ones.
    pub(super) fn map_patiently<T>(
        bytes: u64,
        mapped: u64,
        attempt: impl Fn() -> io::Result<T>,
    ) -> Result<T, UmemError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let source = match attempt() {
                Ok(mapping) => return Ok(mapping),
                Err(source) => source,
            };
            let pages = Self::look()?;
            if mapped / pages.page_bytes > pages.total || Instant::now() >= deadline {
                let shortage = pages.shortage(bytes, mapped);
                return Err(shortage.unwrap_or(UmemError::Map { bytes, source }));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Why `mapped` bytes for a UMEM of `bytes` are not to be had; `None` if there
    /// are enough pages for them.
    fn shortage(&self, bytes: u64, mapped: u64) -> Option<UmemError> {
        let needed = mapped / self.page_bytes;
        (needed > self.free).then_some(UmemError::HugePages {
            bytes,
            needed,
            free: self.free,
            total: self.total,
            page_bytes: self.page_bytes,
        })
    }
}

fn parse(text: &str) -> Option<HugePages> {
    let value = |name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    let reserved = value("HugePages_Rsvd:")?;
    Some(HugePages {
        page_bytes: value("Hugepagesize:").filter(|&kib| kib > 0)? << 10,
        total: value("HugePages_Total:")?,
        free: value("HugePages_Free:")?.saturating_sub(reserved),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: &str = "\
MemTotal:        8142356 kB
AnonHugePages:     10240 kB
HugePages_Total:       7
HugePages_Free:        5
HugePages_Rsvd:        2
HugePages_Surp:        0
Hugepagesize:       2048 kB
";

    #[test]
    fn pages_promised_to_others_are_not_free() {
        let pages = parse(MEMINFO).expect("it says all");

        assert_eq!((pages.total, pages.free), (7, 3));
        assert_eq!(pages.page_bytes, 2 << 20);
    }

    #[test]
    fn shortage_is_told_from_other_reasons() {
        let pages = parse(MEMINFO).expect("it says all");

        assert!(pages.shortage(6 << 20, 6 << 20).is_none());
        assert!(matches!(
            pages.shortage(7 << 20, 8 << 20),
            Some(UmemError::HugePages {
                needed: 4,
                free: 3,
                total: 7,
                ..
            })
        ));
    }

    #[test]
    fn kernel_without_huge_pages_says_nothing_of_them() {
        assert_eq!(parse("MemTotal:        8142356 kB\n"), None);
    }
}
