//! netlink(7): messages put together safely, sent, and their answers read. No system call of its own: rustix has them.
//!
//! A message is a header, a fixed part that depends on its kind, and attributes, which may be nested. Everything is
//! aligned to four bytes. rtnetlink(7); include/uapi/linux/netlink.h.

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use std::os::fd::OwnedFd;

/// `NLM_F_REQUEST`.
const REQUEST: u16 = 1;
/// `NLM_F_ACK`.
const ACK: u16 = 4;
/// `NLM_F_DUMP`.
const DUMP: u16 = 0x300;
/// `NLM_F_CREATE | NLM_F_EXCL`: make what must not be there yet.
pub const CREATE: u16 = 0x600;
/// `NLM_F_CREATE | NLM_F_REPLACE`: make it, or take the place of what is there.
pub const REPLACE: u16 = 0x500;
/// `NLM_F_CREATE | NLM_F_APPEND`: make it, behind what is there.
pub const APPEND: u16 = 0xc00;
/// `NLMSG_ERROR`, which is also an acknowledgement.
const ERROR: u16 = 2;
/// `NLMSG_DONE`, the end of a dump.
const DONE: u16 = 3;
/// `NLA_F_NESTED`.
const NESTED: u16 = 0x8000;
/// The header's length.
const HEADER: usize = 16;
/// More than the kernel puts into one datagram.
const BUFFER: usize = 64 << 10;

/// A message that is being put together.
#[derive(Debug, Clone)]
pub struct Message {
    bytes: Vec<u8>,
    acknowledged: bool,
}

impl Message {
    /// A request of this type, which the kernel acknowledges, with further `NLM_F_…` flags and its fixed part.
    pub fn new(kind: u16, flags: u16, fixed: &[u8]) -> Self {
        Self::with(kind, flags | REQUEST | ACK, fixed, true)
    }

    /// One that is not acknowledged by itself: the brackets of a batch.
    pub fn bracket(kind: u16, fixed: &[u8]) -> Self {
        Self::with(kind, REQUEST, fixed, false)
    }

    fn with(kind: u16, flags: u16, fixed: &[u8], acknowledged: bool) -> Self {
        let mut bytes = vec![0; HEADER];
        bytes.splice(4..6, kind.to_ne_bytes());
        bytes.splice(6..8, flags.to_ne_bytes());
        bytes.extend(fixed);
        let mut message = Self { bytes, acknowledged };
        message.align();
        message
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// An attribute of these bytes.
    #[must_use]
    pub fn attr(mut self, kind: u16, value: &[u8]) -> Self {
        self.bytes.extend(((value.len() + 4) as u16).to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(value);
        self.align();
        self
    }

    /// A number, in the machine's order.
    #[must_use]
    pub fn u32(self, kind: u16, value: u32) -> Self {
        self.attr(kind, &value.to_ne_bytes())
    }

    /// A number, in the network's order, as netfilter wants it.
    #[must_use]
    pub fn be32(self, kind: u16, value: u32) -> Self {
        self.attr(kind, &value.to_be_bytes())
    }

    /// A text with its final NUL.
    #[must_use]
    pub fn text(self, kind: u16, value: &str) -> Self {
        self.attr(kind, &[value.as_bytes(), &[0]].concat())
    }

    /// An attribute that holds those that `inside` adds.
    #[must_use]
    pub fn nest(mut self, kind: u16, inside: impl FnOnce(Self) -> Self) -> Self {
        let start = self.bytes.len();
        self.bytes.extend([0, 0]);
        self.bytes.extend((kind | NESTED).to_ne_bytes());
        let mut message = inside(self);
        let length = (message.bytes.len() - start) as u16;
        message.bytes.splice(start..start + 2, length.to_ne_bytes());
        message
    }

    /// More fixed bytes, inside a nest.
    #[must_use]
    pub fn fixed(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend(bytes);
        self.align();
        self
    }

    fn finish(mut self, sequence: u32) -> Vec<u8> {
        let length = self.bytes.len() as u32;
        self.bytes.splice(0..4, length.to_ne_bytes());
        self.bytes.splice(8..12, sequence.to_ne_bytes());
        self.bytes
    }
}

/// A netlink socket. It belongs to the network namespace that it was opened in, wherever it is used.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    sequence: u32,
}

impl Socket {
    /// rtnetlink(7), which is protocol 0: links, addresses, routes, rules, queues.
    pub fn route() -> Result<Self, Errno> {
        Self::open(None)
    }

    /// Netfilter: nf_tables.
    pub fn netfilter() -> Result<Self, Errno> {
        Self::open(Some(rustix::net::netlink::NETFILTER))
    }

    fn open(protocol: Option<rustix::net::Protocol>) -> Result<Self, Errno> {
        let fd = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
        Ok(Self { fd, sequence: 0 })
    }

    /// Send one request and wait for its acknowledgement.
    pub fn call(&mut self, message: Message) -> Result<(), Errno> {
        self.batch([message])
    }

