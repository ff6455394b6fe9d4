//! What each address may do: connections at a time, new ones a second, failed joins and logins.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{sync::Semaphore, time::Instant};

use crate::{
    bucket::{Bucket, Rate},
    limits,
};

/// What an address may do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    /// Connections of all addresses.
    pub(crate) total: usize,
    /// Connections of one.
    pub(crate) each: u32,
    /// New connections of one.
    pub(crate) connects: Rate,
    /// Joins of one that may fail.
    pub(crate) failures: Rate,
}

/// Why an address may not connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// All addresses together have as many connections as there may be.
    Full,
    /// This one has.
    TooMany,
    /// It connects, or fails, too often.
    TooOften,
}

/// Counts connections by address.
#[derive(Debug)]
pub(crate) struct Addresses {
    allowance: Allowance,
    table: Mutex<Table>,
}

#[derive(Debug)]
struct Table {
    entries: HashMap<Network, Entry>,
    open: usize,
    swept: Option<Instant>,
}

#[derive(Debug)]
struct Entry {
    open: u32,
    connects: Bucket,
    failures: Bucket,
    /// Made when it is first asked for.
    password_turns: Option<Arc<Semaphore>>,
}

/// Who shares an allowance: an IPv4 address, or an IPv6 network of 64 bits, since that is what one customer gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Network(IpAddr);

impl Network {
    fn of(address: IpAddr) -> Network {
        match address.to_canonical() {
            IpAddr::V6(v6) => Network(IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)))),
            v4 => Network(v4),
        }
    }
}

/// A connection's place. Dropped, it is free again.
#[derive(Debug)]
pub(crate) struct Place {
    addresses: Arc<Addresses>,
    /// `None`: only the total counts.
    network: Option<Network>,
}

impl Addresses {
    pub(crate) fn new(allowance: Allowance) -> Addresses {
        Addresses { allowance, table: Mutex::new(Table { entries: HashMap::new(), open: 0, swept: None }) }
    }

    /// A place for a connection from this address. A loopback address has no limits of its own: whoever can use it
    /// is on this machine already.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr, now: Instant) -> Result<Place, Denied> {
        self.admit_as(Some(address).filter(|address| !address.to_canonical().is_loopback()), now)
    }

    /// A place for a connection that stands for many addresses, as a proxy's.
    pub(crate) fn admit_any(self: &Arc<Self>, now: Instant) -> Result<Place, Denied> {
        self.admit_as(None, now)
    }

    /// Connections that there are.
    #[cfg(test)]
    fn open(&self) -> usize {
        self.lock().open
    }

    fn admit_as(self: &Arc<Self>, address: Option<IpAddr>, now: Instant) -> Result<Place, Denied> {
        let network = address.map(Network::of);
        let mut table = self.lock();
        if table.open >= self.allowance.total {
            return Err(Denied::Full);
        }
        if let Some(network) = network {
            self.count(&mut table, network, now)?;
        }
        table.open += 1;
        Ok(Place { addresses: self.clone(), network })
    }

    fn count(&self, table: &mut Table, network: Network, now: Instant) -> Result<(), Denied> {
        let Allowance { each, connects, failures, .. } = self.allowance;
        if table.entries.len() >= limits::ADDRESSES && !table.entries.contains_key(&network) {
            table.sweep(&self.allowance, now)?;
        }
        let entry = table.entries.entry(network).or_insert_with(|| Entry {
            open: 0,
            connects: Bucket::new(connects, now),
            failures: Bucket::new(failures, now),
            password_turns: None,
        });
        if entry.open >= each {
            return Err(Denied::TooMany);
        }
        if !entry.failures.has_any(failures, now) || !entry.connects.take(connects, 1, now) {
            return Err(Denied::TooOften);
        }
        entry.open += 1;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Counts stay true whatever panicked: each is changed at once.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Forgets addresses that have nothing open and nothing to answer for.
    fn sweep(&mut self, allowance: &Allowance, now: Instant) -> Result<(), Denied> {
        // A flood from ever new addresses must not make each connection search the whole table.
        if self.swept.is_some_and(|swept| now < swept + limits::SWEEP_PAUSE) {
            return Err(Denied::Full);
        }
        self.swept = Some(now);
        self.entries.retain(|_, entry| {
            entry.open > 0
                || !entry.connects.is_full(allowance.connects, now)
                || !entry.failures.is_full(allowance.failures, now)
        });
        if self.entries.len() < limits::ADDRESSES { Ok(()) } else { Err(Denied::Full) }
    }
}

impl Place {
    /// The turns of the address to have a password checked; `None` where it has no limits of its own.
    pub(crate) fn password_turns(&self) -> Option<Arc<Semaphore>> {
        let mut table = self.addresses.lock();
        let entry = table.entries.get_mut(&self.network?)?;
        let turns = || Arc::new(Semaphore::new(limits::PASSWORD_CHECKS_PER_ADDRESS));
        Some(entry.password_turns.get_or_insert_with(turns).clone())
    }

