//! Frames: what members say to each other on a link. Binary; see PROTOCOL.md, "Frames".
//!
//! A data channel message is a packet of frames, each after its length; [`PacketReader`] walks it without
//! copying, [`push_frame`] builds it.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use super::hex;
use crate::{
    id::{Digest, MemberId, Signature},
    limits,
};

/// The version that HELLO carries.
pub const VERSION: u64 = 1;
/// The largest number that a varint may carry: what JavaScript counts exactly.
pub const NUMBER_MAX: u64 = (1 << 53) - 1;

const ADDRESSED: u8 = 1;
const FIRST: u8 = 2;
const LAST: u8 = 4;
const SIGNED: u8 = 8;

/// A frame, or a packet of frames, that breaks the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Ends too early.
    #[error("truncated")]
    Truncated,
    /// Goes on after its end.
    #[error("bytes left over")]
    Leftover,
    /// A type that this version does not know.
    #[error("unknown frame type {0}")]
    Type(u8),
    /// Flags that mean nothing here.
    #[error("unknown flags {0:#04x}")]
    Flags(u8),
    /// A number that is too large or not in its shortest form.
    #[error("bad number")]
    Number,
    /// A text that is not UTF-8 or too long.
    #[error("bad text")]
    Text,
    /// A kind of message that this version does not know.
    #[error("unknown message kind {0}")]
    Kind(u8),
    /// More than a bound allows.
    #[error("too large")]
    TooLarge,
}

/// An ordered sequence of messages: an origin's to the room, or to one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stream {
    /// Who sends.
    pub origin: MemberId,
    /// The only receiver, where the stream is addressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<MemberId>,
}

impl Stream {
    /// What an origin says to the whole room.
    pub const fn room(origin: MemberId) -> Stream {
        Stream { origin, to: None }
    }

    /// What an origin says to one member.
    pub const fn addressed(origin: MemberId, to: MemberId) -> Stream {
        Stream { origin, to: Some(to) }
    }
}

/// "Of this stream I hold `first` to `next − 1`."
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// Which stream.
    pub stream: Stream,
    /// The first chunk that the sender can supply.
    pub first: u64,
    /// The first chunk that the sender lacks.
    pub next: u64,
}

/// "Of this stream I have everything below `next`."
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// Which stream.
    pub stream: Stream,
    /// The first chunk that the sender lacks.
    pub next: u64,
}

/// "Of what this origin says to the room I have everything below `next`, over `hop` links that take `delay_ms` together."
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Have {
    /// Whose stream.
    pub origin: MemberId,
    /// The first chunk that the sender lacks.
    pub next: u64,
    /// How many links what it has came over; [`HOP_UNKNOWN`] where nothing came yet.
    pub hop: u8,
    /// How long a chunk takes over these links, in ms; one way.
    pub delay_ms: u64,
}

/// The number of links of a way that is not known.
pub const HOP_UNKNOWN: u8 = 255;

/// What a reliable message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A value on a channel.
    Message,
    /// A call of a method.
    Call,
    /// A call's result.
    Reply,
    /// A call's failure.
    Failure,
}

/// What a message's first chunk says of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// What the message is.
    pub kind: Kind,
    /// Its channel, or the method's name of a call.
    pub channel: String,
}

/// One chunk of a reliable message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Data {
    /// Which stream.
    pub stream: Stream,
    /// Its place in the stream, from 1; below [`NUMBER_MAX`].
    pub seq: u64,
    /// There on a message's first chunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<Head>,
    /// Whether the message ends here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub last: bool,
    /// At most [`limits::CHUNK`] bytes.
    #[serde(with = "hex")]
    pub payload: Bytes,
}

/// "These chunks are mine", as their origin says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// Which stream.
    pub stream: Stream,
    /// The number of the first chunk; below [`NUMBER_MAX`], as is that of the last.
    pub first: u64,
    /// A digest a chunk, at most [`limits::SIGNED_CHUNKS`].
    pub digests: Vec<Digest>,
    /// The origin's, of what [`signed_text`] makes of the frame.
    pub signature: Signature,
}

