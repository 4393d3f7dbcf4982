//! Whether there are descriptors left.

use std::io;
use std::os::fd::OwnedFd;

use rustix::event::EventfdFlags;

/// An error where `count` descriptors cannot be opened now: that of the first that
/// could not. All are closed again.
pub(crate) fn check_free(count: usize) -> io::Result<()> {
    let first = rustix::event::eventfd(0, EventfdFlags::CLOEXEC)?;
    let more: io::Result<Vec<OwnedFd>> = (1..count).map(|_| first.try_clone()).collect();
    more.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_free_and_more_than_the_limit_are_not() {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let Some(limit) = limit.current.filter(|limit| *limit < 1 << 20) else {
            return; // To open so many is no test.
        };

        assert!(check_free(8).is_ok());
        let error = check_free(usize::try_from(limit).expect("it is small"));

        let error = error.expect_err("standard output has one");
        assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
    }
}
