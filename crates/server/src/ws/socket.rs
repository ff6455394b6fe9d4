//! One WebSocket: frames in by `tungstenite`, frames out as they were made, shared with whoever else gets them.

use std::{
    collections::VecDeque,
    future::poll_fn,
    io::{self, ErrorKind, IoSlice, Read, Write},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tungstenite::{
    Error, Message, Utf8Bytes,
    error::ProtocolError,
    protocol::{Role, WebSocketConfig, WebSocketContext},
};

use super::frame;
use crate::{limits, stream::Stream};

/// What came from the client.
#[derive(Debug)]
pub(crate) enum Received {
    /// A message.
    Text(Utf8Bytes),
    /// A message of bytes.
    Binary(Bytes),
    /// A ping or pong of the WebSocket protocol, of this length.
    Control(usize),
}

impl Received {
    /// Bytes in it.
    pub(crate) fn len(&self) -> usize {
        match self {
            Received::Text(text) => text.len(),
            Received::Binary(bytes) => bytes.len(),
            Received::Control(length) => *length,
        }
    }
}

/// Why nothing more comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The client closed, and this was its code.
    Closed(Option<u16>),
    /// The connection ended without a word.
    Cut,
    /// The client sent a message beyond the bound.
    TooLarge,
    /// The client broke the WebSocket protocol.
    Broken,
}

/// One WebSocket.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: Stream,
    context: WebSocketContext,
    /// Bytes in the largest message that may come.
    message_max: usize,
    /// Whole frames, but for the first, of which a part may be written.
    frames: VecDeque<Bytes>,
    /// Whether the first frame is written in part.
    begun: bool,
    /// Bytes that the system took.
    written: u64,
    /// Whether everything written is flushed, as TLS wants it.
    flushed: bool,
    /// Whether what comes cannot be told apart into frames any more.
    broken: bool,
    /// Bytes that the context has read, less those of the messages that it gave, if each came in one frame with the
    /// shortest head. So it is never less than what the context still holds.
    held: usize,
    /// The largest message since the context was made.
    largest: usize,
    /// Whether the context can do nothing before more comes.
    drained: bool,
}

impl Socket {
    /// A WebSocket after its handshake, for messages of so many bytes; `read` has what came behind it.
    pub(crate) fn new(stream: Stream, read: &[u8], message_max: usize) -> Socket {
        Socket {
            stream,
            context: context(read, message_max),
            message_max,
            frames: VecDeque::new(),
            begun: false,
            written: 0,
            flushed: true,
            broken: false,
            held: read.len(),
            largest: 0,
            drained: false,
        }
    }

    /// Messages may have so many bytes from now on. Not to be called where fewer were allowed than have come.
    pub(crate) fn allow(&mut self, message_max: usize) {
        self.message_max = message_max;
        self.context.set_config(|config| {
            config.max_message_size = Some(message_max);
            config.max_frame_size = Some(message_max);
        });
    }