/// What is signed of a frame that ends with a signature: all before that, and which room it is said in.
pub fn signed_text(room: &str, frame: &[u8]) -> Bytes {
    let body = &frame[..frame.len().saturating_sub(Signature::LENGTH)];
    let mut text = BytesMut::with_capacity(SIGNED_AS.len() + room.len() + 1 + body.len());
    text.put_slice(SIGNED_AS);
    text.put_slice(room.as_bytes());
    text.put_u8(0);
    text.put_slice(body);
    text.freeze()
}

/// What every signed text begins with, so that no signature is one of anything else.
const SIGNED_AS: &[u8] = b"roomful v1 frame\0";

/// What one member says to another over their link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Frame {
    /// First on every link.
    Hello {
        /// [`VERSION`].
        version: u64,
        /// The plan's number.
        epoch: u64,
        /// The first credit; see [`Frame::Credit`].
        credit: u64,
        /// At most [`limits::HOLDINGS_MAX`].
        holdings: Vec<Holding>,
    },
    /// One chunk of a reliable message.
    Data(Data),
    /// What has arrived, cumulatively. At most [`limits::HOLDINGS_MAX`].
    Ack(Vec<Ack>),
    /// The total cost of DATA that the receiver of this frame may have sent on this link.
    Credit {
        /// See [`limits::FRAME_COST`].
        total: u64,
    },
    /// Chunks below `upto` will not come.
    Skip {
        /// Which stream.
        stream: Stream,
        /// The next chunk that will come.
        upto: u64,
    },
    /// The newest value of a `latest` channel.
    Latest {
        /// Who sends, and to whom.
        stream: Stream,
        /// Counted per origin and channel.
        seq: u64,
        /// The channel.
        channel: String,
        /// At most [`limits::LOSSY_MAX`] bytes.
        #[serde(with = "hex")]
        payload: Bytes,
        /// The origin's, of what [`signed_text`] makes of the frame; of what is said to the room only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signature: Option<Signature>,
    },
    /// A `latest` value arrived.
    Seen {
        /// Whose value.
        origin: MemberId,
        /// Which.
        seq: u64,
        /// The channel.
        channel: String,
    },
    /// A message that is sent once.
    Datagram {
        /// Who sends, and to whom.
        stream: Stream,
        /// Counted per origin.
        seq: u64,
        /// The channel.
        channel: String,
        /// At most [`limits::LOSSY_MAX`] bytes.
        #[serde(with = "hex")]
        payload: Bytes,
        /// As that of [`Frame::Latest`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signature: Option<Signature>,
    },
    /// Are you there?
    Ping {
        /// Comes back in [`Frame::Pong`].
        token: u64,
    },
    /// Yes.
    Pong {
        /// As it was asked.
        token: u64,
    },
    /// How far the sender is in streams that are relayed: an acknowledgement to whom it has them from, news to everybody
    /// else. At most [`limits::HOLDINGS_MAX`].
    Have(Vec<Have>),
    /// Send me this origin's stream, from `next` on and as it comes.
    Graft {
        /// Whose stream.
        origin: MemberId,
        /// The first chunk that the sender lacks.
        next: u64,
    },
    /// Do not send me this origin's stream: I have it from elsewhere.
    Prune {
        /// Whose stream.
        origin: MemberId,
    },
    /// What follows of an addressed stream on this link is to be passed on.
    Route {
        /// Which stream.
        stream: Stream,
        /// The first chunk that will follow.
        first: u64,
        /// Whom it is passed on to, the addressee last; nobody where that is the receiver of this frame. At most
        /// [`limits::ROUTE_MAX`].
        path: Vec<MemberId>,
    },
    /// An addressed stream cannot be passed on any more.
    Broken {
        /// Which stream.
        stream: Stream,
    },
    /// Consecutive chunks of a stream are its origin's. Passed on as it was made.
    Signed(Signed),
}

