//! Images for another processor: who executes their programs.

use super::request::Request;
use crate::base::error::{Fault, Kind};
use crate::base::program;
use crate::engine::Engine;
use crate::oci::image::ImageConfig;
use crate::oci::platform::Platform;
use crate::runtime::emulator::{Emulator, Processor};
use anyhow::Result;
use std::io::Read;
use std::path::Path;

/// Where the kernel shows what the host has registered.
const REGISTERED: &str = "/proc/sys/fs/binfmt_misc";

/// The emulator for an image; `None` where none is needed, or where the host's own registration serves.
///
/// Errors ([`Kind::Host`]): there is none; the hint says which package has it.
pub(super) fn decide(engine: &Engine, request: &Request, image: &ImageConfig) -> Result<Option<Emulator>> {
    let (host, wanted) = (Platform::host(), image.platform());
    if image.architecture.is_empty() || host.executes(&wanted) {
        return Ok(None);
    }
    if request.platform.is_none() {
        engine.warn(&Fault::new(Kind::Host, format!("the image is for {wanted}, and this host is {host}")));
    }
    let missing = |what: String| Fault::new(Kind::Host, format!("cannot run programs for {wanted} on {host}: {what}"));
    let Some(processor) = Processor::find(&wanted.arch) else {
        return Err(missing("no emulator is known for it".into()).into());
    };
    // What root registers in the host's namespace would be for all; another runtime knows nothing of ours.
    if !crate::rootless::is_root() && request.runtime.is_none() {
        let names = [format!("qemu-{}-static", processor.qemu), format!("qemu-{}", processor.qemu)];
        if let Some(path) = names.iter().filter_map(|name| program::find(name)).find(|path| stands_alone(path)) {
            return Ok(Some(Emulator { processor: processor.name.to_owned(), path }));
        }
    }
    if is_registered(processor) {
        return Ok(None);
    }
    let install = program::how_to_install("qemu-user-static", &[("apk", &format!("qemu-{}", processor.qemu))]);
    let missing = match request.runtime.is_some() || crate::rootless::is_root() {
        true => missing(format!("`qemu-{}` is not registered in `{REGISTERED}`", processor.qemu)),
        false => missing(format!("there is no `qemu-{}-static`", processor.qemu)),
    };
    Err(missing.hint(install).into())
}

fn is_registered(processor: &Processor) -> bool {
    let entries = std::fs::read_dir(REGISTERED).into_iter().flatten().flatten();
    let mut texts = entries.filter_map(|entry| std::fs::read_to_string(entry.path()).ok());
    texts.any(|text| processor.is_served_by(&text))
}

/// Whether an executable asks for no other program to load it, which would be looked for in the container: it has no
/// `PT_INTERP` (elf(5)). Of the host's own form, so numbers are in its order.
fn stands_alone(path: &Path) -> bool {
    let mut head = Vec::new();
    let Ok(file) = std::fs::File::open(path) else { return false };
    if file.take(4096).read_to_end(&mut head).is_err() || !head.starts_with(b"\x7fELF\x02") {
        return false;
    }
    let number = |at: usize, length: usize| -> Option<usize> {
        let mut bytes = [0; 8];
        bytes.get_mut(..length)?.copy_from_slice(head.get(at..at + length)?);
        Some(u64::from_le_bytes(bytes) as usize)
    };
    let table = || Some((number(32, 8)?, number(54, 2)?, number(56, 2)?));
    let Some((start, size, count)) = table() else { return false };
    const PT_INTERP: usize = 3;
    (0..count).all(|i| number(start.saturating_add(i * size), 4).is_some_and(|kind| kind != PT_INTERP))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_loads_itself() {
        assert!(!stands_alone(Path::new("/bin/sh")) && !stands_alone(Path::new("/etc/passwd")));
        assert!(!stands_alone(Path::new("/nonexistent")));
    }
}
