//! The frames on the control connection, and descriptors passed beside them (`SCM_RIGHTS`, unix(7)).
//!
//! A frame is one byte of type, three of zero, four of length (little endian), then the payload. Both ends are the
//! same program of the same user, but nothing here trusts the other: lengths are bounded, a wrong frame is an error
//! that ends this connection only.

use rustix::io::{Errno, IoSlice, IoSliceMut};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Bytes before the payload.
pub const HEADER: usize = 8;
/// The longest payload that a client may send to the monitor: what it asks the attendant.
pub const MAX_REQUEST: usize = 32 * 1024;
/// The longest payload that the monitor sends: a failure with its texts.
pub const MAX_REPLY: usize = 64 * 1024;
/// Descriptors beside one frame, at most (`SCM_MAX_FD` of the kernel is 253).
pub const MAX_FDS: usize = 250;

/// What a frame says. Those above 100 go from the monitor to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Type {
    /// Which streams the client wants (bits of [`Wants`]), then rows and columns of its terminal.
    Hello = 1,
    /// Rows and columns.
    Resize = 2,
    /// A signal for the container's init.
    Signal = 3,
    /// The client's standard input has ended.
    StdinEnd = 4,
    /// Something that is the attendant's business, with descriptors beside it.
    Ask = 5,
    /// The container runs. Payload: phases for `--timing`.
    Started = 101,
    /// It does not. Payload: the error.
    Failed = 102,
    /// The answer to `Hello`: which descriptors are beside it (bits of [`Wants`]).
    Streams = 103,
    /// The container has ended ([`End`]).
    Exited = 104,
    /// What was asked of the attendant is done; [`Type::Failed`] if it is not.
    Done = 105,
}

impl Type {
    fn from_byte(byte: u8) -> Option<Self> {
        let all = [
            Self::Hello,
            Self::Resize,
            Self::Signal,
            Self::StdinEnd,
            Self::Ask,
            Self::Started,
            Self::Failed,
            Self::Streams,
            Self::Exited,
            Self::Done,
        ];
        all.into_iter().find(|known| *known as u8 == byte)
    }
}

/// Streams as bits of one byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wants {
    /// Write to the container's standard input.
    pub stdin: bool,
    /// Read its standard output, or its terminal.
    pub stdout: bool,
    /// Read its standard error.
    pub stderr: bool,
}

impl Wants {
    /// As a byte.
    pub fn bits(self) -> u8 {
        u8::from(self.stdin) | u8::from(self.stdout) << 1 | u8::from(self.stderr) << 2
    }

    /// From a byte; unknown bits are ignored.
    pub fn from_bits(bits: u8) -> Self {
        Self { stdin: bits & 1 != 0, stdout: bits & 2 != 0, stderr: bits & 4 != 0 }
    }
}

/// A frame that has come.
#[derive(Debug)]
pub struct Frame {
    /// What it says.
    pub kind: Type,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// How a container has ended, as its clients hear it: the payload of [`Type::Exited`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// The command's code, or 128 and a signal's number.
    pub code: i32,
    /// The kernel has killed a process of it for want of memory.
    pub out_of_memory: bool,
}

impl End {
    /// As a payload.
    pub fn to_bytes(self) -> [u8; 5] {
        let [a, b, c, d] = self.code.to_le_bytes();
        [a, b, c, d, u8::from(self.out_of_memory)]
    }
}

impl Frame {
    /// The payload of [`Type::Exited`].
    pub fn end(&self) -> End {
        End { code: self.i32_at(0).unwrap_or(-1), out_of_memory: self.payload.get(4) == Some(&1) }
    }

    /// A little-endian number of the payload.
    pub fn i32_at(&self, offset: usize) -> Option<i32> {
        Some(i32::from_le_bytes(self.payload.get(offset..offset + 4)?.try_into().ok()?))
    }

    /// A little-endian number of the payload.
    pub fn u16_at(&self, offset: usize) -> Option<u16> {
        Some(u16::from_le_bytes(self.payload.get(offset..offset + 2)?.try_into().ok()?))
    }
}

/// Collects bytes until a frame is whole.
#[derive(Debug, Default)]
pub struct Inbox {
    bytes: Vec<u8>,
    fds: Vec<OwnedFd>,
    limit: usize,
}

