//! Offloads: work the stack leaves to an interface.
//!
//! A veth claims to have them and passes the work on undone. Whoever reads the
//! frames raw then sees unfinished checksums (`CHECKSUM_PARTIAL`), segments of
//! 64 KiB, and VLAN frames without their tag, all decided at the *sending* end.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::interface::Interface;
use crate::switch::Switch;
use crate::sys::ethtool::{self, Feature};

/// A group of kernel features that are switched together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Offload {
    /// Checksums of outgoing frames (`ethtool -K tx`).
    TxChecksum,
    /// Tags of outgoing VLAN frames (`txvlan`).
    TxVlan,
    /// Tags of incoming VLAN frames (`rxvlan`).
    RxVlan,
    /// Segmentation of outgoing frames: TCP, UDP and generic (`tso`, `gso`).
    Segmentation,
    /// Merging of incoming frames (`gro`). On a veth it also switches NAPI,
    /// which frames redirected *into* the interface need.
    Gro,
}

impl Offload {
    /// All groups, in the order in which the kernel lets them be switched off.
    pub const ALL: [Self; 5] = [
        Self::Segmentation,
        Self::TxChecksum,
        Self::TxVlan,
        Self::RxVlan,
        Self::Gro,
    ];

    /// Whether the kernel's feature of this name is in the group. The names
    /// are in `net/ethtool/common.c`, `netdev_features_strings`.
    fn includes(self, feature: &str) -> bool {
        match self {
            Self::TxChecksum => feature.starts_with("tx-checksum-"),
            Self::TxVlan => feature.starts_with("tx-vlan-") && feature.ends_with("-insert"),
            Self::RxVlan => feature.starts_with("rx-vlan-") && feature.ends_with("-parse"),
            Self::Segmentation => {
                feature.starts_with("tx-")
                    && (feature.ends_with("-segmentation") || feature.starts_with("tx-gso-"))
            }
            Self::Gro => feature == "rx-gro",
        }
    }
}

impl Interface {
    /// Switches every feature of the group that the driver lets be switched.
    ///
    /// # Errors
    ///
    /// [`Error::OffloadFixed`] when the kernel leaves one on that shall be off,
    /// [`Error::Interface`] when it refuses.
    pub fn set_offload(&self, offload: Offload, state: Switch) -> Result<()> {
        let operation = || format!("switch {offload:?} {state}");
        let in_group = |feature: &Feature| offload.includes(&feature.name);
        let wanted = state == Switch::On;

        let changes: Vec<_> = self
            .read_features()?
            .into_iter()
            .filter(|feature| in_group(feature) && feature.changeable && feature.active != wanted)
            .collect();
        if changes.is_empty() {
            return Ok(());
        }
        ethtool::switch_features(self.host().control(), self.name(), &changes, wanted)
            .map_err(|source| self.error(operation(), source))?;

        let after = self.read_features()?;
        let stubborn = changes
            .into_iter()
            .find(|change| after[change.position].active != wanted);
        match stubborn {
            // Switching on may stop short: some features need others to be on.
            Some(feature) if state == Switch::Off => Err(Error::OffloadFixed {
                host: self.host().name().to_owned(),
                interface: self.name().to_owned(),
                feature: feature.name,
            }),
            _ => Ok(()),
        }
    }

    /// Switches GRO.
    ///
    /// # Errors
    ///
    /// As [`Interface::set_offload`].
    pub fn set_gro(&self, state: Switch) -> Result<()> {
        self.set_offload(Offload::Gro, state)
    }

    /// Whether any feature of the group is active.
    ///
    /// # Errors
    ///
    /// [`Error::Interface`] when the interface is gone.
    pub fn offload(&self, offload: Offload) -> Result<Switch> {
        let any = self
            .read_features()?
            .iter()
            .any(|feature| feature.active && offload.includes(&feature.name));
        Ok(Switch::from(any))
    }

    /// All features by the kernel's names, as `ethtool -k` lists them.
    ///
    /// # Errors
    ///
    /// [`Error::Interface`] when the interface is gone.
    pub fn features(&self) -> Result<BTreeMap<String, Switch>> {
        let features = self.read_features()?.into_iter();
        Ok(features
            .map(|feature| (feature.name, Switch::from(feature.active)))
            .collect())
    }

    fn read_features(&self) -> Result<Vec<Feature>> {
        ethtool::features(self.host().control(), self.name())
            .map_err(|source| self.error("read its offloads", source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_belong_to_their_groups() {
        let in_groups = |name: &str| -> Vec<Offload> {
            let groups = Offload::ALL.into_iter();
            groups.filter(|group| group.includes(name)).collect()
        };

        assert_eq!(in_groups("tx-checksum-ip-generic"), [Offload::TxChecksum]);
        assert_eq!(in_groups("tx-udp-segmentation"), [Offload::Segmentation]);
        assert_eq!(in_groups("tx-gso-list"), [Offload::Segmentation]);
        assert_eq!(in_groups("tx-vlan-hw-insert"), [Offload::TxVlan]);
        assert_eq!(in_groups("rx-vlan-stag-hw-parse"), [Offload::RxVlan]);
        assert_eq!(in_groups("rx-gro"), [Offload::Gro]);
        for kept in [
            "tx-scatter-gather",
            "rx-checksum",
            "highdma",
            "rx-vlan-filter",
            "rx-gro-list",
        ] {
            assert_eq!(in_groups(kept), [], "{kept}");
        }
    }
}
