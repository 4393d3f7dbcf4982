//! Exact flows, added and removed while frames come in. A frame of one of them goes
//! where the flow says, whatever the rules say.

use std::net::SocketAddr;

use aya::maps::MapError;

use super::error::{SteeringError, SteeringErrorKind};
use super::handle::Steering;
use super::shared::{FlowKey, found};
use crate::kernel::XskIndex;
use crate::steering::rules::{Action, Flow, action_code};

impl Steering {
    /// Sets what becomes of the frames of `flow`, from the next one on. Replaces what
    /// an earlier call set.
    ///
    /// # Errors
    ///
    /// [`SteeringErrorKind::Flow`] when no frame can be of such a flow,
    /// [`SteeringErrorKind::FlowsFull`] when there is no room, and
    /// [`SteeringErrorKind::XskOutOfRange`] when a queue has no such xsk.
    pub fn insert_flow(&mut self, flow: &Flow, action: Action) -> Result<(), SteeringError> {
        let key = self.key(flow)?;
        let xsks = self.config.xsks_per_queue;
        let action = action_code(action, xsks)
            .map_err(|xsk| self.error(SteeringErrorKind::XskOutOfRange { xsk, xsks }))?;
        let capacity = self.config.flow_capacity;
        let inserted = match capacity {
            0 => None,
            _ => Some(self.shared.flows.insert(key, action, 0)),
        };
        match inserted {
            None => Err(self.error(SteeringErrorKind::FlowsFull { capacity })),
            Some(Err(MapError::SyscallError(error)))
                if error.io_error.raw_os_error() == Some(libc::E2BIG) =>
            {
                Err(self.error(SteeringErrorKind::FlowsFull { capacity }))
            }
            Some(inserted) => inserted.map_err(|source| self.map_error("add a flow", source)),
        }
    }

    /// What becomes of the frames of `flow`. None when the rules decide.
    ///
    /// # Errors
    ///
    /// [`SteeringErrorKind::Flow`] when no frame can be of such a flow, and
    /// [`SteeringErrorKind::Map`].
    pub fn flow(&self, flow: &Flow) -> Result<Option<Action>, SteeringError> {
        match self.shared.flows.get(&self.key(flow)?, 0) {
            Ok(code) => Ok(Some(action(code))),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(source) => Err(self.map_error("look up a flow", source)),
        }
    }

    /// Removes `flow`: the rules decide about its frames, from the next one on.
    /// Returns whether there was such a flow.
    ///
    /// # Errors
    ///
    /// [`SteeringErrorKind::Flow`] when no frame can be of such a flow, and
    /// [`SteeringErrorKind::Map`].
    pub fn remove_flow(&mut self, flow: &Flow) -> Result<bool, SteeringError> {
        let removed = found(self.shared.flows.remove(&self.key(flow)?));
        removed.map_err(|source| self.map_error("remove a flow", source))
    }

    /// All flows, in no order. Makes a system call for each. Flows that are inserted
    /// or removed meanwhile may be left out or returned twice.
    pub fn flows(&self) -> impl Iterator<Item = Flow> + '_ {
        self.shared.flows.keys().map_while(Result::ok).map(|key| {
            let (protocol, source, destination) = wharf_ebpf::flow_of_key(&key);
            Flow {
                protocol,
                source,
                destination,
            }
        })
    }

    /// How many flows there are. Makes a system call for each.
    #[must_use]
    pub fn flow_count(&self) -> u32 {
        u32::try_from(self.flows().count()).unwrap_or(u32::MAX)
    }

    fn key(&self, flow: &Flow) -> Result<FlowKey, SteeringError> {
        let refused = |reason| Err(self.error(SteeringErrorKind::Flow(reason)));
        if !matches!(flow.protocol, 6 | 17 | 132) {
            return refused("only TCP (6), UDP (17) and SCTP (132) have ports");
        }
        match (flow.source, flow.destination) {
            (SocketAddr::V4(_), SocketAddr::V4(_)) | (SocketAddr::V6(_), SocketAddr::V6(_)) => Ok(
                wharf_ebpf::flow_key(flow.protocol, flow.source, flow.destination),
            ),
            _ => refused("its addresses are of two IP versions"),
        }
    }
}

/// The action that [`action_code`] made a code of.
fn action(code: u32) -> Action {
    let [kind, xsk, ..] = code.to_le_bytes();
    match u32::from(kind) {
        wharf_ebpf::ACTION_PASS => Action::Pass,
        wharf_ebpf::ACTION_DROP => Action::Drop,
        _ => Action::Redirect(XskIndex(xsk)),
    }
}