    /// Notes that a join failed. An address that fails too often may not connect for a while.
    pub(crate) fn failed(&self, now: Instant) {
        let Some(network) = self.network else { return };
        let rate = self.addresses.allowance.failures;
        if let Some(entry) = self.addresses.lock().entries.get_mut(&network) {
            entry.failures.take(rate, 1, now);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.addresses.lock();
        table.open -= 1;
        if let Some(entry) = self.network.and_then(|network| table.entries.get_mut(&network)) {
            entry.open -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn addresses(total: usize) -> Arc<Addresses> {
        Arc::new(Addresses::new(Allowance {
            total,
            each: 2,
            connects: Rate { burst: 4, per_second: 1 },
            failures: Rate { burst: 2, per_second: 1 },
        }))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn places_are_counted_and_freed() {
        let (addresses, now) = (addresses(3), Instant::now());
        let first = addresses.admit(ip("192.0.2.1"), now).unwrap();
        let _second = addresses.admit(ip("192.0.2.1"), now).unwrap();
        assert_eq!(addresses.admit(ip("192.0.2.1"), now).unwrap_err(), Denied::TooMany);
        assert_eq!(addresses.admit(ip("::ffff:192.0.2.1"), now).unwrap_err(), Denied::TooMany);
        let _other = addresses.admit(ip("192.0.2.2"), now).unwrap();
        assert_eq!(addresses.admit(ip("192.0.2.3"), now).unwrap_err(), Denied::Full);
        drop(first);
        assert_eq!(addresses.open(), 2);
        assert!(addresses.admit(ip("192.0.2.1"), now).is_ok());
    }

    #[test]
    fn ipv6_networks_share_an_allowance() {
        let (addresses, now) = (addresses(9), Instant::now());
        let _places = ["2001:db8::1", "2001:db8::2"].map(|text| addresses.admit(ip(text), now).unwrap());
        assert_eq!(addresses.admit(ip("2001:db8::3"), now).unwrap_err(), Denied::TooMany);
        assert!(addresses.admit(ip("2001:db8:0:1::1"), now).is_ok());
    }

    #[test]
    fn connects_and_failures_are_rated() {
        let (addresses, now) = (addresses(9), Instant::now());
        for _ in 0..4 {
            drop(addresses.admit(ip("192.0.2.1"), now).unwrap());
        }
        assert_eq!(addresses.admit(ip("192.0.2.1"), now).unwrap_err(), Denied::TooOften);
        assert!(addresses.admit(ip("192.0.2.1"), now + Duration::from_secs(1)).is_ok());

        let place = addresses.admit(ip("192.0.2.2"), now).unwrap();
        place.failed(now);
        place.failed(now);
        assert_eq!(addresses.admit(ip("192.0.2.2"), now).unwrap_err(), Denied::TooOften);
        assert!(addresses.admit(ip("192.0.2.2"), now + Duration::from_secs(1)).is_ok());
    }

    #[test]
    fn addresses_have_turns_of_their_own_for_passwords() {
        let (addresses, now) = (addresses(9), Instant::now());
        let turns = |address| addresses.admit(ip(address), now).unwrap().password_turns();
        let (one, same, other) = (turns("192.0.2.1"), turns("192.0.2.1"), turns("192.0.2.2"));
        assert!(Arc::ptr_eq(&one.clone().unwrap(), &same.unwrap()) && !Arc::ptr_eq(&one.unwrap(), &other.unwrap()));
        assert!(turns("127.0.0.1").is_none());
    }

    #[test]
    fn loopback_has_only_the_total() {
        let (addresses, now) = (addresses(5), Instant::now());
        let places: Vec<_> = (0..5).map(|_| addresses.admit(ip("127.0.0.1"), now).unwrap()).collect();
        assert_eq!(addresses.admit(ip("::1"), now).unwrap_err(), Denied::Full);
        drop(places);
        assert_eq!(addresses.open(), 0);
    }

    #[test]
    fn table_is_bounded() {
        let (addresses, now) = (addresses(usize::MAX), Instant::now());
        for n in 0..u32::try_from(limits::ADDRESSES).unwrap() {
            drop(addresses.admit(IpAddr::V4((0x0a00_0000 + n).into()), now).unwrap());
        }
        assert_eq!(addresses.admit(ip("192.0.2.1"), now).unwrap_err(), Denied::Full);
        let later = now + limits::SWEEP_PAUSE;
        assert!(addresses.admit(ip("192.0.2.1"), later).is_ok(), "all others' buckets are full again");
        assert_eq!(addresses.lock().entries.len(), 1);
    }
}
