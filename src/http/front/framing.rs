//! Finds the end of a request's head and body in a client's octets (RFC 9112 §6 and §7.1).
//!
//! The HTTP library must not read beyond the end of a request. It would decode the head of the next request, and take that request's method
//! for the one that it still answers: an answer to POST would lose its body if the next request is HEAD.

/// The part of a request that the client's next octets belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// The octets belong to a head. The value is the position in the head.
    Head(Line),
    /// The octets belong to a body of which this many octets are still to come.
    Length(u64),
    /// The octets belong to a chunked body. The value is the position in the body.
    Chunked(Chunk),
    /// The octets belong to a body that ends with the connection, or to a request that the HTTP library refuses.
    UntilEnd,
}

/// A position in the head of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// The first line of the head has not begun. Empty lines there are ignored (RFC 9112 §2.2).
    Before,
    /// The position is within a line that is not empty.
    Within,
    /// The position is after the end of a line.
    Ended,
    /// The position is after the end of a line and a CR.
    Cr,
}

/// A position in a chunked body (RFC 9112 §7.1):
///
/// ```text
/// chunked-body   = *chunk last-chunk trailer-section CRLF
/// chunk          = chunk-size [ chunk-ext ] CRLF chunk-data CRLF
/// chunk-size     = 1*HEXDIG
/// last-chunk     = 1*("0") [ chunk-ext ] CRLF
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunk {
    /// The position is before a chunk's size.
    Begin,
    /// The position is within a chunk's size. The number is its value so far.
    Size(u64),
    /// The position is within the extension that follows a chunk's size. The number is the size.
    Extension(u64),
    /// The position is after the CR of the line with a chunk's size. The number is the size.
    SizeLf(u64),
    /// The position is within a chunk's data, of which this many octets are still to come.
    Data(u64),
    /// The position is after a chunk's data.
    DataCr,
    /// The position is after the CR that follows a chunk's data.
    DataLf,
    /// The position is at the start of a line of the trailer, or of the empty last line.
    Trailer,
    /// The position is within a line of the trailer.
    TrailerLine,
    /// The position is after the CR of a line of the trailer.
    TrailerLf,
    /// The position is after the CR of the last line.
    LastLf,
}

/// The octets of a step in a chunked body, and their effect.
struct Stepped {
    octets: usize,
    step: Step,
}

/// The effect of octets on the position in a chunked body.
enum Step {
    /// The body continues at this position.
    On(Chunk),
    /// The end of the body.
    End,
    /// The octet is an error. The HTTP library refuses it, and ends the connection.
    Wrong,
}

/// The octets of a request that belong to its head or body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advanced {
    /// The number of octets that belong to the head or body.
    pub octets: usize,
    /// Whether the last of these octets ends the head or the body of the message.
    pub ends: bool,
}

impl Framing {
    /// The start of a request.
    pub const HEAD: Self = Self::Head(Line::Before);
    /// The start of a chunked body.
    pub const CHUNKED: Self = Self::Chunked(Chunk::Begin);

    /// Advances over the octets that belong to this head or body.
    pub fn advance(&mut self, octets: &[u8]) -> Advanced {
        match self {
            Self::UntilEnd => Advanced { octets: octets.len(), ends: false },
            Self::Length(left) => {
                let all = u64::try_from(octets.len()).unwrap_or(u64::MAX);
                let most = usize::try_from(*left).unwrap_or(usize::MAX).min(octets.len());
                *left = left.saturating_sub(all);
                Advanced { octets: most, ends: *left == 0 }
            }
            Self::Head(line) => {
                for (at, octet) in (1..).zip(octets) {
                    match line.step(*octet) {
                        Some(next) => *line = next,
                        None => return Advanced { octets: at, ends: true },
                    }
                }
                Advanced { octets: octets.len(), ends: false }
            }
            Self::Chunked(chunk) => {
                let mut at = 0;
                while let Some(rest) = octets.get(at..).filter(|rest| !rest.is_empty()) {
                    let Stepped { octets: taken, step } = chunk.step(rest);
                    at = at.saturating_add(taken);
                    match step {
                        Step::On(next) => *chunk = next,
                        Step::End => return Advanced { octets: at, ends: true },
                        Step::Wrong => {
                            *self = Self::UntilEnd;
                            return Advanced { octets: octets.len(), ends: false };
                        }
                    }
                }
                Advanced { octets: octets.len(), ends: false }
            }
        }
    }
}

impl Line {
    /// The position after an octet; `None` at the end of the head.
    const fn step(self, octet: u8) -> Option<Self> {
        Some(match (self, octet) {
            (Self::Before, b'\r' | b'\n') => Self::Before,
            (Self::Within, b'\n') => Self::Ended,
            (Self::Ended, b'\r') => Self::Cr,
            (Self::Ended | Self::Cr, b'\n') => return None,
            _ => Self::Within,
        })
    }
}

