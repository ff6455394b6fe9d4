//! The WebSocket to the hub: opened, read, written and closed without ever making the driver wait.

use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use room::{
    limits::WELCOME_MAX,
    wire::signal::{ClientMessage, RefusalCode, ServerMessage, Token},
};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        self,
        protocol::{CloseFrame, Message, WebSocketConfig, frame::coding::CloseCode},
    },
};

use crate::{
    address::Address,
    join::{Connector, TokenSource},
    limits::{CARRIED_BYTES, SOCKET_CLOSE, SOCKET_QUEUE_BYTES, SOCKET_READ_BYTES, SOCKET_TIMEOUT},
};

/// What happens to the socket.
#[derive(Debug)]
pub(crate) enum SocketEvent {
    /// It is open; a token, where one was asked for, goes into the next `join`.
    Open { token: Option<Token> },
    /// The hub said something.
    Message(ServerMessage),
    /// The hub carried something here.
    Carried(Bytes),
    /// It ended, or could not be opened.
    Down { code: Option<RefusalCode>, reason: Failure },
}

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("no answer in time")]
    Timeout,
    #[error("no certificate authorities on this machine to check the server with")]
    NoRoots,
    #[error("not a host's name")]
    Name,
    #[error("it is no Roomful server, or the room's name is wrong: it answered with HTTP status {0}")]
    Status(u16),
    #[error("there is no token: {0}")]
    Token(String),
    #[error("{0}")]
    Protocol(String),
    #[error("closed by the server{0}")]
    Closed(String),
    #[error("the server refused, with a code that this version does not know ({0}{1})")]
    UnknownRefusal(u16, String),
    #[error("the server does not read what it is sent")]
    TooSlow,
}

/// A byte stream to the server, encrypted or not. It carries signalling only: what a virtual call costs is nothing.
pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

type WebSocket = WebSocketStream<Box<dyn Io>>;
type Opening = Pin<Box<dyn Future<Output = Result<(WebSocket, Option<Token>), Failure>> + Send>>;

/// The socket, in whatever state it is.
pub(crate) struct Socket {
    address: Arc<Address>,
    token: Option<TokenSource>,
    /// Where streams come from; TCP if it does not say.
    connector: Option<Connector>,
    state: State,
    /// Told and not taken by the WebSocket yet.
    queue: VecDeque<Message>,
    queued_bytes: usize,
    /// Whether the WebSocket may hold bytes that the system has not taken.
    unflushed: bool,
    /// An earlier WebSocket saying goodbye.
    closing: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

enum State {
    Idle,
    Opening(Opening),
    Open(Box<WebSocket>),
}

impl Socket {
    pub(crate) fn new(address: Address, token: Option<TokenSource>, connector: Option<Connector>) -> Socket {
        Socket {
            address: Arc::new(address),
            token,
            connector,
            state: State::Idle,
            queue: VecDeque::new(),
            queued_bytes: 0,
            unflushed: false,
            closing: None,
        }
    }

    /// Begins to open it. What follows is told by [`Socket::next`].
    pub(crate) fn open(&mut self) {
        self.forget_queue();
        let opening = open(Arc::clone(&self.address), self.token.clone(), self.connector.clone());
        self.state = State::Opening(Box::pin(opening));
    }

    /// Queues a message for the hub. Without a socket it is dropped: the member tells the hub anew when it comes back.
    pub(crate) fn tell(&mut self, message: &ClientMessage) {
        if matches!(self.state, State::Open(_)) {
            self.queue_up(Message::text(message.encode()));
        }
    }

    /// Queues what the hub is to carry. The machine lets no more of it be under way than the hub's bounds allow.
    pub(crate) fn carry(&mut self, message: Bytes) {
        if matches!(self.state, State::Open(_)) {
            self.queue_up(Message::Binary(message));
        }
    }

    fn queue_up(&mut self, message: Message) {
        self.queued_bytes += message.len();
        self.queue.push_back(message);
    }

    /// Closes it after what was told. To the hub that is no leaving: who goes for good has told it so. Nothing of it is
    /// reported any more.
    pub(crate) fn close(&mut self) {
        let state = std::mem::replace(&mut self.state, State::Idle);
        let queue = std::mem::take(&mut self.queue);
        self.forget_queue();
        if let State::Open(socket) = state {
            self.closing = Some(Box::pin(async move {
                // A server that does not answer has had its time.
                let _ = timeout(SOCKET_CLOSE, goodbye(*socket, queue)).await;
            }));
        }
    }

    /// Waits until the last [`Socket::close`] is done.
    pub(crate) async fn closed(&mut self) {
        if let Some(closing) = self.closing.take() {
            closing.await;
        }
    }

