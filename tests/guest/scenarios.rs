//! The kernel's scenarios in zero copy, in a guest of `tests/guest/run.sh`: see
//! [`wharf_tests::scenario`].

use wharf_tests::scenarios;

scenarios! { zero_copy: ZeroCopy =>
    send_receive,
    send_receive_2k_frame,
    xdp_drop_half,
    xdp_drop_half_by_own_program,
    xdp_metadata_copy,
    xdp_adjust_tail_shrink,
    xdp_adjust_tail_grow,
}
