//! Threads that own a part of the server each, with all the connections that it serves.

use std::{future::Future, io, thread};

use tokio::{
    runtime::{Builder, Handle, RuntimeFlavor},
    sync::oneshot,
};

/// A thread with a runtime of its own. What is spawned on it never waits for another processor to wake up: a third of
/// what a broadcast costs (see `docs/adr/0009-thread-per-shard.md`).
///
/// It runs until it is dropped. In a runtime of a single thread it is that thread: who started the server there wants
/// no more.
#[derive(Debug)]
pub(crate) struct Worker {
    runtime: Handle,
    _stop: Option<oneshot::Sender<()>>,
}

impl Worker {
    /// Starts a thread of this name.
    ///
    /// # Errors
    /// Where the system gives no thread, or no file descriptors for it to wait with.
    pub(crate) fn start(name: String) -> io::Result<Worker> {
        let here = Handle::current();
        if here.runtime_flavor() == RuntimeFlavor::CurrentThread {
            return Ok(Worker { runtime: here, _stop: None });
        }
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        // An error is what the receiver waits for: the sender was dropped.
        thread::Builder::new().name(name).spawn(move || drop(runtime.block_on(stopped)))?;
        Ok(Worker { runtime: handle, _stop: Some(stop) })
    }

    /// Runs a task on this thread.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(task);
    }
}
