//! Threaded NAPI: polling an interface from kernel threads of its own.
//!
//! The switch is a sysfs file (`/sys/class/net/NAME/threaded`, Linux 5.12), and
//! sysfs shows the namespace it was mounted in, not that of the reader. So it is
//! mounted anew inside the host, attached nowhere: the mount is a file
//! descriptor and goes with it (`fsopen` and `fsmount`, Linux 5.2).

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, openat};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

use crate::error::Result;
use crate::interface::Interface;
use crate::switch::Switch;

impl Interface {
    /// Switches threaded NAPI, which moves receiving off the sender's CPU.
    ///
    /// # Errors
    ///
    /// [`Error::Interface`](crate::Error::Interface) when the kernel refuses.
    pub fn set_threaded_napi(&self, threaded: Switch) -> Result<()> {
        let value: &[u8] = match threaded {
            Switch::On => b"1",
            Switch::Off => b"0",
        };
        let path = format!("class/net/{}/threaded", self.name());
        self.host()
            .try_run(|| {
                let file = openat(mount_sysfs()?, path, OFlags::WRONLY, Mode::empty())?;
                File::from(file).write_all(value)
            })?
            .map_err(|source: io::Error| {
                self.error(format!("switch threaded NAPI {threaded}"), source)
            })
    }
}

/// Mounts the sysfs of the calling thread's network namespace.
fn mount_sysfs() -> rustix::io::Result<OwnedFd> {
    let context = fsopen("sysfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&context)?;
    fsmount(
        &context,
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::empty(),
    )
}
