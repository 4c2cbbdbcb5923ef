//! Questions and answers of DNS, as far as names of containers need them: RFC 1035, RFC 3596. Pure; takes any bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The header's length.
pub const HEADER: usize = 12;
/// `A`.
pub const A: u16 = 1;
/// `PTR`.
pub const PTR: u16 = 12;
/// `AAAA`.
pub const AAAA: u16 = 28;
/// `ANY`.
const ANY: u16 = 255;
/// `IN`.
const IN: u16 = 1;
/// Seconds that an answer may be kept: containers come and go.
const TTL: u32 = 0;

/// No error.
pub const NO_ERROR: u8 = 0;
/// The question is not understood.
pub const FORMAT_ERROR: u8 = 1;
/// Nobody has answered.
pub const SERVER_FAILURE: u8 = 2;
/// There is no such name.
pub const NO_SUCH_NAME: u8 = 3;
/// This kind of request is unknown.
pub const NOT_IMPLEMENTED: u8 = 4;

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Its number.
    pub id: u16,
    /// In lower case, without the final dot.
    pub name: String,
    /// `A`, `AAAA`, …
    pub kind: u16,
    class: u16,
    flags: u16,
    /// The question as it came, to be sent back.
    question: Vec<u8>,
}

/// An answer's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// An address.
    Address(IpAddr),
    /// A name.
    Name(String),
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// Read a question. Errors: an answer that refuses it, or nothing for what is no question at all.
pub fn parse(bytes: &[u8]) -> Result<Query, Option<Vec<u8>>> {
    let (Some(id), Some(flags), Some(questions)) = (half(bytes, 0), half(bytes, 2), half(bytes, 4)) else {
        return Err(None);
    };
    if bytes.len() < HEADER || flags & 0x8000 != 0 {
        return Err(None);
    }
    let refuse = |code| Err(Some(header(id, flags, code, 0, 0)));
    if flags & 0x7800 != 0 {
        return refuse(NOT_IMPLEMENTED);
    }
    if questions != 1 {
        return refuse(FORMAT_ERROR);
    }
    let Some((name, end)) = read_name(bytes) else { return refuse(FORMAT_ERROR) };
    let (Some(kind), Some(class)) = (half(bytes, end), half(bytes, end + 2)) else { return refuse(FORMAT_ERROR) };
    let question = bytes.get(HEADER..end + 4).unwrap_or_default().to_vec();
    Ok(Query { id, name, kind, class, flags, question })
}

/// The first question's name, which must not be compressed, and where it ends.
fn read_name(bytes: &[u8]) -> Option<(String, usize)> {
    let (mut name, mut at) = (String::new(), HEADER);
    loop {
        let length = usize::from(*bytes.get(at)?);
        at += 1;
        match length {
            0 => return Some((name, at)),
            1..=63 => {
                let label = bytes.get(at..at + length)?;
                if !name.is_empty() {
                    name.push('.');
                }
                // A dot or a byte that is no text inside a label cannot be in any of our names.
                name.extend(label.iter().map(|byte| match byte {
                    b'!'..=b'~' if *byte != b'.' => char::from(byte.to_ascii_lowercase()),
                    _ => '\u{fffd}',
                }));
                at += length;
            }
            _ => return None,
        }
        if at - HEADER > 255 {
            return None;
        }
    }
}

/// Answer, authoritative, recursion available.
fn header(id: u16, flags: u16, code: u8, questions: u16, answers: u16) -> Vec<u8> {
    let flags = 0x8480 | flags & 0x0100 | u16::from(code);
    [id, flags, questions, answers, 0, 0].iter().flat_map(|half| half.to_be_bytes()).collect()
}

impl Query {
    /// Whether records of this kind answer it.
    pub fn asks_for(&self, kind: u16) -> bool {
        self.class == IN && (self.kind == kind || self.kind == ANY)
    }

