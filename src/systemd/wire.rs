//! D-Bus messages as bytes: as much of the wire format as a client of systemd needs. No I/O.
//!
//! Source: <https://dbus.freedesktop.org/doc/dbus-specification.html#message-protocol>. Little-endian throughout, which
//! is what every machine that box runs on speaks.

use anyhow::{Result, bail};

/// A message that claims to be longer is not read: systemd's answers are short.
pub const MAX_MESSAGE: usize = 1 << 20;
/// Bytes of a header before its list of fields.
const FIXED: usize = 16;

/// Bytes being put together, each value aligned to its own size from the beginning.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// What was written.
    pub fn bytes(self) -> Vec<u8> {
        self.0
    }

    /// Pad with zeros.
    pub fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    /// `y`.
    pub fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    /// `u`, and `b` as 0 or 1.
    pub fn u32(&mut self, value: u32) {
        self.align(4);
        self.0.extend(value.to_le_bytes());
    }

    /// `t`.
    pub fn u64(&mut self, value: u64) {
        self.align(8);
        self.0.extend(value.to_le_bytes());
    }

    /// `s` and `o`.
    pub fn text(&mut self, value: &str) {
        self.u32(value.len() as u32);
        self.0.extend(value.as_bytes());
        self.0.push(0);
    }

    /// `g`.
    pub fn signature(&mut self, value: &str) {
        self.0.push(value.len() as u8);
        self.0.extend(value.as_bytes());
        self.0.push(0);
    }

    /// `a`: the length, padding to the alignment of an element (not counted), then what `fill` writes.
    pub fn array(&mut self, alignment: usize, fill: impl FnOnce(&mut Self)) {
        self.u32(0);
        let length_at = self.0.len() - 4;
        self.align(alignment);
        let start = self.0.len();
        fill(self);
        let length = (self.0.len() - start) as u32;
        self.0[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
    }
}

/// The value of a unit's property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `s`.
    Text(String),
    /// `b`.
    Flag(bool),
    /// `t`.
    Number(u64),
    /// `au`.
    Numbers(Vec<u32>),
    /// `ay`, such as a set of processors.
    Bytes(Vec<u8>),
}

/// `a(sv)`: names with their values.
pub fn properties(writer: &mut Writer, list: &[(&str, Value)]) {
    writer.array(8, |writer| {
        for (name, value) in list {
            writer.align(8);
            writer.text(name);
            match value {
                Value::Text(text) => {
                    writer.signature("s");
                    writer.text(text);
                }
                Value::Flag(on) => {
                    writer.signature("b");
                    writer.u32(u32::from(*on));
                }
                Value::Number(number) => {
                    writer.signature("t");
                    writer.u64(*number);
                }
                Value::Numbers(numbers) => {
                    writer.signature("au");
                    writer.array(4, |writer| numbers.iter().for_each(|number| writer.u32(*number)));
                }
                Value::Bytes(bytes) => {
                    writer.signature("ay");
                    writer.array(1, |writer| bytes.iter().for_each(|byte| writer.byte(*byte)));
                }
            }
        }
    });
}

/// Who is called, and what.
#[derive(Debug, Clone, Copy)]
pub struct Method<'a> {
    /// The bus name; `None` where there is no bus between.
    pub destination: Option<&'a str>,
    /// The object.
    pub path: &'a str,
    /// The interface.
    pub interface: &'a str,
    /// The method.
    pub member: &'a str,
    /// What the body is made of; empty for none.
    pub signature: &'a str,
}

/// A call as bytes.
pub fn call(serial: u32, method: Method<'_>, body: Writer) -> Vec<u8> {
    let body = body.bytes();
    let mut writer = Writer(vec![b'l', 1, 0, 1]);
    writer.u32(body.len() as u32);
    writer.u32(serial);
    writer.array(8, |writer| {
        let mut field = |code: u8, kind: &str, value: &str| {
            writer.align(8);
            writer.byte(code);
            writer.signature(kind);
            match kind {
                "g" => writer.signature(value),
                _ => writer.text(value),
            }
        };
        field(1, "o", method.path);
        field(2, "s", method.interface);
        field(3, "s", method.member);
        if let Some(destination) = method.destination {
            field(6, "s", destination);
        }
        if !method.signature.is_empty() {
            field(8, "g", method.signature);
        }
    });
    writer.align(8);
    writer.0.extend(body);
    writer.bytes()
}

/// What kind of message has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An answer.
    Reply,
    /// An answer that is an error.
    Error,
    /// A signal.
    Signal,
    /// A call to us, or what a later version of the protocol adds.
    Other,
}

/// A message that has come.
#[derive(Debug)]
pub struct Message {
    /// What it is.
    pub kind: Kind,
    /// Which of our calls it answers; 0 for none.
    pub answers: u32,
    /// The signal's name, or that of the error.
    pub name: String,
    body: Vec<u8>,
}

