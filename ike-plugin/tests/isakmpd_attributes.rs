//! The action attributes of isakmpd.policy(5) as a policy gets them: filters, identities, lifetimes, times, in both phases.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod gateway;

use std::sync::atomic::Ordering;

use countersign_ca::Timestamp;
use countersign_ike_plugin::identity::PeerId;
use countersign_ike_plugin::policy::attributes;
use countersign_ike_plugin::policy::moment::moment;
use countersign_ike_plugin::policy::proof::Proof;
use countersign_ike_plugin::wire::{Question, Step};
use data_encoding::BASE64;
use der::Encode;
use jiff::civil::date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use x509_cert::name::Name;

use gateway::{AES, Ca, Gateway, Peer, but, loaded, phase_1};

/// A policy that allows a peer with the passphrase if the condition holds, and allows phase 1.
fn on_condition(condition: &str) -> Gateway {
    let licensees = "\"passphrase:spare key 3\"";
    let policy = format!(
        "Authorizer: \"POLICY\"\nLicensees: {licensees}\nConditions: app_domain == \"IPsec policy\" &&\n  esp_present == \"yes\" && {condition} -> \"true\";\n"
    );
    Gateway::new(&(policy + &phase_1(licensees)), &[])
}

#[test]
fn filters_are_ranges_ports_and_protocols() {
    let peer = Peer::knows("spare key 3");
    let traffic = peer.esp(AES);
    let selectors =
        |side: &str, selectors: Value| but(&traffic, &format!("/child/{side}"), selectors);
    let remote = |from: &str, to: &str| selectors("remote", json!([{"from": from, "to": to}]));

    let whole = on_condition("remote_filter == \"010.002.000.000-010.002.255.255\"");
    whole.allows(&peer.phase1());
    whole.denies(&Peer::knows("spare key 4").phase1());
    whole.allows(&traffic);
    whole.denies(&remote("10.2.0.0", "10.2.127.255"));
    whole.denies(&remote("10.2.0.0", "10.3.255.255"));
    // Every one of the selectors counts.
    let two = json!([{"from": "10.2.0.0", "to": "10.2.255.255"}, {"from": "10.9.0.0", "to": "10.9.0.255"}]);
    whole.denies(&selectors("remote", two));

    let within = on_condition(
        "remote_filter_addr_lower >= \"010.002.000.000\" && remote_filter_addr_upper <= \"010.002.255.255\"",
    );
    for (from, to) in
        [("10.2.0.0", "10.2.0.255"), ("10.2.3.4", "10.2.3.4"), ("10.2.0.9", "10.2.100.1")]
    {
        within.allows(&remote(from, to));
    }
    // 10.10.0.0 would be between them if the quads were not of three digits.
    for (from, to) in
        [("10.2.0.0", "10.3.0.0"), ("10.1.255.255", "10.2.0.9"), ("10.10.0.0", "10.10.0.9")]
    {
        within.denies(&remote(from, to));
    }

    let kinds = [
        ("IPv4 address", "192.0.2.9", "192.0.2.9", "192.000.002.009"),
        ("IPv4 range", "192.0.2.9", "192.0.2.11", "192.000.002.009-192.000.002.011"),
        ("IPv4 subnet", "192.0.2.8", "192.0.2.11", "192.000.002.008-192.000.002.011"),
        (
            "IPv6 subnet",
            "1080:0:12::",
            "1080:0:12:ffff:ffff:ffff:ffff:ffff",
            "1080:0000:0012:0000:0000:0000:0000:0000-1080:0000:0012:ffff:ffff:ffff:ffff:ffff",
        ),
        (
            "IPv6 address",
            "1080:0:12:0:8:800:200c:417a",
            "1080:0:12:0:8:800:200c:417a",
            "1080:0000:0012:0000:0008:0800:200c:417a",
        ),
    ];
    for (kind, from, to, text) in kinds {
        for side in ["local", "remote"] {
            let gateway = on_condition(&format!(
                "{side}_filter_type == \"{kind}\" && {side}_filter == \"{text}\""
            ));
            gateway.allows(&selectors(side, json!([{"from": from, "to": to}])));
            gateway.denies(&traffic);
            let other = if side == "local" { "remote" } else { "local" };
            gateway.denies(&selectors(other, json!([{"from": from, "to": to}])));
        }
    }

    let service = on_condition(
        "remote_filter_proto == \"tcp\" && remote_filter_port == \"443\" && local_filter_proto == \"0\" && local_filter_port == \"0\"",
    );
    let https = |protocol: u8, first: u16, last: u16| {
        let of = json!([{
            "from": "10.2.0.0", "to": "10.2.255.255", "protocol": protocol, "from_port": first, "to_port": last
        }]);
        selectors("remote", of)
    };
    service.allows(&https(6, 443, 443));
    for (protocol, first, last) in [(17, 443, 443), (6, 444, 444), (6, 0, 65535), (0, 443, 443)] {
        service.denies(&https(protocol, first, last));
    }
    service.denies(&traffic);
    // The vocabulary has one port or all: a range cannot be expressed, and is refused before the policy is asked.
    assert_eq!(service.ask(&https(6, 443, 444)).step, Step::Question);
    let numbered = on_condition("remote_filter_proto == \"udp\"");
    numbered.allows(&https(17, 500, 500));
    numbered.denies(&https(6, 500, 500));
}

