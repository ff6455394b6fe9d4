//! The file that records are in.

use std::{
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use deepstream::{Loaded, name::Name};
use redb::{
    Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition, TableError,
};

use super::Group;
use crate::limits;

/// Version and JSON, by name.
const RECORDS: TableDefinition<'_, &str, (u64, &str)> = TableDefinition::new("records");
/// What the file is: [`FORMAT`] by its name.
const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("roomful");
const FORMAT_KEY: &str = "format";
/// How the file is laid out. Another number for each layout that older servers would misread.
const FORMAT: u64 = 1;

/// A store that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process has it.
    #[error("the store {} is in use by another process", path.display())]
    InUse {
        /// Which file.
        path: PathBuf,
    },
    /// It cannot be opened or made.
    #[error("the store {} cannot be opened: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is something else.
    #[error("{} is no store of Roomful's", path.display())]
    Other {
        /// Which file.
        path: PathBuf,
    },
    /// It was written by a server that lays stores out otherwise.
    #[error("the store {} has the format {found}, and this server knows {FORMAT}", path.display())]
    Format {
        /// Which file.
        path: PathBuf,
        /// Its format.
        found: u64,
    },
    /// What is in it is not what was written.
    #[error("the store {} is damaged: {what}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// There is no thread to write it.
    #[error("the thread that stores records cannot be started: {0}")]
    Thread(io::Error),
}

impl StoreError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            StoreError::InUse { .. } => "stop the other server, or give this one another file (store in [deepstream])",
            StoreError::File { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => "make the folder that it is to be in",
                io::ErrorKind::PermissionDenied => "let the server's user read and write the file and its folder",
                _ => "choose another file (store in [deepstream])",
            },
            StoreError::Other { .. } => "choose another file (store in [deepstream]): this one is left as it is",
            StoreError::Format { .. } => "use the version of Roomful that wrote it, or choose another file",
            StoreError::Damaged { .. } => "bring a copy back, or move the file away to start without records",
            StoreError::Thread(_) => "let the server's user have more threads (ulimit -u)",
        }
    }

    /// Whether the configuration is at fault, not the system.
    pub fn is_configuration(&self) -> bool {
        matches!(self, StoreError::Other { .. } | StoreError::Format { .. })
    }
}

/// An open file.
#[derive(Debug)]
pub(super) struct File(Database);

impl File {
    /// Opens a file, or makes it, and reads all that is in it.
    pub(super) fn open(path: &Path) -> Result<(File, Vec<Loaded>), StoreError> {
        calmly(|| File::open_or_make(path))
            .unwrap_or_else(|| Err(StoreError::Damaged { path: path.to_owned(), what: GAVE_UP.to_owned() }))
    }

    fn open_or_make(path: &Path) -> Result<(File, Vec<Loaded>), StoreError> {
        let failed = |source| StoreError::File { path: path.to_owned(), source };
        if !path.try_exists().map_err(failed)? {
            // Made beside its place and moved there whole: what is half made cannot be opened ever again.
            let mut half_made = path.as_os_str().to_owned();
            half_made.push(".new");
            let half_made = PathBuf::from(half_made);
            fs::remove_file(&half_made).or_else(unless_missing).map_err(failed)?;
            let database = builder().create(&half_made).map_err(|error| unusable(path, error))?;
            drop(File::read(path, database)?);
            fs::rename(&half_made, path).and_then(|()| keep_name(path)).map_err(failed)?;
        }
        let database = builder().create(path).map_err(|error| unusable(path, error))?;
        File::read(path, database)
    }

    /// Reads all that is in it.
    pub(super) fn read(path: &Path, database: Database) -> Result<(File, Vec<Loaded>), StoreError> {
        let file = File(database);
        match file.format().map_err(|error| damaged(path, &error))? {
            Format::Known => {}
            Format::New => file.begin().map_err(|error| damaged(path, &error))?,
            Format::None => return Err(StoreError::Other { path: path.to_owned() }),
            Format::Unknown(found) => return Err(StoreError::Format { path: path.to_owned(), found }),
        }
        let records = file.records().map_err(|error| damaged(path, &error))?;
        Ok((file, records))
    }

