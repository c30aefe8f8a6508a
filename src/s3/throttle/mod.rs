//! Who asks too often, or failed too often to prove who they are, is told to slow down before any work is
//! done for them.
//!
//! **Locks.** Signatures that fail are counted for each pair of a key and an address, and for each address.
//! Never for a key alone: its public half stands in every presigned URL, so that anybody could lock its
//! owner out from anywhere. A pair that is locked is refused whatever it sends; an address that is
//! locked is refused except for keys that proved themselves from there lately, since many clients may
//! share it. Addresses of IPv6 count by their /64, which is what one customer gets.
//!
//! **Rates** are off unless the operator sets them.

mod table;

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use super::error::{Code, S3Error};
use crate::auth::AccessKey;
use crate::clock::Timestamp;
use crate::network::Network;
use table::{Rate, Table};

/// Meters of each kind: 16 bytes each.
const PLACES: usize = 64 * 1024;
/// After so long without a failure every bucket of failures is full again.
const QUIET_MS: i64 = 60_000;
/// For so long who proved themselves is known.
const PROVED_TIME_MAX_US: u64 = 15 * 60 * 1_000_000;
/// A proof is noted again after so long.
const PROVED_AGAIN_US: u64 = 60 * 1_000_000;

/// What is allowed; 0 is no limit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ThrottleSettings {
    /// Failed signatures of one key from one address in a minute.
    pub failures_per_key: u64,
    /// Failed signatures from one address in a minute.
    pub failures_per_address: u64,
    /// Requests of one key in a second.
    pub requests_per_key: u64,
    /// Requests from one address in a second.
    pub requests_per_address: u64,
    /// Bytes of one key in a second, both ways.
    pub bytes_per_key: u64,
    /// Bytes from and to one address in a second.
    pub bytes_per_address: u64,
    /// Addresses that nothing here counts for.
    pub exempt: Vec<Network>,
}

/// What was counted since the start.
#[derive(Debug, Default)]
pub struct ThrottleCounters {
    /// Signatures that failed.
    pub failures: AtomicU64,
    /// Requests refused since their key had failed too often from their address.
    pub locked_keys: AtomicU64,
    /// Requests refused since their address had failed too often.
    pub locked_addresses: AtomicU64,
    /// Requests refused since their key had asked too often, or moved too many bytes.
    pub limited_keys: AtomicU64,
    /// Requests refused since their address had asked too often, or moved too many bytes.
    pub limited_addresses: AtomicU64,
}

/// Told to slow down, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlowDown {
    /// Until then.
    pub retry_after: Duration,
}

/// A key in the hands of an address.
pub(super) type Pair<'a> = (Origin, &'a str);

/// An address as it is counted: one of IPv4, or a /64 of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Origin(IpAddr);

/// The meters, which those under other settings go on with.
#[derive(Debug)]
pub struct Throttle {
    settings: ThrottleSettings,
    /// What was counted since the start.
    pub counters: Arc<ThrottleCounters>,
    /// When a signature failed last: as long as none does, no request looks.
    failed_ms: Arc<AtomicI64>,
    failures_of_pairs: Meters,
    failures_of_addresses: Meters,
    proved: Meters,
    requests: Meters,
    bytes: Meters,
}

/// Meters of one kind; none where nothing is metered.
type Meters = Option<Arc<Table>>;

impl Throttle {
    /// Meters that allow so much.
    pub fn new(settings: ThrottleSettings) -> Self {
        let nothing = Self {
            settings: ThrottleSettings::default(),
            counters: Arc::default(),
            failed_ms: Arc::new(AtomicI64::new(i64::MIN)),
            failures_of_pairs: None,
            failures_of_addresses: None,
            proved: None,
            requests: None,
            bytes: None,
        };
        nothing.reconfigured(settings)
    }

    /// The same meters that allow so much: what counted before goes on to count.
    #[must_use]
    pub fn reconfigured(&self, settings: ThrottleSettings) -> Self {
        let kept = |meters: &Meters, of: u64| {
            (of > 0).then(|| {
                let anew = || Arc::new(Table::new(PLACES));
                meters.as_ref().map_or_else(anew, Arc::clone)
            })
        };
        let rated =
            |meters: &Meters, key: u64, address: u64| kept(meters, key.saturating_add(address));
        let (of_key, of_address) = (settings.requests_per_key, settings.requests_per_address);
        let requests = rated(&self.requests, of_key, of_address);
        let (of_key, of_address) = (settings.bytes_per_key, settings.bytes_per_address);
        Self {
            counters: Arc::clone(&self.counters),
            failed_ms: Arc::clone(&self.failed_ms),
            failures_of_pairs: kept(&self.failures_of_pairs, settings.failures_per_key),
            failures_of_addresses: kept(&self.failures_of_addresses, settings.failures_per_address),
            proved: kept(&self.proved, settings.failures_per_address),
            requests,
            bytes: rated(&self.bytes, of_key, of_address),
            settings,
        }
    }