#[test]
fn who_the_peer_is_and_where_it_is_can_be_asked_in_both_phases() {
    let policy = "Authorizer: \"POLICY\"\nLicensees: \"passphrase:spare key 3\"\nConditions: remote_id_type == \"FQDN\" &&\n  \
                  remote_id == \"gw2.example\" && remote_negotiation_address == \"192.000.002.002\" &&\n  \
                  local_negotiation_address == \"192.000.002.001\" && initiator == \"no\" -> \"true\";\n";
    let gateway = Gateway::new(policy, &[]);
    let peer = Peer::knows("spare key 3");
    gateway.allows(&peer.phase1());
    gateway.allows(&peer.esp(AES));
    for question in [peer.phase1(), peer.esp(AES)] {
        gateway.denies(&but(&question, "/remote/id/data", json!(BASE64.encode(b"gw3.example"))));
        gateway.denies(&but(&question, "/remote/id/type", json!(11)));
        gateway.denies(&but(&question, "/remote/address", json!("192.0.2.3")));
        gateway.denies(&but(&question, "/local/address", json!("192.0.2.3")));
    }
    gateway.denies(&but(&peer.phase1(), "/role", json!("initiator")));
    gateway.denies(&but(&peer.esp(AES), "/child/role", json!("initiator")));
}

/// From eight to six, on any day of the decade.
const OFFICE_HOURS: &str = "Authorizer: \"POLICY\"\nLicensees: \"passphrase:spare key 3\"\nConditions: LocalTimeOfDay ~= \
                            \"^20[0-9][0-9][0-9]{4}(08|09|1[0-7])\" &&\n  GMTTimeOfDay < \"20300101000000\" -> \"true\";\n";

#[test]
fn the_time_of_day_is_that_of_the_question() {
    let gateway = Gateway::new(OFFICE_HOURS, &[]);
    let peer = Peer::knows("spare key 3");
    let set = |year: i16, hour: i8, minute: i8, second: i8| {
        let local = date(year, 7, 1).at(hour, minute, second, 0);
        let at = TimeZone::system().to_timestamp(local).unwrap().as_second();
        gateway.clock.0.store(at, Ordering::Relaxed);
    };
    for question in [peer.phase1(), peer.esp(AES)] {
        for (year, hour, minute, second, is_open) in [
            (2026, 12, 0, 0, true),
            (2026, 7, 59, 59, false),
            (2026, 8, 0, 0, true),
            (2026, 17, 59, 59, true),
            (2026, 18, 0, 0, false),
            (2029, 12, 0, 0, true),
            (2030, 12, 0, 0, false),
        ] {
            set(year, hour, minute, second);
            if is_open { gateway.allows(&question) } else { gateway.denies(&question) }
        }
    }
}

