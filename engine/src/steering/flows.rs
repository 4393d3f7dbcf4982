//! Exact flows, added and removed while frames come in. Frames that are of a flow
//! are decided by it, whatever the rules say.

use std::net::SocketAddr;

use aya::maps::MapError;

use super::shared::{FlowKey, found};
use super::{Steering, SteeringError};
use crate::kernel::XskIndex;
use crate::steering::rules::{Action, Flow, action_code};

impl Steering {
    /// Decides what becomes of the frames of `flow`, from the next one on, in
    /// place of what was decided before.
    ///
    /// # Errors
    ///
    /// [`SteeringError::Flow`] when there can be no such flow,
    /// [`SteeringError::FlowsFull`] when there is no room, and
    /// [`SteeringError::Rules`] when a queue has no such xsk.
    pub fn insert_flow(&mut self, flow: &Flow, action: Action) -> Result<(), SteeringError> {
        let key = key(flow)?;
        let action = action_code(action, None, self.config.xsks_per_queue)?;
        let capacity = self.config.flow_capacity;
        let full = || SteeringError::FlowsFull {
            interface: self.interface.name().to_owned(),
            capacity,
        };
        if capacity == 0 {
            return Err(full());
        }
        match self.shared.flows.insert(key, action, 0) {
            Err(MapError::SyscallError(error))
                if error.io_error.raw_os_error() == Some(libc::E2BIG) =>
            {
                Err(full())
            }
            inserted => inserted.map_err(|source| self.map_error("add a flow", source)),
        }
    }

    /// What becomes of the frames of `flow`; nothing where the rules decide.
    ///
    /// # Errors
    ///
    /// [`SteeringError::Flow`] when there can be no such flow, and
    /// [`SteeringError::Map`].
    pub fn flow(&self, flow: &Flow) -> Result<Option<Action>, SteeringError> {
        match self.shared.flows.get(&key(flow)?, 0) {
            Ok(code) => Ok(Some(action(code))),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(source) => Err(self.map_error("look up a flow", source)),
        }
    }

    /// Leaves the frames of `flow` to the rules, and gives whether they were not.
    ///
    /// # Errors
    ///
    /// [`SteeringError::Flow`] when there can be no such flow, and
    /// [`SteeringError::Map`].
    pub fn remove_flow(&mut self, flow: &Flow) -> Result<bool, SteeringError> {
        let removed = found(self.shared.flows.remove(&key(flow)?));
        removed.map_err(|source| self.map_error("remove a flow", source))
    }

    /// The flows that are there, in no order. A system call for each; flows that
    /// come or go meanwhile may be left out or be given twice.
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

    /// How many flows there are. A system call for each.
    #[must_use]
    pub fn flow_count(&self) -> u32 {
        u32::try_from(self.flows().count()).unwrap_or(u32::MAX)
    }
}

fn key(flow: &Flow) -> Result<FlowKey, SteeringError> {
    let refused = |reason| Err(SteeringError::Flow { reason });
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

/// What [`action_code`] made of it.
fn action(code: u32) -> Action {
    let [kind, xsk, ..] = code.to_le_bytes();
    match u32::from(kind) {
        wharf_ebpf::ACTION_PASS => Action::Pass,
        wharf_ebpf::ACTION_DROP => Action::Drop,
        _ => Action::Redirect(XskIndex(xsk)),
    }
}
