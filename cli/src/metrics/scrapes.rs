//! The way of a scrape to what only the run knows, and back.
//!
//! The server runs before the engine does, and answers from a thread of its own. What
//! has to be asked of the running engine is asked here, and is left out while nothing
//! runs.

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::time::Duration;

/// Both ends: for the server, and for the run.
pub fn scrapes() -> (Asker, Scrapes) {
    let (requests, receiver) = channel();
    let end = requests.clone();
    (Asker(requests), Scrapes { receiver, end })
}

enum Request {
    Scrape(SyncSender<String>),
    End,
}

/// Asks the run.
pub struct Asker(Sender<Request>);

impl Asker {
    /// What the run replies; nothing if there is none, or it takes too long.
    pub fn ask(&self) -> String {
        let (reply, answer) = sync_channel(1);
        if self.0.send(Request::Scrape(reply)).is_err() {
            return String::new();
        }
        answer.recv_timeout(PATIENCE).unwrap_or_default()
    }
}

/// An edit of the rules may take as long, and a scraper usually waits ten seconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// The scrapes to answer.
pub struct Scrapes {
    receiver: Receiver<Request>,
    end: Sender<Request>,
}

impl Scrapes {
    /// Ends [`answer`](Self::answer) when it is dropped.
    pub fn ending(&self) -> ScrapesEnd {
        ScrapesEnd(self.end.clone())
    }

    /// Answers each scrape with what `render` returns.
    pub fn answer(self, render: impl Fn() -> String) {
        while let Ok(Request::Scrape(reply)) = self.receiver.recv() {
            // The server may have lost patience.
            let _ = reply.send(render());
        }
    }
}

/// The end of the scrapes.
pub struct ScrapesEnd(Sender<Request>);

impl Drop for ScrapesEnd {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.send(Request::End);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn scrape_is_answered_while_the_run_lasts_and_empty_after() {
        let (asker, scrapes) = scrapes();
        let ending = scrapes.ending();
        let run = thread::spawn(|| scrapes.answer(|| "frames 1\n".to_owned()));

        let during = asker.ask();
        drop(ending);
        run.join().expect("it ends");
        let after = asker.ask();

        assert_eq!(during, "frames 1\n");
        assert_eq!(after, "");
    }
}
