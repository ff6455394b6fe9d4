//! Members that talk all the time and keep book of what they hear, so that each notices by itself what is lost, doubled
//! or out of order. Benchmarks and tests of whole rooms make their crowds of them.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use roomful::{Event, GoneReason, JoinError, Link, LinkState, MemberId, Membership, Message, Payload, PinError, Room};
use serde::Serialize;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep_until},
};

/// Where they talk: each message is `[number, time]`, counted from 1, in µs since 1970.
pub const CHANNEL: &str = "count";
/// Faults of a member that are kept in words; more are only counted.
const FAULTS_KEPT: usize = 16;
/// What became of a member's links that is kept in words: the last of it.
const TROUBLES_KEPT: usize = 16;
/// Deliveries to a member whose times are kept.
const SAMPLES_KEPT: usize = 100_000;

/// Members of one room, in this process.
pub struct Crowd {
    members: Vec<One>,
    pace: watch::Sender<Option<Duration>>,
}

struct One {
    membership: Membership,
    book: Arc<Mutex<Book>>,
    /// Dropped, it falls silent.
    voice: watch::Sender<()>,
    /// Talking and listening.
    tasks: JoinSet<()>,
}

/// What one member said and heard.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Book {
    /// The number of its last message.
    pub sent: u64,
    /// What came, by who said it.
    pub heard: BTreeMap<MemberId, Heard>,
    /// From which of its messages on each of the others must have all.
    pub owed: BTreeMap<MemberId, u64>,
    /// Who went, and why.
    pub gone: BTreeMap<MemberId, GoneReason>,
    /// Whom it is linked to now.
    pub links: BTreeSet<MemberId>,
    /// To how many at most, since that was last asked anew.
    pub links_max: usize,
    /// What should never happen, in words.
    pub faults: Vec<String>,
    /// How often it happened.
    pub faulty: u64,
    /// The last of its links that fell silent or ended, and why, in words.
    pub troubles: VecDeque<String>,
    /// Deliveries: when they came, and how long they took, both in µs.
    #[serde(skip)]
    pub samples: Vec<(u64, u64)>,
}

/// What came from one member: all numbers between these, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Heard {
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
}

/// A member and its book.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Who.
    pub id: MemberId,
    /// Its name.
    pub name: String,
    /// How it thinks that the room is linked.
    pub topology: String,
    /// Its book.
    #[serde(flatten)]
    pub book: Book,
}

impl Default for Crowd {
    fn default() -> Crowd {
        Crowd { members: Vec::new(), pace: watch::Sender::new(None) }
    }
}