impl Message {
    /// The first message of these bytes and how long it is; `None` if it is not whole yet.
    pub fn read(bytes: &[u8]) -> Result<Option<(Self, usize)>> {
        let Some(head) = bytes.first_chunk::<FIXED>() else { return Ok(None) };
        if head[0] != b'l' || head[3] != 1 {
            bail!("the answer is not a message of D-Bus");
        }
        let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]) as usize;
        let (body_length, fields_length) = (number(4), number(12));
        let body_at = (FIXED + fields_length).next_multiple_of(8);
        let length = body_at + body_length;
        if length > MAX_MESSAGE {
            bail!("the answer is longer than any of systemd's");
        }
        if bytes.len() < length {
            return Ok(None);
        }
        let kind = match head[1] {
            2 => Kind::Reply,
            3 => Kind::Error,
            4 => Kind::Signal,
            _ => Kind::Other,
        };
        let mut message = Self { kind, answers: 0, name: String::new(), body: bytes[body_at..length].to_vec() };
        let mut fields = Reader { bytes: &bytes[..FIXED + fields_length], at: FIXED };
        while fields.at < fields.bytes.len() {
            fields.align(8);
            let code = fields.byte()?;
            match (fields.signature()?.as_str(), code) {
                ("u", 5) => message.answers = fields.u32()?,
                ("u", _) => drop(fields.u32()?),
                ("s", 3 | 4) => message.name = fields.text()?,
                ("s" | "o", _) => drop(fields.text()?),
                ("g", _) => drop(fields.signature()?),
                (other, _) => bail!("the answer has a field of type `{other}`"),
            }
        }
        Ok(Some((message, length)))
    }

    /// Read the body.
    pub fn body(&self) -> Reader<'_> {
        Reader { bytes: &self.body, at: 0 }
    }
}

/// Bytes being read, aligned as [`Writer`] writes them.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn take(&mut self, length: usize) -> Result<&[u8]> {
        let Some(part) = self.at.checked_add(length).and_then(|end| self.bytes.get(self.at..end)) else {
            bail!("the answer ends too early");
        };
        self.at += length;
        Ok(part)
    }

    /// `y`.
    pub fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    /// `u`.
    pub fn u32(&mut self) -> Result<u32> {
        self.align(4);
        let part = self.take(4)?;
        Ok(u32::from_le_bytes([part[0], part[1], part[2], part[3]]))
    }

    /// `s` and `o`.
    pub fn text(&mut self) -> Result<String> {
        let length = self.u32()? as usize;
        self.string(length)
    }

    /// `g`.
    pub fn signature(&mut self) -> Result<String> {
        let length = usize::from(self.byte()?);
        self.string(length)
    }

    fn string(&mut self, length: usize) -> Result<String> {
        let text = String::from_utf8_lossy(self.take(length)?).into_owned();
        self.take(1)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METHOD: Method<'_> =
        Method { destination: Some("d"), path: "/p", interface: "a.b", member: "M", signature: "su" };

    /// A call turned into the reply that a server would send: same layout, another type.
    fn as_reply(mut call: Vec<u8>, kind: u8) -> Vec<u8> {
        call[1] = kind;
        call
    }

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let mut body = Writer::default();
        body.text("häl");
        body.u32(7);
        let bytes = as_reply(call(9, METHOD, body), 4);
        for end in 0..bytes.len() {
            assert!(Message::read(&bytes[..end]).unwrap().is_none(), "{end}");
        }
        let (message, length) = Message::read(&bytes).unwrap().unwrap();
        assert_eq!((message.kind, message.name.as_str(), length), (Kind::Signal, "M", bytes.len()));
        let mut body = message.body();
        assert_eq!((body.text().unwrap().as_str(), body.u32().unwrap()), ("häl", 7));
        assert!(body.u32().is_err());
    }

    #[test]
    fn properties_are_laid_out_as_the_specification_says() {
        let mut writer = Writer::default();
        properties(&mut writer, &[("A", Value::Flag(true)), ("B", Value::Numbers(vec![3]))]);
        #[rustfmt::skip]
        let expected = [
            36, 0, 0, 0, 0, 0, 0, 0, // the array's length without the padding after it
            1, 0, 0, 0, b'A', 0, 1, b'b', 0, 0, 0, 0, 1, 0, 0, 0, // a struct begins at a multiple of 8
            1, 0, 0, 0, b'B', 0, 2, b'a', b'u', 0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0,
        ];
        assert_eq!(writer.bytes(), expected);
    }

    #[test]
    fn nonsense_is_an_error_and_never_a_panic() {
        let mut long = call(1, METHOD, Writer::default());
        long[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(Message::read(&long).is_err());
        assert!(Message::read(b"HTTP/1.1 400 Bad").is_err());
        let whole = as_reply(call(1, METHOD, Writer::default()), 2);
        for at in 12..whole.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                let _ = Message::read(&bytes);
            }
        }
    }
}
