//! Which of a worker's xsks sends a frame to an interface.

use std::cell::Cell;

use crate::kernel::{InterfaceId, QueueIndex, XskIndex};

/// An xsk as [`Routes`] sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Endpoint {
    pub(crate) interface: InterfaceId,
    pub(crate) queue: QueueIndex,
    pub(crate) xsk: XskIndex,
    /// Whether it can send.
    pub(crate) sends: bool,
}

/// The routes of frames by the xsk that received them.
#[derive(Debug, Default)]
pub(crate) struct Routes(Vec<RoutesFrom>);

/// The routes of frames that one xsk received.
#[derive(Debug)]
pub(crate) struct RoutesFrom {
    /// The interface of that xsk.
    interface: InterfaceId,
    /// The position of the sending xsk for each interface.
    by_interface: Vec<Option<usize>>,
    /// The route used last: frames mostly come in rows to one interface.
    last: Cell<Route>,
}

/// An interface, and the position of the xsk that sends to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) to: InterfaceId,
    pub(crate) position: usize,
}

impl Routes {
    /// Routes among `endpoints`: to the same queue index on the other interface where
    /// the worker has that and it sends, else to its first sending queue there; to
    /// the xsk of the same number on it. So the frames of a flow stay on one queue,
    /// and flows that xsks tell apart do not fill each other's TX ring.
    pub(crate) fn new(endpoints: &[Endpoint]) -> Self {
        let sources = endpoints.iter().enumerate();
        Self(
            sources
                .map(|(position, source)| RoutesFrom::new(position, source, endpoints))
                .collect(),
        )
    }

    /// The routes of frames that the xsk at `source` received.
    pub(crate) fn from(&self, source: usize) -> &RoutesFrom {
        &self.0[source]
    }
}

impl RoutesFrom {
    fn new(position: usize, source: &Endpoint, endpoints: &[Endpoint]) -> Self {
        let ids = endpoints.iter().map(|endpoint| endpoint.interface.0 + 1);
        let interfaces = ids.max().unwrap_or(0);
        let route = |id| {
            let sends = |(_, it): &(usize, &Endpoint)| it.sends && it.interface == InterfaceId(id);
            // The best is the first of the fewest differences.
            let differences =
                |(_, it): &(usize, &Endpoint)| (it.queue != source.queue, it.xsk != source.xsk);
            let candidates = endpoints.iter().enumerate().filter(sends);
            let best = candidates.min_by_key(differences);
            best.map(|(position, _)| position)
        };
        let by_interface: Vec<_> = (0..interfaces).map(route).collect();
        // Where nothing sends on its interface, the xsk itself refuses.
        let back = by_interface[source.interface.0].unwrap_or(position);
        Self {
            interface: source.interface,
            by_interface,
            last: Cell::new(Route {
                to: source.interface,
                position: back,
            }),
        }
    }

    /// The interface that the frames came in on.
    #[inline]
    pub(crate) fn interface(&self) -> InterfaceId {
        self.interface
    }

    /// The route used last; at first the one back.
    #[inline]
    pub(crate) fn last(&self) -> Route {
        self.last.get()
    }

    /// The route to an interface, which is the last one from now on.
    pub(crate) fn take(&self, to: InterfaceId) -> Option<Route> {
        let position = self.position(to)?;
        let route = Route { to, position };
        self.last.set(route);
        Some(route)
    }

    /// The position of the xsk that sends to an interface.
    pub(crate) fn position(&self, InterfaceId(to): InterfaceId) -> Option<usize> {
        self.by_interface.get(to).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(interface: usize, index: u32) -> Endpoint {
        Endpoint {
            interface: InterfaceId(interface),
            queue: QueueIndex::new(index).expect("a small index"),
            xsk: XskIndex(0),
            sends: true,
        }
    }

    fn routes_from(routes: &Routes, source: usize) -> &[Option<usize>] {
        &routes.from(source).by_interface
    }

    #[test]
    fn route_keeps_the_queue_index_where_it_can() {
        let endpoints = [(0, 1), (0, 3), (1, 1), (1, 3)];
        let routes = Routes::new(&endpoints.map(|(interface, index)| endpoint(interface, index)));

        assert_eq!(routes_from(&routes, 0), [Some(0), Some(2)]);
        assert_eq!(routes_from(&routes, 1), [Some(1), Some(3)]);
        assert_eq!(routes_from(&routes, 3), [Some(1), Some(3)]);
    }

    #[test]
    fn route_falls_back_to_the_first_queue_of_the_interface() {
        let routes = Routes::new(&[endpoint(0, 0), endpoint(0, 2), endpoint(1, 0)]);

        assert_eq!(routes_from(&routes, 1), [Some(1), Some(2)]);
    }

    #[test]
    fn route_keeps_the_xsk_where_it_can() {
        let xsk = |interface, queue, xsk| Endpoint {
            xsk: XskIndex(xsk),
            ..endpoint(interface, queue)
        };
        let routes = Routes::new(&[
            xsk(0, 0, 0),
            xsk(0, 0, 1),
            xsk(0, 1, 0),
            xsk(0, 1, 1),
            xsk(1, 0, 0),
            xsk(1, 0, 1),
        ]);

        assert_eq!(routes_from(&routes, 0), [Some(0), Some(4)]);
        assert_eq!(routes_from(&routes, 1), [Some(1), Some(5)]);
        assert_eq!(routes_from(&routes, 3), [Some(3), Some(5)]);
    }

    #[test]
    fn route_avoids_queues_that_cannot_send() {
        let receives_only = Endpoint {
            sends: false,
            ..endpoint(0, 1)
        };
        let routes = Routes::new(&[endpoint(0, 0), receives_only]);

        assert_eq!(routes_from(&routes, 1), [Some(0)]);
        assert_eq!(routes_from(&Routes::new(&[receives_only]), 0), [None]);
    }

    #[test]
    fn route_used_last_is_remembered_and_an_unknown_interface_changes_nothing() {
        let routes = Routes::new(&[endpoint(0, 0), endpoint(1, 0)]);
        let from = routes.from(0);
        let route = |to, position| Route {
            to: InterfaceId(to),
            position,
        };
        assert_eq!(from.last(), route(0, 0));

        assert_eq!(from.take(InterfaceId(1)), Some(route(1, 1)));
        assert_eq!(from.take(InterfaceId(usize::MAX)), None);

        assert_eq!(from.last(), route(1, 1));
    }
}
