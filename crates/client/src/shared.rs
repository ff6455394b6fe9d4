//! What the driver and the application's handles share. The member machine, the sockets and the links are not among
//! it: those are the driver's alone.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use room::{
    id::MemberId,
    wire::signal::{Json, Member},
};

use crate::{call::Handler, event::Closed, inbox::Inbox};

pub(crate) struct Shared {
    /// Whether what this member says is sealed.
    pub is_secret: bool,
    view: RwLock<View>,
    pub inbox: Inbox,
    handlers: Mutex<BTreeMap<String, Handler>>,
    /// Calls whose callers do not want the answer any more.
    cancelled: Mutex<Vec<u64>>,
    leaving: AtomicBool,
    draining: AtomicBool,
}

/// The room as the driver knows it now.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub this: Member,
    pub members: BTreeMap<MemberId, Member>,
    pub topology: String,
    /// What it is to be; `None`: what fits.
    pub pin: Option<String>,
    /// Whether this member may choose it.
    pub admin: bool,
    pub state: BTreeMap<String, Json>,
    pub closed: Option<Closed>,
}

impl Shared {
    pub(crate) fn new(this: Member, is_secret: bool) -> Arc<Shared> {
        let view = View {
            this,
            members: BTreeMap::new(),
            topology: String::new(),
            pin: None,
            admin: false,
            state: BTreeMap::new(),
            closed: None,
        };
        Arc::new(Shared {
            is_secret,
            view: RwLock::new(view),
            inbox: Inbox::default(),
            handlers: Mutex::default(),
            cancelled: Mutex::default(),
            leaving: AtomicBool::new(false),
            draining: AtomicBool::new(false),
        })
    }

    // A lock that a panic poisoned guards plain data, which is as good as before.

    pub(crate) fn view(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut View)) {
        change(&mut self.view.write().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn handler(&self, method: &str) -> Option<Handler> {
        self.handlers.lock().unwrap_or_else(PoisonError::into_inner).get(method).cloned()
    }

    pub(crate) fn set_handler(&self, method: String, handler: Handler) {
        self.handlers.lock().unwrap_or_else(PoisonError::into_inner).insert(method, handler);
    }

    pub(crate) fn cancel_call(&self, ticket: u64) {
        self.cancelled.lock().unwrap_or_else(PoisonError::into_inner).push(ticket);
        self.inbox.bell.notify_one();
    }

    pub(crate) fn cancelled_calls(&self) -> Vec<u64> {
        std::mem::take(&mut *self.cancelled.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The application wants to leave.
    pub(crate) fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
        self.inbox.bell.notify_one();
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// The application, a relay, wants to leave when nobody depends on it any more.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        self.inbox.bell.notify_one();
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Nothing more will happen.
    pub(crate) fn close(&self, closed: Closed) {
        self.update(|view| {
            view.closed.get_or_insert_with(|| closed.clone());
        });
        self.inbox.close(closed);
    }
}
