//! Where records are kept: one file, written by one thread.
//!
//! The engine hands over what is to be stored and goes on at once. A thread takes all that has come together while it
//! was busy, writes it as one durable transaction, and tells the engine up to which ticket everything is on the disk:
//! the busier the engine, the larger the groups, and never more than one write of each record.
//!
//! What waits is bounded by the number of records, without anything being refused: of each record only the newest write
//! waits, and a deletion only where there is something on the disk to be deleted. Where the disk fails, what waits goes
//! on waiting, and is written when it can be.

mod file;

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    future::pending,
    mem,
    panic::resume_unwind,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

use deepstream::{Input, Loaded, StoredRecord, Ticket, name::Name};
use tokio::{sync::watch, task::spawn_blocking};
use tracing::{error, info};

use crate::limits;
use file::File;

pub use file::StoreError;

/// The way to the thread that writes. Dropped, it lets what waits be written, but does not wait for that.
#[derive(Debug)]
pub(crate) struct Store {
    shared: Arc<Shared>,
    outcomes: watch::Receiver<Outcome>,
    told: Outcome,
    writer: Option<JoinHandle<()>>,
}

/// Up to which tickets there is something to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Outcome {
    stored: Option<Ticket>,
    not_stored: Option<Ticket>,
}

/// What is to be written, by name; `None` is a deletion.
type Group = BTreeMap<Name, Option<StoredRecord>>;

#[derive(Debug, Default)]
struct Queue {
    waiting: Group,
    /// The newest ticket of which nothing was said yet.
    newest: Option<Ticket>,
    /// Names that are on the disk, or will be when what is being written is.
    stored: BTreeSet<Name>,
    closing: bool,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

impl Store {
    /// Opens the file, or makes it, and reads all that is in it.
    ///
    /// # Errors
    /// Where the file cannot be had, is no store, is one of another version, or is damaged.
    pub(crate) async fn open(path: PathBuf) -> Result<(Store, Vec<Loaded>), StoreError> {
        let opened = spawn_blocking(move || {
            let (file, records) = File::open(&path)?;
            info!(records = records.len(), "records were read from the store");
            let names = names(&records);
            let store = Store::start(names, file, move || File::open(&path))?;
            Ok((store, records))
        });
        opened.await.unwrap_or_else(|error| resume_unwind(error.into_panic()))
    }

    fn start(stored: BTreeSet<Name>, file: File, reopen: impl Reopen) -> Result<Store, StoreError> {
        let queue = Mutex::new(Queue { stored, ..Queue::default() });
        let shared = Arc::new(Shared { queue, ..Shared::default() });
        let (outcome, outcomes) = watch::channel(Outcome::default());
        let writer = Writer { shared: shared.clone(), file: Some(file), reopen, outcome };
        let writer = thread::Builder::new().name("records".to_owned()).spawn(move || writer.run());
        Ok(Store { shared, outcomes, told: Outcome::default(), writer: Some(writer.map_err(StoreError::Thread)?) })
    }

    /// Hands over what [`deepstream::Output::Store`] says. Never waits for the disk.
    pub(crate) fn put(&self, ticket: Ticket, name: Name, record: Option<StoredRecord>) {
        let mut queue = self.shared.lock();
        if record.is_some() || queue.stored.contains(&name) {
            queue.waiting.insert(name, record);
        } else {
            queue.waiting.remove(&name);
        }
        queue.newest = Some(ticket);
        drop(queue);
        self.shared.changed.notify_one();
    }

    /// What the engine is to be told next: [`Input::Stored`] or [`Input::NotStored`]. Waits until there is something,
    /// for ever where nothing comes any more. Nothing is lost where it is dropped before.
    pub(crate) async fn outcome(&mut self) -> Input {
        loop {
            let Outcome { stored, not_stored } = *self.outcomes.borrow_and_update();
            if let Some(ticket) = stored.filter(|_| self.told.stored < stored) {
                self.told.stored = stored;
                return Input::Stored(ticket);
            }
            // What could not be stored at first and then could, needs no mention.
            if let Some(ticket) = not_stored.filter(|_| self.told.not_stored < not_stored && stored < not_stored) {
                self.told.not_stored = not_stored;
                return Input::NotStored(ticket);
            }
            if self.outcomes.changed().await.is_err() {
                pending::<()>().await;
            }
        }
    }