impl Frame {
    /// Reads one frame, without copying its payload.
    ///
    /// # Errors
    /// Where it breaks the protocol.
    pub fn decode(bytes: Bytes) -> Result<Frame, FrameError> {
        let mut reader = Reader { bytes, at: 0 };
        let frame = match reader.byte()? {
            1 => Frame::Hello {
                version: reader.varint()?,
                epoch: reader.varint()?,
                credit: reader.varint()?,
                holdings: reader
                    .list(|r| Ok(Holding { stream: r.stream()?, first: r.varint()?, next: r.varint()? }))?,
            },
            2 => Frame::Data(reader.data()?),
            3 => Frame::Ack(reader.list(|r| Ok(Ack { stream: r.stream()?, next: r.varint()? }))?),
            4 => Frame::Credit { total: reader.varint()? },
            5 => Frame::Skip { stream: reader.stream()?, upto: reader.varint()? },
            6 => {
                let (stream, seq, channel, payload, signature) = reader.lossy()?;
                Frame::Latest { stream, seq, channel, payload, signature }
            }
            7 => Frame::Seen { origin: reader.id()?, seq: reader.varint()?, channel: reader.channel()? },
            8 => {
                let (stream, seq, channel, payload, signature) = reader.lossy()?;
                Frame::Datagram { stream, seq, channel, payload, signature }
            }
            9 => Frame::Ping { token: reader.varint()? },
            10 => Frame::Pong { token: reader.varint()? },
            16 => Frame::Have(
                reader
                    .list(|r| Ok(Have { origin: r.id()?, next: r.varint()?, hop: r.byte()?, delay_ms: r.varint()? }))?,
            ),
            17 => Frame::Graft { origin: reader.id()?, next: reader.varint()? },
            18 => Frame::Prune { origin: reader.id()? },
            19 => Frame::Route {
                stream: reader.stream()?,
                first: reader.varint()?,
                path: reader.list_of(limits::ROUTE_MAX, Reader::id)?,
            },
            20 => Frame::Broken { stream: reader.stream()? },
            21 => Frame::Signed(reader.signed()?),
            other => return Err(FrameError::Type(other)),
        };
        if reader.at == reader.bytes.len() { Ok(frame) } else { Err(FrameError::Leftover) }
    }

