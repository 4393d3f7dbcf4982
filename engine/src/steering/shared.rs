//! The maps that all programs of an interface share: sockets, flows, and the
//! host's addresses. Everything else belongs to a set of rules.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use aya::Ebpf;
use aya::maps::{HashMap, Map, MapData, MapError, XskMap};
use wharf_ebpf::{FLOW_KEY, FLOWS, OWN_ADDRESSES, XSKS};

use crate::kernel::sys::netdev::make_alias;

pub(super) type FlowKey = [u8; FLOW_KEY];
pub(super) type AddressKey = [u8; 16];

/// The maps, for as long as any program uses them.
pub(super) struct SharedMaps {
    pub(super) xsks: XskMap<MapData>,
    pub(super) flows: HashMap<MapData, FlowKey, u32>,
    own_addresses: HashMap<MapData, AddressKey, u32>,
    /// The same maps again, by name: aya has no way to the descriptor of a typed one.
    handles: Vec<(&'static str, OwnedFd)>,
}

impl SharedMaps {
    /// Takes the maps of the first program.
    pub(super) fn take_from(ebpf: &mut Ebpf) -> Result<Self, MapError> {
        let handle = |name| descriptor(ebpf, name).try_clone_to_owned();
        let handles = [XSKS, FLOWS, OWN_ADDRESSES].map(|name| (name, handle(name)));
        let handles = handles
            .into_iter()
            .map(|(name, handle)| Ok((name, handle?)));
        let handles = handles.collect::<io::Result<_>>();
        let mut take = |name| {
            let map = ebpf.take_map(name);
            map.expect("wharf-ebpf tests that the object holds the map")
        };
        Ok(Self {
            xsks: XskMap::try_from(take(XSKS))?,
            flows: HashMap::try_from(take(FLOWS))?,
            own_addresses: HashMap::try_from(take(OWN_ADDRESSES))?,
            handles: handles.map_err(MapError::IoError)?,
        })
    }

    /// Makes a program that is not loaded yet use these maps instead of its own.
    ///
    /// aya creates every map of an object, and puts the numbers of their
    /// descriptors into the program; so those numbers are made to mean other maps.
    pub(super) fn replace_those_of(&self, ebpf: &Ebpf) -> io::Result<()> {
        for (name, handle) in &self.handles {
            make_alias(descriptor(ebpf, name), handle.as_fd())?;
        }
        Ok(())
    }

    /// Makes `addresses` the host's own, no others.
    pub(super) fn set_own_addresses(&mut self, addresses: &[IpAddr]) -> Result<(), MapError> {
        let wanted: Vec<_> = addresses
            .iter()
            .copied()
            .map(wharf_ebpf::address_key)
            .collect();
        // First the new ones, so that none that stays is missing for a moment.
        for key in &wanted {
            self.own_addresses.insert(key, 1, 0)?;
        }
        let present: Vec<AddressKey> = self.own_addresses.keys().collect::<Result<_, _>>()?;
        for key in present.iter().filter(|key| !wanted.contains(key)) {
            self.own_addresses.remove(key)?;
        }
        Ok(())
    }
}

fn descriptor<'a>(ebpf: &'a Ebpf, name: &str) -> BorrowedFd<'a> {
    match ebpf.map(name) {
        Some(Map::XskMap(data) | Map::HashMap(data)) => data.fd().as_fd(),
        _ => unreachable!("wharf-ebpf tests that the object holds the map"),
    }
}

/// Whether what was to be removed was there.
pub(super) fn found(removed: Result<(), MapError>) -> Result<bool, MapError> {
    match removed {
        Ok(()) => Ok(true),
        Err(MapError::KeyNotFound) => Ok(false),
        Err(MapError::SyscallError(error))
            if error.io_error.raw_os_error() == Some(libc::ENOENT) =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}