    /// The next thing that comes.
    pub(crate) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Received, Ended>> {
        let Socket { stream, context: codec, message_max, frames, broken, held, largest, drained, .. } = self;
        // A connection is woken mostly to write.
        if *drained && stream.is_silent(cx) {
            return Poll::Pending;
        }
        *drained = false;
        loop {
            let received = match codec.read(&mut Wire { stream, frames, held, cx }) {
                Ok(Message::Text(text)) => Received::Text(text),
                Ok(Message::Binary(bytes)) => Received::Binary(bytes),
                Ok(Message::Ping(data) | Message::Pong(data)) => Received::Control(data.len()),
                Ok(Message::Close(frame)) => {
                    return Poll::Ready(Err(Ended::Closed(frame.map(|frame| frame.code.into()))));
                }
                Ok(Message::Frame(_)) => continue,
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
                    // Its buffer stays as large as the largest message made it.
                    if *held == 0 && *largest > limits::READ_BUFFER && frames.is_empty() {
                        *codec = context(&[], *message_max);
                        *largest = 0;
                    }
                    // It may have a pong to send, or a buffer to give up.
                    *drained = frames.is_empty() && *largest <= limits::READ_BUFFER;
                    return Poll::Pending;
                }
                Err(Error::Capacity(_)) => {
                    *broken = true;
                    return Poll::Ready(Err(Ended::TooLarge));
                }
                Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => {
                    return Poll::Ready(Err(Ended::Cut));
                }
                Err(Error::Protocol(_) | Error::Utf8(_)) => {
                    *broken = true;
                    return Poll::Ready(Err(Ended::Broken));
                }
                Err(_) => return Poll::Ready(Err(Ended::Cut)),
            };
            *held = held.saturating_sub(frame::masked_length(received.len()));
            *largest = received.len().max(*largest);
            return Poll::Ready(Ok(received));
        }
    }

    /// Frames to be written, to be put behind those that are there.
    pub(crate) fn frames(&mut self) -> &mut VecDeque<Bytes> {
        &mut self.frames
    }

    /// Drops what is not written yet, but for the rest of a frame of which a part is.
    pub(crate) fn drop_unwritten(&mut self) {
        self.frames.truncate(usize::from(self.begun));
    }

    /// Bytes written so far.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Writes all that there is.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.frames.is_empty() {
            let mut written = ready!(self.poll_write_frames(cx))?;
            if written == 0 {
                return Poll::Ready(Err(ErrorKind::WriteZero.into()));
            }
            self.written += written as u64;
            self.flushed = false;
            while let Some(frame) = self.frames.front_mut() {
                if written < frame.len() {
                    self.begun |= written > 0;
                    frame.advance(written);
                    break;
                }
                written -= frame.len();
                self.begun = false;
                self.frames.pop_front();
            }
        }
        if self.frames.capacity() > limits::WRITE_BATCH {
            self.frames = VecDeque::new();
        }
        if !self.flushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes a part of what there is.
    fn poll_write_frames(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.stream);
        if let (Some(frame), 1) = (self.frames.front(), self.frames.len()) {
            // The usual case, and a cheaper system call.
            return stream.poll_write(cx, frame);
        }
        if self.frames.iter().map(Bytes::len).sum::<usize>() <= limits::WRITE_COPY {
            let (mut buffer, mut length) = ([0; limits::WRITE_COPY], 0);
            for frame in &self.frames {
                buffer[length..length + frame.len()].copy_from_slice(frame);
                length += frame.len();
            }
            return stream.poll_write(cx, &buffer[..length]);
        }
        let mut slices = [IoSlice::new(&[]); limits::WRITE_BATCH];
        let mut count = 0;
        for (slice, frame) in slices.iter_mut().zip(&self.frames) {
            *slice = IoSlice::new(frame);
            count += 1;
        }
        stream.poll_write_vectored(cx, &slices[..count])
    }

    /// Puts a close frame behind what is to be written. Nothing is received by frames after it.
    pub(crate) fn close(&mut self, code: Option<u16>, reason: &str) {
        self.frames.push_back(frame::close(code, reason));
    }

    /// Writes what there is, ends the stream, and reads until the client has ended it too. Ending while the client
    /// still sends would make the system forget what was written.
    pub(crate) async fn finish(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_write(cx)).await?;
        poll_fn(|cx| Pin::new(&mut self.stream).poll_shutdown(cx)).await?;
        let mut left = limits::LINGER_BYTES;
        poll_fn(|cx| {
            // Its close frame is as good as its end, and comes sooner.
            while left > 0 && !self.broken {
                match ready!(self.poll_receive(cx)) {
                    Ok(received) => left = left.saturating_sub(received.len().max(1)),
                    Err(Ended::Closed(_) | Ended::Cut) => return Poll::Ready(Ok(())),
                    Err(Ended::TooLarge | Ended::Broken) => {}
                }
            }
            let mut buffer = [0; 4096];
            while left > 0 {
                let mut read = ReadBuf::new(&mut buffer);
                ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
                if read.filled().is_empty() {
                    break;
                }
                left = left.saturating_sub(read.filled().len());
            }
            Poll::Ready(Ok(()))
        })
        .await
    }
}