    /// Writes a group, all or nothing. When it returns, it is on the disk. After an error the file must be opened
    /// again.
    pub(super) fn write(&self, group: &Group) -> Result<(), redb::Error> {
        if group.is_empty() {
            return Ok(());
        }
        calmly(|| self.commit(group)).unwrap_or_else(|| Err(redb::Error::Corrupted(GAVE_UP.to_owned())))
    }

    /// Closes it after an error.
    pub(super) fn give_up(self) {
        // A database that panicked once does so again when it is dropped.
        calmly(move || drop(self));
    }

    fn commit(&self, group: &Group) -> Result<(), redb::Error> {
        let mut transaction = self.0.begin_write()?;
        // What is written comes from outside: nobody should be able to write what a half-written page is mistaken for.
        transaction.set_two_phase_commit(true);
        {
            let mut records = transaction.open_table(RECORDS)?;
            for (name, record) in group {
                match record {
                    Some(record) => drop(records.insert(name.as_str(), (record.version, &*record.json))?),
                    None => drop(records.remove(name.as_str())?),
                }
            }
        }
        transaction.commit()?;
        Ok(())
    }

    fn format(&self) -> Result<Format, redb::Error> {
        let transaction = self.0.begin_read()?;
        let format = match transaction.open_table(ABOUT) {
            Ok(about) => about.get(FORMAT_KEY)?.map(|format| format.value()),
            Err(TableError::TableDoesNotExist(_)) if transaction.list_tables()?.next().is_none() => {
                return Ok(Format::New);
            }
            Err(TableError::Storage(error)) => return Err(error.into()),
            Err(_) => None,
        };
        Ok(match format {
            Some(FORMAT) => Format::Known,
            Some(format) => Format::Unknown(format),
            None => Format::None,
        })
    }

    /// Makes a store of a new file.
    fn begin(&self) -> Result<(), redb::Error> {
        let transaction = self.0.begin_write()?;
        transaction.open_table(ABOUT)?.insert(FORMAT_KEY, FORMAT)?;
        transaction.open_table(RECORDS)?;
        transaction.commit()?;
        Ok(())
    }

    fn records(&self) -> Result<Vec<Loaded>, redb::Error> {
        let transaction = self.0.begin_read()?;
        let records = transaction.open_table(RECORDS)?;
        let record = |entry: Result<_, StorageError>| {
            let (name, record): (redb::AccessGuard<'_, &str>, redb::AccessGuard<'_, (u64, &str)>) = entry?;
            let (version, json) = record.value();
            let name = Name::new(name.value()).map_err(|error| StorageError::Corrupted(error.to_string()))?;
            Ok(Loaded { name, version, json: json.into() })
        };
        records.iter()?.map(record).collect()
    }
}

/// What is found wrong, where the database does not say.
const GAVE_UP: &str = "the database gave it up";

/// Some damage the database panics over. That must not end the thread that others wait for; what is half done is
/// dropped with the database.
fn calmly<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

fn unless_missing(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// Writes to the disk that a file has its name, which syncing the file does not.
#[cfg(unix)]
fn keep_name(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn keep_name(_path: &Path) -> io::Result<()> {
    Ok(())
}

enum Format {
    Known,
    New,
    None,
    Unknown(u64),
}

pub(super) fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(limits::STORE_CACHE);
    // All of it is read at the start anyway.
    builder.set_check_integrity_on_open(true);
    builder
}

fn unusable(path: &Path, error: DatabaseError) -> StoreError {
    let path = path.to_owned();
    match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::InUse { path },
        // What does not begin as its files do, to the database, is data of a wrong kind.
        DatabaseError::Storage(StorageError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
            StoreError::Other { path }
        }
        DatabaseError::Storage(StorageError::Io(source)) => StoreError::File { path, source },
        error => StoreError::Damaged { path, what: error.to_string() },
    }
}

fn damaged(path: &Path, error: &redb::Error) -> StoreError {
    StoreError::Damaged { path: path.to_owned(), what: error.to_string() }
}
