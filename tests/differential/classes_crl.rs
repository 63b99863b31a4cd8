//! Classes of CRLs (RFC 5280 §5, §6.3).

use super::classes::{Class, Group};
use super::der::{bmp, element, integer, sequence};
use super::model::{
    AUTHORITY_KEY, CRL_NUMBER, DAY, DELTA, Draft, Entry, KEY_USAGE, NOW, Random, SCOPE, extension,
};

pub fn crls() -> Vec<Class> {
    [lists(), times(), scopes()].into_iter().flatten().collect()
}

fn class(name: &'static str, is_good: bool, change: fn(&mut Random, &mut Draft)) -> Class {
    super::classes::class(name, Group::Crls, is_good, change)
}

fn lists() -> Vec<Class> {
    vec![
        class("revoked", false, |random, draft| {
            let at = draft.some(random);
            let (crl, serial) = draft.crl_about(at);
            crl.revoke(&serial, *random.of(&[None, Some(1), Some(3), Some(4), Some(5), Some(9)]));
        }),
        class("held", false, |random, draft| {
            let at = draft.some(random);
            let (crl, serial) = draft.crl_about(at);
            crl.revoke(&serial, Some(6));
        }),
        class("others-revoked", true, |random, draft| {
            let at = draft.some(random);
            let (crl, _) = draft.crl_about(at);
            for _ in 0..random.below(20) {
                let serial = [&[0x41][..], &random.next().to_be_bytes()].concat();
                crl.revoke(&serial, *random.of(&[None, Some(1), Some(4)]));
            }
        }),
        class("revoked-by-another-ca", true, |_, draft| {
            let serial = draft.leaf().serial.clone();
            draft.crls[0].revoke(&serial, Some(1));
        }),
        class("revoked-with-invalidity-date", false, |random, draft| {
            let at = draft.some(random);
            let (crl, serial) = draft.crl_about(at);
            let date = extension("2.5.29.24", false, element(0x18, b"20260101000000Z"));
            crl.entries.push(Entry { serial, extensions: vec![date] });
        }),
        class("unknown-extension-of-an-entry", false, |random, draft| {
            let at = draft.some(random);
            let (crl, serial) = draft.crl_about(at);
            let odd = extension("1.3.6.1.4.1.99999.9", false, vec![5, 0]);
            crl.entries.push(Entry { serial, extensions: vec![odd] });
        }),
        class("unknown-critical-extension-of-a-crl", false, |random, draft| {
            let at = draft.some(random);
            draft.crl_about(at).0.set(extension("1.3.6.1.4.1.99999.9", true, vec![5, 0]));
        }),
        class("unknown-extension-of-a-crl", true, |random, draft| {
            let at = draft.some(random);
            draft.crl_about(at).0.set(extension("1.3.6.1.4.1.99999.9", false, vec![5, 0]));
        }),
        class("crl-of-version-1", true, |random, draft| {
            let at = draft.some(random);
            draft.crl_about(at).0.extensions.clear();
        }),
        class("revoked-in-a-crl-of-version-1", false, |random, draft| {
            let at = draft.some(random);
            let (crl, serial) = draft.crl_about(at);
            crl.extensions.clear();
            crl.revoke(&serial, None);
        }),
        class("revoked-for-reason-7", false, |random, draft| {
            let at = draft.some(random);
            let (crl, serial) = draft.crl_about(at);
            crl.revoke(&serial, Some(7));
        }),
        class("another-revoked-for-reason-7", true, |random, draft| {
            let at = draft.some(random);
            draft.crl_about(at).0.revoke(&[0x41, 7, 7], Some(7));
        }),
        class("another-revoked-with-a-serial-number-of-22-octets", true, |random, draft| {
            let at = draft.some(random);
            draft.crl_about(at).0.revoke(&[0x41; 22], None);
        }),
        class("large-crl-number", true, |random, draft| {
            let at = draft.some(random);
            let number = element(0x02, &[0x7a; 20]);
            draft.crl_about(at).0.set(extension(CRL_NUMBER, false, number));
        }),
        class("crl-broken", false, |random, draft| {
            let at = draft.some(random);
            draft.crl_about(at).0.is_broken = true;
        }),
        class("crl-missing", false, |random, draft| {
            let at = random.below(draft.crls.len());
            draft.crls.remove(at);
        }),
        class("crl-of-a-key-without-crl-sign", false, |random, draft| {
            let at = draft.some_ca(random);
            draft.certificates[at].set(extension(KEY_USAGE, true, vec![0x03, 2, 2, 0x04]));
        }),
        class("crl-of-an-issuer-in-another-encoding", true, |random, draft| {
            let at = draft.some_ca(random);
            let country = ("2.5.4.6", 0x13, b"DE".to_vec());
            let name = format!("{} gmbh", random.word());
            let with =
                |tag, octets| super::model::name(&[country.clone(), ("2.5.4.10", tag, octets)]);
            draft.certificates[at].subject = with(0x0c, name.clone().into_bytes());
            draft.crls[at].issuer = Some(with(0x1e, bmp(&name)));
        }),
    ]
}

