//! Archives as people make them: tar, packed with gzip, bzip2, xz or zstd, told by their content and never by their name.

use crate::base::error::{Kind, fault};
use crate::image::Inflating;
use crate::store::unpack::{LayerStats, Limits, unpack_files};
use anyhow::{Context, Result};
use rustix::fs::{Mode, OFlags};
use std::io::{BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::path::Path;

/// What is looked at of a stream to tell what it is: the header of a tar archive.
pub const HEAD: usize = 512;

/// Whether a stream that begins so is packed.
fn is_packed(head: &[u8]) -> bool {
    matches!(
        head,
        [0x1f, 0x8b, 8, ..]
            | [b'B', b'Z', b'h', b'1'..=b'9', ..]
            | [0xfd, b'7', b'z', b'X', b'Z', 0, ..]
            | [0x28, 0xb5, 0x2f, 0xfd, ..]
            | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]
    )
}

/// A stream without its packing, and whether it had one.
fn plain(stream: impl Read + 'static) -> Result<(Box<dyn BufRead>, bool)> {
    let mut stream = BufReader::with_capacity(1 << 18, stream);
    match is_packed(stream.fill_buf().context("cannot read it")?) {
        false => Ok((Box::new(stream), false)),
        true => Ok((Box::new(BufReader::with_capacity(1 << 18, Inflating::new(stream))), true)),
    }
}

/// What a stream is.
pub enum Content {
    /// A tar archive, its packing taken away.
    Archive(Box<dyn BufRead>),
    /// Something else, as it is.
    Other(Box<dyn BufRead>),
}

/// Tell what a stream is. A packed stream that is no archive is given back unpacked: it is good for nothing else here.
pub fn tell(stream: impl Read + 'static) -> Result<Content> {
    let (mut plain, packed) = plain(stream)?;
    let head = peek(&mut plain).map_err(|error| match packed {
        true => fault(Kind::BadData, format!("it is packed, and damaged: {error}")),
        false => error.into(),
    })?;
    let whole: Box<dyn BufRead> = Box::new(std::io::Cursor::new(head.clone()).chain(plain));
    Ok(if is_tar(&head) { Content::Archive(whole) } else { Content::Other(whole) })
}

/// Whether a file begins as an archive, packed or not.
pub fn is_archive(file: std::fs::File) -> bool {
    matches!(tell(file), Ok(Content::Archive(_)))
}

/// The first bytes, taken out of the stream.
fn peek(stream: &mut dyn BufRead) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(HEAD);
    stream.take(HEAD as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// Whether these are the header of a tar archive: its checksum is right (which old archives without a magic have, too).
fn is_tar(head: &[u8]) -> bool {
    let Some(header) = head.get(..HEAD) else { return false };
    if header.iter().all(|byte| *byte == 0) {
        // The end of an empty archive.
        return true;
    }
    let sum: u32 =
        header.iter().enumerate().map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) }).sum();
    let said = String::from_utf8_lossy(header.get(148..156).unwrap_or_default()).into_owned();
    let said = said.trim_matches(|c: char| c == '\0' || c == ' ');
    u32::from_str_radix(said, 8).is_ok_and(|said| said == sum)
}

/// Unpack an archive into a folder, confined to it, as its files are owned: the caller is root in its namespace.
pub fn unpack_into(archive: &mut dyn Read, folder: &Path) -> Result<LayerStats> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let target = rustix::fs::open(folder, flags, Mode::empty())
        .with_context(|| format!("cannot open `{}`", folder.display()))?;
    unpack_files(archive, target.as_fd(), &Limits::for_folder(target.as_fd())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Cursor, Write};
    use std::process::{Command, Stdio};

    fn tar() -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(5);
        header.set_mode(0o644);
        builder.append_data(&mut header, "a/.wh.b", &b"hello"[..]).unwrap();
        builder.into_inner().unwrap()
    }

    fn packed(program: &str, bytes: &[u8]) -> Vec<u8> {
        let mut child = Command::new(program).arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(bytes).unwrap();
        child.wait_with_output().unwrap().stdout
    }

    #[test]
    fn streams_are_told_by_their_content() {
        for (name, bytes) in [
            ("tar", tar()),
            ("gzip", packed("gzip", &tar())),
            ("bzip2", packed("bzip2", &tar())),
            ("xz", packed("xz", &tar())),
            ("zstd", zstd::bulk::compress(&tar(), 3).unwrap()),
            ("empty", vec![0; 1024]),
        ] {
            assert!(matches!(tell(Cursor::new(bytes)), Ok(Content::Archive(_))), "{name}");
        }
        for text in ["FROM alpine\n", "", "x"] {
            let Ok(Content::Other(mut rest)) = tell(Cursor::new(text.as_bytes())) else { panic!("{text}") };
            let mut found = String::new();
            rest.read_to_string(&mut found).unwrap();
            assert_eq!(found, text);
        }
        let Ok(Content::Other(mut rest)) = tell(Cursor::new(packed("gzip", b"FROM x\n"))) else { panic!("gzip") };
        let mut found = String::new();
        rest.read_to_string(&mut found).unwrap();
        assert_eq!(found, "FROM x\n");
        assert!(tell(Cursor::new(packed("xz", &tar())[..60].to_vec())).is_err());
    }

    #[test]
    fn files_are_files_whatever_they_are_called() {
        let folder =
            std::env::temp_dir().join(format!("box-packed-{}", crate::base::id::ContainerId::random().short()));
        std::fs::create_dir(&folder).unwrap();
        let Ok(Content::Archive(mut archive)) = tell(Cursor::new(tar())) else { panic!("no archive") };
        unpack_into(&mut archive, &folder).unwrap();
        assert_eq!(std::fs::read(folder.join("a/.wh.b")).unwrap(), b"hello");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
