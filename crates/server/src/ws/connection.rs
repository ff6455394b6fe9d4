//! A member's connection, from its `join` to its end: one task that reads, writes and waits.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use room::{
    hub::{ConnId, Grant},
    id::RoomName,
    limits::JOIN_TIMEOUT,
    wire::signal::{ClientMessage, Join, RefusalCode, Refused, ServerMessage},
};
use tokio::{
    sync::mpsc,
    time::{Instant, Sleep, sleep, timeout},
};
use tracing::{
    Span, debug,
    field::{Empty, display},
    info, info_span,
};

use super::{
    frame,
    socket::{Ended, Received, Socket},
};
use crate::{
    address::Place,
    bucket::Bucket,
    limits,
    outbound::{End, Next, Outbound},
    server::Site,
    shard,
};

/// One connection.
pub(crate) struct Connection {
    socket: Socket,
    site: Arc<Site>,
    id: ConnId,
    messages: Bucket,
    bytes: Bucket,
    /// Entered to log, not for each turn of the task: that would cost more than most turns.
    span: Span,
}

/// What ends a connection.
#[derive(Debug)]
enum Farewell {
    /// It is told why, and closed with the refusal's code.
    Refuse(Refused),
    /// The hub, or its queue, has ended it.
    End(End),
    /// The client has closed, with this code.
    Closed(Option<u16>),
    /// There is nobody to say anything to.
    Cut,
}

/// What a connection enters with.
type Entry = (Box<Join>, Option<Grant>);

/// A connection that has joined.
struct Joined<'a> {
    connection: &'a mut Connection,
    outbound: Arc<Outbound>,
    inbox: Inbox,
    /// A message that waits for a place in the inbox; meanwhile nothing is read.
    waiting: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// Since when, at how many bytes written, the socket takes nothing.
    stall: Option<(u64, Pin<Box<Sleep>>)>,
}

/// The way to the room's shard, which learns of the connection's end also where the task dies.
struct Inbox {
    shard: mpsc::Sender<shard::Input>,
    conn: ConnId,
    told: bool,
}

impl Connection {
    pub(crate) fn new(socket: Socket, site: Arc<Site>) -> Connection {
        let now = Instant::now();
        let (messages, bytes) = (Bucket::new(site.messages, now), Bucket::new(limits::BYTES, now));
        let id = site.next_conn();
        let span = info_span!(parent: None, "connection", id = id.0, room = Empty, member = Empty);
        Connection { socket, site, id, messages, bytes, span }
    }

    /// Serves the connection to its end. `since` is when the client connected.
    ///
    /// The short phases at both ends are boxed: what they need is not held while a member is just there.
    pub(crate) async fn run(&mut self, room: RoomName, place: &Place, since: Instant) {
        let farewell = match Box::pin(self.enter(&room, since)).await {
            Ok(enter) => match Box::pin(self.hand_over(room, enter)).await {
                Ok(mut joined) => {
                    let farewell = poll_fn(|cx| joined.poll(cx)).await;
                    Box::pin(joined.close(&farewell)).await;
                    farewell
                }
                Err(farewell) => farewell,
            },
            Err(farewell) => {
                if matches!(farewell, Farewell::Refuse(_)) {
                    place.failed(Instant::now());
                }
                farewell
            }
        };
        Box::pin(self.finish(farewell)).await;
    }

    /// Tells the client why it may not join, and ends the connection.
    pub(crate) async fn refuse(&mut self, refused: Refused) {
        Box::pin(self.finish(Farewell::Refuse(refused))).await;
    }

    /// Waits for the `join` and checks what the hub leaves to the edge.
    async fn enter(&mut self, room: &RoomName, since: Instant) -> Result<Entry, Farewell> {
        let mut closing = self.site.closing();
        let first = tokio::select! {
            biased;
            _ = closing.wait_for(|closing| *closing) => return Err(Farewell::Refuse(shard::shutting_down())),
            first = self.first() => first?,
            () = tokio::time::sleep_until(since + JOIN_TIMEOUT.into()) => {
                return Err(Farewell::Refuse(Refused::fatal(
                    RefusalCode::JoinTimeout,
                    "no join came in time",
                    "send join as soon as the socket is open",
                )));
            }
        };
        let ClientMessage::Join(join) = first else {
            return Err(Farewell::Refuse(Refused::fatal(
                RefusalCode::JoinFirst,
                "the first message must be join",
                "send join before anything else",
            )));
        };
        let grant = self.site.gate.admit(join.token.as_ref(), room).map_err(Farewell::Refuse)?;
        Ok((Box::new(join), grant))
    }