fn times() -> Vec<Class> {
    vec![class("crl-ended", false, |random, draft| {
        let at = draft.some(random);
        let (crl, _) = draft.crl_about(at);
        // The JDK gives a CRL a quarter of an hour more.
        crl.next_update = NOW - 3600 - random.below(3600) as i64;
    })]
}

/// A critical issuingDistributionPoint with this field set.
fn only(tag: u8, random: &mut Random, draft: &mut Draft, is_leaf: bool) {
    let at = if is_leaf { draft.certificates.len() - 1 } else { draft.some_ca(random) };
    let scope = extension(SCOPE, true, sequence(&[element(tag, &[0xff])]));
    draft.crl_about(at).0.set(scope);
}

fn scopes() -> Vec<Class> {
    vec![
        class("crl-of-user-certificates-for-the-leaf", true, |random, draft| {
            only(0x81, random, draft, true);
        }),
        class("crl-of-user-certificates-for-a-ca", false, |random, draft| {
            only(0x81, random, draft, false);
        }),
        class("crl-of-ca-certificates-for-a-ca", true, |random, draft| {
            only(0x82, random, draft, false);
        }),
        class("crl-of-ca-certificates-for-the-leaf", false, |random, draft| {
            only(0x82, random, draft, true);
        }),
        class("crl-of-attribute-certificates", false, |random, draft| {
            only(0x85, random, draft, true);
        }),
        class("crl-of-some-reasons", false, |_, draft| {
            let at = draft.certificates.len() - 1;
            // keyCompromise alone
            let scope = extension(SCOPE, true, sequence(&[element(0x83, &[6, 0x40])]));
            draft.crl_about(at).0.set(scope);
        }),
        class("delta-releases", true, |random, draft| {
            let at = draft.some(random);
            let (crl, serial) = draft.crl_about(at);
            crl.revoke(&serial, Some(6));
            let mut delta = crl.clone();
            delta.this_update = NOW - 60;
            delta.set(extension(CRL_NUMBER, false, integer(6)));
            delta.set(extension(DELTA, true, integer(5)));
            delta.entries.clear();
            delta.revoke(&serial, Some(8));
            draft.crls.push(delta);
        }),
        class("delta-of-the-same-number-releases", false, |random, draft| {
            let at = draft.some(random);
            let (crl, serial) = draft.crl_about(at);
            crl.revoke(&serial, Some(6));
            let mut delta = crl.clone();
            delta.this_update = NOW - 60;
            delta.set(extension(DELTA, true, integer(5)));
            delta.entries.clear();
            delta.revoke(&serial, Some(8));
            draft.crls.push(delta);
        }),
        class("delta-alone", false, |random, draft| {
            let at = draft.some(random);
            draft.crl_about(at).0.set(extension(DELTA, true, integer(3)));
        }),
        class("crl-without-key-identifier", true, |random, draft| {
            let at = draft.some(random);
            draft.crl_about(at).0.extensions.retain(|of| of.id != AUTHORITY_KEY);
        }),
        class("crl-days-old", true, |random, draft| {
            let at = draft.some(random);
            draft.crl_about(at).0.this_update = NOW - 40 * DAY;
        }),
    ]
}
