//! The way back to the kernel's stack: a helper pair to an interface's ingress, and the
//! program that frames run through on it.

use std::sync::{Mutex, PoisonError};

use aya::maps::{Array, MapData, MapError};
use aya::programs::{ProgramError, SchedClassifier};
use wharf_ebpf::pass::{ADDRESS, PROGRAM, address};

use super::error::SteeringError;
use super::loader::create_pass_maps;
use crate::kernel::interface::{HelperPair, HelperPairError, Interface, InterfaceError};

/// A way to the ingress of an interface, for as long as it lives.
pub(crate) struct Passage {
    pair: HelperPair,
    /// The interface's MAC address, by which the program judges whose frames are.
    address: Mutex<Array<MapData, [u8; 8]>>,
}

/// Why there is no way.
#[derive(Debug)]
pub(crate) enum PassageError {
    /// The program could not be loaded.
    Program(SteeringError),
    /// The pair, or the redirection, could not be had.
    Pair(HelperPairError),
    /// The interface could not be asked.
    Interface(InterfaceError),
}

impl Passage {
    /// A way to the ingress of `interface`, on which so many workers send.
    pub(crate) fn make(interface: &Interface, workers: u32) -> Result<Self, PassageError> {
        let load = |source| PassageError::Program(SteeringError::load(interface, source));
        let mut ebpf = create_pass_maps().map_err(|error| load(error.into()))?;
        let map = ebpf.take_map(ADDRESS);
        let map = Array::try_from(map.expect("wharf-ebpf tests that the object has it"));
        let program: Result<&mut SchedClassifier, ProgramError> = ebpf
            .program_mut(PROGRAM)
            .expect("wharf-ebpf tests that the object has it")
            .try_into();
        let program = program.map_err(|error| load(error.into()))?;
        program.load().map_err(|error| load(error.into()))?;
        let fd = program.fd().map_err(|error| load(error.into()))?;
        let pair = HelperPair::make(interface, workers, std::os::fd::AsFd::as_fd(fd));
        let passage = Self {
            pair: pair.map_err(PassageError::Pair)?,
            address: Mutex::new(map.map_err(|error| load(error.into()))?),
        };
        let mac = interface.address().map_err(PassageError::Interface)?;
        let set = passage.set_address(mac.unwrap_or_default());
        set.map_err(|error| load(error.into()))?;
        Ok(passage)
    }

    /// Notes the interface's MAC address.
    pub(crate) fn set_address(&self, mac: [u8; 6]) -> Result<(), MapError> {
        // A write is one call, so a panic in between leaves nothing half done.
        let mut map = self.address.lock().unwrap_or_else(PoisonError::into_inner);
        map.set(0, address(mac), 0)
    }

    /// The interface on which workers send, each on the queue of its number.
    pub(crate) fn sending(&self) -> &Interface {
        self.pair.sending()
    }

    /// The name of the interface that an operator sees.
    pub(crate) fn receiving(&self) -> &str {
        self.pair.receiving()
    }
}
