//! The records of a pax header: `LENGTH KEY=VALUE\n`, read by their length, so that a value may hold any byte.
//!
//! Strict where a mistake would make two programs see two archives (CVE-2025-62518 and its kin): a malformed record is
//! an error, never passed over. Of a repeated key the last counts, as in Go's archive/tar.

use super::bad;
use anyhow::Result;

/// Where a record is about extended attributes.
const XATTR: &[u8] = b"SCHILY.xattr.";

/// What the pax header of an entry says.
#[derive(Debug, Default)]
pub(super) struct Pax {
    pub path: Option<Vec<u8>>,
    pub link: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub uid: Option<u64>,
    pub gid: Option<u64>,
    /// Seconds, and nanoseconds above them.
    pub mtime: Option<(i64, u32)>,
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub sparse: PaxSparse,
}

/// GNU's records for sparse files, of all three versions.
#[derive(Debug, Default)]
pub(super) struct PaxSparse {
    pub version: (Option<u64>, Option<u64>),
    pub name: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub real_size: Option<u64>,
    /// Offsets and lengths in turn (versions 0.0 and 0.1).
    pub map: Vec<u64>,
}

impl PaxSparse {
    /// Whether the entry is sparse.
    pub fn is_present(&self) -> bool {
        self.version.0.is_some() || self.size.is_some() || self.real_size.is_some() || !self.map.is_empty()
    }
}

/// Read a header that is about the next entry.
pub(super) fn parse(bytes: &[u8]) -> Result<Pax> {
    let mut pax = Pax::default();
    for_each(bytes, |key, value| pax.take(key, value))?;
    Ok(pax)
}

/// Check a global header. What would change names or sizes of all entries after it is refused: programs differ there.
pub(super) fn check_global(bytes: &[u8]) -> Result<()> {
    for_each(bytes, |key, _| {
        if matches!(key, b"path" | b"linkpath" | b"size" | b"uid" | b"gid") || key.starts_with(b"GNU.sparse.") {
            return Err(bad(format!("a global header sets `{}`", String::from_utf8_lossy(key))));
        }
        Ok(())
    })
}

impl Pax {
    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        if let Some(name) = key.strip_prefix(XATTR) {
            self.xattrs.push((name.to_vec(), value.to_vec()));
            return Ok(());
        }
        let text = |value: &[u8]| (!value.is_empty()).then(|| value.to_vec());
        match key {
            b"path" => self.path = text(value),
            b"linkpath" => self.link = text(value),
            b"size" => self.size = number(key, value)?,
            b"uid" => self.uid = number(key, value)?,
            b"gid" => self.gid = number(key, value)?,
            b"mtime" => self.mtime = time(value)?,
            b"GNU.sparse.major" => self.sparse.version.0 = number(key, value)?,
            b"GNU.sparse.minor" => self.sparse.version.1 = number(key, value)?,
            b"GNU.sparse.name" => self.sparse.name = text(value),
            b"GNU.sparse.size" => self.sparse.size = number(key, value)?,
            b"GNU.sparse.realsize" => self.sparse.real_size = number(key, value)?,
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => {
                let is_offset = key.ends_with(b"offset");
                if is_offset != self.sparse.map.len().is_multiple_of(2) {
                    return Err(bad("the map of a sparse file is out of order"));
                }
                self.sparse.map.extend(number(key, value)?);
            }
            b"GNU.sparse.map" => {
                self.sparse.map.clear();
                for part in value.split(|byte| *byte == b',').filter(|part| !part.is_empty()) {
                    self.sparse.map.extend(number(key, part)?);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn for_each<'a>(mut rest: &'a [u8], mut take: impl FnMut(&'a [u8], &'a [u8]) -> Result<()>) -> Result<()> {
    let malformed = || bad("a pax header is malformed");
    while !rest.is_empty() {
        let space = rest.iter().take(20).position(|byte| *byte == b' ').ok_or_else(malformed)?;
        let (digits, _) = rest.split_at(space);
        let length = decimal(digits).and_then(|length| usize::try_from(length).ok()).ok_or_else(malformed)?;
        let record = rest.get(space + 1..length).ok_or_else(malformed)?;
        let (b'\n', record) = record.split_last().ok_or_else(malformed)? else { return Err(malformed()) };
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(malformed)?;
        let (key, value) = record.split_at(equals);
        if key.is_empty() || key.contains(&0) {
            return Err(malformed());
        }
        take(key, value.get(1..).unwrap_or_default())?;
        rest = rest.get(length..).ok_or_else(malformed)?;
    }
    Ok(())
}

/// A number; an empty value takes a record back.
fn number(key: &[u8], value: &[u8]) -> Result<Option<u64>> {
    if value.is_empty() {
        return Ok(None);
    }
    match decimal(value) {
        Some(number) => Ok(Some(number)),
        None => Err(bad(format!("the pax record `{}` is not a number", String::from_utf8_lossy(key)))),
    }
}

/// Digits only: no sign, no blanks.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// `[-]seconds[.fraction]`.
fn time(value: &[u8]) -> Result<Option<(i64, u32)>> {
    if value.is_empty() {
        return Ok(None);
    }
    let wrong = || bad("the pax record `mtime` is not a time");
    let (negative, value) = match value.strip_prefix(b"-") {
        Some(value) => (true, value),
        None => (false, value),
    };
    let mut parts = value.splitn(2, |byte| *byte == b'.');
    let seconds = parts.next().and_then(decimal).and_then(|s| i64::try_from(s).ok()).ok_or_else(wrong)?;
    let fraction = parts.next().unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return Err(wrong());
    }
    let nanos = (0..9).fold(0u32, |n, i| n * 10 + fraction.get(i).map_or(0, |byte| u32::from(byte - b'0')));
    Ok(Some(match (negative, nanos) {
        (false, _) => (seconds, nanos),
        (true, 0) => (-seconds, 0),
        (true, _) => (-seconds - 1, 1_000_000_000 - nanos),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_by_length() {
        let pax = parse(b"12 path=a/b\n30 SCHILY.xattr.user.x=1\n2\n3=4\n20 mtime=-1.25\n").err();
        assert!(pax.is_some(), "the last length is wrong");
        let pax = parse(b"12 path=a/b\n30 SCHILY.xattr.user.x=1\n2\n3=\n\n15 mtime=-1.25\n").err();
        assert!(pax.is_some(), "so is the second");
        let pax = parse(b"12 path=a/b\n28 SCHILY.xattr.user.x=1\n2=\n15 mtime=-1.25\n").unwrap();
        assert_eq!(pax.path.unwrap(), b"a/b");
        assert_eq!(pax.xattrs, [(b"user.x".to_vec(), b"1\n2=".to_vec())]);
        assert_eq!(pax.mtime, Some((-2, 750_000_000)));
    }

    #[test]
    fn malformed_headers_are_errors() {
        for bytes in [
            &b"path=a\n"[..],
            b"9 path=a",
            b"8 path=a\n",
            b"11 path=a\n",
            b"99999999999999999999 path=a\n",
            b"-9 path=a\n",
            b"+9 path=a\n",
            b"5 =a\n",
            b"11 size=-5\n",
            b"11 size= 5\n",
            b"12 size=0x5\n",
            b"29 size=18446744073709551616\n",
            b"12 mtime=1e\n",
            b"0 \n",
            b"2 \n",
            b"\0\0\0",
        ] {
            assert!(parse(bytes).is_err(), "{:?}", String::from_utf8_lossy(bytes));
        }
        assert!(check_global(b"10 size=5\n").is_err());
        check_global(b"13 comment=x\n").unwrap();
    }
}
