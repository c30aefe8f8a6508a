//! Who fails too often, or asks too often, is told to slow down.

use crate::raw::form;
use crate::raw::wire::{Ask, Signer, UNSIGNED, ready_with};
use crate::support::{ACCESS_KEY, Server};

/// Clients come through a proxy on this machine, so that each test chooses its addresses.
const PROXIED: &str = "trusted_proxies = [\"127.0.0.1\"]\n";

fn from(server: &Server, address: &str) -> Ask {
    Ask::new(server, "GET", "/raw").header("x-forwarded-for", address)
}

fn wrong() -> Signer {
    Signer {
        secret: "not/the+secret".to_owned(),
        ..Signer::now()
    }
}

fn signed(ask: Ask, by: &Signer) -> Ask {
    ask.authorized(by, UNSIGNED).0
}

#[tokio::test]
async fn a_key_that_fails_is_locked_from_that_address_alone() {
    let settings = format!("{PROXIED}[guard]\nfailures_per_minute_key = 3\n");
    let server = ready_with(&settings).await;
    let here = |by: &Signer| signed(from(&server, "192.0.2.1"), by);
    here(&Signer::now()).expect(&server, 200, "").await;
    for _ in 0..2 {
        let ask = here(&wrong());
        ask.expect(&server, 403, "SignatureDoesNotMatch").await;
    }
    // Every way counts: here the query.
    let by_query = from(&server, "192.0.2.1").presigned(&wrong(), "60");
    by_query.expect(&server, 403, "SignatureDoesNotMatch").await;
    let told = here(&wrong()).expect(&server, 503, "SlowDown").await;
    let seconds: u64 = told.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=20).contains(&seconds), "{told:?}");
    // The lock holds for whoever has the secret too, by every way; but not elsewhere, and not for others.
    here(&Signer::now()).expect(&server, 503, "SlowDown").await;
    let fields = form::fields_by(
        &wrong(),
        &[serde_json::json!({"key": "k"})],
        60,
        &[("key", "k")],
    );
    let form = form::ask(&server, &fields, b"x", "").header("x-forwarded-for", "192.0.2.1");
    form.expect(&server, 503, "SlowDown").await;
    let there = signed(from(&server, "192.0.2.2"), &Signer::now());
    there.expect(&server, 200, "").await;
    let anonymous = from(&server, "192.0.2.1");
    anonymous.expect(&server, 403, "AccessDenied").await;
}

#[tokio::test]
async fn an_address_that_tries_many_keys_is_locked() {
    let settings = format!("{PROXIED}[guard]\nfailures_per_minute_address = 5\n");
    let server = ready_with(&settings).await;
    let here = |by: &Signer| signed(from(&server, "2001:db8::1"), by);
    let nobody = |number: u32| Signer {
        access_key: format!("CKNOBODY{number}"),
        ..Signer::now()
    };
    here(&Signer::now()).expect(&server, 200, "").await;
    for number in 0..5 {
        let ask = here(&nobody(number));
        ask.expect(&server, 403, "InvalidAccessKeyId").await;
    }
    here(&nobody(9)).expect(&server, 503, "SlowDown").await;
    // Its neighbour in the same network is the same customer.
    let beside = signed(from(&server, "2001:db8::2"), &nobody(9));
    beside.expect(&server, 503, "SlowDown").await;
    // Who was there before may stay.
    here(&Signer::now()).expect(&server, 200, "").await;
}

#[tokio::test]
async fn this_machine_is_never_locked_unless_it_is_to_be() {
    let server = ready_with("").await;
    for _ in 0..110 {
        let ask = signed(Ask::new(&server, "GET", "/raw"), &wrong());
        ask.expect(&server, 403, "SignatureDoesNotMatch").await;
    }
    let server = ready_with("[guard]\nfailures_per_minute_key = 1\nexempt = []\n").await;
    let ask = signed(Ask::new(&server, "GET", "/raw"), &wrong());
    ask.expect(&server, 403, "SignatureDoesNotMatch").await;
    ask.expect(&server, 503, "SlowDown").await;
}

#[tokio::test]
async fn requests_and_bytes_have_rates_where_the_operator_sets_them() {
    let settings = format!("{PROXIED}[guard]\nrequests_per_second_address = 1\n");
    let server = ready_with(&settings).await;
    let mut refused = 0;
    for _ in 0..40 {
        let answer = from(&server, "192.0.2.1").send(&server).await;
        assert!([403, 503].contains(&answer.status), "{answer:?}");
        refused += u32::from(answer.status == 503);
    }
    assert!(refused >= 10, "only {refused} of 40 were refused");
    let elsewhere = from(&server, "192.0.2.2");
    elsewhere.expect(&server, 403, "AccessDenied").await;
    let health = Ask::new(&server, "GET", "/-/healthy").header("x-forwarded-for", "192.0.2.1");
    health.expect(&server, 200, "").await;

    let settings = format!("{PROXIED}[guard]\nbytes_per_second_key = 1000\n");
    let server = ready_with(&settings).await;
    let put = |key: &str| {
        let ask = Ask::new(&server, "PUT", &format!("/raw/{key}"));
        let ask = ask
            .header("x-forwarded-for", "192.0.2.1")
            .body(&vec![7; 200_000]);
        signed(ask, &Signer::now())
    };
    put("a").expect(&server, 200, "").await;
    let told = put("b").expect(&server, 503, "SlowDown").await;
    let seconds: u64 = told.header("retry-after").unwrap().parse().unwrap();
    assert!((150..=200).contains(&seconds), "{told:?}");
    assert!(!told.text.contains(ACCESS_KEY));
}
