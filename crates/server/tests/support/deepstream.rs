//! deepstream's clients, as far as tests of the server need them.

use futures_util::{SinkExt, StreamExt};
use server::Running;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

use super::SOON;

/// A client of the text protocol. `|` and `+` stand for its separators.
pub struct Client(pub WebSocketStream<TcpStream>);

impl Client {
    pub async fn connect(server: &Running, path: &str) -> Client {
        Client::over(server, TcpStream::connect(server.address()).await.unwrap(), path).await
    }

    pub async fn over(server: &Running, stream: TcpStream, path: &str) -> Client {
        let url = format!("ws://{}{path}", server.address());
        let mut client = Client(client_async(url, stream).await.unwrap().0);
        client.hear("C|CH+").await;
        client
    }

    /// Connects and logs in.
    pub async fn enter(server: &Running) -> Client {
        let mut client = Client::connect(server, "/deepstream-v3").await;
        client.log_in().await;
        client
    }

    pub async fn log_in(&mut self) {
        self.say("C|CHR|ws://here+A|REQ|{}+").await;
        self.hear("C|A+").await;
        self.hear("A|A+").await;
    }

    pub async fn say(&mut self, text: &str) {
        self.0.send(Message::text(text.replace('|', "\u{1f}").replace('+', "\u{1e}"))).await.unwrap();
    }

    pub async fn next(&mut self) -> Option<Message> {
        timeout(SOON, self.0.next()).await.expect("something").and_then(Result::ok)
    }

    pub async fn hear(&mut self, wanted: &str) {
        let message = self.next().await.expect("a message");
        assert_eq!(message.to_text().unwrap().replace('\u{1f}', "|").replace('\u{1e}', "+"), wanted);
    }

    /// The code that it is closed with.
    pub async fn closed(mut self) -> Option<u16> {
        loop {
            match self.next().await? {
                Message::Close(frame) => return frame.map(|frame| frame.code.into()),
                _ => continue,
            }
        }
    }
}
