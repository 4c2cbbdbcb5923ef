//! What honest archives hold, GNU tar and box unpack to the same: archives made at random, in all forms of long names and
//! large numbers, and unpacked twice. (3,000 of them took three minutes.)

use super::{Limits, unpack};
use crate::store::tests::{Scratch, in_namespaces};
use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use tar::{Builder, EntryType, Header};

/// How many archives are compared.
const ARCHIVES: u64 = 60;

/// Numbers that are the same in each run (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn name(&mut self) -> String {
        const WORDS: [&str; 7] = ["a", "bin", "ü", "with blank", "x.y", "-dash", "long"];
        let mut name = WORDS[self.below(7) as usize].to_owned();
        if name == "long" {
            name = format!("long-{}", "n".repeat(60 + self.below(140) as usize));
        }
        name
    }
}

/// An archive of some entries, among them those that replace earlier ones.
fn archive(dice: &mut Dice) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    let mut folders = vec![String::new()];
    let (mut files, mut others): (Vec<String>, Vec<String>) = Default::default();
    for _ in 0..4 + dice.below(25) {
        let path = format!("{}{}", folders[dice.below(folders.len() as u64) as usize], dice.name());
        // Links are not replaced, and nothing is put through them: GNU tar makes them last, and `hostile` sees to it.
        if others.contains(&path) {
            continue;
        }
        let taken = files.contains(&path) || folders.contains(&format!("{path}/"));
        let mut header = if dice.below(2) == 0 { Header::new_gnu() } else { Header::new_ustar() };
        header.set_mode([0o644, 0o755, 0o600, 0o4755, 0o1777, 0o2755][dice.below(6) as usize]);
        header.set_mtime([0, 1, 1_700_000_000, 4_000_000_000][dice.below(4) as usize]);
        header.set_uid(0);
        header.set_gid(0);
        match dice.below(6) {
            0 if !taken => {
                header.set_entry_type(EntryType::Directory);
                header.set_size(0);
                // Without set-group-ID, which GNU tar lets folders below inherit against what the archive says.
                header.set_mode([0o755, 0o700, 0o1777, 0o500][dice.below(4) as usize]);
                append(&mut builder, &mut header, &format!("{path}/"), None, &[]);
                folders.push(format!("{path}/"));
            }
            1 if !taken && !files.is_empty() => {
                header.set_entry_type(EntryType::Link);
                header.set_size(0);
                let target = files[dice.below(files.len() as u64) as usize].clone();
                append(&mut builder, &mut header, &path, Some(&target), &[]);
                files.push(path);
            }
            2 if !taken => {
                header.set_entry_type(EntryType::Symlink);
                header.set_size(0);
                let target = ["../x", "nowhere", &"far/".repeat(40)][dice.below(3) as usize].to_owned();
                append(&mut builder, &mut header, &path, Some(&target), &[]);
                others.push(path);
            }
            3 if !taken => {
                header.set_entry_type(EntryType::Fifo);
                header.set_size(0);
                append(&mut builder, &mut header, &path, None, &[]);
                others.push(path);
            }
            // A file once more takes the place of the one before.
            _ if !folders.contains(&format!("{path}/")) => {
                let content: Vec<u8> = (0..dice.below(3000)).map(|byte| byte as u8).collect();
                header.set_entry_type(EntryType::Regular);
                header.set_size(content.len() as u64);
                append(&mut builder, &mut header, &path, None, &content);
                files.push(path);
            }
            _ => {}
        }
    }
    builder.into_inner().unwrap()
}

