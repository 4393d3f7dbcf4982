//! aya's loader, one for the whole process.
//!
//! Making a loader reads the kernel's types, `/sys/kernel/btf/vmlinux`: 5 MB, of
//! which sysfs returns a page a call, so some 1,350 system calls. The program asks
//! for none of these types, as `wharf-ebpf` tests. So there is one loader, which
//! frees them at once and makes the maps of every program.

use std::sync::{LazyLock, Mutex, PoisonError};

use aya::{Ebpf, EbpfError, EbpfLoader};
use wharf_ebpf::{CONFIG, Config, OBJECT, pass};

/// Creates the maps of a program. `sizes` has the entries of every map whose size
/// is not always the same: the loader keeps those of the call before.
pub(super) fn create_maps(
    config: &Config,
    sizes: &[(&'static str, u32)],
) -> Result<Ebpf, EbpfError> {
    // All that it holds is set anew, so a panic in between leaves nothing behind.
    let mut loader = LOADER.lock().unwrap_or_else(PoisonError::into_inner);
    let words = loader.interned(config.words());
    loader.aya.override_global(CONFIG, &words[..], true);
    for &(name, entries) in sizes {
        loader.aya.map_max_entries(name, entries);
    }
    loader.aya.load(OBJECT)
}

/// Creates the map of the program by which frames go back to the stack.
pub(super) fn create_pass_maps() -> Result<Ebpf, EbpfError> {
    let mut loader = LOADER.lock().unwrap_or_else(PoisonError::into_inner);
    // That object has no such variable, and a loader forgets none. The next program
    // to steer with sets it anew.
    let words = loader.interned([0; 9]);
    loader.aya.override_global(CONFIG, &words[..], false);
    loader.aya.load(pass::OBJECT)
}

struct Loader {
    aya: EbpfLoader<'static>,
    /// Each configuration there was. The loader borrows them for as long as it
    /// lives, which is for ever; a configuration takes 32 bytes, and there are as
    /// many as the rules ask for different fields.
    configs: Vec<&'static Words>,
}

impl Loader {
    fn interned(&mut self, words: Words) -> &'static Words {
        let known = self.configs.iter().find(|known| ***known == words);
        if let Some(known) = known {
            return known;
        }
        let words = Box::leak(Box::new(words));
        self.configs.push(words);
        words
    }
}

static LOADER: LazyLock<Mutex<Loader>> = LazyLock::new(|| {
    let mut aya = EbpfLoader::new();
    aya.btf(None);
    Mutex::new(Loader {
        aya,
        configs: Vec::new(),
    })
});

/// What [`Config::words`] returns.
type Words = [u32; 9];
