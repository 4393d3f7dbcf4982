//! The tc program by which frames go back to the kernel's stack.
//!
//! # Contract
//!
//! * [`PROGRAM`] is a classifier, not in direct-action mode: every frame matches,
//!   and the action behind it moves the frame to the interface's ingress.
//! * [`ADDRESS`] is an array with one entry, the interface's MAC address as
//!   [`address`] writes it. Frames to it are the host's, frames to another
//!   unicast address another host's.
//! * Its least kernel is 5.2, which lets it set the queue.

/// The object file, 8-byte aligned.
pub static OBJECT: &[u8] = &ALIGNED.0;

/// The program, `SEC("classifier")`.
pub const PROGRAM: &str = "wharf_pass";

/// The array with one entry ([`address`]): the section of the variable
/// `wharf_pass_mac`.
pub const ADDRESS: &str = ".bss";

/// A MAC address as the entry of [`ADDRESS`].
#[must_use]
pub fn address(mac: [u8; 6]) -> [u8; 8] {
    let mut entry = [0; 8];
    entry[..6].copy_from_slice(&mac);
    entry
}

static ALIGNED: &crate::Aligned<[u8]> = &crate::Aligned(*include_bytes!("../pass.bpf.o"));

#[cfg(test)]
mod tests {
    use aya_obj::{Object, ProgramSection};

    use super::*;

    #[test]
    fn object_holds_one_classifier_and_one_address() {
        assert_eq!(OBJECT.as_ptr().addr() % 8, 0);
        let object = Object::parse(OBJECT).expect("the object parses");

        let names: Vec<_> = object.programs.keys().map(String::as_str).collect();
        assert_eq!(names, [PROGRAM]);
        let program = &object.programs[PROGRAM];
        assert!(matches!(program.section, ProgramSection::SchedClassifier));
        assert_eq!(program.license.to_bytes(), b"Dual MIT/GPL");
        let maps: Vec<_> = object.maps.keys().map(String::as_str).collect();
        assert_eq!(maps, [ADDRESS]);
        assert_eq!(object.maps[ADDRESS].value_size(), 8);
        assert!(!object.has_btf_relocations());
    }
}
