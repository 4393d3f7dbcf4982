//! What a worker calls an application for beside frames: wakes, ticks, descriptors.

use crate::runtime::Error;
use crate::runtime::application::Application;
use crate::runtime::xsk_set::XskSet;

impl XskSet {
    /// Collects what came back and calls [`woken`](Application::woken), if a
    /// [`Waker`](crate::Waker) woke the worker. Returns whether it did.
    #[inline]
    pub(crate) fn take_wake(&mut self, application: &mut impl Application) -> bool {
        let is_woken = self.attention().alarm.take();
        if is_woken {
            self.umem().collect_returns();
            self.call(|out| application.woken(out));
        }
        is_woken
    }

    /// Calls [`tick`](Application::tick) if one is due. Looks at the clock if one is
    /// asked for.
    #[inline]
    pub(crate) fn take_tick(&mut self, application: &mut impl Application) {
        if let Some(now) = self.attention().take_tick() {
            self.call(|out| application.tick(now, out));
        }
    }

    /// Calls [`ready`](Application::ready) for each watched descriptor that is ready. A
    /// system call if there are any to watch.
    ///
    /// # Errors
    ///
    /// When the kernel cannot be asked.
    #[inline]
    pub(crate) fn take_ready(&mut self, application: &mut impl Application) -> Result<(), Error> {
        if !self.attention().watched().is_any() {
            return Ok(());
        }
        for token in self.attention().watched().ready()? {
            // The call before may have ended it.
            if self.attention().watched().has(token) {
                self.call(|out| application.ready(token, out));
            }
        }
        Ok(())
    }

    /// Calls the application for a wake, for a tick that is due, and for descriptors that
    /// are ready.
    ///
    /// # Errors
    ///
    /// When the kernel cannot be asked what is ready.
    #[inline]
    pub(crate) fn attend(&mut self, application: &mut impl Application) -> Result<(), Error> {
        if self.attention().is_any() {
            self.attend_to_all(application)
        } else {
            Ok(())
        }
    }

    #[cold]
    #[inline(never)]
    fn attend_to_all(&mut self, application: &mut impl Application) -> Result<(), Error> {
        self.take_wake(application);
        self.take_tick(application);
        self.take_ready(application)
    }

    /// Collects what came back and calls [`finish`](Application::finish).
    pub(crate) fn finish(&mut self, application: &mut impl Application) {
        self.umem().collect_returns();
        self.call(|out| application.finish(out));
    }
}
