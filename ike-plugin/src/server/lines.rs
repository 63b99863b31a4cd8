//! Reads lines from a socket into memory that is wiped, because a question may contain a pre-shared key.

use std::io::{self, Read};

use zeroize::{Zeroize, Zeroizing};

/// The size of the first buffer, in octets.
const CHUNK: usize = 8 << 10;

/// Reads line by line. A line is wiped before the next one is waited for, and an old buffer is wiped when it is replaced by a larger one.
pub(crate) struct Lines<R> {
    from: R,
    buffer: Zeroizing<Vec<u8>>,
    /// How many octets at the beginning of the buffer are the line that the caller was given last.
    given: usize,
    /// How many octets of the buffer are filled.
    filled: usize,
    most: usize,
}

impl<R: Read> Lines<R> {
    /// Reads lines of at most `most` octets, not counting the line feed.
    pub fn new(from: R, most: usize) -> Self {
        let buffer = Zeroizing::new(vec![0; CHUNK.min(most.saturating_add(1))]);
        Self { from, buffer, given: 0, filled: 0, most }
    }

    /// The next line with its line feed; `None` at the end of the stream. If the line feed is missing, the stream has ended within the line, or the
    /// line is too long.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn next(&mut self) -> io::Result<Option<&[u8]>> {
        self.wipe();
        let mut searched = 0;
        loop {
            let unread = self.buffer.get(searched..self.filled).unwrap_or_default();
            if let Some(at) = unread.iter().position(|byte| *byte == b'\n') {
                self.given = searched.saturating_add(at).saturating_add(1);
                return Ok(self.buffer.get(..self.given));
            }
            searched = self.filled;
            if self.filled > self.most {
                break;
            }
            if self.filled == self.buffer.len() {
                self.grow();
            }
            let room = self.buffer.get_mut(self.filled..).unwrap_or_default();
            match self.from.read(room) {
                Ok(0) if self.filled == 0 => return Ok(None),
                Ok(0) => break,
                Ok(read) => self.filled = self.filled.saturating_add(read),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        self.given = self.filled;
        Ok(self.buffer.get(..self.given))
    }

    fn wipe(&mut self) {
        self.buffer.copy_within(self.given..self.filled, 0);
        let left = self.filled.saturating_sub(self.given);
        self.buffer.get_mut(left..self.filled).unwrap_or_default().zeroize();
        (self.given, self.filled) = (0, left);
    }

    fn grow(&mut self) {
        let length = self.buffer.len().saturating_mul(2).min(self.most.saturating_add(1));
        let mut larger = Zeroizing::new(vec![0; length]);
        larger.iter_mut().zip(self.buffer.iter()).for_each(|(to, from)| *to = *from);
        self.buffer = larger;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a few octets at a time.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
            let (now, later) = self.0.split_at(self.0.len().min(room.len()).min(3));
            room[..now.len()].copy_from_slice(now);
            self.0 = later;
            Ok(now.len())
        }
    }

    #[test]
    fn lines_come_one_by_one_and_leave_nothing_behind() {
        let long = [b"x".repeat(20_000), b"\n".to_vec()].concat();
        let text = [b"secret one\n\n".to_vec(), long.clone(), b"two\nunended".to_vec()].concat();
        let mut lines = Lines::new(Slow(&text), 30_000);
        for wanted in [b"secret one\n".as_slice(), b"\n", &long, b"two\n", b"unended"] {
            assert_eq!(lines.next().unwrap(), Some(wanted));
        }
        assert_eq!(lines.next().unwrap(), None);
        assert!(lines.buffer.iter().all(|byte| *byte == 0), "something stays");
        let mut lines = Lines::new(Slow(b"secret one\n"), 100);
        lines.next().unwrap();
        lines.next().unwrap();
        assert!(lines.buffer.iter().all(|byte| *byte == 0), "the secret stays");
    }

    #[test]
    fn a_line_that_is_too_long_is_given_up() {
        let text = b"x".repeat(1_000_000);
        let mut lines = Lines::new(text.as_slice(), 30_000);
        let line = lines.next().unwrap().unwrap();
        assert!(line.len() == 30_001 && !line.contains(&b'\n'));
    }
}
