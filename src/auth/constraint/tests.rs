//! Demands by table.

use std::net::Ipv4Addr;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::auth::canonical;

fn parse(query: &str) -> Result<Constraints, ConstraintFault> {
    let pairs = canonical::pairs(query);
    Constraints::parse(pairs.iter().map(|(name, value)| (&**name, &**value)))
}

fn fault(query: &str) -> String {
    match parse(query) {
        Err(ConstraintFault::Invalid { name, reason, .. }) => format!("{name} {reason}"),
        other => panic!("{query}: {other:?}"),
    }
}

fn now() -> Timestamp {
    Timestamp::parse_amz_date("20261124T002026Z").unwrap()
}

fn proven(heeds: &[Constraint]) -> Proven<'_> {
    Proven {
        access_key: "AK",
        signature: "00",
        good_until: now(),
        now: now(),
        peer: Some(Ipv4Addr::new(192, 0, 2, 7).into()),
        heeds,
    }
}

#[test]
fn each_demand_is_read() {
    let all = parse(
        "x-id=PutObject&x-consign-content-length-range=1,10&x-consign-content-type=image/*\
         &x-consign-once=1&x-consign-not-before=20261124T002026Z&x-consign-source-ip=192.0.2.0/24\
         &x-consign-require=checksum&x-consign-callback=app&x-consign-callback-mode=sync\
         &x-consign-callback-var-user_id=a%20b&x-consign-callback-var-n=2",
    );
    let all = all.unwrap();
    assert_eq!(all.length_range, Some(LengthRange { min: 1, max: 10 }));
    assert_eq!(all.content_types.as_ref().unwrap().text(), "image/*");
    assert_eq!(all.not_before, Some(now()));
    assert!(all.once && all.require_checksum);
    let callback = all.callback.as_ref().unwrap();
    assert_eq!(
        (&*callback.endpoint, callback.mode),
        ("app", CallbackMode::Sync)
    );
    let vars = [("user_id", "a b"), ("n", "2")];
    assert_eq!(
        callback.vars,
        vars.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
    let duties = all.judge(&proven(Constraint::OF_OBJECT)).unwrap();
    assert_eq!(duties.once, Some(Nonce::new("AK", "00", now())));
    assert_eq!(
        parse("x-id=PutObject&x-consig=1").unwrap(),
        Constraints::default()
    );
}

fn refused(rows: &[(&str, &str, &str)]) {
    for (query, name, says) in rows {
        let fault = fault(query);
        assert!(
            fault.starts_with(name) && fault.contains(says),
            "{query}: {fault}"
        );
    }
}

#[test]
fn what_is_not_exactly_a_demand_is_refused_by_name() {
    let once = "x-consign-once";
    refused(&[
        ("x-consign-=1", "x-consign-", "unknown"),
        ("x-consign-ones=1", "x-consign-ones", "unknown"),
        (
            "x-consign-callback-vars=1",
            "x-consign-callback-vars",
            "unknown",
        ),
        ("x-consign-%FF=1", "x-consign-\u{fffd}", "unknown"),
        ("x-consign-once=%FF", once, "UTF-8"),
        ("X-Consign-Once=1", "X-Consign-Once", "lower case"),
        ("x-consign-Once=1", "x-consign-Once", "lower case"),
        ("x-consign-once=1&x-consign-once=1", once, "more than once"),
        (
            "x-consign-once=1&X-Consign-Once=1",
            "X-Consign-Once",
            "more than once",
        ),
        ("x-consign-once", once, "empty"),
        ("x-consign-once=", once, "empty"),
    ]);
}

#[test]
fn a_value_that_can_not_be_kept_is_refused_by_name() {
    let (ip, callback) = ("x-consign-source-ip", "x-consign-callback");
    let (mode, var) = ("x-consign-callback-mode", "x-consign-callback-var-");
    let long = format!("{callback}=a&{var}a={}", "b".repeat(4096));
    let many: Vec<_> = (0..33).map(|at| format!("{var}{at}=1")).collect();
    refused(&[
        ("x-consign-once=0", "x-consign-once", "must be 1"),
        ("x-consign-once=true", "x-consign-once", "must be 1"),
        (
            "x-consign-require=md5",
            "x-consign-require",
            "must be checksum",
        ),
        (
            "x-consign-not-before=now",
            "x-consign-not-before",
            "must be a time",
        ),
        ("x-consign-source-ip=10.0.0.0/33", ip, "networks"),
        ("x-consign-source-ip=10.0.0.1,", ip, "networks"),
        ("x-consign-source-ip=*", ip, "networks"),
        (
            "x-consign-content-type=image",
            "x-consign-content-type",
            "media types",
        ),
        ("x-consign-callback-var-a=1", var, "without"),
        ("x-consign-callback-mode=sync", mode, "without"),
        (
            "x-consign-callback=a&x-consign-callback-mode=both",
            mode,
            "sync or",
        ),
        (
            "x-consign-callback=a&x-consign-callback-var-=1",
            var,
            "variable",
        ),
        (
            "x-consign-callback=a&x-consign-callback-var-a.b=1",
            var,
            "a-z",
        ),
        (&long, var, "too much"),
        (&format!("{callback}=a&{}", many.join("&")), var, "too much"),
    ]);
}

#[test]
fn a_range_is_two_numbers_in_order() {
    for bad in [
        "1",
        "1,",
        ",1",
        "2,1",
        "-1,2",
        "+1,2",
        "1,2,3",
        "1, 2",
        "0x1,2",
        "1,99999999999999999999",
    ] {
        let query = format!("x-consign-content-length-range={}", bad.replace('+', "%2B"));
        assert!(fault(&query).contains("min,max"), "{bad}");
    }
    let narrowed = LengthRange { min: 1, max: 9 }.and(LengthRange { min: 4, max: 20 });
    assert_eq!(narrowed, LengthRange { min: 4, max: 9 });
}

proptest! {
    #[test]
    fn any_two_numbers_in_order_are_a_range(min: u64, max: u64) {
        let read = parse(&format!("x-consign-content-length-range={min},{max}"));
        prop_assert_eq!(read.is_ok(), min <= max);
        if let Ok(read) = read {
            prop_assert_eq!(read.length_range, Some(LengthRange { min, max }));
        }
    }

    #[test]
    fn nothing_of_ours_is_ever_ignored(name in "[ -~]{0,12}", value in "[ -~]{0,12}") {
        let name = format!("x-consign-{name}");
        let pairs = [(name.as_bytes(), value.as_bytes())];
        let read = Constraints::parse(pairs.into_iter());
        prop_assert!(read.is_err() || read.unwrap() != Constraints::default());
    }

    #[test]
    fn two_signatures_are_two_nonces(a in "[0-9a-f]{1,64}", b in "[0-9a-f]{1,64}") {
        let of = |signature: &str| Nonce::new("AK", signature, now());
        prop_assert_eq!(of(&a) == of(&b), a == b);
    }
}

#[test]
fn the_time_and_the_address_are_judged() {
    let judge = |query: &str, by: Proven<'_>| {
        let judged = parse(query).unwrap().judge(&by);
        judged.map_or_else(|error| error.code(), |_duties| "ok")
    };
    let by = proven(&[]);
    let later = Proven {
        now: now().plus(Duration::from_millis(1)),
        ..by
    };
    let earlier = Proven {
        now: now().minus(Duration::from_millis(1)),
        ..by
    };
    for not_before in [
        "20261124T002026Z",
        "2026-11-24T00:20:26Z",
        "2026-11-24T01:20:26%2B01:00",
    ] {
        let query = format!("x-consign-not-before={not_before}");
        assert_eq!(judge(&query, earlier), "AccessDenied");
        assert_eq!(judge(&query, by), "ok");
        assert_eq!(judge(&query, later), "ok");
    }
    let v6: IpAddr = "2001:db8::9".parse().unwrap();
    let mapped: IpAddr = "::ffff:192.0.2.7".parse().unwrap();
    for (networks, peer, outcome) in [
        ("192.0.2.7", by.peer, "ok"),
        ("192.0.2.8", by.peer, "AccessDenied"),
        ("10.0.0.0/8,192.0.2.0/24", by.peer, "ok"),
        ("192.0.2.0/24", Some(mapped), "ok"),
        ("192.0.2.0/24", Some(v6), "AccessDenied"),
        ("2001:db8::/32", Some(v6), "ok"),
        ("2001:db9::/32", Some(v6), "AccessDenied"),
        ("0.0.0.0/0", None, "AccessDenied"),
    ] {
        let query = format!("x-consign-source-ip={networks}");
        assert_eq!(
            judge(&query, Proven { peer, ..by }),
            outcome,
            "{networks} {peer:?}"
        );
    }
}