    /// How an address is counted; none where it is not.
    pub(super) fn origin(&self, client: Option<IpAddr>) -> Option<Origin> {
        let client = client?.to_canonical();
        let mut exempt = self.settings.exempt.iter();
        if exempt.any(|network| network.contains(client)) {
            return None;
        }
        Some(Origin(match client {
            IpAddr::V4(_) => client,
            IpAddr::V6(address) => {
                let customer = address.to_bits() & !u128::from(u64::MAX);
                Ipv6Addr::from_bits(customer).into()
            }
        }))
    }

    /// Whether an address may ask at all.
    pub(super) fn admit(&self, origin: Option<Origin>, now: Timestamp) -> Result<(), SlowDown> {
        let Some(origin) = origin else {
            return Ok(());
        };
        let (requests, bytes) = (
            self.settings.requests_per_address,
            self.settings.bytes_per_address,
        );
        let admitted = self.rated(&origin, (requests, bytes), now);
        count(admitted, &self.counters.limited_addresses)
    }

    /// Whether a key may ask, of which it is known that it asks.
    pub(super) fn admit_key(&self, key: &AccessKey, now: Timestamp) -> Result<(), SlowDown> {
        let (requests, bytes) = (self.settings.requests_per_key, self.settings.bytes_per_key);
        let admitted = self.rated(lasting(key), (requests, bytes), now);
        count(admitted, &self.counters.limited_keys)
    }

    /// Counts what a request moved, once it is known.
    pub(super) fn charge(
        &self,
        client: Option<IpAddr>,
        key: Option<&AccessKey>,
        bytes: u64,
        now: Timestamp,
    ) {
        let Some(meters) = &self.bytes else {
            return;
        };
        let now_us = micros(now);
        let of_address = self.settings.bytes_per_address;
        if of_address > 0
            && let Some(origin) = self.origin(client)
        {
            let rate = Rate::per_second(of_address);
            meters.take(&origin, rate, bytes, now_us);
        }
        let of_key = self.settings.bytes_per_key;
        if let Some(key) = key.filter(|_key| of_key > 0) {
            let rate = Rate::per_second(of_key);
            meters.take(lasting(key), rate, bytes, now_us);
        }
    }

    /// Whether a key may try to prove itself from an address.
    pub(super) fn may_try(&self, pair: Pair<'_>, now: Timestamp) -> Result<(), SlowDown> {
        let failed_ms = self.failed_ms.load(Ordering::Relaxed);
        if now.unix_ms().saturating_sub(failed_ms) > QUIET_MS {
            return Ok(());
        }
        let now_us = micros(now);
        if let Some(meters) = &self.failures_of_pairs {
            let rate = Rate::per_minute(self.settings.failures_per_key);
            let wait = waited(meters.wait_us(&pair, rate, now_us));
            count(wait, &self.counters.locked_keys)?;
        }
        if let Some(meters) = &self.failures_of_addresses {
            let rate = Rate::per_minute(self.settings.failures_per_address);
            let wait = waited(meters.wait_us(&pair.0, rate, now_us));
            if wait.is_err() && !self.has_proved(pair, now_us) {
                return count(wait, &self.counters.locked_addresses);
            }
        }
        Ok(())
    }

    /// Counts a signature that failed.
    pub(super) fn failed(&self, pair: Pair<'_>, now: Timestamp) {
        self.counters.failures.fetch_add(1, Ordering::Relaxed);
        let now_us = micros(now);
        if let Some(meters) = &self.failures_of_pairs {
            let rate = Rate::per_minute(self.settings.failures_per_key);
            meters.take(&pair, rate, 1, now_us);
        }
        if let Some(meters) = &self.failures_of_addresses {
            let rate = Rate::per_minute(self.settings.failures_per_address);
            meters.take(&pair.0, rate, 1, now_us);
            if meters.wait_us(&pair.0, rate, now_us) > 0 {
                let address = pair.0.0;
                tracing::warn!(%address, "too many signatures failed: the address is locked for a while; if it \
                     is a proxy, trusted_proxies must name it");
            }
        }
        self.failed_ms.store(now.unix_ms(), Ordering::Relaxed);
    }

    /// Notes that a key proved itself from an address.
    pub(super) fn proved(&self, pair: Pair<'_>, now: Timestamp) {
        let Some(proved) = &self.proved else {
            return;
        };
        let now_us = micros(now);
        if now_us.saturating_sub(proved.get(&pair)) > PROVED_AGAIN_US {
            proved.set(&pair, now_us);
        }
    }