/// With a long name of GNU's, or a pax header, where the header's own field is too short.
fn append(builder: &mut Builder<Vec<u8>>, header: &mut Header, path: &str, link: Option<&str>, content: &[u8]) {
    let pax = header.as_ustar().is_some() && header.as_gnu().is_none();
    let link_fits = link.is_none_or(|link| link.len() < 100);
    if pax && (path.len() >= 100 || !link_fits) {
        let records = [("path", path), ("linkpath", link.unwrap_or(""))];
        let given = records.iter().filter(|(_, value)| !value.is_empty());
        builder.append_pax_extensions(given.map(|(key, value)| (*key, value.as_bytes()))).unwrap();
        let short =
            |text: &str| format!("x{}", text.chars().filter(char::is_ascii_alphanumeric).take(60).collect::<String>());
        header.set_path(short(path)).unwrap();
        if let Some(link) = link {
            header.set_link_name(short(link)).unwrap();
        }
        header.set_cksum();
        builder.append(header, content).unwrap();
        return;
    }
    match link {
        Some(link) => builder.append_link(header, path, link).unwrap(),
        None => builder.append_data(header, path, content).unwrap(),
    }
}

/// Every path below a folder: kind and mode, owner, time, target or content, and which paths are one file.
fn tree(root: &Path) -> BTreeMap<Vec<u8>, String> {
    let mut found = BTreeMap::new();
    let mut inodes: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    let mut left = vec![root.to_path_buf()];
    while let Some(folder) = left.pop() {
        let mut entries: Vec<_> = std::fs::read_dir(&folder).unwrap().flatten().map(|entry| entry.path()).collect();
        entries.sort();
        for path in entries {
            let meta = std::fs::symlink_metadata(&path).unwrap();
            let name = path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec();
            let first =
                if meta.is_dir() { name.clone() } else { inodes.entry(meta.ino()).or_insert(name.clone()).clone() };
            let content = match () {
                () if meta.is_symlink() => format!("{:?}", std::fs::read_link(&path).unwrap()),
                () if meta.is_file() => format!("{:?}", std::fs::read(&path).unwrap()),
                () => String::new(),
            };
            // Folders that no entry describes have the time of their making; a link's own mode means nothing.
            let mode = if meta.is_symlink() { 0 } else { meta.mode() };
            let time = if meta.is_dir() { 0 } else { meta.mtime() };
            let text = format!(
                "{mode:o} {}:{} {time} {:?} {content}",
                meta.uid(),
                meta.gid(),
                String::from_utf8_lossy(&first)
            );
            found.insert(name, text);
            if meta.is_dir() {
                left.push(path);
            }
        }
    }
    found
}

#[test]
fn as_gnu_tar_does() {
    alone!();
    in_namespaces(|| {
        let scratch = Scratch::new();
        rustix::process::umask(rustix::fs::Mode::empty());
        let mut compared = 0;
        for seed in 1..=ARCHIVES {
            let bytes = archive(&mut Dice(seed * 7919));
            let (ours, theirs) = (scratch.dirs.data.join("ours"), scratch.dirs.data.join("theirs"));
            let file = scratch.dirs.data.join("a.tar");
            std::fs::write(&file, &bytes).unwrap();
            for folder in [&ours, &theirs] {
                std::fs::create_dir(folder).unwrap();
            }
            let folder = std::fs::File::open(&ours).unwrap();
            let limits = Limits::for_folder(folder.as_fd()).unwrap();
            let unpacked = unpack(&mut bytes.as_slice(), folder.as_fd(), &limits);
            let status = Command::new("tar")
                .args(["--extract", "--numeric-owner", "--same-permissions", "--same-owner", "--file"])
                .arg(&file)
                .arg("--directory")
                .arg(&theirs)
                .stderr(Stdio::null())
                .status()
                .unwrap();
            assert_eq!(unpacked.is_ok(), status.success(), "archive {seed}: {unpacked:?}");
            if status.success() {
                let (ours, theirs) = (tree(&ours), tree(&theirs));
                for (path, text) in &theirs {
                    assert_eq!(ours.get(path), Some(text), "archive {seed}: {}", path.escape_ascii());
                }
                assert_eq!(ours.len(), theirs.len(), "archive {seed}");
                compared += ours.len();
            }
            for folder in [&ours, &theirs] {
                crate::base::fs::remove_tree(folder).unwrap();
            }
        }
        assert!(compared > 5 * ARCHIVES as usize, "{compared} paths");
    });
}