    async fn first(&mut self) -> Result<ClientMessage, Farewell> {
        poll_fn(|cx| {
            loop {
                let received = ready!(self.socket.poll_receive(cx));
                if let Some(message) = self.read(received)? {
                    return Poll::Ready(Ok(message));
                }
                // Pongs to pings that came before the join.
                if let Poll::Ready(Err(_)) = self.socket.poll_write(cx) {
                    return Poll::Ready(Err(Farewell::Cut));
                }
            }
        })
        .await
    }

    /// What was received, as a message of a member; `None` for what only the WebSocket protocol minds.
    fn read(&mut self, received: Result<Received, Ended>) -> Result<Option<ClientMessage>, Farewell> {
        let received = received.map_err(|ended| match ended {
            Ended::Closed(code) => Farewell::Closed(code),
            Ended::Cut => Farewell::Cut,
            Ended::TooLarge => Farewell::Refuse(Refused::fatal(
                RefusalCode::TooLarge,
                format!("a message has more than {} bytes", room::limits::SIGNAL_MAX),
                "send data over the room's channels, not over signalling",
            )),
            Ended::Broken => Farewell::Refuse(Refused::fatal(
                RefusalCode::BadMessage,
                "what came is not WebSocket frames with text in UTF-8",
                "use a WebSocket library, see RFC 6455",
            )),
        })?;
        let (now, bytes) = (Instant::now(), received.len());
        self.site.metrics.received(bytes);
        if !(self.messages.take(self.site.messages, 1, now) && self.bytes.take(limits::BYTES, bytes, now)) {
            return Err(Farewell::Refuse(Refused::fatal(
                RefusalCode::RateLimited,
                "too many messages, or bytes, in too short a time",
                "send less often, and data over the room's channels",
            )));
        }
        match received {
            Received::Control(_) => Ok(None),
            Received::Text(text) => ClientMessage::decode(&text).map(Some).map_err(Farewell::Refuse),
            Received::Binary => Err(Farewell::Refuse(Refused::fatal(
                RefusalCode::BadMessage,
                "signalling is text, and this message is binary",
                "send JSON as a text message, see PROTOCOL.md",
            ))),
        }
    }

    /// Hands the connection to its room's shard.
    async fn hand_over(&mut self, room: RoomName, (join, grant): Entry) -> Result<Joined<'_>, Farewell> {
        let conn = self.id;
        self.span.record("room", room.as_str()).record("member", display(join.secret.member_id()));
        self.span.in_scope(|| debug!(agent = join.agent.as_deref().unwrap_or("unknown"), "joins"));
        let outbound = Arc::new(Outbound::new(self.site.depot.clone()));
        let inbox = Inbox { shard: self.site.shards.of(&room).inbox.clone(), conn, told: false };
        let enter = shard::Input::Enter { room, conn, join, grant, outbound: outbound.clone() };
        if inbox.shard.send(enter).await.is_err() {
            return Err(Farewell::Refuse(shard::shutting_down()));
        }
        Ok(Joined { connection: self, outbound, inbox, waiting: None, stall: None })
    }

    async fn finish(&mut self, farewell: Farewell) {
        let farewell = match farewell {
            Farewell::End(End::TooSlow) => Farewell::Refuse(Refused::fatal(
                RefusalCode::TooSlow,
                "you do not read what you are sent",
                "read all the time, from another task than the one that works; coming back resumes the session",
            )),
            other => other,
        };
        match farewell {
            Farewell::Refuse(refused) => {
                let code = refused.code;
                self.span.in_scope(|| info!(code = code.as_str(), "refused"));
                self.site.metrics.refused(code);
                self.socket.drop_unwritten();
                self.socket.frames().push_back(frame::text(&ServerMessage::Refused(refused)));
                self.socket.close(Some(code.close_code()), code.as_str());
            }
            Farewell::End(End::Refused(code)) => self.socket.close(Some(code.close_code()), code.as_str()),
            Farewell::End(_) => self.socket.close(Some(1000), ""),
            Farewell::Closed(code) => self.socket.close(code, ""),
            Farewell::Cut => return,
        }
        // Where it takes too long, or fails, nobody listens.
        let _ = timeout(limits::LINGER, self.socket.finish()).await;
    }
}

