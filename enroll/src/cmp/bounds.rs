//! What a stranger may send, checked before anything is decoded: DER with definite lengths, not too deep and not too
//! many elements; and no large sets, which are put in order one by one, in quadratic time.

use super::refusal::{Failure, Refusal};

/// Bounds on one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The most octets.
    pub bytes: usize,
    /// The deepest nesting of constructed elements.
    pub depth: usize,
    /// The most elements in all.
    pub elements: usize,
}

/// The most elements of a SET: more than any RDN or attribute has.
const MAX_SET: usize = 16;
/// The most elements of what may be a SET with an implicit tag, such as the attributes of a PKCS #10 request.
const MAX_IMPLICIT: usize = 64;

const SET: u8 = 0x31;
const SEQUENCE: u8 = 0x30;
const OCTET_STRING: u8 = 0x04;

/// A constructed element whose content is being walked over.
struct Open {
    end: usize,
    tag: u8,
    elements: usize,
}

impl Open {
    /// Counts one more element in it.
    fn count(&mut self) -> Result<(), Refusal> {
        self.elements = self.elements.saturating_add(1);
        let most = match self.tag {
            SET => MAX_SET,
            // Context-specific and constructed.
            0xa0..=0xbf => MAX_IMPLICIT,
            _ => return Ok(()),
        };
        match self.elements > most {
            true => Err(unreadable(format!("expected at most {most} elements in a SET"))),
            false => Ok(()),
        }
    }
}

/// Walks over the tags and lengths of `message`, which must be one element and nothing behind it.
pub fn check(message: &[u8], bounds: Bounds) -> Result<(), Refusal> {
    if message.len() > bounds.bytes {
        return Err(unreadable(format!(
            "expected at most {} octets, found {}",
            bounds.bytes,
            message.len()
        )));
    }
    let mut open: Vec<Open> = Vec::with_capacity(bounds.depth);
    let mut at = 0;
    let mut elements = 0_usize;
    loop {
        while open.last().is_some_and(|open| open.end == at) {
            open.pop();
        }
        let end = match open.last_mut() {
            Some(open) => {
                open.count()?;
                open.end
            }
            None if elements == 0 => message.len(),
            None if at == message.len() => return Ok(()),
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
        let (tag, content, length) = head(message, at)?;
        let after = content.checked_add(length).filter(|after| *after <= end);
        let after =
            after.ok_or_else(|| unreadable(format!("the element at octet {at} is cut off")))?;
        if !is_constructed(tag) {
            if tag == OCTET_STRING {
                check_inside(message.get(content..after).unwrap_or_default())?;
            }
            at = after;
            continue;
        }
        if open.len() >= bounds.depth {
            return Err(unreadable(format!("expected at most {} levels of nesting", bounds.depth)));
        }
        open.push(Open { end: after, tag, elements: 0 });
        at = content;
    }
}

/// The sets inside an OCTET STRING, such as the value of an extension: what reads it meets them in the same order. Whether it is
/// DER at all is not for this to say.
fn check_inside(octets: &[u8]) -> Result<(), Refusal> {
    let mut open: Vec<Open> = Vec::new();
    let mut at = 0;
    if octets.first() != Some(&SEQUENCE) {
        return Ok(());
    }
    while at < octets.len() {
        while open.last().is_some_and(|open| open.end <= at) {
            open.pop();
        }
        if let Some(set) = open.last_mut().filter(|open| open.tag == SET) {
            set.count()?;
        }
        let Ok((tag, content, length)) = head(octets, at) else { return Ok(()) };
        let after = content.saturating_add(length).min(octets.len());
        if is_constructed(tag) && open.len() < MAX_IMPLICIT {
            open.push(Open { end: after, tag, elements: 0 });
            at = content;
        } else {
            at = after;
        }
    }
    Ok(())
}

const fn is_constructed(tag: u8) -> bool {
    tag & 0x20 != 0
}

/// The tag of the element at `at`, where its content begins, and how long it is.
fn head(message: &[u8], at: usize) -> Result<(u8, usize, usize), Refusal> {
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
    Ok((tag, at.saturating_add(header), length))
}

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
    }

    #[test]
    fn sets_are_small_also_in_the_values_of_extensions() {
        let bounds = Bounds { bytes: 10_000, depth: 9, elements: 1000 };
        let element = |tag: u8, content: &[u8]| {
            [&[tag, 0x82][..], &u16::try_from(content.len()).unwrap().to_be_bytes(), content]
                .concat()
        };
        let nulls = |count: usize| [5, 0].repeat(count);
        let in_set = |count: usize| element(0x30, &element(0x31, &nulls(count)));
        let in_value = |count: usize| element(0x30, &element(0x04, &in_set(count)));
        let implicit = |count: usize| element(0x30, &element(0xa0, &nulls(count)));
        // What is cut off behind a large set does not hide it.
        let cut = element(0x30, &element(0x04, &[in_set(17), vec![0x30, 0x7f]].concat()));
        for good in [in_set(16), in_value(16), implicit(64), element(0x30, &nulls(500))] {
            assert_eq!(check(&good, bounds), Ok(()));
        }
        for bad in [in_set(17), in_value(17), implicit(65), cut] {
            let refusal = check(&bad, bounds).unwrap_err();
            assert!(refusal.text.contains("in a SET"), "{}", refusal.text);
        }
    }
}
