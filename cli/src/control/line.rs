//! Lines from a peer that may be slow, endless or gone.

use std::io::{self, ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::protocol::LINE_BYTES_MAX;

/// Reads one line after the other.
pub struct Lines<'a> {
    stream: &'a UnixStream,
    /// What has arrived behind the line returned last.
    rest: Vec<u8>,
}

/// How long to wait.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimits {
    /// For a line to begin.
    pub idle: Duration,
    /// For a line to end once it has begun.
    pub line: Duration,
}

impl<'a> Lines<'a> {
    pub fn of(stream: &'a UnixStream) -> Self {
        Self {
            stream,
            rest: Vec::new(),
        }
    }

    /// The next line without its line break; `None` when the peer is done.
    ///
    /// # Errors
    ///
    /// `TimedOut` when it takes too long, `InvalidData` when the line is too long
    /// or not UTF-8, `UnexpectedEof` when the peer ends in mid-line.
    pub fn next(&mut self, limits: ReadLimits) -> io::Result<Option<String>> {
        let mut seen = 0;
        let mut deadline = Instant::now() + self.limit_now(limits);
        let mut has_begun = !self.rest.is_empty();
        loop {
            if let Some(end) = self.rest[seen..].iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.rest.drain(..=seen + end).collect();
                line.pop();
                return String::from_utf8(line)
                    .map(Some)
                    .map_err(|_| io::Error::new(ErrorKind::InvalidData, "the line is not UTF-8"));
            }
            seen = self.rest.len();
            if seen >= LINE_BYTES_MAX {
                let text = format!("the line is longer than {LINE_BYTES_MAX} bytes");
                return Err(io::Error::new(ErrorKind::InvalidData, text));
            }
            if !has_begun && seen > 0 {
                has_begun = true;
                deadline = Instant::now() + limits.line;
            }
            if self.read_until(deadline)? == 0 {
                return match seen {
                    0 => Ok(None),
                    _ => Err(ErrorKind::UnexpectedEof.into()),
                };
            }
        }
    }

    fn limit_now(&self, limits: ReadLimits) -> Duration {
        if self.rest.is_empty() {
            limits.idle
        } else {
            limits.line
        }
    }

    fn read_until(&mut self, deadline: Instant) -> io::Result<usize> {
        let mut chunk = [0; 16 * 1024];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            self.stream.set_read_timeout(Some(left))?;
            match (&mut &*self.stream).read(&mut chunk) {
                Ok(count) => {
                    self.rest.extend_from_slice(&chunk[..count]);
                    return Ok(count);
                }
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock => return Err(ErrorKind::TimedOut.into()),
                    _ => return Err(error),
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const SHORT: ReadLimits = ReadLimits {
        idle: Duration::from_millis(20),
        line: Duration::from_millis(20),
    };
    const LONG: ReadLimits = ReadLimits {
        idle: Duration::from_secs(10),
        line: Duration::from_secs(10),
    };

    fn pair() -> (UnixStream, UnixStream) {
        UnixStream::pair().expect("a pair of sockets")
    }

    #[test]
    fn lines_come_one_by_one_however_they_arrive() {
        let (mut peer, stream) = pair();
        peer.write_all(b"one\ntwo\nthr").expect("it is read");
        let mut lines = Lines::of(&stream);

        let first = lines.next(LONG).expect("it is there");
        let second = lines.next(LONG).expect("it is there");
        peer.write_all(b"ee\n").expect("it is read");
        drop(peer);
        let third = lines.next(LONG).expect("it is there");
        let end = lines.next(LONG).expect("the peer is done");

        assert_eq!(first.as_deref(), Some("one"));
        assert_eq!(second.as_deref(), Some("two"));
        assert_eq!(third.as_deref(), Some("three"));
        assert_eq!(end, None);
    }

    #[test]
    fn silence_and_half_a_line_time_out() {
        let (mut peer, stream) = pair();
        let mut lines = Lines::of(&stream);

        let silence = lines.next(SHORT).expect_err("nothing comes");
        peer.write_all(b"half").expect("it is read");
        let half = lines.next(SHORT).expect_err("no end comes");

        assert_eq!(silence.kind(), ErrorKind::TimedOut);
        assert_eq!(half.kind(), ErrorKind::TimedOut);
    }

    #[test]
    fn line_without_end_is_given_up() {
        let (mut peer, stream) = pair();
        let writer = std::thread::spawn(move || {
            // The reader gives up before the end of it.
            let _ = peer.write_all(&vec![b'x'; 2 * LINE_BYTES_MAX]);
        });

        let error = Lines::of(&stream).next(LONG).expect_err("too long");
        drop(stream);

        assert_eq!(error.kind(), ErrorKind::InvalidData);
        writer.join().expect("no panic");
    }

    #[test]
    fn end_in_mid_line_and_bytes_that_are_no_text_are_errors() {
        let (mut peer, stream) = pair();
        peer.write_all(b"\xff\xfe\nhalf").expect("it is read");
        drop(peer);
        let mut lines = Lines::of(&stream);

        let bytes = lines.next(LONG).expect_err("not UTF-8");
        let half = lines.next(LONG).expect_err("no end");

        assert_eq!(bytes.kind(), ErrorKind::InvalidData);
        assert_eq!(half.kind(), ErrorKind::UnexpectedEof);
    }
}
