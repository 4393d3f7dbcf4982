//! The kernel's scenarios on a veth pair, with the program in the driver and
//! behind it: see [`wharf_tests::scenario`].

use wharf_tests::scenarios;

scenarios! { native: Native =>
    send_receive,
    send_receive_2k_frame,
}

scenarios! { generic: Generic =>
    send_receive,
    send_receive_2k_frame,
}