    /// The frame's bytes.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        match self {
            Frame::Hello { version, epoch, credit, holdings } => {
                out.put_u8(1);
                for number in [*version, *epoch, *credit, holdings.len() as u64] {
                    put_varint(&mut out, number);
                }
                for holding in holdings {
                    put_stream(&mut out, holding.stream);
                    put_varint(&mut out, holding.first);
                    put_varint(&mut out, holding.next);
                }
            }
            Frame::Data(data) => return data.encode(),
            Frame::Ack(acks) => {
                out.put_u8(3);
                put_varint(&mut out, acks.len() as u64);
                for ack in acks {
                    put_stream(&mut out, ack.stream);
                    put_varint(&mut out, ack.next);
                }
            }
            Frame::Credit { total } => {
                out.put_u8(4);
                put_varint(&mut out, *total);
            }
            Frame::Skip { stream, upto } => {
                out.put_u8(5);
                put_stream(&mut out, *stream);
                put_varint(&mut out, *upto);
            }
            Frame::Latest { stream, seq, channel, payload, signature } => {
                out.put_u8(6);
                put_lossy(&mut out, *stream, *seq, channel, payload, signature.as_ref());
            }
            Frame::Seen { origin, seq, channel } => {
                out.put_u8(7);
                out.put_slice(&origin.0);
                put_varint(&mut out, *seq);
                put_text(&mut out, channel);
            }
            Frame::Datagram { stream, seq, channel, payload, signature } => {
                out.put_u8(8);
                put_lossy(&mut out, *stream, *seq, channel, payload, signature.as_ref());
            }
            Frame::Ping { token } => {
                out.put_u8(9);
                put_varint(&mut out, *token);
            }
            Frame::Pong { token } => {
                out.put_u8(10);
                put_varint(&mut out, *token);
            }
            Frame::Have(list) => {
                out.put_u8(16);
                put_varint(&mut out, list.len() as u64);
                for have in list {
                    out.put_slice(&have.origin.0);
                    put_varint(&mut out, have.next);
                    out.put_u8(have.hop);
                    put_varint(&mut out, have.delay_ms);
                }
            }
            Frame::Graft { origin, next } => {
                out.put_u8(17);
                out.put_slice(&origin.0);
                put_varint(&mut out, *next);
            }
            Frame::Prune { origin } => {
                out.put_u8(18);
                out.put_slice(&origin.0);
            }
            Frame::Route { stream, first, path } => {
                out.put_u8(19);
                put_stream(&mut out, *stream);
                put_varint(&mut out, *first);
                put_varint(&mut out, path.len() as u64);
                for id in path {
                    out.put_slice(&id.0);
                }
            }
            Frame::Broken { stream } => {
                out.put_u8(20);
                put_stream(&mut out, *stream);
            }
            Frame::Signed(signed) => {
                out.put_u8(21);
                put_stream(&mut out, signed.stream);
                put_varint(&mut out, signed.first);
                put_varint(&mut out, signed.digests.len() as u64);
                for digest in &signed.digests {
                    out.put_slice(&digest.0);
                }
                out.put_slice(&signed.signature.0);
            }
        }
        out.freeze()
    }

    /// The same lossy message with a signature; any other frame as it is.
    #[must_use]
    pub fn with_signature(mut self, by: Signature) -> Frame {
        if let Frame::Latest { signature, .. } | Frame::Datagram { signature, .. } = &mut self {
            *signature = Some(by);
        }
        self
    }
}

impl Data {
    /// The frame's bytes.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(32 + limits::CHANNEL_NAME_MAX + self.payload.len());
        let addressed = if self.stream.to.is_some() { ADDRESSED } else { 0 };
        let first = if self.head.is_some() { FIRST } else { 0 };
        let last = if self.last { LAST } else { 0 };
        out.put_u8(2);
        out.put_u8(addressed | first | last);
        out.put_slice(&self.stream.origin.0);
        if let Some(to) = self.stream.to {
            out.put_slice(&to.0);
        }
        put_varint(&mut out, self.seq);
        if let Some(head) = &self.head {
            out.put_u8(head.kind as u8);
            put_text(&mut out, &head.channel);
        }
        out.put_slice(&self.payload);
        out.freeze()
    }
}

/// Appends a frame to a packet.
pub fn push_frame(packet: &mut BytesMut, frame: &[u8]) {
    packet.reserve(frame.len() + 4);
    put_varint(packet, frame.len() as u64);
    packet.put_slice(frame);
}

/// Walks the frames of a packet. Stops after the first error.
#[derive(Debug)]
pub struct PacketReader {
    reader: Reader,
}

impl PacketReader {
    /// A reader of one data channel message.
    ///
    /// # Errors
    /// [`FrameError::TooLarge`] beyond [`limits::PACKET_MAX`].
    pub fn new(packet: Bytes) -> Result<PacketReader, FrameError> {
        if packet.len() > limits::PACKET_MAX {
            return Err(FrameError::TooLarge);
        }
        Ok(PacketReader { reader: Reader { bytes: packet, at: 0 } })
    }

    /// The frames' bytes, not looked into yet.
    pub fn raw(mut self) -> impl Iterator<Item = Result<Bytes, FrameError>> {
        std::iter::from_fn(move || {
            (self.reader.at < self.reader.bytes.len()).then(|| {
                let bytes = self.bytes();
                if bytes.is_err() {
                    self.reader.at = self.reader.bytes.len();
                }
                bytes
            })
        })
    }

    fn bytes(&mut self) -> Result<Bytes, FrameError> {
        let length = usize::try_from(self.reader.varint()?).map_err(|_| FrameError::Truncated)?;
        self.reader.take(length)
    }

