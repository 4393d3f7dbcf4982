//! Families of generic netlink: the number that the kernel gave a family, the groups in
//! which it announces changes, and requests to it.

use std::ffi::CStr;
use std::io;

use netlink_packet_core::{DefaultNla, Emitable, NLM_F_REQUEST, NlasIterator};

use super::netlink::{Netlink, malformed};

/// A family as the kernel describes it.
pub(super) struct Family {
    /// The number that the kernel gave it.
    pub(super) id: u16,
    /// Its groups by name, with their numbers.
    groups: Vec<(Vec<u8>, u32)>,
}

impl Family {
    /// The number of the group called `name`.
    pub(super) fn group(&self, name: &CStr) -> Option<u32> {
        let mut groups = self.groups.iter();
        let group = groups.find(|(of, _)| of == name.to_bytes_with_nul());
        group.map(|(_, id)| *id)
    }
}

/// The family called `name`; `None` where the kernel has no such family.
pub(super) fn look_up(netlink: &mut Netlink, name: &CStr) -> io::Result<Option<Family>> {
    let name = DefaultNla::new(CTRL_ATTR_FAMILY_NAME, name.to_bytes_with_nul().to_vec());
    let family = match request(netlink, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, &name) {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(None),
        family => family?,
    };
    let id = find(&family, CTRL_ATTR_FAMILY_ID)?
        .and_then(|value| Some(u16::from_ne_bytes(value.try_into().ok()?)))
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
    let mut groups = Vec::new();
    let list = find(&family, CTRL_ATTR_MCAST_GROUPS)?.unwrap_or_default();
    for group in NlasIterator::new(&list) {
        let group = group.map_err(malformed)?;
        let name = find(group.value(), CTRL_ATTR_MCAST_GRP_NAME)?;
        let id = find(group.value(), CTRL_ATTR_MCAST_GRP_ID)?
            .and_then(|value| Some(u32::from_ne_bytes(value.try_into().ok()?)));
        groups.extend(name.zip(id));
    }
    Ok(Some(Family { id, groups }))
}

/// Sends `command` with one attribute, and returns the attributes of the answer.
pub(super) fn request(
    netlink: &mut Netlink,
    family: u16,
    command: u8,
    attribute: &DefaultNla,
) -> io::Result<Vec<u8>> {
    // `struct genlmsghdr`: the command, the version and two bytes that are zero.
    let mut body = vec![0; GENL_HEADER_LEN + attribute.buffer_len()];
    body[..2].copy_from_slice(&[command, 1]);
    attribute.emit(&mut body[GENL_HEADER_LEN..]);
    let attributes = |payload: &[u8]| {
        let attributes = payload.get(GENL_HEADER_LEN..).unwrap_or_default();
        Ok(Some(attributes.to_vec()))
    };
    let answers = netlink.request(family, &body, NLM_F_REQUEST, attributes)?;
    Ok(answers.into_iter().next().unwrap_or_default())
}

/// The value of the attribute `kind`.
pub(super) fn find(attributes: &[u8], kind: u16) -> io::Result<Option<Vec<u8>>> {
    for attribute in NlasIterator::new(attributes) {
        let attribute = attribute.map_err(malformed)?;
        if attribute.kind() == kind {
            return Ok(Some(attribute.value().to_vec()));
        }
    }
    Ok(None)
}

/// Source: `include/uapi/linux/genetlink.h`.
const GENL_ID_CTRL: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const CTRL_ATTR_MCAST_GROUPS: u16 = 7;
const CTRL_ATTR_MCAST_GRP_NAME: u16 = 1;
const CTRL_ATTR_MCAST_GRP_ID: u16 = 2;
pub(super) const GENL_HEADER_LEN: usize = 4;
