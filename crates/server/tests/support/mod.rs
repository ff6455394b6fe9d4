//! Members for tests: real sockets, real messages.

#![allow(dead_code, reason = "each test binary uses some of it")]

pub mod deepstream;

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use room::{
    id::{MemberId, Secret},
    wire::signal::{ClientMessage, Join, Json, RefusalCode, Refused, Resume, ServerMessage, SetState, Token, Welcome},
};
use server::{Config, Running, Server};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        Message,
        client::IntoClientRequest,
        http::Request,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

/// Longer than anything takes, shorter than a test may.
pub const SOON: Duration = Duration::from_secs(5);

/// A server that lets anyone join, on a free port.
pub async fn dev() -> Running {
    start(Config::default()).await
}

/// The same, otherwise configured.
pub async fn start(config: Config) -> Running {
    let dev = config.keys.is_empty();
    Server::start(Config { dev, listen: "127.0.0.1:0".parse().unwrap(), ..config }).await.unwrap()
}

/// A WebSocket to a server.
pub struct Member {
    pub socket: WebSocketStream<TcpStream>,
    pub secret: Secret,
}

/// A session secret that no other member of the test has.
pub fn secret() -> Secret {
    static LAST: AtomicU64 = AtomicU64::new(1);
    let mut secret = [0; 16];
    secret[..8].copy_from_slice(&LAST.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    Secret(secret)
}

pub fn join(secret: Secret, name: &str) -> Join {
    Join {
        v: 1,
        secret,
        key: None,
        name: name.to_owned(),
        attributes: Default::default(),
        token: None,
        topology: None,
        agent: None,
        relay: None,
        resume: None,
    }
}

impl Member {
    /// Opens a socket, without joining.
    pub async fn connect(server: &Running, room: &str) -> Member {
        Member::connect_with(server, room, &[]).await
    }

    /// Opens a socket, with these headers.
    pub async fn connect_with(server: &Running, room: &str, headers: &[(&'static str, &str)]) -> Member {
        let stream = TcpStream::connect(server.address()).await.unwrap();
        Member::upgrade(server, stream, room, headers).await
    }

    /// Makes a WebSocket of a socket.
    pub async fn upgrade(server: &Running, stream: TcpStream, room: &str, headers: &[(&'static str, &str)]) -> Member {
        let (socket, _) = client_async(request(server, room, headers), stream).await.unwrap();
        Member { socket, secret: secret() }
    }

    /// Enters a room.
    pub async fn join(server: &Running, room: &str, name: &str) -> (Member, Welcome) {
        let mut member = Member::connect(server, room).await;
        let welcome = member.enter(name).await;
        (member, welcome)
    }

    /// Enters with a token.
    pub async fn join_with(server: &Running, room: &str, token: &str) -> Result<(Member, Welcome), Refused> {
        let mut member = Member::connect(server, room).await;
        let token = Some(Token(token.to_owned()));
        let join = Join { token, ..join(member.secret, "") };
        member.send(&ClientMessage::Join(Join { name: "somebody".to_owned(), ..join })).await;
        match member.next().await {
            ServerMessage::Welcome(welcome) => Ok((member, *welcome)),
            ServerMessage::Refused(refused) => {
                member.closed_with(refused.code).await;
                Err(refused)
            }
            other => panic!("{other:?}"),
        }
    }

    /// Comes back with the session of a member.
    pub async fn resume(server: &Running, room: &str, secret: Secret, resume: Option<Resume>) -> (Member, Welcome) {
        let mut member = Member { secret, ..Member::connect(server, room).await };
        member.send(&ClientMessage::Join(Join { resume, ..join(secret, "back") })).await;
        let welcome = member.welcome().await;
        (member, welcome)
    }

    /// Enters on an open socket.
    pub async fn enter(&mut self, name: &str) -> Welcome {
        self.send(&ClientMessage::Join(join(self.secret, name))).await;
        self.welcome().await
    }

    pub fn id(&self) -> MemberId {
        self.secret.member_id()
    }

    pub async fn send(&mut self, message: &ClientMessage) {
        self.send_text(&message.encode()).await;
    }

    pub async fn send_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// Writes the room's state.
    pub async fn set(&mut self, op: u64, key: &str, value: &str) {
        let value = Json::from(value).unwrap();
        self.send(&ClientMessage::State(SetState { op, key: key.to_owned(), value })).await;
    }

    pub async fn welcome(&mut self) -> Welcome {
        match self.next().await {
            ServerMessage::Welcome(welcome) => *welcome,
            other => panic!("{other:?}"),
        }
    }

    /// The next message.
    pub async fn next(&mut self) -> ServerMessage {
        match self.message().await {
            Some(Message::Text(text)) => ServerMessage::decode(&text).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    async fn message(&mut self) -> Option<Message> {
        let next = timeout(SOON, self.socket.next()).await.expect("nothing came in time");
        next.map(|message| message.unwrap())
    }

    /// Sees that what is answered next is this refusal and the end of the connection, and gives it back.
    pub async fn refused(&mut self) -> Refused {
        let ServerMessage::Refused(refused) = self.next().await else { panic!("no refusal") };
        assert!(refused.fatal && !refused.message.is_empty() && !refused.hint.is_empty(), "{refused:?}");
        self.closed_with(refused.code).await;
        refused
    }

    /// Sees that the connection is closed with a refusal's code.
    pub async fn closed_with(&mut self, code: RefusalCode) {
        self.closed(code.close_code(), code.as_str()).await;
    }

    /// Sees that the connection is closed with this code.
    pub async fn closed(&mut self, code: u16, reason: &str) {
        let Some(Message::Close(Some(frame))) = self.message().await else { panic!("no close") };
        assert_eq!((u16::from(frame.code), frame.reason.as_str()), (code, reason));
        assert!(self.message().await.is_none(), "the end");
    }

    /// Sees that nothing was sent but what was seen: the answer to a ping is next.
    pub async fn quiet(&mut self) {
        self.send(&ClientMessage::Ping {}).await;
        assert_eq!(self.next().await, ServerMessage::Pong {});
    }

    /// Leaves as a browser does when its page is closed.
    pub async fn close_page(self) {
        self.close(CloseCode::Away).await;
    }

    /// Closes the socket with a code.
    pub async fn close(mut self, code: CloseCode) {
        self.socket.close(Some(CloseFrame { code, reason: "".into() })).await.unwrap();
        while timeout(SOON, self.socket.next()).await.expect("the close was answered").is_some() {}
    }
}

pub fn request(server: &Running, room: &str, headers: &[(&'static str, &str)]) -> Request<()> {
    let mut request = format!("ws://{}/{room}", server.address()).into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    request
}

/// Asks for a page or file: the head and the body of what is answered.
pub async fn get(server: &Running, path: &str, headers: &str) -> (String, String) {
    ask(server, &format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{headers}Connection: close\r\n\r\n", server.address()))
        .await
}

/// Sends a request and reads what is answered, to its end: head and body.
pub async fn ask(server: &Running, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(SOON, stream.read_to_end(&mut answer)).await.expect("an answer").unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.to_owned(), body.to_owned())
}
