//! The kernel's scenarios in zero copy, in a guest of `tests/guest/run.sh`: see
//! [`wharf_tests::scenario`].

use wharf_tests::scenarios;

scenarios! { zero_copy: ZeroCopy =>
    send_receive,
    send_receive_2k_frame,
    device_down_and_up_in_traffic,
    close_with_frames_in_flight,
    leaked_mapping_and_rebind,
    child_inherits_no_ring,
    sigkill_and_restart,
    completion_ring_full,
    odd_tx_address,
    bad_tx_metadata,
    bad_tx_metadata_in_an_engine,
    queue_beyond_65535,
    same_queue_with_skewed_fill,
    program_swapped_under_load,
    xdp_drop_half,
    xdp_drop_half_by_own_program,
    xdp_metadata_copy,
    xdp_adjust_tail_shrink,
    xdp_adjust_tail_grow,
}
