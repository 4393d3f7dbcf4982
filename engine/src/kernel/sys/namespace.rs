//! Which network namespace the calling thread is in.

use std::os::unix::fs::MetadataExt;

/// A number for the calling thread's network namespace, which no other has while
/// it lives. `None` where `/proc` is not there to ask.
pub(crate) fn current_namespace() -> Option<u64> {
    // A link to the namespace itself, of which this is the inode: see namespaces(7).
    let namespace = std::fs::metadata("/proc/thread-self/ns/net").ok()?;
    Some(namespace.ino())
}
