//! The kernel's scenarios on a veth pair, with the program in the driver and
//! behind it: see [`wharf_tests::scenario`].

use wharf_tests::scenarios;

scenarios! { native: Native =>
    send_receive,
    send_receive_2k_frame,
    device_deleted_in_traffic,
    device_down_and_up_in_traffic,
    several_network_namespaces,
    close_with_frames_in_flight,
    leaked_mapping_and_rebind,
    child_inherits_no_ring,
    sigkill_and_restart,
    completion_ring_full,
    ebusy_accounting,
    odd_tx_address,
    bad_tx_metadata,
    bad_tx_metadata_in_an_engine,
    queue_beyond_65535,
    every_queue_arrives,
    same_queue_with_skewed_fill,
    program_swapped_under_load,
}

scenarios! { generic: Generic =>
    send_receive,
    send_receive_2k_frame,
    device_deleted_in_traffic,
    device_down_and_up_in_traffic,
    several_network_namespaces,
    close_with_frames_in_flight,
    close_with_frames_held_by_the_kernel,
    leaked_mapping_and_rebind,
    child_inherits_no_ring,
    sigkill_and_restart,
    completion_ring_full,
    send_buffer_full,
    ebusy_accounting,
    odd_tx_address,
    bad_tx_metadata,
    bad_tx_metadata_in_an_engine,
    queue_beyond_65535,
    every_queue_arrives,
    same_queue_with_skewed_fill,
    program_swapped_under_load,
}