    fn has_proved(&self, pair: Pair<'_>, now_us: u64) -> bool {
        let lately = |at: u64| now_us.saturating_sub(at) < PROVED_TIME_MAX_US;
        let proved = self.proved.as_ref();
        proved.is_some_and(|proved| lately(proved.get(&pair)))
    }

    fn rated(
        &self,
        whose: &(impl std::hash::Hash + ?Sized),
        (requests, bytes): (u64, u64),
        now: Timestamp,
    ) -> Result<(), SlowDown> {
        let now_us = micros(now);
        if let Some(meters) = self.bytes.as_ref().filter(|_| bytes > 0) {
            waited(meters.wait_us(whose, Rate::per_second(bytes), now_us))?;
        }
        if let Some(meters) = self.requests.as_ref().filter(|_| requests > 0) {
            let rate = Rate::per_second(requests);
            meters.try_take(whose, rate, now_us).map_err(slow_down)?;
        }
        Ok(())
    }
}

/// Counts a refusal.
fn count(outcome: Result<(), SlowDown>, counter: &AtomicU64) -> Result<(), SlowDown> {
    if outcome.is_err() {
        counter.fetch_add(1, Ordering::Relaxed);
    }
    outcome
}

/// Sessions count for the key that they came from: an app server may make one for each upload.
fn lasting(key: &AccessKey) -> &str {
    let base = key.temporary.as_ref().map(|temporary| &*temporary.base);
    base.unwrap_or(&key.access_key)
}

fn micros(at: Timestamp) -> u64 {
    u64::try_from(at.unix_ms()).map_or(0, |ms| ms.saturating_mul(1000))
}

fn slow_down(wait_us: u64) -> SlowDown {
    SlowDown {
        retry_after: Duration::from_micros(wait_us),
    }
}

fn waited(wait_us: u64) -> Result<(), SlowDown> {
    if wait_us > 0 {
        Err(slow_down(wait_us))
    } else {
        Ok(())
    }
}

