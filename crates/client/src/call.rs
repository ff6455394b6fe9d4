//! Calls: methods that one member offers and others use.

use std::{
    collections::VecDeque,
    future::{Future, IntoFuture},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use room::{
    id::MemberId,
    limits::CHANNEL_NAME_MAX,
    member::{Answer, Input},
    time::Micros,
};
use serde::Serialize;
use tokio::{
    sync::oneshot,
    task::{Id, JoinError, JoinSet},
};

use crate::{CallError, DecodeError, EncodeError, HandlerError, Membership, Payload, limits::CALLS_HANDLED};

/// What a handler is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// The caller.
    pub from: MemberId,
    /// The argument.
    pub data: Payload,
}

impl Request {
    /// The argument as a type that serde can read.
    ///
    /// # Errors
    /// If it is not a value, or not of that shape.
    pub fn to<'de, T: serde::Deserialize<'de>>(&'de self) -> Result<T, DecodeError> {
        self.data.to()
    }
}

/// A call to be made; await it for the result.
///
/// Dropping the future gives the call up: the handler may run nevertheless.
#[must_use = "a call is made when it is awaited"]
pub struct Call {
    membership: Membership,
    to: MemberId,
    method: String,
    argument: Result<Payload, EncodeError>,
    timeout: Option<Duration>,
}

impl Call {
    pub(crate) fn new<T: Serialize + ?Sized>(
        membership: Membership,
        to: MemberId,
        method: String,
        argument: &T,
    ) -> Call {
        Call { membership, to, method, argument: Payload::value(argument), timeout: None }
    }

    /// How long to wait for the answer, instead of [`room::limits::CALL_TIMEOUT`].
    pub fn timeout(self, timeout: Duration) -> Call {
        Call { timeout: Some(timeout), ..self }
    }

    async fn make(self) -> Result<Payload, CallError> {
        let payload = self.argument?;
        if self.method.len() > CHANNEL_NAME_MAX {
            return Err(CallError::TooLarge(format!("a method's name has at most {CHANNEL_NAME_MAX} bytes")));
        }
        let (sender, answer) = oneshot::channel();
        let timeout = self.timeout.map(Micros::from);
        let ticket = self.membership.call_member(self.to, self.method, payload, timeout, sender).await?;
        let mut guard = GiveUp { membership: &self.membership, ticket, done: false };
        let answer = answer.await;
        guard.done = true;
        match answer {
            Ok(Answer::Result(bytes)) => Ok(Payload::from_cbor(bytes)),
            Ok(Answer::Failure { code, message }) => Err(CallError::from_failure(code, message)),
            // The driver is gone.
            Err(_) => Err(CallError::Closed),
        }
    }
}

impl IntoFuture for Call {
    type Output = Result<Payload, CallError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.make())
    }
}

/// Tells the driver that nobody waits for the answer any more.
struct GiveUp<'a> {
    membership: &'a Membership,
    ticket: u64,
    done: bool,
}

impl Drop for GiveUp<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.membership.give_up(self.ticket);
        }
    }
}

type Outcome = Result<Payload, HandlerError>;

/// A method that this member offers.
pub(crate) type Handler = Arc<dyn Fn(Request) -> Pin<Box<dyn Future<Output = Outcome> + Send>> + Send + Sync>;

pub(crate) fn handler<F, Fut, R>(handle: F) -> Handler
where
    F: Fn(Request) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, HandlerError>> + Send + 'static,
    R: Into<Payload>,
{
    Arc::new(move |request| {
        let outcome = handle(request);
        Box::pin(async move { outcome.await.map(Into::into) })
    })
}

/// A call that came, waiting for its handler.
pub(crate) struct Incoming {
    pub from: MemberId,
    pub call: u64,
    pub payload: Payload,
    pub handler: Handler,
}

/// Calls that handlers of this member work on.
///
/// At most [`CALLS_HANDLED`] at once. The others wait, and are not reported as consumed: flow control bounds them.
#[derive(Default)]
pub(crate) struct Handling {
    waiting: VecDeque<Incoming>,
    running: JoinSet<Outcome>,
    calls: Vec<(Id, MemberId, u64)>,
}

impl Handling {
    pub(crate) fn push(&mut self, incoming: Incoming) {
        self.waiting.push_back(incoming);
    }

    /// Starts what may start: gives what the machine is to be told of it.
    pub(crate) fn start(&mut self) -> Option<Input> {
        if self.calls.len() >= CALLS_HANDLED {
            return None;
        }
        let Incoming { from, call, payload, handler } = self.waiting.pop_front()?;
        let bytes = payload.as_cbor().len();
        // The handler's own first steps run in its task too, where a panic harms nobody.
        let task = self.running.spawn(async move { handler(Request { from, data: payload }).await });
        self.calls.push((task.id(), from, call));
        Some(Input::Consumed { from, bytes, lossy: false })
    }

    /// Waits for a handler that is done: its reply. For ever where none runs.
    pub(crate) async fn next(&mut self) -> Input {
        match self.running.join_next_with_id().await {
            Some(done) => self.reply(done),
            None => std::future::pending().await,
        }
    }

    /// Another handler that is done.
    pub(crate) fn try_next(&mut self) -> Option<Input> {
        let done = self.running.try_join_next_with_id()?;
        Some(self.reply(done))
    }

    fn reply(&mut self, done: Result<(Id, Outcome), JoinError>) -> Input {
        let (id, outcome) = match done {
            Ok((id, outcome)) => (id, outcome.map_err(|error| error.0)),
            Err(error) => (error.id(), Err("it panicked".to_owned())),
        };
        let place = self.calls.iter().position(|(of, ..)| *of == id).expect("each task was noted when it was started");
        let (_, to, call) = self.calls.swap_remove(place);
        let answer = match outcome {
            Ok(payload) => Answer::Result(payload.into_cbor()),
            Err(message) => failure("handler_failed", message),
        };
        Input::Reply { to, call, answer }
    }
}

/// The reply to a call of a method that this member does not offer.
pub(crate) fn no_handler(method: &str) -> Answer {
    failure("no_handler", format!("the member has no handler \"{method}\""))
}

fn failure(code: &str, message: String) -> Answer {
    Answer::Failure { code: code.to_owned(), message }
}