impl Chunk {
    /// The effect of the first of these octets, of which there must be one. In a chunk's data, all octets that belong to it are taken.
    fn step(self, octets: &[u8]) -> Stepped {
        if let Self::Data(left) = self {
            let all = u64::try_from(octets.len()).unwrap_or(u64::MAX);
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(octets.len());
            let left = left.saturating_sub(all);
            let next = if left == 0 { Self::DataCr } else { Self::Data(left) };
            return Stepped { octets: most, step: Step::On(next) };
        }
        let octet = octets.first().copied().unwrap_or_default();
        let digit = char::from(octet).to_digit(16).map(u64::from);
        let next = match (self, octet) {
            (Self::Begin, _) => digit.map(Self::Size),
            (Self::Size(size) | Self::Extension(size), b'\r') => Some(Self::SizeLf(size)),
            (Self::Size(size), b';' | b' ' | b'\t') | (Self::Extension(size), _) => {
                Some(Self::Extension(size))
            }
            (Self::Size(size), _) => {
                digit.and_then(|digit| size.checked_mul(16)?.checked_add(digit)).map(Self::Size)
            }
            (Self::SizeLf(0), b'\n') => Some(Self::Trailer),
            (Self::SizeLf(size), b'\n') => Some(Self::Data(size)),
            (Self::DataCr, b'\r') => Some(Self::DataLf),
            (Self::DataLf, b'\n') => Some(Self::Begin),
            (Self::Trailer, b'\r') => Some(Self::LastLf),
            (Self::TrailerLine, b'\r') => Some(Self::TrailerLf),
            (Self::Trailer | Self::TrailerLine, _) => Some(Self::TrailerLine),
            (Self::TrailerLf, b'\n') => Some(Self::Trailer),
            (Self::LastLf, b'\n') => return Stepped { octets: 1, step: Step::End },
            _ => None,
        };
        Stepped { octets: 1, step: next.map_or(Step::Wrong, Step::On) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many octets belong to the head or body when they arrive in these pieces; `None` if it does not end.
    fn taken(mut framing: Framing, pieces: &[&[u8]]) -> Option<usize> {
        let mut all = 0;
        for piece in pieces {
            let Advanced { octets: most, ends } = framing.advance(piece);
            all += most;
            if ends {
                return Some(all);
            }
            assert_eq!(most, piece.len(), "what does not end takes all");
        }
        None
    }

    /// Asserts that the head or body ends after `octets`, in whatever pieces they arrive, with `behind` after them.
    #[track_caller]
    fn ends(framing: Framing, octets: &[u8], behind: &[u8]) {
        let all = [octets, behind].concat();
        for at in 0..all.len() {
            let (first, second) = all.split_at(at);
            assert_eq!(taken(framing, &[first, second]), Some(octets.len()), "split at {at}");
        }
        let single: Vec<&[u8]> = all.chunks(1).collect();
        assert_eq!(taken(framing, &single), Some(octets.len()));
    }

    const NEXT: &[u8] = b"\n\r\n\nHEAD / HTTP/1.1\r\nHost: x\r\n\r\n";

    #[test]
    fn a_head_ends_with_its_empty_line_in_whatever_pieces_it_comes() {
        for head in [
            &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
            b"GET / HTTP/1.1\nHost: x\n\n",
            b"GET / HTTP/1.1\nHost: x\n\r\n",
            b"\r\n\r\n\nGET / HTTP/1.0\r\n\r\n",
        ] {
            ends(Framing::HEAD, head, NEXT);
            ends(Framing::HEAD, head, b"");
        }
        assert_eq!(taken(Framing::HEAD, &[b"GET / HTTP/1.1\r\n\r", b"x: y\r\n"]), None);
    }

    #[test]
    fn a_body_is_as_long_as_its_length_says() {
        for length in [1, 3, NEXT.len()] {
            let (body, behind) = NEXT.split_at(length);
            ends(Framing::Length(length as u64), body, &[behind, NEXT].concat());
        }
        assert_eq!(taken(Framing::Length(u64::MAX), &[NEXT, NEXT]), None);
        assert_eq!(taken(Framing::UntilEnd, &[NEXT, NEXT]), None);
    }

    #[test]
    fn a_body_in_chunks_ends_behind_its_trailer() {
        for body in [
            &b"0\r\n\r\n"[..],
            b"5\r\n0\r\n\r\n\r\n0\r\n\r\n",
            b"3;a=\"b\"\r\n\n\n\n\r\n00 ;x\r\nA: b\r\nC:\r\n\r\n",
            b"1a\r\nHEAD / HTTP/1.1\r\nHost: x\r\n\r\n0\r\n\r\n",
        ] {
            ends(Framing::CHUNKED, body, NEXT);
            ends(Framing::CHUNKED, body, b"");
        }
        for wrong in
            [&b"\r\n0\r\n\r\n"[..], b"g\r\n", b"1\n", b"1\r\naa\r\n0\r\n\r\n", b"0\r\n\r\r\n\r\n"]
        {
            assert_eq!(taken(Framing::CHUNKED, &[wrong, NEXT]), None, "{wrong:?}");
        }
        let huge = [&b"f"[..]; 17].concat();
        assert_eq!(taken(Framing::CHUNKED, &[&huge, b"\r\n", NEXT]), None);
    }
}
