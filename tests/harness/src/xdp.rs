//! Which XDP program an interface runs, so that tests can tell it is gone.

use netlink_packet_route::link::{LinkAttribute, LinkXdp, XdpAttached};

use crate::error::Result;
use crate::interface::Interface;

/// An XDP program attached to an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AttachedXdp {
    /// Where it runs.
    pub mode: XdpMode,
    /// The kernel's id of the program; `None` when several are attached.
    pub program_id: Option<u32>,
}

/// Where an XDP program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum XdpMode {
    /// In the driver.
    Native,
    /// In the stack, for drivers without XDP.
    Generic,
    /// On the hardware.
    Offloaded,
    /// Several programs, in different places.
    Several,
}

impl Interface {
    /// The XDP program attached to the interface, if any.
    ///
    /// # Errors
    ///
    /// [`Error::Netlink`](crate::Error::Netlink) when the interface is gone.
    pub fn xdp(&self) -> Result<Option<AttachedXdp>> {
        let link = self.describe("read its XDP program")?;
        let details = link.attributes.into_iter().find_map(|attribute| {
            if let LinkAttribute::Xdp(details) = attribute {
                Some(details)
            } else {
                None
            }
        });

        let (mut mode, mut program_id) = (None, None);
        for detail in details.unwrap_or_default() {
            match detail {
                LinkXdp::Attached(XdpAttached::Driver) => mode = Some(XdpMode::Native),
                LinkXdp::Attached(XdpAttached::SocketBuffer) => mode = Some(XdpMode::Generic),
                LinkXdp::Attached(XdpAttached::Hardware) => mode = Some(XdpMode::Offloaded),
                LinkXdp::Attached(XdpAttached::Multiple) => mode = Some(XdpMode::Several),
                LinkXdp::ProgId(id) => program_id = Some(id),
                _ => {}
            }
        }
        Ok(mode.map(|mode| AttachedXdp { mode, program_id }))
    }
}