impl From<SlowDown> for S3Error {
    fn from(told: SlowDown) -> Self {
        let ms = told.retry_after.as_millis();
        let seconds = ms.div_ceil(1000).max(1);
        Self::new(Code::SlowDown).with_header("retry-after", seconds.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Scope, Secret};

    fn throttle(settings: ThrottleSettings) -> Throttle {
        Throttle::new(settings)
    }

    fn locks() -> Throttle {
        throttle(ThrottleSettings {
            failures_per_key: 3,
            failures_per_address: 6,
            exempt: vec![Network::parse("127.0.0.0/8").unwrap()],
            ..ThrottleSettings::default()
        })
    }

    fn origin(of: &Throttle, text: &str) -> Origin {
        of.origin(Some(text.parse().unwrap())).unwrap()
    }

    fn at(s: i64) -> Timestamp {
        Timestamp::from_unix_s(1_800_000_000 + s)
    }

    fn key(name: &str) -> AccessKey {
        AccessKey {
            access_key: name.to_owned(),
            name: name.to_owned(),
            secret: Secret::new("hush"),
            disabled: false,
            scope: Scope::default(),
            root: false,
            owner: String::new(),
            policy: None,
            temporary: None,
        }
    }

    #[test]
    fn a_key_is_locked_where_it_failed_and_nowhere_else() {
        let throttle = locks();
        let here = origin(&throttle, "192.0.2.1");
        let there = origin(&throttle, "192.0.2.2");
        for _ in 0..3 {
            assert_eq!(throttle.may_try((here, "A"), at(0)), Ok(()));
            throttle.failed((here, "A"), at(0));
        }
        let told = throttle.may_try((here, "A"), at(0)).unwrap_err();
        assert_eq!(told.retry_after, Duration::from_secs(20));
        // Its owner is elsewhere, and others are here.
        assert_eq!(throttle.may_try((there, "A"), at(0)), Ok(()));
        assert_eq!(throttle.may_try((here, "B"), at(0)), Ok(()));
        assert!(throttle.may_try((here, "A"), at(19)).is_err());
        assert_eq!(throttle.may_try((here, "A"), at(20)), Ok(()));
        assert_eq!(throttle.counters.locked_keys.load(Ordering::Relaxed), 2);
        assert_eq!(throttle.counters.failures.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn an_address_that_tries_many_keys_is_locked_but_not_for_those_who_proved_themselves() {
        let throttle = locks();
        let here = origin(&throttle, "192.0.2.1");
        throttle.proved((here, "MINE"), at(0));
        for name in ["A", "B", "C", "D", "E", "F"] {
            throttle.failed((here, name), at(1));
        }
        assert!(throttle.may_try((here, "G"), at(1)).is_err());
        assert_eq!(throttle.may_try((here, "MINE"), at(1)), Ok(()));
        assert_eq!(throttle.may_try((here, "G"), at(11)), Ok(()));
        let there = origin(&throttle, "192.0.2.2");
        assert_eq!(throttle.may_try((there, "G"), at(1)), Ok(()));
        let locked = &throttle.counters.locked_addresses;
        assert_eq!(locked.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_customer_of_ipv6_has_one_address_and_some_have_none() {
        let throttle = locks();
        let one = origin(&throttle, "2001:db8:1:2::1");
        assert_eq!(one, origin(&throttle, "2001:db8:1:2:ffff::9"));
        assert_ne!(one, origin(&throttle, "2001:db8:1:3::1"));
        let dressed = origin(&throttle, "::ffff:192.0.2.1");
        assert_eq!(dressed, origin(&throttle, "192.0.2.1"));
        assert_eq!(throttle.origin(Some("127.0.0.7".parse().unwrap())), None);
        assert_eq!(throttle.origin(None), None);
    }

    #[test]
    fn rates_hold_for_addresses_and_keys_apart() {
        let throttle = throttle(ThrottleSettings {
            requests_per_address: 2,
            requests_per_key: 1,
            ..ThrottleSettings::default()
        });
        let here = Some(origin(&throttle, "192.0.2.1"));
        for _ in 0..20 {
            assert_eq!(throttle.admit(here, at(0)), Ok(()));
        }
        let told = throttle.admit(here, at(0)).unwrap_err();
        assert_eq!(told.retry_after, Duration::from_millis(500));
        assert_eq!(throttle.admit(here, at(1)), Ok(()));
        assert_eq!(throttle.admit(None, at(0)), Ok(()));
        for _ in 0..10 {
            assert_eq!(throttle.admit_key(&key("A"), at(0)), Ok(()));
        }
        assert!(throttle.admit_key(&key("A"), at(0)).is_err());
        assert_eq!(throttle.admit_key(&key("B"), at(0)), Ok(()));
        let counters = &throttle.counters;
        assert_eq!(counters.limited_keys.load(Ordering::Relaxed), 1);
        assert_eq!(counters.limited_addresses.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn bytes_are_paid_for_afterwards() {
        let throttle = throttle(ThrottleSettings {
            bytes_per_key: 1000,
            bytes_per_address: 100_000,
            ..ThrottleSettings::default()
        });
        let here = Some(origin(&throttle, "192.0.2.1"));
        let client = Some("192.0.2.1".parse().unwrap());
        throttle.charge(client, Some(&key("A")), 60_000, at(0));
        assert_eq!(throttle.admit(here, at(0)), Ok(()));
        let told = throttle.admit_key(&key("A"), at(0)).unwrap_err();
        assert_eq!(told.retry_after.as_secs(), 50);
        assert_eq!(throttle.admit_key(&key("A"), at(51)), Ok(()));
    }

    /// What was counted under the settings before counts under the new ones.
    #[test]
    fn other_settings_go_on_with_the_same_meters() {
        let before = locks();
        let there = origin(&before, "192.0.2.1");
        for _ in 0..4 {
            before.failed((there, "A"), at(0));
        }
        assert!(before.may_try((there, "A"), at(0)).is_err());
        let generous = before.reconfigured(ThrottleSettings {
            failures_per_key: 10,
            requests_per_address: 1,
            ..before.settings.clone()
        });
        // A meter is a time: who is locked waits for what they took, and then for the new limit.
        let told = generous.may_try((there, "A"), at(0)).unwrap_err();
        assert_eq!(told.retry_after.as_secs(), 26);
        assert_eq!(generous.may_try((there, "A"), at(26)), Ok(()));
        for _ in 0..10 {
            assert_eq!(generous.admit(Some(there), at(0)), Ok(()));
        }
        assert!(generous.admit(Some(there), at(0)).is_err());
        let strict = generous.reconfigured(before.settings.clone());
        assert!(strict.may_try((there, "A"), at(26)).is_err());
        assert_eq!(strict.admit(Some(there), at(0)), Ok(()));
        let off = strict.reconfigured(ThrottleSettings::default());
        assert_eq!(off.may_try((there, "A"), at(0)), Ok(()));
        assert_eq!(off.counters.failures.load(Ordering::Relaxed), 4);
    }

    #[test]
    fn it_is_told_in_whole_seconds() {
        let told = |ms| {
            S3Error::from(SlowDown {
                retry_after: Duration::from_millis(ms),
            })
        };
        for (ms, seconds) in [(1, "1"), (1000, "1"), (1001, "2")] {
            assert_eq!(told(ms).headers(), [("retry-after", seconds.to_owned())]);
        }
    }
}