    /// The address that a reverse question is about: `7.0.89.10.in-addr.arpa`, `….ip6.arpa`.
    pub fn reverse(&self) -> Option<IpAddr> {
        if let Some(text) = self.name.strip_suffix(".in-addr.arpa") {
            let parts = text.split('.').map(|part| part.parse::<u8>().ok()).collect::<Option<Vec<u8>>>()?;
            let [d, c, b, a] = parts.try_into().ok()?;
            return Some(Ipv4Addr::new(a, b, c, d).into());
        }
        let text = self.name.strip_suffix(".ip6.arpa")?;
        let digit = |part: &str| if part.len() == 1 { u128::from_str_radix(part, 16).ok() } else { None };
        let digits = text.split('.').map(digit).collect::<Option<Vec<u128>>>()?;
        let number = digits.iter().rev().fold(0u128, |number, digit| number << 4 | digit);
        (digits.len() == 32).then(|| Ipv6Addr::from(number).into())
    }

    /// The whole answer, at most so long: what does not fit is left out, and the client told to ask over TCP.
    pub fn answer(&self, code: u8, records: &[Data], limit: usize) -> Vec<u8> {
        let mut bytes = header(self.id, self.flags, code, 1, 0);
        bytes.extend(&self.question);
        let mut count = 0u16;
        for record in records {
            let (kind, data) = match record {
                Data::Address(IpAddr::V4(ip)) => (A, ip.octets().to_vec()),
                Data::Address(IpAddr::V6(ip)) => (AAAA, ip.octets().to_vec()),
                Data::Name(name) => (PTR, encode_name(name)),
            };
            if bytes.len() + 12 + data.len() > limit {
                // TC.
                bytes.splice(2..3, [bytes.get(2).copied().unwrap_or(0) | 2]);
                break;
            }
            // The name is that of the question, at offset 12.
            bytes.extend([0xc0, 0x0c]);
            bytes.extend(kind.to_be_bytes());
            bytes.extend(IN.to_be_bytes());
            bytes.extend(TTL.to_be_bytes());
            bytes.extend((data.len() as u16).to_be_bytes());
            bytes.extend(data);
            count += 1;
        }
        bytes.splice(6..8, count.to_be_bytes());
        bytes
    }

    /// Whether a message is an answer to this very question.
    pub fn is_answered_by(&self, bytes: &[u8]) -> bool {
        let lower = |bytes: &[u8]| bytes.to_ascii_lowercase();
        half(bytes, 2).is_some_and(|flags| flags & 0x8000 != 0)
            && half(bytes, 0) == Some(self.id)
            && bytes.get(HEADER..HEADER + self.question.len()).is_some_and(|q| lower(q) == lower(&self.question))
    }
}

