//! Where a request ends (RFC 9112 §6 and §7.1). The HTTP library reads ahead as far as it is let: of the head that stands behind a body it
//! would take the method for that of the request which it still answers, and leave an answer to POST without its body if that is HEAD.

/// What comes next from a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// A head, of which this was seen.
    Head(Line),
    /// So many octets of a body.
    Length(u64),
    /// A body in chunks.
    Chunked(Chunk),
    /// A body until the connection ends, or what the library refuses.
    UntilEnd,
}

/// Where in a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// Before it: empty lines there are passed over (RFC 9112 §2.2).
    Before,
    /// In a line.
    Within,
    /// Behind the end of a line.
    Ended,
    /// There, and behind a CR.
    Cr,
}

/// Where in a body in chunks:
///
/// ```text
/// chunked-body   = *chunk last-chunk trailer-section CRLF
/// chunk          = chunk-size [ chunk-ext ] CRLF chunk-data CRLF
/// chunk-size     = 1*HEXDIG
/// last-chunk     = 1*("0") [ chunk-ext ] CRLF
/// ```
/// RFC 9112 §7.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunk {
    /// Before a chunk's size.
    Begin,
    /// In its size, which is this so far.
    Size(u64),
    /// Behind it.
    Extension(u64),
    /// Behind the CR of that line.
    SizeLf(u64),
    /// In its data, of which so many octets are to come.
    Data(u64),
    /// Behind that.
    DataCr,
    /// Behind the CR of that.
    DataLf,
    /// Where a line of the trailer begins, or the last line is.
    Trailer,
    /// In a line of the trailer.
    TrailerLine,
    /// Behind the CR of that.
    TrailerLf,
    /// Behind the last CR.
    LastLf,
}

/// What an octet means.
enum Step<T> {
    On(T),
    End,
    /// It must not be there: the library refuses it, and ends the connection.
    Wrong,
}

impl Framing {
    /// What comes first.
    pub const HEAD: Self = Self::Head(Line::Before);
    /// The beginning of a body in chunks.
    pub const CHUNKED: Self = Self::Chunked(Chunk::Begin);

    /// How many of these octets belong to it, and whether it ends with them.
    pub fn take(&mut self, octets: &[u8]) -> (usize, bool) {
        match self {
            Self::UntilEnd => (octets.len(), false),
            Self::Length(left) => {
                let all = u64::try_from(octets.len()).unwrap_or(u64::MAX);
                let most = usize::try_from(*left).unwrap_or(usize::MAX).min(octets.len());
                *left = left.saturating_sub(all);
                (most, *left == 0)
            }
            Self::Head(line) => {
                for (at, octet) in (1..).zip(octets) {
                    match line.step(*octet) {
                        Some(next) => *line = next,
                        None => return (at, true),
                    }
                }
                (octets.len(), false)
            }
            Self::Chunked(chunk) => {
                let mut at = 0;
                while let Some(rest) = octets.get(at..).filter(|rest| !rest.is_empty()) {
                    let (taken, step) = chunk.step(rest);
                    at = at.saturating_add(taken);
                    match step {
                        Step::On(next) => *chunk = next,
                        Step::End => return (at, true),
                        Step::Wrong => {
                            *self = Self::UntilEnd;
                            return (octets.len(), false);
                        }
                    }
                }
                (octets.len(), false)
            }
        }
    }
}

impl Line {
    /// `None` at the end of the head.
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
    /// Of at least one octet, how many are taken, and what they mean.
    fn step(self, octets: &[u8]) -> (usize, Step<Self>) {
        if let Self::Data(left) = self {
            let all = u64::try_from(octets.len()).unwrap_or(u64::MAX);
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(octets.len());
            let left = left.saturating_sub(all);
            return (most, Step::On(if left == 0 { Self::DataCr } else { Self::Data(left) }));
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
            (Self::LastLf, b'\n') => return (1, Step::End),
            _ => None,
        };
        (1, next.map_or(Step::Wrong, Step::On))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What belongs to it of octets that come in these pieces, if it ends.
    fn taken(mut framing: Framing, pieces: &[&[u8]]) -> Option<usize> {
        let mut all = 0;
        for piece in pieces {
            let (most, ends) = framing.take(piece);
            all += most;
            if ends {
                return Some(all);
            }
            assert_eq!(most, piece.len(), "what does not end takes all");
        }
        None
    }

    /// It ends there, however the octets come in.
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
