//! Running code that is not ours, so that a panic in it ends nothing of ours.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `run`, and returns what a panic in it said. Whatever the panic left half
/// done is the caller's to throw away.
pub(crate) fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(message_of)
}

/// What the panic with this payload said, in one line. Drops the payload, which is a
/// value of the code that panicked: its drop may panic again.
pub(crate) fn message_of(payload: Box<dyn Any + Send>) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("without a message").replace('\n', " ");
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // It may go on like this for ever, so the second one leaks.
        std::mem::forget(again);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::panic::panic_any;

    use super::*;

    /// Panics when it is dropped, with another of its kind.
    struct Relentless;

    impl Drop for Relentless {
        fn drop(&mut self) {
            panic_any(Relentless);
        }
    }

    #[test]
    fn panic_becomes_its_message_in_one_line() {
        assert_eq!(guarded(|| 7), Ok(7));
        let literal = guarded(|| -> () { panic!("two\nlines") });
        assert_eq!(literal, Err("two lines".to_owned()));
        let formatted = guarded(|| -> () { panic!("frame {}", 3) });
        assert_eq!(formatted, Err("frame 3".to_owned()));
    }

    #[test]
    fn payload_that_panics_when_dropped_ends_nothing() {
        let outcome = guarded(|| -> () { panic_any(Relentless) });

        assert_eq!(outcome, Err("without a message".to_owned()));
    }
}