#[test]
fn local_time_is_that_of_the_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let policy = loaded(folder.path(), OFFICE_HOURS, &|_| ()).current();
    let peer = Peer::knows("spare key 3");
    let at = |hour: i8| {
        let utc = TimeZone::UTC.to_timestamp(date(2026, 7, 1).at(hour, 30, 0, 0)).unwrap();
        Timestamp::from_seconds(utc.as_second())
    };
    // Half past seven here is half past three there: each gateway uses its own time zone.
    let [utc, new_york] = [TimeZone::UTC, TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").unwrap()];
    for question in [peer.phase1(), peer.esp(AES)] {
        let question: Question = serde_json::from_value(question).unwrap();
        let proof = Proof::of(&question, question.psk.as_ref()).unwrap();
        let asker = policy.requesting_peer(None, &proof, "gw2.example").unwrap();
        let open = |hour, zone| {
            let id = PeerId::read(&question.remote.id).unwrap();
            let moment = moment(at(hour), zone).unwrap();
            policy.allows(&asker, &attributes::attributes(&question, &id, moment).unwrap())
        };
        assert!(open(9, &utc) && !open(9, &new_york));
        assert!(open(14, &utc) && open(14, &new_york));
        assert!(!open(20, &utc) && open(20, &new_york));
        assert!(!open(7, &utc) && !open(23, &new_york));
    }
}

#[test]
fn each_type_of_identity_has_its_text() {
    let name: Name =
        "1.2.840.113549.1.9.1=#160d6f704064652e6578616d706c65,CN=gw2.example,C=SE".parse().unwrap();
    let name = name.to_der().unwrap();
    let cases: [(u8, &[u8], &str, &str); 9] = [
        (1, &[192, 0, 2, 2], "IPv4 address", "192.000.002.002"),
        (2, b"gw2.example", "FQDN", "gw2.example"),
        (3, b"Op@gw2.example", "User FQDN", "Op@gw2.example"),
        (4, &[10, 2, 0, 0, 255, 255, 0, 0], "IPv4 subnet", "010.002.000.000-010.002.255.255"),
        (
            5,
            &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xaf],
            "IPv6 address",
            "2001:0db8:0000:0000:0000:0000:0000:00af",
        ),
        (7, &[10, 2, 0, 1, 10, 2, 0, 9], "IPv4 range", "010.002.000.001-010.002.000.009"),
        (9, &name, "ASN1 DN", "/C=SE/CN=gw2.example/emailAddress=op@de.example"),
        (11, b"branch 7", "Key ID", "branch 7"),
        (11, &[0, 0xAB, b'7'], "Key ID", "00ab37"),
    ];
    let peer = Peer::knows("spare key 3");
    for (kind, data, name, text) in cases {
        let policy = format!(
            "Authorizer: \"POLICY\"\nLicensees: \"passphrase:spare key 3\"\nConditions: remote_id_type == \"{name}\" &&\n  remote_id == \
             \"{text}\" -> \"true\";\n"
        );
        let gateway = Gateway::new(&policy, &[]);
        for question in [peer.phase1(), peer.esp(AES)] {
            // The last octet makes another identity of the same type.
            let id = |kind: u8, data: &[u8]| {
                let mut question = question.clone();
                question["remote"]["id"] = json!({"type": kind, "data": BASE64.encode(data)});
                question
            };
            gateway.allows(&id(kind, data));
            let mut other = data.to_vec();
            match kind {
                4 => other[1] = 3,
                _ => *other.last_mut().unwrap() ^= 1,
            }
            gateway.denies(&id(kind, &other));
            gateway.denies(&id(if kind == 11 { 2 } else { 11 }, b"other"));
        }
    }
}

