//! Throttles guessing of passwords.
//!
//! Failures are counted by account and client address together, by account alone and by address
//! alone, under whichever of its names and spellings an account is addressed. They decay with time:
//! after the first dozen, attempts go on at a slow pace. An attempt is counted before the password
//! is checked, so that parallel attempts gain nothing, and taken back if it was right. A table of
//! fixed size holds the time of decay of each counter; accounts and addresses are not stored. When an operator
//! sets a user's password, that user's counters begin anew.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Counters kept for one application; of more, those that matter least are forgotten.
const MAX_COUNTERS: usize = 10_000;

/// So many failures at once, and then one in each `every`.
#[derive(Debug, Clone, Copy)]
struct AttemptLimit {
    burst: u32,
    every: Duration,
}

/// On one account from one address: a person who mistypes never sees it.
const PAIR: AttemptLimit = AttemptLimit { burst: 10, every: Duration::from_secs(30) };
/// On one account from anywhere: higher, so that a stranger does not lock its owner out.
const ACCOUNT: AttemptLimit = AttemptLimit { burst: 100, every: Duration::from_secs(10) };
/// From one address on any account: an office may share one.
const CLIENT: AttemptLimit = AttemptLimit { burst: 100, every: Duration::from_secs(5) };

/// Signing up from one address, right or wrong: each hashes a password and may leave a user.
const SIGN_UP: AttemptLimit = AttemptLimit { burst: 100, every: Duration::from_secs(2) };

/// What failed sign-ins of one application have used up.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    hasher: RandomState,
    /// By the counter's hash, when all of its failures will have drained away.
    counters: Mutex<HashMap<u64, Instant>>,
    /// How many times each account was forgiven, by the account's hash: part of its counters' hashes, of which
    /// those with an address cannot be listed.
    forgiven: Mutex<HashMap<u64, u64>>,
}

/// An attempt that was let through and counted.
#[derive(Debug)]
pub(super) struct Attempt {
    pair: u64,
    others: [Option<(u64, AttemptLimit)>; 2],
}

impl Throttle {
    /// Lets an attempt through and counts it; else says how long to wait.
    pub(super) fn begin(
        &self,
        account: &str,
        client: Option<IpAddr>,
        now: Instant,
    ) -> Result<Attempt, Duration> {
        let client = client.map(network);
        let own = self.hasher.hash_one(("account", account));
        let times = self.times_forgiven(own);
        let pair = self.hasher.hash_one(("pair", account, times, client));
        let of_account = (self.hasher.hash_one((own, times)), ACCOUNT);
        let of_client = client.map(|client| (self.hasher.hash_one(("client", client)), CLIENT));
        let attempt = Attempt { pair, others: [Some(of_account), of_client] };

        self.count(attempt.counted(), now)?;
        Ok(attempt)
    }

    /// Lets an attempt on a user through, by whichever name it is made, and counts it; else says how
    /// long to wait. The client is counted by [`Throttle::begin`].
    pub(super) fn begin_user(
        &self,
        id: i64,
        client: Option<IpAddr>,
        now: Instant,
    ) -> Result<Attempt, Duration> {
        let own = self.hasher.hash_one(("user", id));
        let times = self.times_forgiven(own);
        let pair = self.hasher.hash_one(("user and client", id, times, client.map(network)));
        let of_user = (self.hasher.hash_one((own, times)), ACCOUNT);
        let attempt = Attempt { pair, others: [Some(of_user), None] };
        self.count(attempt.counted(), now)?;
        Ok(attempt)
    }

    /// Forgets the failures on a user under each of its names, as [`Throttle::begin`] takes them.
    pub(super) fn forgive(&self, id: i64, names: impl Iterator<Item = String>) {
        let names = names.map(|name| self.hasher.hash_one(("account", &*name)));
        let mut forgiven = self.forgiven.lock();
        for own in names.chain([self.hasher.hash_one(("user", id))]) {
            *forgiven.entry(own).or_default() += 1;
        }
    }

    fn times_forgiven(&self, own: u64) -> u64 {
        self.forgiven.lock().get(&own).copied().unwrap_or_default()
    }

