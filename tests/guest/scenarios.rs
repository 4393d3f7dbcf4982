//! The kernel's scenarios in zero copy, in a guest of `tests/guest/run.sh`: see
//! [`wharf_tests::scenario`].

use wharf_tests::scenarios;

scenarios! { zero_copy: ZeroCopy =>
    send_receive,
    send_receive_2k_frame,
}
