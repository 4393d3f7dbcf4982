//! Sends messages as far as the TX ring has room, several side by side, and says of each
//! once that the kernel is done with all of it.
//!
//! A message is in one of two places until it is reported: among those that have frames to
//! be made, or only in the table of what is outstanding, which has all of them. So it is
//! reported whatever becomes of its frames: sent, aborted as the xsk ends, or refused.

use std::collections::{HashMap, VecDeque};

use super::headers::Headers;
use super::payload::Payload;
use super::scatter::Scatter;
use super::sink::{FrameSink, Returning};
use super::strip::strip;
use super::submit::SubmitError;
use super::whole::Message;
use crate::memory::Umem;
use crate::memory::frame::Frame;
use crate::xsk::{Completion, Outcome, TransmitError};

/// The bounds of a [`MessageSender`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderConfig {
    /// Frames that were sent and whose completion was not reported.
    pub most_in_flight: u32,
    /// Messages that are sent side by side; the others wait for their turn.
    pub side_by_side: usize,
    /// Frames of one message before it is the next one's turn.
    pub turn: u32,
}

impl Default for SenderConfig {
    /// 256 frames in flight, of four messages side by side, in turns of 16.
    fn default() -> Self {
        Self {
            most_in_flight: 256,
            side_by_side: 4,
            turn: 16,
        }
    }
}

/// Sends messages over one xsk, or one interface.
#[derive(Debug)]
pub struct MessageSender<H, P> {
    config: SenderConfig,
    /// Messages with frames to be made. The first [`SenderConfig::side_by_side`] take
    /// turns.
    queue: VecDeque<Outgoing<H, P>>,
    /// All messages that were not reported, by their cookies.
    outstanding: HashMap<u64, Progress>,
    in_flight: u32,
    ended: VecDeque<SentMessage>,
}

/// A message of which there are frames to be made.
#[derive(Debug)]
struct Outgoing<H, P> {
    cookie: u64,
    scatter: Scatter<H, P>,
    returning: Returning,
    /// A frame that was made, and found no room.
    held: Option<Frame>,
}

/// What is known of a message's frames.
#[derive(Debug)]
struct Progress {
    header_bytes: u32,
    in_flight: u32,
    is_made: bool,
    outcome: SendOutcome,
    /// Those that came back, with their index.
    returned: Vec<(u32, Frame)>,
    /// How many should.
    to_return: u32,
    number: u64,
    len: u32,
    stride: u32,
}

/// A message that is done with.
#[derive(Debug)]
#[non_exhaustive]
pub struct SentMessage {
    /// What the caller named it by.
    pub cookie: u64,
    /// How it ended.
    pub outcome: SendOutcome,
    /// The message in the frames that it was sent in, if it was to be
    /// [returned](Returning::Yes) and all of them came back.
    pub message: Option<Message<()>>,
}

/// How a message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendOutcome {
    /// The kernel is done with all of its frames.
    Sent,
    /// The xsk ended before that, or the sender was told to end.
    Aborted,
    /// The xsk refused one of its frames, and the rest was not sent: the interface is
    /// down, say, or frames have too many chunks.
    Refused,
}

impl<H: Headers, P: Payload> MessageSender<H, P> {
    /// One that has nothing to send.
    #[must_use]
    pub fn new(config: SenderConfig) -> Self {
        Self {
            config,
            queue: VecDeque::new(),
            outstanding: HashMap::new(),
            in_flight: 0,
            ended: VecDeque::new(),
        }
    }

    /// Takes a message to be sent, named `cookie` until it is reported. Nothing is sent
    /// before [`advance`](Self::advance).
    ///
    /// # Errors
    ///
    /// [`SubmitError`] with the message when a message of that name is outstanding.
    pub fn submit(
        &mut self,
        cookie: u64,
        scatter: Scatter<H, P>,
        returning: Returning,
    ) -> Result<(), SubmitError<H, P>> {
        if self.outstanding.contains_key(&cookie) {
            return Err(SubmitError { cookie, scatter });
        }
        self.outstanding.insert(
            cookie,
            Progress {
                header_bytes: scatter.header_bytes(),
                in_flight: 0,
                is_made: false,
                outcome: SendOutcome::Sent,
                returned: Vec::new(),
                to_return: match returning {
                    Returning::No => 0,
                    Returning::Yes => scatter.remaining(),
                },
                number: scatter.number(),
                len: scatter.message_len(),
                stride: scatter.stride(),
            },
        );
        self.queue.push_back(Outgoing {
            cookie,
            scatter,
            returning,
            held: None,
        });
        Ok(())
    }