#[test]
fn a_certified_peer_has_the_identity_that_it_proved() {
    let ca = Ca::root("Yard CA", None);
    let peer = ca.peer("gw2.example");
    let policy = "Authorizer: \"POLICY\"\nLicensees: \"DN:/CN=Yard CA\"\nConditions: remote_id_type == \"ASN1 DN\" && remote_id == \
                  \"/CN=gw2.example\" -> \"true\";\n";
    let gateway = Gateway::new(policy, &[&ca]);
    let name = "CN=gw2.example".parse::<Name>().unwrap().to_der().unwrap();
    for question in [peer.phase1(), peer.esp(AES)] {
        gateway.denies(&question);
        let mut by_name = question.clone();
        by_name["remote"]["id"] = json!({"type": 9, "data": BASE64.encode(&name)});
        gateway.allows(&by_name);
        let other = ca.peer("gw3.example").phase1()["chain"].clone();
        assert_eq!(gateway.ask(&but(&by_name, "/chain", other)).step, Step::Identity);
    }
}

#[test]
fn a_lifetime_that_was_not_proposed_is_zero_as_a_number() {
    let peer = Peer::knows("spare key 3");
    let traffic = peer.esp(AES);
    let lasting = |seconds: u32| but(&traffic, "/child/proposal/life_seconds", json!(seconds));
    let short = on_condition("@esp_life_seconds <= 3600 && @esp_life_kbytes == 0");
    short.allows(&peer.phase1());
    short.allows(&traffic);
    short.allows(&lasting(3600));
    short.denies(&lasting(3601));
    short.denies(&but(&traffic, "/child/proposal/life_kbytes", json!(1)));
    let set = on_condition("@esp_life_seconds > 0 && @ah_life_seconds == 0");
    set.allows(&lasting(60));
    set.denies(&traffic);
    // Lengths are compared as numbers: as texts, 60 is more than 3600.
    on_condition("esp_life_seconds <= \"3600\"").denies(&lasting(60));
}

#[test]
fn an_attribute_that_does_not_exist_grants_nothing() {
    let peer = Peer::knows("spare key 3");
    for condition in [
        "building == \"north\"",
        "@building > 0",
        "building ~= \"north\"",
        "Esp_Present == \"yes\"",
        "1 / @building == 0",
        "1 / @building != 7",
    ] {
        let policy = format!(
            "Authorizer: \"POLICY\"\nLicensees: \"passphrase:spare key 3\"\nConditions: {condition} -> \"true\";\n"
        );
        let gateway = Gateway::new(&policy, &[]);
        gateway.denies(&peer.phase1());
        gateway.denies(&peer.esp(AES));
        // The condition beside it still counts.
        gateway
            .replace(&policy.replace("Conditions:", "Conditions: doi == \"ipsec\";\n "))
            .unwrap();
        gateway.allows(&peer.phase1());
        gateway.allows(&peer.esp(AES));
    }
}

#[test]
fn a_new_policy_holds_for_phase_2_of_whoever_is_already_in() {
    let licence = |conditions: &str| {
        format!(
            "Authorizer: \"POLICY\"\nLicensees: \"passphrase:spare key 3\"\nConditions: {conditions};\n"
        )
    };
    let peer = Peer::knows("spare key 3");
    let gateway = Gateway::new(&licence("app_domain == \"IPsec policy\""), &[]);
    gateway.allows(&peer.phase1());
    gateway.allows(&peer.esp(AES));
    gateway.replace(&licence("pfs == \"yes\"")).unwrap();
    gateway.denies(&peer.esp(AES));
    gateway.allows(&but(&peer.esp(AES), "/child/group", json!(14)));
    // A policy with errors changes nothing; a blank line within an assertion is such an error.
    let blank = "Authorizer: \"POLICY\"\nLicensees: \"passphrase:spare key 3\" ||\n\n  \"passphrase:spare key 4\"\n";
    let why = gateway.replace(blank).unwrap_err();
    assert!(why.contains("isakmpd.policy:"), "{why}");
    gateway.denies(&peer.esp(AES));
    gateway.allows(&but(&peer.esp(AES), "/child/group", json!(14)));
    gateway.denies(&Peer::knows("spare key 4").esp(AES));
}