    fn frame(&mut self) -> Result<(Frame, usize), FrameError> {
        let bytes = self.bytes()?;
        let length = bytes.len();
        Ok((Frame::decode(bytes)?, length))
    }
}

impl Iterator for PacketReader {
    /// A frame and its length in bytes.
    type Item = Result<(Frame, usize), FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.at == self.reader.bytes.len() {
            return None;
        }
        let frame = self.frame();
        if frame.is_err() {
            self.reader.at = self.reader.bytes.len();
        }
        Some(frame)
    }
}

/// Appends an unsigned LEB128 number.
pub fn put_varint(out: &mut BytesMut, mut number: u64) {
    debug_assert!(number <= NUMBER_MAX, "numbers on the wire stay below 2^53");
    while number >= 0x80 {
        out.put_u8(number as u8 | 0x80);
        number >>= 7;
    }
    out.put_u8(number as u8);
}

/// Reads a number from the front of a payload; gives it and what follows.
///
/// # Errors
/// Where it is cut off, too large or not in its shortest form.
pub fn split_varint(payload: Bytes) -> Result<(u64, Bytes), FrameError> {
    let mut reader = Reader { bytes: payload, at: 0 };
    let number = reader.varint()?;
    Ok((number, reader.bytes.slice(reader.at..)))
}

fn put_stream(out: &mut BytesMut, stream: Stream) {
    out.put_u8(if stream.to.is_some() { ADDRESSED } else { 0 });
    out.put_slice(&stream.origin.0);
    if let Some(to) = stream.to {
        out.put_slice(&to.0);
    }
}

fn put_lossy(
    out: &mut BytesMut,
    stream: Stream,
    seq: u64,
    channel: &str,
    payload: &[u8],
    signature: Option<&Signature>,
) {
    let at = out.len();
    put_stream(out, stream);
    out[at] |= if signature.is_some() { SIGNED } else { 0 };
    put_varint(out, seq);
    put_text(out, channel);
    out.put_slice(payload);
    signature.into_iter().for_each(|signature| out.put_slice(&signature.0));
}

fn put_text(out: &mut BytesMut, text: &str) {
    put_varint(out, text.len() as u64);
    out.put_slice(text.as_bytes());
}

#[derive(Debug)]
struct Reader {
    bytes: Bytes,
    at: usize,
}

impl Reader {
    fn byte(&mut self) -> Result<u8, FrameError> {
        let byte = *self.bytes.get(self.at).ok_or(FrameError::Truncated)?;
        self.at += 1;
        Ok(byte)
    }

    fn take(&mut self, length: usize) -> Result<Bytes, FrameError> {
        if length > self.bytes.len() - self.at {
            return Err(FrameError::Truncated);
        }
        let taken = self.bytes.slice(self.at..self.at + length);
        self.at += length;
        Ok(taken)
    }

    fn rest(&mut self, max: usize) -> Result<Bytes, FrameError> {
        let length = self.bytes.len() - self.at;
        if length > max { Err(FrameError::TooLarge) } else { self.take(length) }
    }

