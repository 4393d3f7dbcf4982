//! The kernel's scenarios in zero copy, in a guest of `tests/guest/run.sh`: see
//! [`wharf_tests::scenario`].

use wharf_tests::scenarios;

scenarios! { zero_copy: ZeroCopy =>
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
    stat_rx_full,
    stat_fill_empty,
    xdp_prog_cleanup,
    xdp_shared_umem,
    hw_sw_min_ring_size,
    hw_sw_max_ring_size,
    xdp_drop_half,
    xdp_drop_half_by_own_program,
    xdp_metadata_copy,
    xdp_adjust_tail_shrink,
    xdp_adjust_tail_grow,
}
