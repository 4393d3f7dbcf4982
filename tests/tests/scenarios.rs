//! The kernel's scenarios on a veth pair, with the program in the driver and
//! behind it: see [`wharf_tests::scenario`].

use wharf_tests::scenarios;

scenarios! { native: Native =>
    send_receive,
    send_receive_2k_frame,
    send_receive_single_pkt,
    poll_rx,
    poll_tx,
    poll_rxq_full,
    poll_txq_full,
    umem_headroom,
    teardown,
    bidirectional,
    stat_rx_dropped,
    stat_rx_full,
    stat_fill_empty,
    xdp_prog_cleanup,
    xdp_shared_umem,
    tx_queue_consumer,
}

scenarios! { generic: Generic =>
    send_receive,
    send_receive_2k_frame,
    send_receive_single_pkt,
    poll_rx,
    poll_tx,
    poll_rxq_full,
    poll_txq_full,
    umem_headroom,
    teardown,
    bidirectional,
    stat_rx_dropped,
    stat_rx_full,
    stat_fill_empty,
    xdp_prog_cleanup,
    xdp_shared_umem,
    tx_queue_consumer,
}
