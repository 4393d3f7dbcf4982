//! Whether an interface keeps management traffic with the kernel, and why.
//!
//! What that traffic is the XDP program decides (`ebpf/management.h`): ARP,
//! neighbour discovery and DHCP, and on the host's own addresses SSH and the
//! connections that its sockets have.

use std::fmt;

use crate::kernel::interface::{DefaultRoute, Interface, InterfaceError};

/// Whether the kernel keeps the traffic that a host is managed by, whatever the
/// steering rules say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeepManagement {
    /// On interfaces that carry the default route, when the engine starts.
    #[default]
    Auto,
    /// On all interfaces.
    Always,
    /// On none, be it at the price of being locked out.
    Never,
}

/// What was asked for, and what was done on one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ManagementReport {
    /// What was asked for.
    pub requested: KeepManagement,
    /// The default route that the interface carries.
    pub default_route: Option<DefaultRoute>,
}

impl ManagementReport {
    /// Looks at each of `interfaces`, and decides.
    pub(super) fn of_all(
        requested: KeepManagement,
        interfaces: &[Interface],
    ) -> Result<Vec<Self>, InterfaceError> {
        let of = |interface| Self::of(requested, interface);
        interfaces.iter().map(of).collect()
    }

    /// What an engine would do on `interface`, from what is there now.
    ///
    /// # Errors
    ///
    /// [`InterfaceError`] when the routes cannot be read.
    pub fn of(requested: KeepManagement, interface: &Interface) -> Result<Self, InterfaceError> {
        Ok(Self {
            requested,
            default_route: interface.default_route()?,
        })
    }

    /// Whether management traffic goes to the kernel.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        match self.requested {
            KeepManagement::Auto => self.default_route.is_some(),
            KeepManagement::Always => true,
            KeepManagement::Never => false,
        }
    }
}

impl fmt::Display for ManagementReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.is_kept() { "kept" } else { "taken" };
        let asked = match self.requested {
            KeepManagement::Auto => "",
            KeepManagement::Always | KeepManagement::Never => "as asked, ",
        };
        write!(f, "management traffic is {verb}: {asked}")?;
        match &self.default_route {
            Some(route) => write!(f, "it carries {route}"),
            None => f.write_str("it carries no default route"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::interface::testing::{in_private_network, ip};

    #[test]
    fn default_route_decides_unless_it_was_decided() {
        in_private_network(|| {
            ip("link add one type veth peer name two");
            ip("link set dev one up");
            ip("address add 10.1.0.1/24 dev one");
            ip("route add default via 10.1.0.2");
            let interfaces = ["one", "two"].map(|name| Interface::by_name(name).unwrap());
            let reports = |requested| {
                let reports = ManagementReport::of_all(requested, &interfaces);
                reports.expect("the kernel answers")
            };

            let kept = [
                KeepManagement::Auto,
                KeepManagement::Always,
                KeepManagement::Never,
            ]
            .map(|requested| {
                reports(requested)
                    .iter()
                    .map(ManagementReport::is_kept)
                    .collect::<Vec<_>>()
            });

            assert_eq!(kept, [[true, false], [true, true], [false, false]]);
            assert_eq!(
                reports(KeepManagement::Never)[0].to_string(),
                "management traffic is taken: as asked, it carries the default route of `one`"
            );
        });
    }
}