impl Crowd {
    /// Lets members in, all at once.
    ///
    /// # Errors
    /// As of the first who cannot enter.
    pub async fn enter(&mut self, address: &str, names: impl IntoIterator<Item = String>) -> Result<(), JoinError> {
        let mut entering: JoinSet<Result<One, JoinError>> = JoinSet::new();
        for name in names {
            let joining = roomful::join(address).name(name);
            let pace = self.pace.subscribe();
            entering.spawn(async move { Ok(One::new(joining.await?, pace)) });
        }
        let entered: Vec<One> = entering.join_all().await.into_iter().collect::<Result<_, _>>()?;
        self.members.extend(entered);
        Ok(())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether nobody is there.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Everybody says something so often from now on, who enters later too; `None`: nothing any more.
    pub fn talk(&self, every: Option<Duration>) {
        self.pace.send_replace(every);
    }

    /// The first member has the room linked in this way.
    ///
    /// # Errors
    /// As of [`Membership::pin`].
    pub async fn pin(&self, topology: &str) -> Result<(), PinError> {
        let first = self.members.first().ok_or(PinError::Closed)?;
        first.membership.pin(topology).await
    }

    /// Whether all think that the room is linked in this way.
    pub fn is_linked_as(&self, topology: &str) -> bool {
        self.members.iter().all(|one| one.membership.topology() == topology)
    }

    /// To how many each member is linked now.
    pub fn links(&self) -> impl Iterator<Item = usize> {
        self.members.iter().map(|one| one.book().links.len())
    }

    /// The greatest number of links is counted anew.
    pub fn recount_links(&self) {
        for one in &self.members {
            let mut book = one.book();
            book.links_max = book.links.len();
        }
    }

    /// How long those deliveries took, in ms, that were on their way at any time between these, in µs since 1970.
    pub fn delays(&self, since: u64, until: u64) -> Vec<u64> {
        let on_its_way = |(came, took): &(u64, u64)| *came >= since && came - took <= until;
        let of = |one: &One| one.book().samples.iter().filter(|sample| on_its_way(sample)).map(ms).collect::<Vec<_>>();
        self.members.iter().flat_map(of).collect()
    }

    /// What everybody said and heard so far.
    pub fn report(&self) -> Vec<Report> {
        self.members.iter().map(|one| report(&one.membership, &one.book)).collect()
    }

    /// The last so many leave, after what they said has arrived; gives what they said and heard.
    pub async fn leave(&mut self, count: usize) -> Vec<Report> {
        let mut leaving = JoinSet::new();
        for one in self.members.split_off(self.members.len().saturating_sub(count)) {
            leaving.spawn(async move {
                let One { membership, book, voice, mut tasks } = one;
                drop(voice);
                // What it is about to say it says; it listens on.
                tasks.join_next().await;
                // Already out, where it was put out: its book says so.
                let _ = membership.leave().await;
                tasks.join_next().await;
                report(&membership, &book)
            });
        }
        leaving.join_all().await
    }
}

impl One {
    fn new(room: Room, pace: watch::Receiver<Option<Duration>>) -> One {
        let membership = room.membership().clone();
        let owed = membership.members().iter().map(|member| (member.id, 1)).collect();
        let book = Arc::new(Mutex::new(Book { owed, ..Book::default() }));
        let mut tasks = JoinSet::new();
        tasks.spawn(listen(room, Arc::clone(&book)));
        let (voice, silenced) = watch::channel(());
        tasks.spawn(talk(membership.clone(), Arc::clone(&book), pace, silenced));
        One { membership, book, voice, tasks }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        open(&self.book)
    }
}

fn report(membership: &Membership, book: &Mutex<Book>) -> Report {
    let me = membership.me();
    Report { id: me.id, name: me.name, topology: membership.topology(), book: open(book).clone() }
}

fn ms((_, took): &(u64, u64)) -> u64 {
    took / 1_000
}

/// What a panic left is as good as before: plain data.
fn open(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn listen(mut room: Room, book: Arc<Mutex<Book>>) {
    while let Some(event) = room.next().await {
        open(&book).event(event);
    }
}

async fn talk(
    membership: Membership,
    book: Arc<Mutex<Book>>,
    mut pace: watch::Receiver<Option<Duration>>,
    mut silenced: watch::Receiver<()>,
) {
    let channel = membership.channel(CHANNEL);
    // Members take turns, whoever entered together.
    let place = (membership.id().to_u64() % 1_024) as f64 / 1_024.0;
    loop {
        let Some(every) = *pace.borrow_and_update() else {
            tokio::select! {
                changed = pace.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
                _ = silenced.changed() => return,
            }
            continue;
        };
        let mut next = Instant::now() + every.mul_f64(place);
        loop {
            tokio::select! {
                changed = pace.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    break;
                }
                _ = silenced.changed() => return,
                () = sleep_until(next) => {}
            }
            // Who is held back does not make up for it.
            next = (next + every).max(Instant::now());
            // Counted before it is sent: who is seen to enter while it is under way may, and need not, get it.
            let number = {
                let mut book = open(&book);
                book.sent += 1;
                book.sent
            };
            let message = Payload::value(&(number, now_us())).expect("two numbers are a value");
            if channel.send(message).await.is_err() {
                return;
            }
        }
    }
}

impl Book {
    fn event(&mut self, event: Event) {
        match event {
            Event::Message(message) => self.message(&message),
            Event::MemberJoin(member) => {
                self.gone.remove(&member.id);
                self.owed.entry(member.id).or_insert(self.sent + 1);
            }
            Event::MemberLeave { member, reason } => {
                self.links.remove(&member.id);
                self.gone.insert(member.id, reason);
            }
            Event::Link(link) => {
                if link.state == LinkState::Open {
                    self.links.insert(link.member);
                    self.links_max = self.links_max.max(self.links.len());
                } else {
                    self.links.remove(&link.member);
                    self.trouble(&link);
                }
            }
            Event::Gap { member, from_seq, to_seq, .. } => {
                self.fault(format!("a gap from {from_seq} to {to_seq} of {member}"));
            }
            Event::Missed { events } => self.fault(format!("{events} events missed")),
            Event::Closed(closed) if closed.reason != "left" => self.fault(format!("put out: {}", closed.reason)),
            _ => {}
        }
    }

    fn message(&mut self, message: &Message) {
        if message.channel != CHANNEL {
            return;
        }
        let from = message.from;
        let Ok((number, sent_us)) = message.data.to::<(u64, u64)>() else {
            return self.fault(format!("something odd from {from}"));
        };
        let now = now_us();
        if self.samples.len() < SAMPLES_KEPT {
            self.samples.push((now, now.saturating_sub(sent_us)));
        }
        match self.heard.get_mut(&from) {
            None => drop(self.heard.insert(from, Heard { first: number, last: number })),
            Some(heard) if number == heard.last + 1 => heard.last = number,
            Some(Heard { last, .. }) => {
                let (last, what) = (*last, if number <= *last { "again or late" } else { "too early" });
                self.heard.insert(from, Heard { first: number.min(last), last: last.max(number) });
                self.fault(format!("{number} of {from} {what}, after {last}"));
            }
        }
    }

    fn trouble(&mut self, link: &Link) {
        let Some(reason) = &link.reason else { return };
        if self.troubles.len() >= TROUBLES_KEPT {
            self.troubles.pop_front();
        }
        let at_s = now_us() / 1_000_000 % 1_000;
        self.troubles.push_back(format!("{at_s} s: {} {:?}: {reason}", link.member, link.state));
    }

    fn fault(&mut self, what: String) {
        self.faulty += 1;
        if self.faults.len() < FAULTS_KEPT {
            self.faults.push(what);
        }
    }
}

/// µs since 1970.
pub fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
