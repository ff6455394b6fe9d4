//! A TCP connection, with TLS or without, or one within this process.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

/// What bytes of a client go through.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    /// Boxed, since it is 1 KiB that plain connections would pay for.
    Tls(Box<TlsStream<TcpStream>>),
    /// Within this process.
    Inside(DuplexStream),
}

impl Stream {
    /// Lets the runtime that this is called in wait for the connection from now on, instead of the one that accepted
    /// it. Under TLS it stays where it is, which is only slower.
    ///
    /// # Errors
    /// Where the system does not let it wait for one connection more.
    pub(crate) fn settle(self) -> io::Result<Stream> {
        match self {
            Stream::Plain(stream) => Ok(Stream::Plain(TcpStream::from_std(stream.into_std()?)?)),
            other => Ok(other),
        }
    }

    /// Whether it is known without a system call that nothing can be read; the task is woken when that may have changed.
    pub(crate) fn is_silent(&self, cx: &mut Context<'_>) -> bool {
        match self {
            Stream::Plain(stream) => stream.poll_read_ready(cx).is_pending(),
            // They hold what has come and was not read.
            Stream::Tls(_) | Stream::Inside(_) => false,
        }
    }
}

/// Calls the same method on either kind.
macro_rules! either {
    ($self:ident.$method:ident($($argument:expr),*)) => {
        match $self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).$method($($argument),*),
            Stream::Tls(stream) => Pin::new(stream).$method($($argument),*),
            Stream::Inside(stream) => Pin::new(stream).$method($($argument),*),
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        either!(self.poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        either!(self.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.poll_shutdown(cx))
    }
}