/// What tells frames apart, and puts messages together.
fn context(read: &[u8], message_max: usize) -> WebSocketContext {
    let config = WebSocketConfig::default()
        .read_buffer_size(limits::READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(limits::CONTROL_BYTES)
        .max_message_size(Some(message_max))
        .max_frame_size(Some(message_max));
    if read.is_empty() {
        WebSocketContext::new(Role::Server, Some(config))
    } else {
        WebSocketContext::from_partially_read(read.to_vec(), Role::Server, Some(config))
    }
}

/// A socket as `tungstenite` sees it: it reads from the stream; what it writes (pongs and closes) is put between the
/// frames.
struct Wire<'a, 'b> {
    stream: &'a mut Stream,
    frames: &'a mut VecDeque<Bytes>,
    held: &'a mut usize,
    cx: &'a mut Context<'b>,
}

impl Read for Wire<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut read = ReadBuf::new(buffer);
        match Pin::new(&mut *self.stream).poll_read(self.cx, &mut read) {
            Poll::Ready(result) => result.map(|()| {
                *self.held += read.filled().len();
                read.filled().len()
            }),
            Poll::Pending => Err(ErrorKind::WouldBlock.into()),
        }
    }
}

impl Write for Wire<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // `tungstenite` then keeps the newest pong only.
        if self.frames.len() >= 2 * limits::WRITE_BATCH {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.frames.push_back(Bytes::copy_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::SinkExt;
    use tokio::{
        io::AsyncWriteExt,
        net::{TcpListener, TcpStream},
    };
    use tokio_tungstenite::WebSocketStream;

    use super::*;

    /// A client and the server's side of its connection.
    async fn pair() -> (WebSocketStream<TcpStream>, Socket) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        (
            WebSocketStream::from_raw_socket(client, Role::Client, None).await,
            Socket::new(Stream::Plain(server), &[], room::limits::SIGNAL_MAX),
        )
    }

    async fn receive(socket: &mut Socket) -> Result<Received, Ended> {
        poll_fn(|cx| socket.poll_receive(cx)).await
    }

    #[tokio::test]
    async fn large_messages_leave_no_large_buffer_and_nothing_is_lost() {
        let (mut client, mut socket) = pair().await;
        // In the way of all kinds of frames, the last of them in two parts.
        let [large, small] = ["x".repeat(60_000), "y".repeat(200)];
        for _ in 0..3 {
            client.feed(Message::text(large.clone())).await.unwrap();
            client.feed(Message::Ping(Bytes::from_static(b"are you there"))).await.unwrap();
            client.feed(Message::text(small.clone())).await.unwrap();
        }
        client.flush().await.unwrap();
        for _ in 0..3 {
            for length in [60_000, 13, 200] {
                assert_eq!(receive(&mut socket).await.unwrap().len(), length);
                poll_fn(|cx| socket.poll_write(cx)).await.unwrap();
            }
        }
        let idle = poll_fn(|cx| Poll::Ready(socket.poll_receive(cx))).await;
        assert!(idle.is_pending());
        assert_eq!((socket.held, socket.largest), (0, 0), "the buffer was given up");

        // A text of 16 bits' length, with a mask that changes nothing.
        let length = u16::try_from(large.len()).unwrap().to_be_bytes();
        let bytes = [&[0x81, 0x80 | 126][..], &length, &[0; 4], large.as_bytes()].concat();
        let (head, tail) = bytes.split_at(30_000);
        client.get_mut().write_all(head).await.unwrap();
        for _ in 0..50 {
            assert!(poll_fn(|cx| Poll::Ready(socket.poll_receive(cx))).await.is_pending());
            tokio::task::yield_now().await;
        }
        assert!(socket.held > 0);
        client.get_mut().write_all(tail).await.unwrap();
        let Received::Text(text) = receive(&mut socket).await.unwrap() else { panic!("no text") };
        assert_eq!(text.as_str(), large);
    }

    #[tokio::test]
    async fn pings_that_nobody_reads_the_answers_of_pile_up_nowhere() {
        let (mut client, mut socket) = pair().await;
        for _ in 0..10_000 {
            client.feed(Message::Ping(Bytes::from_static(&[7; 125]))).await.unwrap();
            if poll_fn(|cx| Poll::Ready(client.poll_flush_unpin(cx))).await.is_pending() {
                break;
            }
            while poll_fn(|cx| Poll::Ready(socket.poll_receive(cx))).await.is_ready() {}
        }
        assert!(socket.frames.len() <= 2 * limits::WRITE_BATCH, "{}", socket.frames.len());
        poll_fn(|cx| socket.poll_write(cx)).await.unwrap();
        while poll_fn(|cx| Poll::Ready(socket.poll_receive(cx))).await.is_ready() {}
        assert!(!socket.frames.is_empty() && socket.frames.len() <= 2 * limits::WRITE_BATCH, "and goes on");
    }
}