#[test]
fn what_an_operation_can_not_keep_is_refused() {
    for (query, of_part) in [
        ("x-consign-once=1", true),
        ("x-consign-content-length-range=0,1", true),
        ("x-consign-require=checksum", true),
        ("x-consign-content-type=a/b", false),
        ("x-consign-callback=a", false),
    ] {
        let judge = |heeds| parse(query).unwrap().judge(&proven(heeds)).is_ok();
        assert!(judge(Constraint::OF_OBJECT) && !judge(&[]), "{query}");
        assert_eq!(judge(Constraint::OF_PART), of_part, "{query}");
    }
}

#[test]
fn headers_and_what_nobody_signed_are_refused() {
    let mut headers = HeaderMap::new();
    headers.insert("x-consigned", "1".parse().unwrap());
    assert_eq!(refuse_headers(&headers), Ok(()));
    headers.insert("x-consign-once", "1".parse().unwrap());
    assert_eq!(
        refuse_headers(&headers).unwrap_err().code(),
        "InvalidArgument"
    );
    assert_eq!(refuse_unsigned_query("a=1"), Ok(()));
    for query in ["x-consign-once=1", "a=1&X-CONSIGN-x"] {
        let refused = refuse_unsigned_query(query).unwrap_err();
        assert_eq!(refused.code(), "AccessDenied");
    }
}