    /// Send requests in one datagram; the first error that the kernel answers, after all answers are in.
    pub fn batch(&mut self, messages: impl IntoIterator<Item = Message>) -> Result<(), Errno> {
        let (mut bytes, mut awaited, first) = (Vec::new(), 0, self.sequence.wrapping_add(1));
        let mut bracketed = false;
        for message in messages {
            bracketed |= !message.acknowledged;
            self.sequence = self.sequence.wrapping_add(1);
            awaited += usize::from(message.acknowledged);
            bytes.extend(message.finish(self.sequence));
        }
        self.send(&bytes)?;
        let (mut buffer, mut result) = (vec![0; BUFFER], Ok(()));
        while awaited > 0 {
            let length = self.receive(&mut buffer)?;
            for (kind, sequence, body) in parts(buffer.get(..length).unwrap_or_default()) {
                let ours = sequence.wrapping_sub(first) <= self.sequence.wrapping_sub(first);
                if kind != ERROR || !ours {
                    continue;
                }
                awaited = awaited.saturating_sub(1);
                if let Some(errno) = errno(body) {
                    result = result.and(Err(errno));
                    // A batch that was refused as a whole is answered once, for its bracket.
                    if bracketed && sequence == first {
                        awaited = 0;
                    }
                }
            }
        }
        result
    }

    /// All that the kernel has of something: its type and body, for each.
    pub fn dump(&mut self, kind: u16, fixed: &[u8]) -> Result<Vec<(u16, Vec<u8>)>, Errno> {
        self.sequence = self.sequence.wrapping_add(1);
        let bytes = Message::with(kind, REQUEST | DUMP, fixed, false).finish(self.sequence);
        self.send(&bytes)?;
        let (mut buffer, mut found) = (vec![0; BUFFER], Vec::new());
        loop {
            let length = self.receive(&mut buffer)?;
            for (kind, sequence, body) in parts(buffer.get(..length).unwrap_or_default()) {
                match kind {
                    _ if sequence != self.sequence => {}
                    DONE => return Ok(found),
                    ERROR => return errno(body).map_or(Ok(found), Err),
                    kind => found.push((kind, body.to_vec())),
                }
            }
        }
    }

    fn send(&self, bytes: &[u8]) -> Result<(), Errno> {
        let kernel = SocketAddrNetlink::new(0, 0);
        rustix::io::retry_on_intr(|| rustix::net::sendto(&self.fd, bytes, SendFlags::empty(), &kernel)).map(drop)
    }

    fn receive(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        rustix::io::retry_on_intr(|| rustix::net::recv(&self.fd, &mut *buffer, RecvFlags::empty())).map(|got| got.0)
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// The messages in a datagram: type, sequence number, body.
fn parts(mut bytes: &[u8]) -> impl Iterator<Item = (u16, u32, &[u8])> {
    std::iter::from_fn(move || {
        let length = number(bytes, 0)? as usize;
        let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
        let sequence = number(bytes, 8)?;
        let body = bytes.get(HEADER..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, sequence, body))
    })
}

/// What an answer says went wrong.
fn errno(body: &[u8]) -> Option<Errno> {
    match number(body, 0)? as i32 {
        0 => None,
        code => Some(Errno::from_raw_os_error(code.saturating_neg())),
    }
}

/// The attributes in the body of a message, after its fixed part.
pub fn attributes(body: &[u8], fixed: usize) -> impl Iterator<Item = (u16, &[u8])> {
    let mut bytes = body.get(fixed..).unwrap_or_default();
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(bytes.get(2..4)?.try_into().ok()?) & !NESTED;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_aligned_and_nested() {
        let message = Message::new(16, CREATE, &[1, 2, 3]).text(3, "ab").nest(18, |m| m.u32(1, 7));
        let bytes = message.finish(9);
        assert_eq!(bytes.len() % 4, 0);
        assert_eq!(number(&bytes, 0), Some(bytes.len() as u32));
        let (kind, sequence, body) = parts(&bytes).next().unwrap();
        assert_eq!((kind, sequence), (16, 9));
        let all: Vec<(u16, Vec<u8>)> = attributes(body, 4).map(|(kind, value)| (kind, value.to_vec())).collect();
        assert_eq!(all[0], (3, b"ab\0".to_vec()));
        assert_eq!(attributes(&all[1].1, 0).collect::<Vec<_>>(), [(1, &7u32.to_ne_bytes()[..])]);
    }

    #[test]
    fn lies_about_lengths_end_the_reading() {
        for bytes in [&[][..], &[0; 3], &[0; 16], &[255; 40], &[17, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]] {
            assert_eq!(parts(bytes).count(), 0, "{bytes:?}");
            assert_eq!(attributes(bytes, 0).count(), 0, "{bytes:?}");
        }
    }

    #[test]
    fn the_kernel_answers() {
        let mut socket = Socket::route().unwrap();
        let links = socket.dump(18, &[0; 16]).unwrap(); // RTM_GETLINK
        assert!(links.iter().any(|(_, body)| attributes(body, 16).any(|(kind, value)| (kind, value) == (3, b"lo\0"))));
        // RTM_DELLINK of a link that is not there.
        let mut fixed = [0; 16];
        fixed[4..8].copy_from_slice(&i32::MAX.to_ne_bytes());
        assert!(socket.call(Message::new(17, 0, &fixed)).is_err());
    }
}