impl Joined<'_> {
    /// Tells the room that the connection has ended.
    async fn close(mut self, farewell: &Farewell) {
        self.outbound.abandon();
        let left = matches!(farewell, Farewell::Closed(Some(1001)));
        self.inbox.closed(left).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Farewell> {
        // Writing first makes room; what reading answers (pongs) goes out in the same turn.
        if let Poll::Ready(farewell) = self.poll_write(cx) {
            return Poll::Ready(farewell);
        }
        if let Poll::Ready(farewell) = self.poll_read(cx) {
            return Poll::Ready(farewell);
        }
        if self.connection.socket.frames().is_empty() { Poll::Pending } else { self.poll_write(cx) }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Farewell> {
        for _ in 0..limits::WRITE_TURN {
            match self.connection.socket.poll_write(cx) {
                Poll::Ready(Ok(())) => self.stall = None,
                Poll::Ready(Err(_)) => return Poll::Ready(Farewell::Cut),
                Poll::Pending => return self.poll_stalled(cx),
            }
            match ready!(self.outbound.poll_take(cx, self.connection.socket.frames())) {
                Next::Frames => {}
                Next::End(end) => return Poll::Ready(Farewell::End(end)),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Waits with a socket that takes nothing, as long as there is hope.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<Farewell> {
        if self.outbound.is_too_slow(cx) {
            return Poll::Ready(Farewell::End(End::TooSlow));
        }
        let written = self.connection.socket.written();
        if self.stall.as_ref().is_none_or(|(before, _)| *before != written) {
            self.stall = Some((written, Box::pin(sleep(limits::WRITE_STALL))));
        }
        if let Some((_, sleep)) = &mut self.stall {
            ready!(sleep.as_mut().poll(cx));
        }
        Poll::Ready(Farewell::End(End::TooSlow))
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Farewell> {
        for _ in 0..limits::READ_TURN {
            if let Some(waiting) = &mut self.waiting {
                ready!(waiting.as_mut().poll(cx));
                self.waiting = None;
            }
            let received = ready!(self.connection.socket.poll_receive(cx));
            match self.connection.read(received) {
                Ok(None) => {}
                Ok(Some(ClientMessage::Join(_))) => {
                    return Poll::Ready(Farewell::Refuse(Refused::fatal(
                        RefusalCode::AlreadyJoined,
                        "this socket has joined already",
                        "send join once, and open another socket for another member",
                    )));
                }
                Ok(Some(message)) => {
                    self.waiting = self.inbox.pass_on(message);
                }
                Err(farewell) => return Poll::Ready(farewell),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Inbox {
    /// Passes a message on; what is returned waits for a place where there is none.
    fn pass_on(&self, message: ClientMessage) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        match self.shard.try_send(shard::Input::Said { conn: self.conn, message }) {
            // A shard ends with its server, which has told the members.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => None,
            Err(mpsc::error::TrySendError::Full(input)) => {
                let shard = self.shard.clone();
                Some(Box::pin(async move {
                    let _ = shard.send(input).await;
                }))
            }
        }
    }

    async fn closed(&mut self, left: bool) {
        self.told = true;
        let _ = self.shard.send(shard::Input::Closed { conn: self.conn, left }).await;
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        if !self.told {
            // Where this finds no place, the hub will find the member silent.
            let _ = self.shard.try_send(shard::Input::Closed { conn: self.conn, left: false });
        }
    }
}
