//! The store, on real files, on a disk that fails, and in processes that are killed.

use std::{
    env, fs,
    io::{self, BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};
use redb::{Database, StorageBackend, TableDefinition};
use tokio::time::timeout;

use super::*;

const SOON: Duration = Duration::from_secs(20);

/// A folder of a test's own, gone when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("roomful-store-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("records")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn record(version: u64) -> StoredRecord {
    StoredRecord { version, json: format!(r#"{{"v":{version}}}"#).into() }
}

fn loaded(text: &str, version: u64) -> Loaded {
    Loaded { name: name(text), version, json: record(version).json }
}

async fn open(path: &Path) -> (Store, Vec<Loaded>) {
    Store::open(path.to_owned()).await.unwrap()
}

/// Waits until everything up to a ticket is said to be stored.
async fn stored(store: &mut Store, ticket: u64) {
    let wait = async {
        loop {
            match store.outcome().await {
                Input::Stored(Ticket(up_to)) if up_to >= ticket => return,
                Input::Stored(_) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    timeout(SOON, wait).await.unwrap();
}

#[tokio::test]
async fn what_is_stored_is_there_again() {
    let folder = Folder::new();
    let (mut store, records) = open(&folder.file()).await;
    assert_eq!(records, []);
    store.put(Ticket(1), name("a"), Some(record(1)));
    store.put(Ticket(2), name("b"), Some(record(1)));
    store.put(Ticket(3), name("a"), Some(record(2)));
    store.put(Ticket(4), name("never"), None);
    stored(&mut store, 4).await;
    store.put(Ticket(5), name("b"), None);
    store.put(Ticket(6), name("ü ☃"), Some(record(7)));
    // Without waiting: what was handed over is written before the file is closed.
    store.close().await;
    let (store, records) = open(&folder.file()).await;
    assert_eq!(records, [loaded("a", 2), loaded("ü ☃", 7)]);
    store.close().await;
}

#[tokio::test]
async fn dropped_store_writes_what_waits() {
    let folder = Folder::new();
    let (mut store, _) = open(&folder.file()).await;
    store.put(Ticket(1), name("a"), Some(record(1)));
    let writer = store.writer.take().unwrap();
    drop(store);
    writer.join().unwrap();
    assert_eq!(open(&folder.file()).await.1, [loaded("a", 1)]);
}

#[test]
fn no_more_waits_than_there_are_records() {
    let mut queue = Queue::default();
    let store = |queue: Queue| {
        let shared = Arc::new(Shared { queue: Mutex::new(queue), ..Shared::default() });
        Store { shared, outcomes: watch::channel(Outcome::default()).1, told: Outcome::default(), writer: None }
    };
    queue.stored.insert(name("old"));
    let store = store(queue);
    for number in 0..1_000 {
        let brief = name(&format!("brief{number}"));
        store.put(Ticket(3 * number), brief.clone(), Some(record(1)));
        store.put(Ticket(3 * number + 1), brief, None);
        store.put(Ticket(3 * number + 2), name("long"), Some(record(number)));
    }
    store.put(Ticket(3_000), name("old"), None);
    {
        let mut queue = store.shared.lock();
        let (ticket, group) = queue.take();
        assert_eq!(ticket, Some(Ticket(3_000)));
        assert_eq!(group, Group::from([(name("long"), Some(record(999))), (name("old"), None)]));
        // What is deleted while it is being written must be deleted after that.
        drop(queue);
        store.put(Ticket(3_001), name("long"), None);
        store.shared.lock().settle(&group);
        assert_eq!(store.shared.lock().waiting, Group::from([(name("long"), None)]));
        assert_eq!(store.shared.lock().stored, BTreeSet::from([name("long")]));
    }
}

// ---- files that are none -------------------------------------------------------------------------------------------

#[tokio::test]
async fn other_files_are_refused_and_left_alone() {
    let folder = Folder::new();
    let error = |path: PathBuf| async { Store::open(path).await.unwrap_err() };

    let text = folder.0.join("text");
    fs::write(&text, "a letter to grandmother\n".repeat(1_000)).unwrap();
    let refused = error(text.clone()).await;
    assert!(matches!(refused, StoreError::Other { .. }), "{refused}");
    assert_eq!(fs::read(&text).unwrap(), "a letter to grandmother\n".repeat(1_000).as_bytes());

    let foreign = folder.0.join("foreign");
    let database = Database::create(&foreign).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(TableDefinition::<&str, &str>::new("records")).unwrap().insert("a", "b").unwrap();
    transaction.commit().unwrap();
    drop(database);
    assert!(matches!(error(foreign).await, StoreError::Other { .. }));

    let newer = folder.0.join("newer");
    let database = Database::create(&newer).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(TableDefinition::<&str, u64>::new("roomful")).unwrap().insert("format", 2).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let refused = error(newer).await;
    assert!(matches!(refused, StoreError::Format { found: 2, .. }));
    assert!(refused.to_string().contains("the format 2, and this server knows 1"), "{refused}");

    assert!(matches!(error(folder.0.clone()).await, StoreError::File { .. }));
    assert!(matches!(error(folder.0.join("no/folder")).await, StoreError::File { .. }));
    let (store, _) = open(&folder.file()).await;
    assert!(matches!(error(folder.file()).await, StoreError::InUse { .. }));
    store.close().await;
}

#[tokio::test]
async fn damaged_files_are_refused_or_give_what_was_written() {
    let folder = Folder::new();
    let (store, _) = open(&folder.file()).await;
    for number in 0..200 {
        store.put(Ticket(number), name(&format!("record/{number}")), Some(record(number)));
    }
    store.close().await;
    let (store, good) = open(&folder.file()).await;
    store.close().await;
    let bytes = fs::read(folder.file()).unwrap();
    let damaged = folder.0.join("damaged");
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut refused = 0;
    for _ in 0..200 {
        let mut bytes = bytes.clone();
        if rng.next_u32() % 8 == 0 {
            bytes.truncate(rng.next_u32() as usize % bytes.len());
        } else {
            // Most of a file is empty: aim where something is.
            let full: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
            for _ in 0..=rng.next_u32() % 8 {
                let at = full[rng.next_u32() as usize % full.len()];
                bytes[at] ^= 1 << (rng.next_u32() % 8);
            }
        }
        fs::write(&damaged, &bytes).unwrap();
        match Store::open(damaged.clone()).await {
            Ok((store, records)) => {
                assert!(records.is_empty() || records == good, "what was not written came back");
                store.close().await;
            }
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 20, "{refused}");
}

// ---- disks that fail -----------------------------------------------------------------------------------------------

/// A disk in memory, which can fail.
#[derive(Clone, Debug, Default)]
struct Disk {
    bytes: Arc<Mutex<Vec<u8>>>,
    is_broken: Arc<AtomicBool>,
    /// Whether it panics instead, as code that meets what it takes for impossible.
    panics: bool,
}

impl Disk {
    fn check(&self) -> io::Result<()> {
        let is_broken = self.is_broken.load(Ordering::Relaxed);
        assert!(!is_broken || !self.panics, "what a test makes happen");
        if is_broken { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn open(&self) -> Result<(File, Vec<Loaded>), StoreError> {
        let source = |source| StoreError::File { path: PathBuf::new(), source };
        if self.is_broken.load(Ordering::Relaxed) {
            return Err(source(io::ErrorKind::StorageFull.into()));
        }
        let database = file::builder().create_with_backend(self.clone());
        File::read(Path::new("disk"), database.map_err(|error| source(io::Error::other(error)))?)
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().unwrap().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let at = usize::try_from(offset).unwrap();
        out.copy_from_slice(&self.bytes.lock().unwrap()[at..at + out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check()?;
        self.bytes.lock().unwrap().resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.check()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check()?;
        let at = usize::try_from(offset).unwrap();
        self.bytes.lock().unwrap()[at..at + data.len()].copy_from_slice(data);
        Ok(())
    }
}

#[tokio::test]
async fn what_a_failing_disk_does_not_take_is_stored_when_it_does() {
    recovers(Disk::default()).await;
}

#[tokio::test]
async fn bug_in_the_database_is_no_end_of_the_store() {
    recovers(Disk { panics: true, ..Disk::default() }).await;
}

async fn recovers(disk: Disk) {
    let (file, records) = disk.open().unwrap();
    assert_eq!(records, []);
    let reopen = disk.clone();
    let mut store = Store::start(BTreeSet::new(), file, move || reopen.open()).unwrap();
    store.put(Ticket(1), name("kept"), Some(record(1)));
    store.put(Ticket(2), name("gone"), Some(record(1)));
    stored(&mut store, 2).await;

    disk.is_broken.store(true, Ordering::Relaxed);
    store.put(Ticket(3), name("kept"), Some(record(2)));
    assert!(matches!(timeout(SOON, store.outcome()).await.unwrap(), Input::NotStored(Ticket(3))));
    store.put(Ticket(4), name("gone"), None);
    store.put(Ticket(5), name("brief"), Some(record(1)));
    store.put(Ticket(6), name("brief"), None);
    assert!(matches!(timeout(SOON, store.outcome()).await.unwrap(), Input::NotStored(Ticket(6))));

    disk.is_broken.store(false, Ordering::Relaxed);
    // Without anything new being written.
    stored(&mut store, 6).await;
    store.put(Ticket(7), name("new"), Some(record(1)));
    stored(&mut store, 7).await;
    store.close().await;
    let (_, records) = disk.open().unwrap();
    assert_eq!(records, [loaded("kept", 2), loaded("new", 1)]);
}

#[tokio::test]
async fn store_closes_while_its_disk_fails() {
    let disk = Disk::default();
    let (file, _) = disk.open().unwrap();
    let reopen = disk.clone();
    let store = Store::start(BTreeSet::new(), file, move || reopen.open()).unwrap();
    disk.is_broken.store(true, Ordering::Relaxed);
    store.put(Ticket(1), name("a"), Some(record(1)));
    timeout(SOON, store.close()).await.unwrap();
}

// ---- processes that are killed -------------------------------------------------------------------------------------

/// What a writer does at each ticket: the same in the process that writes and in the one that checks.
fn write_at(ticket: u64) -> (Name, Option<StoredRecord>) {
    let name = name(&format!("record/{}", ticket * 7 % 60));
    (name, (!ticket.is_multiple_of(5)).then(|| record(ticket)))
}

const CHILD_FILE: &str = "ROOMFUL_STORE_TEST_FILE";
const CHILD_FROM: &str = "ROOMFUL_STORE_TEST_FROM";

/// Writes for ever and says what is stored, in a process of its own.
#[tokio::test]
async fn writer_to_be_killed() {
    let Some(path) = env::var_os(CHILD_FILE) else {
        return eprintln!("skipped: other tests run this in a process of its own");
    };
    let (mut store, _) = open(Path::new(&path)).await;
    let mut ticket: u64 = env::var(CHILD_FROM).unwrap().parse().unwrap();
    loop {
        for _ in 0..25 {
            ticket += 1;
            let (name, record) = write_at(ticket);
            store.put(Ticket(ticket), name, record);
        }
        let Input::Stored(Ticket(stored)) = store.outcome().await else { panic!("nothing fails here") };
        // The test harness has the standard output for itself.
        writeln!(io::stderr(), "stored {stored}").unwrap();
    }
}

fn spawn_writer(path: &Path, from: u64) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "deepstream::store::tests::writer_to_be_killed", "--nocapture"])
        .env(CHILD_FILE, path)
        .env(CHILD_FROM, from.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn acknowledged_writes_survive_a_kill() {
    let folder = Folder::new();
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut model = BTreeMap::new();
    let mut ticket = 0;
    for round in 0..8 {
        let mut child = spawn_writer(&folder.file(), ticket);
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut acknowledged = ticket;
        let mut read = |line: io::Result<String>| {
            if let Some(number) = line.unwrap().strip_prefix("stored ") {
                acknowledged = number.parse().unwrap();
            }
        };
        for _ in 0..rng.next_u32() % 60 {
            read(lines.next().unwrap());
        }
        // SIGKILL: nothing in that process runs any more.
        child.kill().unwrap();
        child.wait().unwrap();
        lines.for_each(&mut read);

        let (store, records) = open(&folder.file()).await;
        store.close().await;
        let records: BTreeMap<_, _> = records.into_iter().map(|Loaded { name, version, .. }| (name, version)).collect();
        // What is there is what there was at one moment, and not before what was acknowledged.
        while ticket < acknowledged || records != model {
            ticket += 1;
            assert!(ticket < acknowledged + 1_000, "round {round}: what was acknowledged as stored is not there");
            match write_at(ticket) {
                (name, Some(record)) => drop(model.insert(name, record.version)),
                (name, None) => drop(model.remove(&name)),
            }
        }
    }
    assert!(ticket > 1_000, "little was written: {ticket}");
}

/// Whatever is left of a file that its maker was killed over is no obstacle.
#[tokio::test]
async fn store_survives_a_kill_at_its_birth() {
    let folder = Folder::new();
    for delay in 0..16 {
        let place = folder.0.join(format!("{delay}"));
        fs::create_dir(&place).unwrap();
        let path = place.join("records");
        let mut child = spawn_writer(&path, 0);
        while fs::read_dir(&place).unwrap().next().is_none() {
            thread::sleep(Duration::from_micros(100));
        }
        thread::sleep(Duration::from_micros(300 * delay));
        child.kill().unwrap();
        child.wait().unwrap();
        let (store, _) = open(&path).await;
        store.close().await;
        assert_eq!(fs::read_dir(&place).unwrap().count(), 1, "nothing is left lying about");
    }
}