    /// Serves the socket until something happens. Meant for `select!`: dropping it loses nothing.
    pub(crate) async fn next(&mut self) -> SocketEvent {
        poll_fn(|cx| {
            if let Some(closing) = &mut self.closing
                && closing.as_mut().poll(cx).is_ready()
            {
                self.closing = None;
            }
            self.poll(cx)
        })
        .await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<SocketEvent> {
        let outcome = match &mut self.state {
            State::Idle => return Poll::Pending,
            State::Opening(opening) => match std::task::ready!(opening.as_mut().poll(cx)) {
                Ok((socket, token)) => {
                    self.state = State::Open(Box::new(socket));
                    return Poll::Ready(SocketEvent::Open { token });
                }
                Err(failure) => Err((None, failure)),
            },
            State::Open(_) => match self.poll_write(cx) {
                Err(failure) => Err((None, failure)),
                Ok(()) => std::task::ready!(self.poll_read(cx)),
            },
        };
        Poll::Ready(match outcome {
            Ok(event) => event,
            Err((code, reason)) => {
                self.state = State::Idle;
                self.forget_queue();
                SocketEvent::Down { code, reason }
            }
        })
    }

    /// Writes as much as the system takes now.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        let State::Open(socket) = &mut self.state else { return Ok(()) };
        while !self.queue.is_empty() {
            match socket.poll_ready_unpin(cx) {
                Poll::Ready(ready) => ready.map_err(failure)?,
                Poll::Pending if self.queued_bytes > SOCKET_QUEUE_BYTES + CARRIED_BYTES => {
                    return Err(Failure::TooSlow);
                }
                Poll::Pending => return Ok(()),
            }
            let Some(message) = self.queue.pop_front() else { break };
            self.queued_bytes -= message.len();
            self.unflushed = true;
            socket.start_send_unpin(message).map_err(failure)?;
        }
        if self.unflushed
            && let Poll::Ready(flushed) = socket.poll_flush_unpin(cx)
        {
            flushed.map_err(failure)?;
            self.unflushed = false;
        }
        Ok(())
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<SocketEvent, (Option<RefusalCode>, Failure)>> {
        let State::Open(socket) = &mut self.state else { return Poll::Pending };
        loop {
            let message = match std::task::ready!(socket.poll_next_unpin(cx)) {
                None => return Poll::Ready(Err((None, Failure::Closed(String::new())))),
                Some(Err(error)) => return Poll::Ready(Err((None, failure(error)))),
                Some(Ok(message)) => message,
            };
            match message {
                Message::Text(text) => match ServerMessage::decode(text.as_str()) {
                    Ok(message) => return Poll::Ready(Ok(SocketEvent::Message(message))),
                    // What a newer server says beyond what this member knows is none of its business.
                    Err(error) => tracing::debug!(%error, "passed over a message of the server"),
                },
                Message::Close(frame) => {
                    return Poll::Ready(Err(ended(frame.as_ref())));
                }
                Message::Binary(message) => return Poll::Ready(Ok(SocketEvent::Carried(message))),
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }

    fn forget_queue(&mut self) {
        self.queue.clear();
        self.queued_bytes = 0;
        self.unflushed = false;
    }
}

/// Why the server closed the socket.
fn ended(frame: Option<&CloseFrame>) -> (Option<RefusalCode>, Failure) {
    let reason = |before: &str| match frame {
        Some(frame) if !frame.reason.is_empty() => format!("{before}{}", frame.reason),
        _ => String::new(),
    };
    match frame.map(|frame| u16::from(frame.code)) {
        Some(code) if code >= RefusalCode::ALL[0].close_code() => match RefusalCode::from_close_code(code) {
            None => (None, Failure::UnknownRefusal(code, reason(", "))),
            known => (known, Failure::Closed(reason(": "))),
        },
        _ => (None, Failure::Closed(reason(": "))),
    }
}

async fn goodbye(mut socket: WebSocket, queue: VecDeque<Message>) -> Result<(), tungstenite::Error> {
    for message in queue {
        socket.feed(message).await?;
    }
    let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
    socket.send(Message::Close(Some(frame))).await?;
    // The server's own close frame, or the end of the connection, says that it has read everything.
    while let Some(message) = socket.next().await {
        message?;
    }
    Ok(())
}

async fn open(
    address: Arc<Address>,
    token: Option<TokenSource>,
    connector: Option<Connector>,
) -> Result<(WebSocket, Option<Token>), Failure> {
    let opened = async {
        let token = match token {
            Some(source) => Some(source.token().await.map_err(Failure::Token)?),
            None => None,
        };
        let stream = match connector {
            Some(connector) => connector.connect().await?,
            None => connect(&address).await?,
        };
        Ok((upgrade(&address, stream).await?, token))
    };
    timeout(SOCKET_TIMEOUT, opened).await.unwrap_or(Err(Failure::Timeout))
}

async fn connect(address: &Address) -> Result<Box<dyn Io>, Failure> {
    let (host, port) = address.host_and_port();
    let tcp = TcpStream::connect((host.as_str(), port)).await?;
    tcp.set_nodelay(true)?;
    Ok(if address.is_secure() {
        let name = ServerName::try_from(host).map_err(|_| Failure::Name)?;
        let connector = TlsConnector::from(Arc::new(tls()?));
        Box::new(connector.connect(name, tcp).await?)
    } else {
        Box::new(tcp)
    })
}

async fn upgrade(address: &Address, stream: Box<dyn Io>) -> Result<WebSocket, Failure> {
    let config = WebSocketConfig::default()
        .read_buffer_size(SOCKET_READ_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(SOCKET_QUEUE_BYTES)
        .max_message_size(Some(WELCOME_MAX))
        .max_frame_size(Some(WELCOME_MAX));
    let (socket, _) = client_async_with_config(address.socket.as_str(), stream, Some(config)).await.map_err(failure)?;
    Ok(socket)
}

/// TLS that trusts whom this machine trusts.
fn tls() -> Result<ClientConfig, Failure> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        return Err(Failure::NoRoots);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::Protocol(error.to_string()))?;
    Ok(versions.with_root_certificates(roots).with_no_client_auth())
}

fn failure(error: tungstenite::Error) -> Failure {
    match error {
        tungstenite::Error::Io(error) => Failure::Io(error),
        tungstenite::Error::Http(response) => Failure::Status(response.status().as_u16()),
        tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => Failure::Closed(String::new()),
        other => Failure::Protocol(other.to_string()),
    }
}

impl Failure {
    /// Whether trying again soon may help.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            // Not a time-out or a busy server: those pass.
            Failure::Status(status) => (400..500).contains(status) && ![408, 425, 429].contains(status),
            Failure::NoRoots | Failure::Name | Failure::Token(_) => true,
            _ => false,
        }
    }
}