    /// Waits until all that was handed over is written, and closes the file.
    pub(crate) async fn close(mut self) {
        self.shared.close();
        let Some(writer) = self.writer.take() else { return };
        if !matches!(spawn_blocking(|| writer.join()).await, Ok(Ok(()))) {
            error!("the thread that stores records ended by a bug");
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Shared {
    /// No change of the queue can be left half done, so that a panic while it was held does not matter.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.lock().closing = true;
        self.changed.notify_one();
    }

    /// Waits until there is something to write, and says whether it is the last. `None` where there is nothing more.
    fn wait(&self) -> Option<(Ticket, bool)> {
        let idle = |queue: &mut Queue| queue.newest.is_none() && !queue.closing;
        let queue = self.changed.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
        queue.newest.map(|ticket| (ticket, queue.closing))
    }

    /// Waits for the disk to recover.
    fn pause(&self) {
        let is_open = |queue: &mut Queue| !queue.closing;
        drop(self.changed.wait_timeout_while(self.lock(), limits::STORE_RETRY, is_open));
    }
}

impl Queue {
    fn take(&mut self) -> (Option<Ticket>, Group) {
        let group = mem::take(&mut self.waiting);
        let written = group.iter().filter(|(_, record)| record.is_some());
        self.stored.extend(written.map(|(name, _)| name.clone()));
        (self.newest.take(), group)
    }

    /// A group is on the disk.
    fn settle(&mut self, group: &Group) {
        for (name, _) in group.iter().filter(|(_, record)| record.is_none()) {
            self.stored.remove(name);
        }
    }

    /// A group may or may not be on the disk.
    fn give_back(&mut self, ticket: Option<Ticket>, group: Group) {
        for (name, record) in group {
            self.waiting.entry(name).or_insert(record);
        }
        self.newest = self.newest.max(ticket);
    }

    /// This is what is on the disk.
    fn found(&mut self, stored: BTreeSet<Name>) {
        self.waiting.retain(|name, record| record.is_some() || stored.contains(name));
        self.stored = stored;
    }
}

/// How the file is opened after a failure.
trait Reopen: FnMut() -> Result<(File, Vec<Loaded>), StoreError> + Send + 'static {}

impl<R: FnMut() -> Result<(File, Vec<Loaded>), StoreError> + Send + 'static> Reopen for R {}

/// The thread that writes.
struct Writer<R> {
    shared: Arc<Shared>,
    /// `None` after a failure.
    file: Option<File>,
    reopen: R,
    outcome: watch::Sender<Outcome>,
}

impl<R: Reopen> Writer<R> {
    fn run(mut self) {
        while let Some((ticket, is_last)) = self.shared.wait() {
            let Err((ticket, why)) = self.write(ticket) else { continue };
            // The file takes nothing more after a failure, and what it has is known only when it is opened again.
            if let Some(file) = self.file.take() {
                file.give_up();
            }
            error!(%why, "records cannot be stored");
            self.outcome.send_modify(|outcome| outcome.not_stored = Some(ticket));
            if is_last {
                return;
            }
            self.shared.pause();
        }
    }

    /// Writes what waits.
    fn write(&mut self, newest: Ticket) -> Result<(), (Ticket, Box<dyn Error>)> {
        let file = match &self.file {
            Some(file) => file,
            None => {
                let (file, records) = (self.reopen)().map_err(|error| (newest, error.into()))?;
                self.shared.lock().found(names(&records));
                info!("records can be stored again");
                self.file.insert(file)
            }
        };
        let (taken, group) = self.shared.lock().take();
        let newest = taken.unwrap_or(newest);
        match file.write(&group) {
            Ok(()) => {
                self.shared.lock().settle(&group);
                self.outcome.send_modify(|outcome| outcome.stored = Some(newest));
                Ok(())
            }
            Err(error) => {
                self.shared.lock().give_back(taken, group);
                Err((newest, error.into()))
            }
        }
    }
}

fn names(records: &[Loaded]) -> BTreeSet<Name> {
    records.iter().map(|record| record.name.clone()).collect()
}

#[cfg(test)]
mod tests;
