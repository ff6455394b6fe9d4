//! A member's connection, from its `join` to its end: one task that reads, writes and waits.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Poll, ready},
};

use bytes::Bytes;
use room::{
    hub::{ConnId, Grant},
    id::RoomName,
    limits::JOIN_TIMEOUT,
    wire::{
        carried::Address,
        signal::{ClientMessage, Join, RefusalCode, Refused, ServerMessage},
    },
};
use tokio::time::{Instant, timeout};
use tracing::{
    Span, debug,
    field::{Empty, display},
    info, info_span,
};

use super::{
    flow::{Flow, Inbox, Over, Turn},
    frame,
    socket::{Ended, Received, Socket},
};
use crate::{
    address::Place,
    bucket::Bucket,
    limits,
    outbound::{End, Outbound},
    server::Site,
    shard,
};

/// One connection.
pub(crate) struct Connection {
    socket: Socket,
    intake: Intake,
    id: ConnId,
    /// Entered to log, not for each turn of the task: that would cost more than most turns.
    span: Span,
}

/// What a client may say, and how much of it.
struct Intake {
    site: Arc<Site>,
    /// Whether the member is a relay of the server's own: it needs no token, and may send as much as it has to.
    is_relay: bool,
    messages: Bucket,
    bytes: Bucket,
    carried: Bucket,
}

/// What came from a member.
enum Word {
    Message(ClientMessage),
    /// To be carried to another member.
    Carried(Bytes),
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

impl From<Over> for Farewell {
    fn from(over: Over) -> Self {
        match over {
            Over::End(end) => Farewell::End(end),
            Over::Cut => Farewell::Cut,
        }
    }
}

impl Connection {
    pub(crate) fn new(socket: Socket, site: Arc<Site>, is_relay: bool) -> Connection {
        let now = Instant::now();
        let (messages, bytes) = (Bucket::new(site.messages, now), Bucket::new(limits::BYTES, now));
        let carried = Bucket::new(limits::CARRIED, now);
        let id = site.next_conn();
        let span = info_span!(parent: None, "connection", id = id.0, room = Empty, member = Empty);
        Connection { socket, intake: Intake { site, is_relay, messages, bytes, carried }, id, span }
    }

    /// Serves the connection to its end. `since` is when the client connected.
    ///
    /// The short phases at both ends are boxed: what they need is not held while a member is just there.
    pub(crate) async fn run(&mut self, room: RoomName, place: &Place, since: Instant) {
        let farewell = match Box::pin(self.enter(&room, since)).await {
            Ok(enter) => match Box::pin(self.hand_over(room, enter)).await {
                Ok(mut flow) => {
                    let Connection { socket, intake, id, .. } = self;
                    let mut read = |received| intake.turn(*id, received);
                    let farewell = poll_fn(|cx| flow.poll(cx, socket, &mut read)).await;
                    let left = matches!(farewell, Farewell::Closed(Some(1001)));
                    Box::pin(flow.close(shard::Input::Closed { conn: *id, left })).await;
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
        let mut closing = self.intake.site.closing();
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
        let grant = if self.intake.is_relay {
            Some(Grant::relay())
        } else {
            self.intake.site.gate.admit(join.token.as_ref(), room).map_err(Farewell::Refuse)?
        };
        Ok((Box::new(join), grant))
    }

    async fn first(&mut self) -> Result<ClientMessage, Farewell> {
        poll_fn(|cx| {
            loop {
                let received = ready!(self.socket.poll_receive(cx));
                match self.intake.read(received)? {
                    Some(Word::Message(message)) => return Poll::Ready(Ok(message)),
                    Some(Word::Carried(_)) => {
                        return Poll::Ready(Err(Farewell::Refuse(Refused::fatal(
                            RefusalCode::JoinFirst,
                            "the first message must be join",
                            "send join before anything else",
                        ))));
                    }
                    None => {}
                }
                // Pongs to pings that came before the join.
                if let Poll::Ready(Err(_)) = self.socket.poll_write(cx) {
                    return Poll::Ready(Err(Farewell::Cut));
                }
            }
        })
        .await
    }

    /// Hands the connection to its room's shard.
    async fn hand_over(&mut self, room: RoomName, (join, grant): Entry) -> Result<Flow<shard::Input>, Farewell> {
        let conn = self.id;
        self.span.record("room", room.as_str()).record("member", display(join.secret.member_id()));
        self.span.in_scope(|| debug!(agent = join.agent.as_deref().unwrap_or("unknown"), "joins"));
        let site = &self.intake.site;
        let outbound = Arc::new(Outbound::new(site.depot.clone()));
        // Where its last word finds no place in the inbox, the hub will find the member silent.
        let last_word = shard::Input::Closed { conn, left: false };
        let inbox = Inbox::new(site.shards.of(&room).inbox.clone(), last_word);
        let enter = shard::Input::Enter { room, conn, join, grant, outbound: outbound.clone() };
        if !inbox.send(enter).await {
            return Err(Farewell::Refuse(shard::shutting_down()));
        }
        Ok(Flow::new(outbound, inbox))
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
                self.intake.site.metrics.refused(code);
                self.socket.drop_unwritten();
                self.socket.frames().push_back(frame::signal(&ServerMessage::Refused(refused)));
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

impl Intake {
    /// What to do about something received from a member that has joined.
    fn turn(&mut self, conn: ConnId, received: Result<Received, Ended>) -> Result<Turn<shard::Input>, Farewell> {
        match self.read(received)? {
            None => Ok(Turn::Nothing),
            Some(Word::Message(ClientMessage::Join(_))) => Err(Farewell::Refuse(Refused::fatal(
                RefusalCode::AlreadyJoined,
                "this socket has joined already",
                "send join once, and open another socket for another member",
            ))),
            Some(Word::Message(message)) => Ok(Turn::Pass(shard::Input::Said { conn, message })),
            Some(Word::Carried(message)) => {
                let price = message.len().max(limits::CARRIED_MESSAGE);
                let wait = self.carried.charge(limits::CARRIED, price, Instant::now());
                let input = shard::Input::Carried { conn, message };
                let freely = self.is_relay || wait.is_zero();
                Ok(if freely { Turn::Pass(input) } else { Turn::PassAndWait(Some(input), wait) })
            }
        }
    }

    /// What was received, as a message of a member; `None` for what only the WebSocket protocol minds.
    fn read(&mut self, received: Result<Received, Ended>) -> Result<Option<Word>, Farewell> {
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
        if let Received::Binary(message) = received {
            if Address::read(message.clone()).is_err() {
                return Err(Farewell::Refuse(Refused::fatal(
                    RefusalCode::BadMessage,
                    "a binary message that goes nowhere",
                    "a member's id and a number come first, see PROTOCOL.md; signalling is text",
                )));
            }
            return Ok(Some(Word::Carried(message)));
        }
        let may = |intake: &mut Intake| {
            intake.messages.take(intake.site.messages, 1, now) && intake.bytes.take(limits::BYTES, bytes, now)
        };
        if !self.is_relay && !may(self) {
            return Err(Farewell::Refuse(Refused::fatal(
                RefusalCode::RateLimited,
                "too many messages, or bytes, in too short a time",
                "send less often, and data over the room's channels",
            )));
        }
        match received {
            Received::Control(_) | Received::Binary(_) => Ok(None),
            Received::Text(text) => match ClientMessage::decode(&text) {
                Ok(message) => Ok(Some(Word::Message(message))),
                Err(refused) => Err(Farewell::Refuse(refused)),
            },
        }
    }
}