    /// Sends up to `most` frames, as far as the ring has room, chunks are free, and the
    /// limit allows it, and returns how many that were. Makes no system call.
    pub fn advance(&mut self, umem: &Umem, sink: &mut impl FrameSink, most: u32) -> u32 {
        let most = most.min(self.config.most_in_flight.saturating_sub(self.in_flight));
        let (mut sent, mut turn, mut room) = (0, 0, 0);
        while sent < most && !self.queue.is_empty() {
            if room == 0 {
                room = sink.room();
                if room == 0 {
                    break;
                }
            }
            let outgoing = &mut self.queue[0];
            let frame = match outgoing.held.take() {
                Some(frame) => Ok(Some(frame)),
                None => outgoing.scatter.next_frame(umem),
            };
            // Else there is no chunk now.
            let Ok(Some(frame)) = frame else { break };
            let (cookie, returning) = (outgoing.cookie, outgoing.returning);
            match sink.send(frame, cookie, returning) {
                Ok(()) => {
                    (sent, turn, room) = (sent + 1, turn + 1, room - 1);
                    self.was_sent(cookie);
                }
                Err(TransmitError::RingFull(frame) | TransmitError::CompletionsFull(frame)) => {
                    outgoing.held = Some(frame);
                    break;
                }
                Err(_) => self.refuse(),
            }
            self.end_turn(&mut turn);
        }
        sent
    }

    /// Takes note of the end of a frame.
    ///
    /// # Errors
    ///
    /// A completion of something else, which is returned.
    pub fn completed(&mut self, completion: Completion) -> Result<(), Completion> {
        let cookie = completion.cookie;
        let Some(progress) = self.outstanding.get_mut(&cookie) else {
            return Err(completion);
        };
        if progress.in_flight == 0 {
            return Err(completion);
        }
        progress.in_flight -= 1;
        self.in_flight -= 1;
        if completion.outcome != Outcome::Sent && progress.outcome == SendOutcome::Sent {
            progress.outcome = SendOutcome::Aborted;
        }
        if let Some(frame) = completion.frame
            && let Ok((frame, fragment)) = strip(frame, progress.header_bytes)
        {
            progress.returned.push((fragment.index, frame));
        }
        self.end_if_done(cookie);
        Ok(())
    }

    /// The next message that is done with, each once.
    pub fn take_ended(&mut self) -> Option<SentMessage> {
        self.ended.pop_front()
    }

    /// Gives up what was not sent. What is in flight is reported as it completes.
    pub fn abandon(&mut self) {
        for outgoing in std::mem::take(&mut self.queue) {
            self.give_up(outgoing.cookie, SendOutcome::Aborted);
        }
    }

    /// Messages that were not reported.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.outstanding.len() + self.ended.len()
    }

    /// Frames that were sent and whose completion was not reported.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Whether there are frames to be sent.
    #[must_use]
    pub fn has_frames(&self) -> bool {
        !self.queue.is_empty()
    }

    fn was_sent(&mut self, cookie: u64) {
        self.in_flight += 1;
        if let Some(progress) = self.outstanding.get_mut(&cookie) {
            progress.in_flight += 1;
        }
    }

    /// The message whose turn it is goes, if all its frames were made, or behind the
    /// others that are sent side by side, if its turn is over.
    fn end_turn(&mut self, turn: &mut u32) {
        let Some(outgoing) = self.queue.front() else {
            return;
        };
        if outgoing.scatter.is_done() && outgoing.held.is_none() {
            let cookie = outgoing.cookie;
            self.queue.pop_front();
            *turn = 0;
            if let Some(progress) = self.outstanding.get_mut(&cookie) {
                progress.is_made = true;
            }
            self.end_if_done(cookie);
        } else if *turn >= self.config.turn {
            *turn = 0;
            let last = self.config.side_by_side.clamp(1, self.queue.len()) - 1;
            if let Some(outgoing) = self.queue.pop_front() {
                self.queue.insert(last, outgoing);
            }
        }
    }

    /// Gives up the message whose turn it is.
    fn refuse(&mut self) {
        if let Some(outgoing) = self.queue.pop_front() {
            self.give_up(outgoing.cookie, SendOutcome::Refused);
        }
    }

    fn give_up(&mut self, cookie: u64, outcome: SendOutcome) {
        if let Some(progress) = self.outstanding.get_mut(&cookie) {
            progress.is_made = true;
            progress.outcome = outcome;
        }
        self.end_if_done(cookie);
    }

    /// Reports a message with no frame to be made and none in flight.
    fn end_if_done(&mut self, cookie: u64) {
        let progress = self.outstanding.get(&cookie);
        if progress.is_some_and(|progress| progress.is_made && progress.in_flight == 0)
            && let Some(progress) = self.outstanding.remove(&cookie)
        {
            self.ended.push_back(SentMessage {
                cookie,
                outcome: progress.outcome,
                message: progress.into_message(),
            });
        }
    }
}

impl Progress {
    /// The message again, if its frames are all there.
    fn into_message(mut self) -> Option<Message<()>> {
        if self.to_return == 0 || self.returned.len() != self.to_return as usize {
            return None;
        }
        self.returned.sort_unstable_by_key(|(index, _)| *index);
        Some(Message {
            peer: (),
            number: self.number,
            len: self.len,
            stride: self.stride,
            frames: self.returned.into_iter().map(|(_, frame)| frame).collect(),
        })
    }
}