    /// Lets somebody try to sign up and counts it; else says how long to wait.
    pub(super) fn sign_up(&self, client: Option<IpAddr>, now: Instant) -> Result<(), Duration> {
        let client = client.map(network);
        let key = client.map(|client| (self.hasher.hash_one(("sign-up", client)), SIGN_UP));
        self.count(key.into_iter(), now)
    }

    /// Counts one for each if all of them have room.
    fn count(
        &self,
        counted: impl Iterator<Item = (u64, AttemptLimit)> + Clone,
        now: Instant,
    ) -> Result<(), Duration> {
        let mut counters = self.counters.lock();
        let wait = counted.clone().filter_map(|(key, limit)| {
            let drained = counters.get(&key).map_or(now, |drained| *drained.max(&now));
            (drained + limit.every).checked_duration_since(now + limit.every * limit.burst)
        });
        if let Some(wait) = wait.max().filter(|wait| !wait.is_zero()) {
            return Err(wait);
        }
        for (key, limit) in counted {
            let drained = counters.entry(key).or_insert(now);
            *drained = (*drained).max(now) + limit.every;
        }
        make_room(&mut counters, now);
        Ok(())
    }

    /// It was right: what this account failed from this address is forgotten. The other counters
    /// only lose this attempt: somebody with an account of their own could clear them otherwise.
    pub(super) fn succeeded(&self, attempt: Attempt) {
        let mut counters = self.counters.lock();
        counters.remove(&attempt.pair);
        take_back(&mut counters, attempt.others.into_iter().flatten());
    }

    /// It was neither right nor wrong: something broke.
    pub(super) fn undecided(&self, attempt: Attempt) {
        take_back(&mut self.counters.lock(), attempt.counted());
    }
}

impl Attempt {
    fn counted(&self) -> impl Iterator<Item = (u64, AttemptLimit)> + Clone + use<> {
        [Some((self.pair, PAIR))].into_iter().chain(self.others).flatten()
    }
}

fn take_back(counters: &mut HashMap<u64, Instant>, counted: impl Iterator<Item = (u64, AttemptLimit)>) {
    for (key, limit) in counted {
        if let Some(drained) = counters.get_mut(&key) {
            *drained = drained.checked_sub(limit.every).unwrap_or(*drained);
        }
    }
}

/// Forgets what has drained away, and of too much the half that is nearest to it.
fn make_room(counters: &mut HashMap<u64, Instant>, now: Instant) {
    if counters.len() <= MAX_COUNTERS {
        return;
    }
    counters.retain(|_, drained| *drained > now);
    if counters.len() > MAX_COUNTERS {
        let mut times: Vec<Instant> = counters.values().copied().collect();
        let (_, middle, _) = times.select_nth_unstable(MAX_COUNTERS / 2);
        let middle = *middle;
        counters.retain(|_, drained| *drained > middle);
    }
}

