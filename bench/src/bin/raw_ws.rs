//! The least that a room's fan-out could be: what one socket says goes to all sockets of the same path, with
//! `tokio-tungstenite` and nothing else. What Roomful's hub is measured beside.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::{SinkExt, StreamExt};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_tungstenite::{
    accept_hdr_async_with_config,
    tungstenite::{
        Message, Utf8Bytes,
        handshake::server::{Request, Response},
        protocol::WebSocketConfig,
    },
};

/// What waits for one socket.
const QUEUE: usize = 16 * 1024;
/// What is written before it is flushed.
const BATCH: usize = 64;

type Rooms = Arc<Mutex<HashMap<String, Vec<mpsc::Sender<Utf8Bytes>>>>>;

#[tokio::main]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}/", listener.local_addr()?);
    let rooms = Rooms::default();
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(serve(stream, rooms.clone()));
    }
}

async fn serve(stream: TcpStream, rooms: Rooms) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut room = String::new();
    #[allow(clippy::result_large_err, reason = "tungstenite's own type")]
    let path = |request: &Request, response: Response| {
        request.uri().path().clone_into(&mut room);
        Ok(response)
    };
    let config = WebSocketConfig::default().read_buffer_size(4096).write_buffer_size(4096);
    let socket = accept_hdr_async_with_config(stream, path, Some(config)).await.ok()?;
    let (mut sink, mut stream) = socket.split();
    let (sender, mut queue) = mpsc::channel(QUEUE);
    rooms.lock().unwrap_or_else(PoisonError::into_inner).entry(room.clone()).or_default().push(sender);
    tokio::spawn(async move {
        let mut batch = Vec::with_capacity(BATCH);
        while queue.recv_many(&mut batch, BATCH).await > 0 {
            for text in batch.drain(..) {
                sink.feed(Message::Text(text)).await.ok()?;
            }
            sink.flush().await.ok()?;
        }
        Some(())
    });
    while let Some(Ok(message)) = stream.next().await {
        if let Message::Text(text) = message {
            let rooms = rooms.lock().unwrap_or_else(PoisonError::into_inner);
            for member in rooms.get(&room)? {
                let _ = member.try_send(text.clone());
            }
        }
    }
    Some(())
}
