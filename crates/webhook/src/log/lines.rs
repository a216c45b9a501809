//! Lines on their way to stderr.
//!
//! Whoever logs only leaves a line behind, for a thread that writes what has come together. So a request does not pay
//! for the write, and nothing waits when nobody reads: then lines are dropped, and counted.

use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Bytes that wait to be written, at most.
const LIMIT: usize = 1 << 20;
/// For how long lines come together before they are written.
const DELAY: Duration = Duration::from_millis(10);
/// How long whoever wants to see it written waits for whoever reads it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Takes lines. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Lines(Arc<Shared>);

/// Sees to it that what was logged is written before the process ends: it waits for that when it is dropped. Cheap to
/// clone.
#[derive(Clone, Debug)]
#[must_use = "what was logged last is lost when this is dropped before"]
pub struct Flush(Lines);

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// There is something to write, after there was nothing.
    begun: Condvar,
    /// What somebody waits for may be written.
    done: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    dropped: u64,
    /// How many lines there were.
    given: u64,
    /// How many of them are written, or dropped.
    written: u64,
    /// The thread has nothing to do.
    idle: bool,
    /// Somebody waits until everything is written.
    awaited: bool,
}

impl Lines {
    /// Starts the thread that writes them.
    ///
    /// # Errors
    ///
    /// When there can be no more threads.
    pub(super) fn to(out: impl Write + Send + 'static) -> io::Result<(Self, Flush)> {
        let lines = Self(Arc::default());
        let written = lines.clone();
        thread::Builder::new().name("log".to_owned()).spawn(move || written.write(out))?;
        Ok((lines.clone(), Flush(lines)))
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes for as long as the process lives.
    fn write(self, mut out: impl Write) {
        let mut bytes = Vec::new();
        loop {
            let mut waiting = self.waiting();
            while waiting.bytes.is_empty() && waiting.dropped == 0 {
                waiting.idle = true;
                waiting = self.0.begun.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
            waiting.idle = false;
            if !waiting.awaited {
                drop(waiting);
                thread::sleep(DELAY);
                waiting = self.waiting();
            }
            mem::swap(&mut bytes, &mut waiting.bytes);
            let (dropped, given) = (mem::take(&mut waiting.dropped), waiting.given);
            drop(waiting);
            // There is nobody left to tell.
            let _ = out.write_all(&bytes);
            bytes.clear();
            // What a burst took is not kept.
            bytes.shrink_to(LIMIT / 16);
            let mut waiting = self.waiting();
            waiting.written = given;
            if mem::take(&mut waiting.awaited) {
                self.0.done.notify_all();
            }
            drop(waiting);
            if dropped > 0 {
                tracing::warn!(dropped, "log lines were dropped, for nobody read them in time");
            }
        }
    }

    /// Takes a whole line.
    pub(super) fn push(&self, line: &str) {
        let waiting = &mut *self.waiting();
        waiting.given += 1;
        if waiting.bytes.len() + line.len() > LIMIT {
            waiting.dropped += 1;
        } else {
            waiting.bytes.extend_from_slice(line.as_bytes());
        }
        if mem::take(&mut waiting.idle) {
            self.0.begun.notify_one();
        }
    }
}

impl Flush {
    /// Waits until everything is written that was logged before, or for a second when nobody reads it.
    pub fn wait(&self) {
        let waiting = self.0.waiting();
        let given = waiting.given;
        let is_not_written = |waiting: &mut Waiting| {
            let is_not_written = waiting.written < given;
            // Others may wait for what comes later.
            waiting.awaited |= is_not_written;
            is_not_written
        };
        let _ = self.0.0.done.wait_timeout_while(waiting, PATIENCE, is_not_written);
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        self.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Hands on what is written, once somebody takes it.
    struct Out {
        turn: Receiver<()>,
        written: Sender<Vec<u8>>,
    }

    impl Write for Out {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.turn.recv();
            let _ = self.written.send(bytes.to_owned());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_are_written_in_their_order_before_the_end() {
        let (turn, turns) = channel();
        let (written, read) = channel();
        let (lines, flush) = Lines::to(Out { turn: turns, written }).unwrap();
        drop(turn);
        let expected: Vec<u8> = (0..1000).flat_map(|i| format!("line {i}\n").into_bytes()).collect();
        for i in 0..1000 {
            lines.push(&format!("line {i}\n"));
        }
        drop(flush);
        let found: Vec<u8> = read.try_iter().flatten().collect();
        assert_eq!(String::from_utf8(found), String::from_utf8(expected));
    }

    #[test]
    fn nobody_waits_for_a_reader_that_does_not_read() {
        let (turn, turns) = channel();
        let (written, read) = channel();
        let (lines, _flush) = Lines::to(Out { turn: turns, written }).unwrap();
        let line = "x".repeat(1 << 10);
        lines.push(&line);
        turn.send(()).unwrap();
        // The first write has begun, and the second waits for its turn.
        let first = read.recv().unwrap();
        assert_eq!(first.len() % line.len(), 0);
        for _ in 0..3 * LIMIT / line.len() {
            lines.push(&line);
        }
        let waiting = lines.waiting();
        assert!(waiting.bytes.len() <= LIMIT);
        assert!(waiting.dropped >= (LIMIT / line.len()) as u64, "{}", waiting.dropped);
        drop(waiting);
        drop(turn);
    }
}