    fn varint(&mut self) -> Result<u64, FrameError> {
        let mut number = 0;
        for shift in (0..56).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                let shortest = byte != 0 || shift == 0;
                return if shortest && number <= NUMBER_MAX { Ok(number) } else { Err(FrameError::Number) };
            }
        }
        Err(FrameError::Number)
    }

    fn id(&mut self) -> Result<MemberId, FrameError> {
        let bytes = self.take(8)?;
        Ok(MemberId(bytes[..].try_into().expect("8 bytes were taken")))
    }

    fn channel(&mut self) -> Result<String, FrameError> {
        let length = self.varint()?;
        if length > limits::CHANNEL_NAME_MAX as u64 {
            return Err(FrameError::Text);
        }
        let bytes = self.take(length as usize)?;
        std::str::from_utf8(&bytes).map(str::to_owned).map_err(|_| FrameError::Text)
    }

    fn stream(&mut self) -> Result<Stream, FrameError> {
        let flags = self.byte()?;
        if flags & !ADDRESSED != 0 {
            return Err(FrameError::Flags(flags));
        }
        self.stream_after(flags)
    }

    fn stream_after(&mut self, flags: u8) -> Result<Stream, FrameError> {
        let origin = self.id()?;
        let to = if flags & ADDRESSED != 0 { Some(self.id()?) } else { None };
        Ok(Stream { origin, to })
    }

    /// What LATEST and DATAGRAM are made of. Nobody passes on what is said to one member: that has no signature.
    fn lossy(&mut self) -> Result<(Stream, u64, String, Bytes, Option<Signature>), FrameError> {
        let flags = self.byte()?;
        if ![0, ADDRESSED, SIGNED].contains(&flags) {
            return Err(FrameError::Flags(flags));
        }
        let (stream, seq, channel) = (self.stream_after(flags)?, self.varint()?, self.channel()?);
        if flags & SIGNED == 0 {
            return Ok((stream, seq, channel, self.rest(limits::LOSSY_MAX)?, None));
        }
        let length = (self.bytes.len() - self.at).checked_sub(Signature::LENGTH).ok_or(FrameError::Truncated)?;
        if length > limits::LOSSY_MAX {
            return Err(FrameError::TooLarge);
        }
        let payload = self.take(length)?;
        Ok((stream, seq, channel, payload, Some(self.signature()?)))
    }

    fn data(&mut self) -> Result<Data, FrameError> {
        let flags = self.byte()?;
        if flags & !(ADDRESSED | FIRST | LAST) != 0 {
            return Err(FrameError::Flags(flags));
        }
        let stream = self.stream_after(flags)?;
        let seq = self.varint()?;
        // What is said to be missing is one above it.
        if seq == NUMBER_MAX {
            return Err(FrameError::Number);
        }
        let head = if flags & FIRST != 0 {
            let kind = match self.byte()? {
                0 => Kind::Message,
                1 => Kind::Call,
                2 => Kind::Reply,
                3 => Kind::Failure,
                other => return Err(FrameError::Kind(other)),
            };
            Some(Head { kind, channel: self.channel()? })
        } else {
            None
        };
        Ok(Data { stream, seq, head, last: flags & LAST != 0, payload: self.rest(limits::CHUNK)? })
    }

    fn signed(&mut self) -> Result<Signed, FrameError> {
        let (stream, first) = (self.stream()?, self.varint()?);
        let digests = self.list_of(limits::SIGNED_CHUNKS, Reader::digest)?;
        // Chunks count from 1, and what is said to be missing is one above the last.
        if first == 0 || digests.is_empty() || first > NUMBER_MAX - digests.len() as u64 {
            return Err(FrameError::Number);
        }
        Ok(Signed { stream, first, digests, signature: self.signature()? })
    }

    fn digest(&mut self) -> Result<Digest, FrameError> {
        let bytes = self.take(Digest::LENGTH)?;
        Ok(Digest(bytes[..].try_into().expect("as many bytes were taken")))
    }

    fn signature(&mut self) -> Result<Signature, FrameError> {
        let bytes = self.take(Signature::LENGTH)?;
        Ok(Signature(bytes[..].try_into().expect("as many bytes were taken")))
    }

    fn list<T>(&mut self, item: impl Fn(&mut Reader) -> Result<T, FrameError>) -> Result<Vec<T>, FrameError> {
        self.list_of(limits::HOLDINGS_MAX, item)
    }

    fn list_of<T>(
        &mut self,
        max: usize,
        item: impl Fn(&mut Reader) -> Result<T, FrameError>,
    ) -> Result<Vec<T>, FrameError> {
        let count = self.varint()?;
        if count > max as u64 {
            return Err(FrameError::TooLarge);
        }
        (0..count).map(|_| item(self)).collect()
    }
}