/// Whoever has one address of IPv6 has its whole network (RFC 6177).
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !(u128::MAX >> 64)).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    /// How many attempts are let through until one is not.
    fn tries(
        throttle: &Throttle,
        account: impl Fn(u32) -> String,
        client: impl Fn(u32) -> String,
        now: Instant,
    ) -> u32 {
        (0..1000).find(|&n| throttle.begin(&account(n), ip(&client(n)), now).is_err()).unwrap_or(1000)
    }

    #[test]
    fn each_limit_holds_and_leaves_others_alone() {
        let now = Instant::now();
        let same = |text: &'static str| move |_: u32| text.to_owned();
        let throttle = Throttle::default();
        assert_eq!(tries(&throttle, same("ann"), same("192.0.2.1"), now), PAIR.burst);
        assert!(throttle.begin("ann", ip("192.0.2.2"), now).is_ok(), "its owner, elsewhere");
        assert!(throttle.begin("ben", ip("192.0.2.1"), now).is_ok(), "somebody else beside");

        let throttle = Throttle::default();
        let other = |n: u32| format!("198.51.100.{}", n % 256);
        assert_eq!(tries(&throttle, same("ann"), other, now), ACCOUNT.burst);
        let throttle = Throttle::default();
        assert_eq!(tries(&throttle, |n| format!("user{n}"), same("192.0.2.1"), now), CLIENT.burst);
        let throttle = Throttle::default();
        let in_one_network = |n: u32| format!("2001:db8::{n:x}");
        assert_eq!(tries(&throttle, same("ann"), in_one_network, now), PAIR.burst);
    }

    #[test]
    fn a_user_is_one_by_whatever_name() {
        let (throttle, now, client) = (Throttle::default(), Instant::now(), ip("192.0.2.1"));
        let tried = (0..1000).take_while(|_| throttle.begin_user(1, client, now).is_ok()).count();
        assert_eq!(tried, PAIR.burst as usize);
        assert!(throttle.begin_user(2, client, now).is_ok());
        assert!(throttle.begin_user(1, ip("192.0.2.2"), now).is_ok());
    }

    #[test]
    fn an_account_that_is_forgiven_begins_anew_and_no_other_does() {
        let (throttle, now, client) = (Throttle::default(), Instant::now(), ip("192.0.2.1"));
        for account in ["ann", "ben"] {
            while throttle.begin(account, client, now).is_ok() {}
        }
        while throttle.begin_user(1, client, now).is_ok() {}
        throttle.forgive(1, ["ann".to_owned()].into_iter());
        assert!(throttle.begin("ann", client, now).is_ok() && throttle.begin_user(1, client, now).is_ok());
        assert!(throttle.begin("ben", client, now).is_err());
        assert_eq!(tries(&throttle, |_| "ann".to_owned(), |_| "192.0.2.1".to_owned(), now), PAIR.burst - 1);
    }

    #[test]
    fn waiting_as_long_as_was_said_lets_one_through() {
        let throttle = Throttle::default();
        let mut now = Instant::now();
        while throttle.begin("ann", None, now).is_ok() {}
        for _ in 0..3 {
            let wait = throttle.begin("ann", None, now).unwrap_err();
            assert!(wait > Duration::ZERO && wait <= PAIR.every, "{wait:?}");
            assert!(throttle.begin("ann", None, now + wait - Duration::from_millis(1)).is_err());
            now += wait;
            assert!(throttle.begin("ann", None, now).is_ok());
        }
    }

    #[test]
    fn a_success_starts_over_but_clears_nobody_elses_failures() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let client = ip("192.0.2.1");
        for _ in 0..1000 {
            let attempt = throttle.begin("ann", client, now).unwrap();
            throttle.succeeded(attempt);
        }
        for n in 0..CLIENT.burst {
            throttle.begin(&format!("user{n}"), client, now).unwrap();
            if n + 1 < CLIENT.burst {
                let own = throttle.begin("own", client, now).unwrap();
                throttle.succeeded(own);
            }
        }
        assert!(throttle.begin("next", client, now).is_err());
    }

    #[test]
    fn signing_up_is_counted_by_address_and_apart_from_signing_in() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        while throttle.sign_up(ip("192.0.2.1"), now).is_ok() {}
        assert_eq!(throttle.counters.lock().len(), 1);
        assert!(throttle.sign_up(ip("192.0.2.1"), now + SIGN_UP.every).is_ok());
        assert!(throttle.sign_up(ip("192.0.2.2"), now).is_ok());
        assert!(throttle.begin("ann", ip("192.0.2.1"), now).is_ok());
    }

    #[test]
    fn what_broke_is_not_counted() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for _ in 0..1000 {
            let attempt = throttle.begin("ann", ip("192.0.2.1"), now).unwrap();
            throttle.undecided(attempt);
        }
    }

    #[test]
    fn the_table_stays_of_its_size_and_keeps_the_worst() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        while throttle.begin("ann", None, now).is_ok() {}
        for n in 0..3 * MAX_COUNTERS {
            throttle.begin(&format!("user{n}"), None, now).unwrap();
            assert!(throttle.counters.lock().len() <= MAX_COUNTERS + 3);
        }
        assert!(throttle.begin("ann", None, now).is_err());
    }
}