impl Inbox {
    /// An inbox for frames with at most `limit` bytes of payload.
    pub fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), fds: Vec::new(), limit }
    }

    /// Read once from the connection, without waiting unless it blocks. `false`: the other end has closed.
    pub fn fill(&mut self, connection: BorrowedFd<'_>) -> io::Result<bool> {
        let mut chunk = [0u8; 512];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let mut parts = [IoSliceMut::new(&mut chunk)];
            match rustix::net::recvmsg(connection, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Ok(received) => break received,
                Err(Errno::INTR) => {}
                // The other end died with data of ours unread.
                Err(Errno::CONNRESET) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        };
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                self.fds.extend(fds);
            }
        }
        if self.fds.len() > MAX_FDS {
            return Err(io::Error::from(io::ErrorKind::InvalidData));
        }
        self.bytes.extend_from_slice(chunk.get(..received.bytes).unwrap_or_default());
        Ok(received.bytes > 0)
    }

    /// Add bytes that were read elsewhere.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// How many bytes of payload the header announces that have not come yet, within the limit.
    pub fn missing(&self) -> usize {
        let announced = match self.bytes.get(..HEADER) {
            Some(&[_, _, _, _, a, b, c, d]) => u32::from_le_bytes([a, b, c, d]) as usize,
            _ => 0,
        };
        announced.min(self.limit).saturating_sub(self.bytes.len().saturating_sub(HEADER))
    }

    /// The next whole frame, if there is one. Errors: a frame that makes no sense.
    pub fn next(&mut self) -> io::Result<Option<Frame>> {
        let Some(header) = self.bytes.get(..HEADER) else { return Ok(None) };
        let invalid = || io::Error::from(io::ErrorKind::InvalidData);
        let &[kind, 0, 0, 0, a, b, c, d] = header else { return Err(invalid()) };
        let kind = Type::from_byte(kind).ok_or_else(invalid)?;
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        if length > self.limit {
            return Err(invalid());
        }
        let Some(payload) = self.bytes.get(HEADER..HEADER + length) else { return Ok(None) };
        let frame = Frame { kind, payload: payload.to_vec() };
        self.bytes.drain(..HEADER + length);
        Ok(Some(frame))
    }

    /// Whether no part of a frame waits for its rest.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The descriptors that have come so far.
    pub fn take_fds(&mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.fds)
    }
}

/// Send a frame with descriptors beside it. On a non-blocking connection a full buffer is an error.
pub fn send(connection: impl AsFd, kind: Type, payload: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut frame = Vec::with_capacity(HEADER + payload.len());
    frame.extend_from_slice(&[kind as u8, 0, 0, 0]);
    frame.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    frame.extend_from_slice(payload);
    let mut rest = frame.as_slice();
    let mut fds = fds;
    while !rest.is_empty() {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(fds));
        }
        // NOSIGNAL: a client that has gone is no reason to die.
        match rustix::net::sendmsg(&connection, &[IoSlice::new(rest)], &mut control, SendFlags::NOSIGNAL) {
            Ok(sent) => {
                rest = rest.get(sent..).unwrap_or_default();
                fds = &[];
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    #[test]
    fn frames_and_descriptors_arrive_whole() {
        let (a, b) = UnixStream::pair().unwrap();
        let (read, write) = rustix::pipe::pipe().unwrap();
        send(&a, Type::Streams, &[5], &[read.as_fd(), write.as_fd()]).unwrap();
        send(&a, Type::Exited, &7i32.to_le_bytes(), &[]).unwrap();
        drop(a);
        let mut inbox = Inbox::new(MAX_REPLY);
        while inbox.fill(b.as_fd()).unwrap() {}
        let first = inbox.next().unwrap().unwrap();
        assert_eq!((first.kind, first.payload.as_slice()), (Type::Streams, [5].as_slice()));
        assert_eq!(inbox.take_fds().len(), 2);
        assert_eq!(inbox.next().unwrap().unwrap().i32_at(0), Some(7));
        assert!(inbox.next().unwrap().is_none());
    }

    #[test]
    fn a_wrong_frame_is_an_error() {
        for bytes in [
            b"\x09\0\0\0\0\0\0\0".as_slice(),
            b"\x02\0\0\0\x01\x80\0\0".as_slice(),
            b"\x02\0\0\0\xff\xff\xff\xff".as_slice(),
            b"\x02\x01\0\0\0\0\0\0".as_slice(),
        ] {
            let (mut a, b) = UnixStream::pair().unwrap();
            a.write_all(bytes).unwrap();
            let mut inbox = Inbox::new(MAX_REQUEST);
            inbox.fill(b.as_fd()).unwrap();
            assert!(inbox.next().is_err(), "{bytes:?}");
        }
    }
}
