//! The connection of one of deepstream's clients.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use deepstream::{
    ConnId, Frame, Wire,
    limits::{FRAME_MAX, FRAME_MESSAGES},
};
use room::wire::signal::RefusalCode;
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

use super::{auth::ConnectionData, desk, window::Window};
use crate::{
    address::Place,
    bucket::Bucket,
    limits,
    outbound::{End, Outbound},
    server::Site,
    ws::{
        flow::{Flow, Inbox, Over, Turn},
        socket::{Ended, Received, Socket},
    },
};

/// What is known of a client when it has connected.
#[derive(Debug)]
pub(crate) struct Visit {
    /// How it talks, where the address says so.
    pub(crate) wire: Option<Wire>,
    /// For whoever finds out who it is.
    pub(crate) data: Option<ConnectionData>,
    /// Its place among the connections of its address.
    pub(crate) place: Place,
}

/// The codes that a connection is closed with (RFC 6455, section 7.4.1).
const PROTOCOL_ERROR: u16 = 1002;
const TOO_BIG: u16 = 1009;
/// Ends every message in a text frame.
const END: u8 = 0x1e;

/// What ends a connection.
enum Farewell {
    Over(Over),
    /// The client has closed, with this code, or broken the protocol, and is closed with this code.
    Close(Option<u16>),
    Cut,
}

impl From<Over> for Farewell {
    fn from(over: Over) -> Self {
        Farewell::Over(over)
    }
}

/// Serves a client to its end.
pub(crate) async fn run(mut socket: Socket, site: Arc<Site>, visit: Visit) {
    let Some(desk) = &site.desk else { return };
    let conn = ConnId(site.next_conn().0);
    let outbound = Arc::new(Outbound::new(site.depot.clone()));
    let inbox = Inbox::new(desk.inbox.clone(), desk::Input::Closed { conn });
    let Visit { wire, data, place } = visit;
    let place = Arc::new(place);
    debug!(conn = conn.0, ?wire, "a client of deepstream has connected");
    let is_open = Arc::new(AtomicBool::new(false));
    let enter = desk::Input::Enter {
        conn,
        wire,
        outbound: outbound.clone(),
        is_open: is_open.clone(),
        data,
        place: place.clone(),
    };
    let farewell = if inbox.send(enter).await {
        let mut flow = Flow::new(outbound, inbox);
        let mut intake = Intake::new(&site, Window::new(desk.bytes.clone()));
        let mut read = |received| intake.turn(conn, received);
        let mut is_small = true;
        let farewell = poll_fn(|cx| {
            if is_small && is_open.load(Ordering::Relaxed) {
                is_small = false;
                socket.allow(FRAME_MAX);
            }
            flow.poll(cx, &mut socket, &mut read)
        })
        .await;
        flow.close(desk::Input::Closed { conn }).await;
        farewell
    } else {
        Farewell::Over(Over::End(End::Refused(RefusalCode::ShuttingDown)))
    };
    match farewell {
        Farewell::Over(Over::End(End::Done)) => socket.close(Some(1000), ""),
        Farewell::Over(Over::End(End::Refused(code))) => socket.close(Some(code.close_code()), code.as_str()),
        Farewell::Over(Over::End(End::TooSlow)) => {
            socket.drop_unwritten();
            socket.close(Some(RefusalCode::TooSlow.close_code()), RefusalCode::TooSlow.as_str());
        }
        Farewell::Close(code) => socket.close(code, ""),
        Farewell::Over(Over::Cut) | Farewell::Cut => return,
    }
    // Where it takes too long, or fails, nobody listens.
    let _ = timeout(limits::LINGER, socket.finish()).await;
    drop(place);
}

/// What a client may say, and how much of it. These clients know no refusal of something said too often: they are read
/// from only as fast as they may talk.
struct Intake<'a> {
    site: &'a Site,
    window: Window,
    messages: Bucket,
    bytes: Bucket,
}

impl Intake<'_> {
    fn new(site: &Site, window: Window) -> Intake<'_> {
        let now = Instant::now();
        Intake { site, window, messages: Bucket::new(site.messages, now), bytes: Bucket::new(limits::BYTES, now) }
    }

    fn turn(&mut self, conn: ConnId, received: Result<Received, Ended>) -> Result<Turn<desk::Input>, Farewell> {
        let received = received.map_err(|ended| match ended {
            Ended::Closed(code) => Farewell::Close(code),
            Ended::Cut => Farewell::Cut,
            Ended::TooLarge => Farewell::Close(Some(TOO_BIG)),
            Ended::Broken => Farewell::Close(Some(PROTOCOL_ERROR)),
        })?;
        let (now, bytes) = (Instant::now(), received.len());
        self.site.metrics.received(bytes);
        let (count, frame) = match received {
            Received::Control(_) => (1, None),
            Received::Text(text) => (messages_in(text.as_bytes()), Some(Frame::Text(text.into()))),
            Received::Binary(bytes) => (1, Some(Frame::Binary(bytes))),
        };
        let of_messages = self.messages.charge(self.site.messages, count, now);
        let wait = of_messages.max(self.bytes.charge(limits::BYTES, bytes, now));
        let Some(frame) = frame else {
            return Ok(if wait.is_zero() { Turn::Nothing } else { Turn::PassAndWait(None, wait) });
        };
        if wait.is_zero()
            && let Some(passage) = self.window.try_pass(bytes)
        {
            return Ok(Turn::Pass(desk::Input::Said { conn, frame, passage }));
        }
        let window = self.window.clone();
        Ok(Turn::PassWhen(Box::pin(async move {
            let passage = window.pass(bytes).await;
            sleep(wait).await;
            desk::Input::Said { conn, frame, passage }
        })))
    }
}

/// As how many messages a text frame counts; what the engine would not read does not.
fn messages_in(text: &[u8]) -> usize {
    let count = text.iter().filter(|byte| **byte == END).take(FRAME_MESSAGES).count();
    count.div_ceil(limits::MESSAGES_TOGETHER).max(1)
}
