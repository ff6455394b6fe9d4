//! What a connection does from its first word to its last: frames from its queue to its socket, messages from its
//! socket to the task that answers them. It waits for either, and is never waited for.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    sync::mpsc,
    time::{Sleep, sleep},
};

use super::socket::{Ended, Received, Socket};
use crate::{
    limits,
    outbound::{End, Next, Outbound},
};

/// A connection at work; `I` is what its messages become.
pub(crate) struct Flow<I> {
    outbound: Arc<Outbound>,
    inbox: Inbox<I>,
    /// A message that waits for a place in the inbox, or a client that is made to wait; meanwhile nothing is read.
    waiting: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// Since when, at how many bytes written, the socket takes nothing.
    stall: Option<(u64, Pin<Box<Sleep>>)>,
}

/// What to do about something that was received.
pub(crate) enum Turn<I> {
    /// Nothing.
    Nothing,
    /// Pass this on.
    Pass(I),
    /// Pass this on, if it is something, and read nothing for some time.
    PassAndWait(Option<I>, Duration),
    /// Pass on what comes of this, and read nothing before.
    PassWhen(Pin<Box<dyn Future<Output = I> + Send>>),
}

/// Why a flow ends by itself.
#[derive(Debug)]
pub(crate) enum Over {
    /// The queue has ended, or is read too slowly.
    End(End),
    /// The socket has failed.
    Cut,
}

/// The way to the task that answers, which learns of the connection's end also where its task dies.
pub(crate) struct Inbox<I> {
    sender: mpsc::Sender<I>,
    last_word: Option<I>,
}

impl<I: Send + 'static> Flow<I> {
    pub(crate) fn new(outbound: Arc<Outbound>, inbox: Inbox<I>) -> Flow<I> {
        Flow { outbound, inbox, waiting: None, stall: None }
    }

    /// Goes on, until the flow or what is received says that it is over.
    pub(crate) fn poll<F: From<Over>>(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut Socket,
        read: &mut impl FnMut(Result<Received, Ended>) -> Result<Turn<I>, F>,
    ) -> Poll<F> {
        // Writing first makes room; what reading answers (pongs) goes out in the same turn.
        if let Poll::Ready(over) = self.poll_write(cx, socket) {
            return Poll::Ready(over.into());
        }
        if let Poll::Ready(farewell) = self.poll_read(cx, socket, read) {
            return Poll::Ready(farewell);
        }
        if socket.frames().is_empty() { Poll::Pending } else { self.poll_write(cx, socket).map(F::from) }
    }

    /// Tells the task that answers that the connection has ended.
    pub(crate) async fn close(mut self, last_word: I) {
        self.outbound.abandon();
        self.inbox.last_word = None;
        self.inbox.send(last_word).await;
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, socket: &mut Socket) -> Poll<Over> {
        let mut is_all = false;
        for _ in 0..limits::WRITE_TURN {
            match socket.poll_write(cx) {
                Poll::Ready(Ok(())) => self.stall = None,
                Poll::Ready(Err(_)) => return Poll::Ready(Over::Cut),
                Poll::Pending => return self.poll_stalled(cx, socket),
            }
            if is_all {
                return Poll::Pending;
            }
            match ready!(self.outbound.poll_take(cx, socket.frames())) {
                Next::Frames { all } => is_all = all,
                Next::End(end) => return Poll::Ready(Over::End(end)),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Waits with a socket that takes nothing, as long as there is hope.
    fn poll_stalled(&mut self, cx: &mut Context<'_>, socket: &Socket) -> Poll<Over> {
        if self.outbound.is_too_slow(cx) {
            return Poll::Ready(Over::End(End::TooSlow));
        }
        let written = socket.written();
        if self.stall.as_ref().is_none_or(|(before, _)| *before != written) {
            self.stall = Some((written, Box::pin(sleep(limits::WRITE_STALL))));
        }
        if let Some((_, sleep)) = &mut self.stall {
            ready!(sleep.as_mut().poll(cx));
        }
        Poll::Ready(Over::End(End::TooSlow))
    }

    fn poll_read<F>(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut Socket,
        read: &mut impl FnMut(Result<Received, Ended>) -> Result<Turn<I>, F>,
    ) -> Poll<F> {
        for _ in 0..limits::READ_TURN {
            if let Some(waiting) = &mut self.waiting {
                ready!(waiting.as_mut().poll(cx));
                self.waiting = None;
            }
            let received = ready!(socket.poll_receive(cx));
            match read(received) {
                Ok(Turn::Nothing) => {}
                Ok(Turn::Pass(input)) => self.waiting = self.inbox.pass_on(input),
                Ok(Turn::PassAndWait(input, time)) => {
                    let passed = input.and_then(|input| self.inbox.pass_on(input));
                    self.waiting = Some(Box::pin(async move {
                        if let Some(passed) = passed {
                            passed.await;
                        }
                        sleep(time).await;
                    }));
                }
                Ok(Turn::PassWhen(ready)) => {
                    let sender = self.inbox.sender.clone();
                    self.waiting = Some(Box::pin(async move {
                        let _ = sender.send(ready.await).await;
                    }));
                }
                Err(farewell) => return Poll::Ready(farewell),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<I: Send + 'static> Inbox<I> {
    /// `last_word` is what it says when it is dropped, if there is a place then.
    pub(crate) fn new(sender: mpsc::Sender<I>, last_word: I) -> Inbox<I> {
        Inbox { sender, last_word: Some(last_word) }
    }

    /// Waits for a place. False where nobody is there any more.
    pub(crate) async fn send(&self, input: I) -> bool {
        self.sender.send(input).await.is_ok()
    }

    /// Passes something on; what is returned waits for a place where there is none.
    fn pass_on(&self, input: I) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        match self.sender.try_send(input) {
            // Who answers ends with the server, and has told the clients.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => None,
            Err(mpsc::error::TrySendError::Full(input)) => {
                let sender = self.sender.clone();
                Some(Box::pin(async move {
                    let _ = sender.send(input).await;
                }))
            }
        }
    }
}

impl<I> Drop for Inbox<I> {
    fn drop(&mut self) {
        if let Some(last_word) = self.last_word.take() {
            let _ = self.sender.try_send(last_word);
        }
    }
}
