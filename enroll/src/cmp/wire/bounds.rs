//! Bounds on a stranger's message, checked before anything is decoded: the octets are DER with definite lengths, not nested too deep, of
//! not too many elements, and without large sets. Reading them takes time that is linear in their length (ADR 12).

use countersign_ca::sets;

use super::refusal::{Failure, Refusal};
use crate::ber::Bounds;

/// Checks the tags and lengths of a message: it must be one element, and nothing may follow it.
///
/// # Errors
/// `badDataFormat`, with the reason and where it was found.
pub fn check(message: &[u8], bounds: Bounds) -> Result<(), Refusal> {
    if message.len() > bounds.bytes {
        return Err(unreadable(format!(
            "expected at most {} octets, found {}",
            bounds.bytes,
            message.len()
        )));
    }
    // The ends of the constructed elements around the current position, the outermost first.
    let mut open: Vec<usize> = Vec::with_capacity(bounds.depth);
    let mut at = 0;
    let mut elements = 0_usize;
    loop {
        while open.last() == Some(&at) {
            open.pop();
        }
        let end = match open.last() {
            Some(end) => *end,
            None if elements == 0 => message.len(),
            None if at == message.len() => break,
            None => {
                return Err(unreadable(format!(
                    "{} octets stand behind the message",
                    message.len().saturating_sub(at)
                )));
            }
        };
        elements = elements.saturating_add(1);
        if elements > bounds.elements {
            return Err(unreadable(format!("expected at most {} elements", bounds.elements)));
        }
        let Head { constructed, content, length } = head(message, at)?;
        let after = content.checked_add(length).filter(|after| *after <= end);
        let after =
            after.ok_or_else(|| unreadable(format!("the element at octet {at} is cut off")))?;
        if !constructed {
            at = after;
            continue;
        }
        if open.len() >= bounds.depth {
            return Err(unreadable(format!("expected at most {} levels of nesting", bounds.depth)));
        }
        open.push(after);
        at = content;
    }
    match sets::are_small(message) {
        true => Ok(()),
        false => Err(unreadable("a set has more elements than any name or attribute".into())),
    }
}

/// The tag and length of an element.
struct Head {
    constructed: bool,
    /// The position of the first octet of the content in the message.
    content: usize,
    /// The length of the content, in octets.
    length: usize,
}

/// Reads the tag and length of the element at `at`.
fn head(message: &[u8], at: usize) -> Result<Head, Refusal> {
    let cut = || unreadable(format!("the element at octet {at} is cut off"));
    let octet = |offset: usize| {
        at.checked_add(offset).and_then(|at| message.get(at)).copied().ok_or_else(cut)
    };
    let tag = octet(0)?;
    if tag & 0x1f == 0x1f {
        return Err(unreadable(format!("the tag at octet {at} is of no CMP element")));
    }
    let (header, length) = match octet(1)? {
        short @ 0..=0x7f => (2, usize::from(short)),
        0x80 => {
            return Err(unreadable(format!(
                "the length at octet {at} is indefinite: expected DER"
            )));
        }
        long @ 0x81..=0x84 => {
            let count = usize::from(long & 0x7f);
            let mut length = 0_usize;
            for offset in 0..count {
                length = length << 8 | usize::from(octet(offset.saturating_add(2))?);
            }
            (count.saturating_add(2), length)
        }
        _ => {
            return Err(unreadable(format!("the length at octet {at} is larger than any message")));
        }
    };
    Ok(Head { constructed: tag & 0x20 != 0, content: at.saturating_add(header), length })
}

/// The refusal of octets that are not within the bounds.
fn unreadable(why: String) -> Refusal {
    Refusal::new(Failure::BadDataFormat, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { bytes: 1000, depth: 4, elements: 10 };

    #[test]
    fn one_element_within_the_bounds_passes() {
        for message in [
            &[0x30, 0x00][..],
            &[0x30, 0x03, 0x02, 0x01, 0x05],
            &[0x30, 0x04, 0x30, 0x00, 0x30, 0x00],
            &[0x04, 0x81, 0x01, 0xff],
        ] {
            assert_eq!(check(message, BOUNDS), Ok(()), "{message:02x?}");
        }
    }

    #[test]
    fn everything_else_is_named() {
        let deep = [0x30, 0x08, 0x30, 0x06, 0x30, 0x04, 0x30, 0x02, 0x30, 0x00];
        let set: Vec<u8> =
            [0x31, 0x22].into_iter().chain([0x05, 0x00].into_iter().cycle().take(34)).collect();
        let many: Vec<u8> =
            [0x30, 0x14].into_iter().chain([0x05, 0x00].into_iter().cycle().take(20)).collect();
        for (message, why) in [
            (&b""[..], "cut off"),
            (&[0x30], "cut off"),
            (&[0x30, 0x05, 0x02], "cut off"),
            (&[0x30, 0x02, 0x02, 0x01], "cut off"),
            (&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], "cut off"),
            (&[0x30, 0x85, 1, 1, 1, 1, 1], "larger"),
            (&[0x30, 0x80, 0x00, 0x00], "indefinite"),
            (&[0x30, 0x00, 0x00], "behind"),
            (&[0x3f, 0x81, 0x00], "tag"),
            (&deep, "nesting"),
            (&many, "elements"),
            (&[0; 1001], "1000 octets"),
        ] {
            let refusal = check(message, BOUNDS).unwrap_err();
            assert!(refusal.text.contains(why), "{message:02x?}: {}", refusal.text);
        }
        let refusal = check(&set, Bounds { elements: 20, ..BOUNDS }).unwrap_err();
        assert!(refusal.text.contains("a set has more"), "{}", refusal.text);
    }
}
