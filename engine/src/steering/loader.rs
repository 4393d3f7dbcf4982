//! aya's loader.

use aya::{Ebpf, EbpfError, EbpfLoader};
use wharf_ebpf::{CONFIG, Config, OBJECT};

/// Creates the maps of a program. `sizes` has the entries of every map whose size
/// is not always the same.
pub(super) fn create_maps(
    config: &Config,
    sizes: &[(&'static str, u32)],
) -> Result<Ebpf, EbpfError> {
    let words = config.words();
    let mut loader = EbpfLoader::new();
    loader.override_global(CONFIG, &words[..], true);
    for &(name, entries) in sizes {
        loader.map_max_entries(name, entries);
    }
    loader.load(OBJECT)
}
