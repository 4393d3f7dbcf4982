//! The kernel's scenarios on a veth pair, with the program in the driver and
//! behind it: see [`wharf_tests::scenario`].

use wharf_tests::scenarios;

scenarios! { native: Native =>
    send_receive,
    send_receive_2k_frame,
    xdp_drop_half,
    xdp_drop_half_by_own_program,
    xdp_metadata_copy,
    xdp_metadata_copy_multi_buff,
    xdp_adjust_tail_shrink,
    xdp_adjust_tail_shrink_multi_buff,
    xdp_adjust_tail_grow,
    xdp_adjust_tail_grow_multi_buff,
}

scenarios! { generic: Generic =>
    send_receive,
    send_receive_2k_frame,
    xdp_drop_half,
    xdp_drop_half_by_own_program,
    xdp_metadata_copy,
    xdp_metadata_copy_multi_buff,
    xdp_adjust_tail_shrink,
    xdp_adjust_tail_shrink_multi_buff,
    xdp_adjust_tail_grow,
}