fn encode_name(name: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(name.len() + 2);
    for label in name.split('.').filter(|label| !label.is_empty() && label.len() < 64) {
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

/// A question as a resolver writes it, for tests.
#[cfg(test)]
pub fn question(id: u16, name: &str, kind: u16) -> Vec<u8> {
    let mut bytes: Vec<u8> = [id, 0x0100, 1, 0, 0, 0].iter().flat_map(|half| half.to_be_bytes()).collect();
    bytes.extend(encode_name(name));
    bytes.extend(kind.to_be_bytes());
    bytes.extend(IN.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that an enemy might send: whatever they are, they are read, refused or answered within bounds.
    #[test]
    fn mangled_questions_break_nothing() {
        let seeds = [question(7, "a.b.example", A), question(8, "9.1.89.10.in-addr.arpa", PTR), vec![0xc0; 64]];
        // Xorshift: the same in every run.
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut next = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 33).unwrap_or(0) % below.max(1)
        };
        for _ in 0..30_000 {
            let mut bytes = seeds[next(seeds.len())].clone();
            for _ in 0..=next(6) {
                let at = next(bytes.len());
                match next(4) {
                    0 => bytes.truncate(at),
                    1 => bytes.insert(at.min(bytes.len()), next(256) as u8),
                    2 => bytes.extend(bytes.clone().into_iter().take(next(200))),
                    _ => bytes
                        .iter_mut()
                        .skip(at)
                        .take(1)
                        .for_each(|byte| *byte = [0, 0xff, 0xc0, next(256) as u8][next(4)]),
                }
            }
            match parse(&bytes) {
                Ok(query) => {
                    let records = vec![Data::Address([10, 0, 0, 1].into()), Data::Name("x.y".into())];
                    let answer = query.answer(NO_ERROR, &records, 512);
                    assert!(answer.len() <= 512 && answer.get(..2) == bytes.get(..2), "{bytes:?}");
                    let _ = (query.reverse(), query.is_answered_by(&bytes), query.is_answered_by(&answer));
                }
                Err(refusal) => assert!(refusal.is_none_or(|answer| answer.len() <= bytes.len().max(512)), "{bytes:?}"),
            }
        }
    }

    #[test]
    fn questions_are_read_and_answered() {
        let query = parse(&question(7, "Web.Example", A)).unwrap();
        assert_eq!((query.id, query.name.as_str(), query.kind), (7, "web.example", A));
        let answer = query.answer(NO_ERROR, &[Data::Address([10, 89, 0, 2].into())], 512);
        assert_eq!(answer.len(), 12 + 17 + 16);
        assert!(answer.ends_with(&[0, 4, 10, 89, 0, 2]) && query.is_answered_by(&answer));
        assert!(!parse(&question(8, "web.example", A)).unwrap().is_answered_by(&answer));
        assert!(!parse(&question(7, "other.example", A)).unwrap().is_answered_by(&answer));
        // What does not fit is told.
        let many = vec![Data::Address([10, 89, 0, 2].into()); 100];
        let cut = query.answer(NO_ERROR, &many, 512);
        assert!(cut.len() <= 512 && cut[2] & 2 != 0);
    }

    #[test]
    fn reverse_questions() {
        let reverse = |name: &str| parse(&question(1, name, PTR)).unwrap().reverse();
        assert_eq!(reverse("7.0.89.10.in-addr.arpa"), Some([10, 89, 0, 7].into()));
        let six = format!("1.{}d.f.ip6.arpa", "0.".repeat(29));
        assert_eq!(reverse(&six), Some("fd00::1".parse().unwrap()));
        for name in ["0.89.10.in-addr.arpa", "x.0.89.10.in-addr.arpa", "1.ip6.arpa", "web", "300.0.0.1.in-addr.arpa"] {
            assert_eq!(reverse(name), None, "{name}");
        }
    }

    #[test]
    fn any_bytes_are_taken() {
        let good = question(1, "web", A);
        for length in 0..good.len() {
            assert!(parse(&good[..length]).is_err(), "{length}");
        }
        for at in 0..good.len() {
            for value in [0, 1, 63, 64, 127, 192, 255] {
                let mut bytes = good.clone();
                bytes[at] = value;
                let _ = parse(&bytes).map(|query| (query.answer(NO_ERROR, &[], 512), query.reverse()));
            }
        }
        // A pointer loop, an answer, two questions, another opcode.
        let with = |at: usize, value: u8| {
            let mut bytes = good.clone();
            bytes[at] = value;
            parse(&bytes)
        };
        assert!(matches!(with(12, 0xc0), Err(Some(refusal)) if refusal[3] & 15 == FORMAT_ERROR));
        assert!(matches!(with(2, 0x81), Err(None)));
        assert!(matches!(with(5, 2), Err(Some(_))));
        assert!(matches!(with(2, 0x29), Err(Some(refusal)) if refusal[3] & 15 == NOT_IMPLEMENTED));
        let mut random = 12345u64;
        for _ in 0..20_000 {
            let bytes: Vec<u8> = (0..random % 80)
                .map(|_| {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (random >> 33) as u8
                })
                .collect();
            random = random.wrapping_add(1);
            let _ = parse(&bytes);
        }
    }
}
