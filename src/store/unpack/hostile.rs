//! Archives that want out of their folder, want us to run out of something, or say two things at once. Beside the root
//! that is unpacked to stands a canary: whatever an archive says, it stays as it is.

use super::{LayerStats, Limits, unpack};
use crate::store::tests::Scratch;
use anyhow::Result;
use rustix::fs::{CWD, FileType, Mode};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A raw tar: nothing is checked, nothing is made right.
#[derive(Default, Clone)]
struct Raw(Vec<u8>);

impl Raw {
    fn header(mut self, flag: u8, path: &[u8], link: &[u8], size: u64) -> Self {
        let mut block = [0u8; 512];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &path[..path.len().min(100)]);
        put(100, b"0004777\x000000000\x000000000\0");
        put(124, format!("{size:011o}\0").as_bytes());
        put(136, b"00000000010\0        ");
        put(156, &[flag]);
        put(157, &link[..link.len().min(100)]);
        put(257, b"ustar\x0000");
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend_from_slice(&block);
        self
    }

    fn data(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, path: &[u8], content: &[u8]) -> Self {
        self.header(b'0', path, b"", content.len() as u64).data(content)
    }

    fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut bytes = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut length = rest + 1;
            while length.to_string().len() + rest != length {
                length = length.to_string().len() + rest;
            }
            bytes.extend_from_slice(format!("{length} {key}=").as_bytes());
            bytes.extend_from_slice(value);
            bytes.push(b'\n');
        }
        self.header(b'x', b"pax", b"", bytes.len() as u64).data(&bytes)
    }

    fn long(self, flag: u8, text: &[u8]) -> Self {
        self.header(flag, b"././@LongLink", b"", text.len() as u64 + 1).data(&[text, b"\0"].concat())
    }

    fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }
}

/// A root beside a canary.
struct Ground {
    _scratch: Scratch,
    base: PathBuf,
    before: Vec<String>,
    turn: u32,
}

impl Ground {
    fn new() -> Self {
        let scratch = Scratch::new();
        let base = scratch.dirs.data.join("ground");
        std::fs::create_dir_all(base.join("canary/dir")).unwrap();
        std::fs::write(base.join("canary/file"), b"sing").unwrap();
        std::fs::set_permissions(base.join("canary/file"), std::fs::Permissions::from_mode(0o640)).unwrap();
        rustix::fs::mknodat(CWD, base.join("canary/fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        let before = snapshot(&base);
        Self { _scratch: scratch, base, before, turn: 0 }
    }

    /// Unpack into a fresh root; the canary must be as before, whatever comes of it.
    fn unpack(&mut self, tar: &[u8]) -> (PathBuf, Result<LayerStats>) {
        let last = self.base.join(format!("root{}", self.turn));
        crate::base::fs::remove_tree(&last).unwrap();
        self.turn += 1;
        let root = self.base.join(format!("root{}", self.turn));
        std::fs::create_dir(&root).unwrap();
        let folder = std::fs::File::open(&root).unwrap();
        let tar_has_whiteouts = tar.windows(4).any(|window| window == b".wh.");
        let mut tar = tar;
        let result = unpack(&mut tar, folder.as_fd(), &Limits { bytes: 1 << 30, entries: 300_000 });
        assert_eq!(snapshot(&self.base), self.before, "the canary has changed");
        check_tree(&root, tar_has_whiteouts);
        (root, result)
    }
}

/// Everything below but the roots: kind, mode, owner, size, times, content.
fn snapshot(base: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut pending = vec![base.to_path_buf()];
    while let Some(folder) = pending.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().as_encoded_bytes().starts_with(b"root") {
                continue;
            }
            let meta = std::fs::symlink_metadata(&path).unwrap();
            let content = if meta.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
            let (uid, gid, links) = (meta.uid(), meta.gid(), meta.nlink());
            let time = (meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec());
            all.push(format!("{path:?} {:o} {uid} {gid} {links} {time:?} {content:?}", meta.mode()));
            if meta.is_dir() {
                pending.push(path);
            }
        }
    }
    all.sort();
    all
}

/// No archive gets a device or an attribute that overlay acts on, but by a whiteout's name.
fn check_tree(root: &Path, has_whiteouts: bool) {
    let mut pending = vec![root.to_path_buf()];
    while let Some(folder) = pending.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            assert!(has_whiteouts || !kind.is_char_device(), "{path:?}");
            let mut list = [0; 4096];
            let length = rustix::fs::llistxattr(&path, &mut list).unwrap_or(0);
            for name in list[..length].split(|byte| *byte == 0) {
                assert!(!name.starts_with(b"user.overlay.") || name == b"user.overlay.opaque", "{path:?}");
            }
            if kind.is_dir() {
                pending.push(path);
            }
        }
    }
}

/// Ways to make `x` lead to the canary, and the paths that then use it.
fn ways_out(base: &Path) -> Vec<(&'static str, Raw, Vec<Vec<u8>>)> {
    let canary = base.join("canary").into_os_string().into_encoded_bytes();
    let below = |path: &[u8]| [path, b"/file"].concat();
    let raw = Raw::default;
    let through_x = || vec![b"x".to_vec(), b"x/file".to_vec(), b"x/new/deep".to_vec(), b"x/../file".to_vec()];
    vec![
        ("absolute link", raw().header(b'2', b"x", &canary, 0), through_x()),
        ("relative link", raw().header(b'2', b"x", b"../canary", 0), through_x()),
        ("far link", raw().header(b'2', b"x", b"../../../../../../../../../canary", 0), through_x()),
        ("chain", raw().header(b'2', b"y", b"../canary", 0).header(b'2', b"x", b"y", 0), through_x()),
        ("loop", raw().header(b'2', b"y", b"x", 0).header(b'2', b"x", b"y", 0), through_x()),
        ("link to the file", raw().header(b'2', b"x", &below(&canary), 0), through_x()),
        (
            "link in a folder",
            raw().header(b'5', b"d/", b"", 0).header(b'2', b"d/x", b"../../canary", 0),
            vec![b"d/x".to_vec(), b"d/x/file".to_vec()],
        ),
        ("link over a folder", raw().file(b"x/inner", b"1").header(b'2', b"x", &canary, 0), through_x()),
        ("magic link", raw().header(b'2', b"x", b"/proc/self/cwd", 0), through_x()),
        ("up", raw(), vec![b"../canary/file".to_vec(), b"a/../../canary/file".to_vec(), b"..".to_vec()]),
        ("absolute", raw(), vec![below(&canary), b"//x".to_vec()]),
        ("root", raw(), vec![b"".to_vec(), b".".to_vec(), b"./".to_vec(), b"/".to_vec(), b"/.".to_vec()]),
        ("hard link to a link", raw().header(b'2', b"y", &below(&canary), 0).header(b'1', b"x", b"y", 0), through_x()),
        ("hard link out", raw().header(b'1', b"x", b"../canary/file", 0), through_x()),
    ]
}

/// Every type of entry at that path.
fn entries_at(path: &[u8], base: &Path) -> Vec<(&'static str, Raw)> {
    let canary = base.join("canary/file").into_os_string().into_encoded_bytes();
    let (parent, name) = match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => path.split_at(slash + 1),
        None => (&b""[..], path),
    };
    let whiteout = [parent, b".wh.", name].concat();
    let opaque = [path, b"/.wh..wh..opq"].concat();
    let raw = Raw::default;
    let mut sparse = raw().header(b'S', path, b"", 0).0;
    sparse[257..265].copy_from_slice(b"ustar  \0");
    vec![
        ("file", raw().file(path, b"evil")),
        ("old file", raw().header(b'\0', path, b"", 0)),
        ("folder", raw().header(b'5', path, b"", 0)),
        ("link", raw().header(b'2', path, b"../../etc", 0)),
        ("hard link", raw().header(b'1', path, &canary, 0)),
        ("hard link up", raw().header(b'1', path, b"../canary/file", 0)),
        ("hard link through", raw().header(b'1', b"stolen", path, 0).file(b"stolen", b"evil")),
        ("fifo", raw().header(b'6', path, b"", 0)),
        ("device", raw().header(b'3', path, b"", 0)),
        ("disk", raw().header(b'4', path, b"", 0)),
        ("sparse", Raw(sparse)),
        ("long name", raw().long(b'L', path).file(b"short", b"evil")),
        ("pax name", raw().pax(&[("path", path)]).file(b"short", b"evil")),
        ("long link", raw().long(b'K', path).header(b'1', b"stolen", b"short", 0).file(b"stolen", b"evil")),
        ("pax link", raw().pax(&[("linkpath", path)]).header(b'1', b"stolen", b"short", 0).file(b"stolen", b"evil")),
        ("whiteout", raw().header(b'0', &whiteout, b"", 0)),
        ("opaque", raw().header(b'0', &opaque, b"", 0)),
        ("folder, then in it", raw().header(b'5', path, b"", 0).file(&[path, b"/file"].concat(), b"evil")),
        ("attributes", raw().pax(&[("SCHILY.xattr.user.x", b"y")]).header(b'5', path, b"", 0)),
    ]
}

#[test]
fn nothing_leads_out() {
    let mut ground = Ground::new();
    let base = ground.base.clone();
    let mut cases = 0;
    for (way, before, paths) in ways_out(&base) {
        for path in paths {
            for (entry, raw) in entries_at(&path, &base) {
                eprintln_case(way, entry, &path);
                let _ = ground.unpack(&Raw([before.0.clone(), raw.0].concat()).end());
                cases += 1;
            }
        }
    }
    assert!(cases > 500, "{cases}");
}

/// Shown by the test harness for the case that fails.
#[expect(clippy::print_stderr, reason = "the harness keeps it unless the test fails")]
fn eprintln_case(way: &str, entry: &str, path: &[u8]) {
    eprintln!("{way}: {entry} at {:?}", path.escape_ascii().to_string());
}

#[test]
fn cut_and_bent_archives_are_errors_or_harmless() {
    let mut ground = Ground::new();
    let whole = Raw::default()
        .pax(&[("SCHILY.xattr.user.x", b"1\n2"), ("mtime", b"12.5")])
        .file(b"dir/file", &[7; 1500])
        .long(b'L', &[b'n'; 200])
        .header(b'2', b"short", b"dir/file", 0)
        .header(b'1', b"dir/hard", b"dir/file", 0)
        .end();
    assert_eq!(ground.unpack(&whole).1.unwrap().entries, 3);
    for cut in (1..whole.len() - 1024).step_by(97) {
        let result = ground.unpack(&whole[..cut]).1;
        assert!(result.is_err() || [512 * 6, 512 * 9, 512 * 10].contains(&cut), "{cut}");
    }
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    for _ in 0..1500 {
        let mut bent = whole.clone();
        for _ in 0..3 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let at = (seed >> 8) as usize % bent.len();
            bent[at] = seed as u8;
            // Half of them with a right checksum again.
            if seed & (1 << 40) != 0 {
                let block = at / 512 * 512;
                bent[block + 148..block + 156].fill(b' ');
                let sum: u32 = bent[block..block + 512].iter().map(|byte| u32::from(*byte)).sum();
                bent[block + 148..block + 156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            }
        }
        let _ = ground.unpack(&bent);
    }
}

#[test]
fn what_two_programs_read_differently_is_refused() {
    let mut ground = Ground::new();
    let raw = Raw::default;
    let huge = b"99999999999999";
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("two pax headers", raw().pax(&[("path", b"a")]).pax(&[("path", b"b")]).file(b"c", b"x").end()),
        ("two long names", raw().long(b'L', b"a").long(b'L', b"b").file(b"c", b"x").end()),
        ("global size", raw().header(b'g', b"g", b"", 10).data(b"10 size=5\n").file(b"c", b"x").end()),
        ("a header of nothing", raw().pax(&[("path", b"a")]).end()),
        ("a folder with content", raw().header(b'5', b"d", b"", 512).data(&[0; 512]).end()),
        ("a link with pax content", raw().pax(&[("size", b"512")]).header(b'1', b"d", b"e", 0).end()),
        ("an unknown type", raw().header(b'Z', b"z", b"", 0).end()),
        ("zeros in between", [raw().file(b"a", b"x").0, vec![0; 512], raw().file(b"b", b"x").end()].concat()),
        ("a NUL in a name", raw().pax(&[("path", b"a\0b")]).file(b"c", b"x").end()),
        ("a name too long", raw().pax(&[("path", &[b'a'; 5000])]).file(b"c", b"x").end()),
        ("a part too long", raw().pax(&[("path", &[b'a'; 300])]).file(b"c", b"x").end()),
        ("a header too large", raw().header(b'x', b"p", b"", 1 << 40).end()),
        ("a name too large", raw().header(b'L', b"p", b"", 1 << 33).end()),
        ("a file too large", raw().pax(&[("size", huge)]).file(b"c", b"x").end()),
        ("a file larger than any", raw().pax(&[("size", b"18446744073709551615")]).file(b"c", b"x").end()),
        ("an id too large", raw().pax(&[("uid", huge)]).file(b"c", b"x").end()),
        ("root as link", raw().header(b'2', b"./", b"/etc", 0).end()),
        ("root as file", raw().file(b"/", b"x").end()),
        ("whiteout of nothing", raw().file(b"a/.wh.", b"").end()),
        ("whiteout of .", raw().file(b"a/.wh..", b"").end()),
        ("whiteout of ..", raw().file(b"a/.wh...", b"").end()),
        ("in a file", raw().file(b"a", b"x").file(b"a/b", b"x").end()),
        ("a link to a folder", raw().header(b'5', b"d", b"", 0).header(b'1', b"e", b"d", 0).end()),
        ("a link to nothing", raw().header(b'1', b"e", b"d", 0).end()),
        ("a sparse bomb", raw().pax(&[("GNU.sparse.size", b"9000000000000000000")]).file(b"c", b"").end()),
        (
            "a sparse map without end",
            raw()
                .pax(&[("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0"), ("GNU.sparse.realsize", b"1")])
                .file(b"c", b"1000000000\n0\n1\n")
                .end(),
        ),
        ("a sparse map out of order", {
            let map: [(&str, &[u8]); 2] = [("GNU.sparse.size", b"10"), ("GNU.sparse.map", b"5,2,0,1")];
            raw().pax(&map).file(b"c", b"abc").end()
        }),
    ];
    for (case, tar) in cases {
        assert!(ground.unpack(&tar).1.is_err(), "{case}");
    }
}

#[test]
fn two_hundred_thousand_whiteouts_take_linear_time() {
    let mut ground = Ground::new();
    let mut raw = Raw::default();
    for _ in 0..100_000 {
        raw = raw.header(b'0', b"d/.wh..wh..opq", b"", 0).header(b'0', b"d/.wh.hidden", b"", 0);
    }
    let (root, result) = ground.unpack(&raw.end());
    assert_eq!(result.unwrap().entries, 200_000);
    let mut value = [0; 8];
    assert_eq!(rustix::fs::getxattr(root.join("d"), "user.overlay.opaque", &mut value).unwrap(), 1);
}

#[test]
fn limits_hold() {
    let mut ground = Ground::new();
    let root = ground.base.join("root");
    std::fs::create_dir(&root).unwrap();
    let folder = std::fs::File::open(&root).unwrap();
    let tar = Raw::default().file(b"a", &[1; 600]).file(b"b", &[1; 600]).end();
    for (limits, fits) in [
        (Limits { bytes: 1200, entries: 2 }, true),
        (Limits { bytes: 1199, entries: 2 }, false),
        (Limits { bytes: 1200, entries: 1 }, false),
    ] {
        assert_eq!(unpack(&mut tar.as_slice(), folder.as_fd(), &limits).is_ok(), fits);
    }
    assert!(ground.unpack(&tar).1.is_ok());
}

#[test]
fn an_honest_layer_is_unpacked_as_it_says() {
    let mut ground = Ground::new();
    let long = [b"long/".to_vec(), vec![b'n'; 150]].concat();
    let tar = Raw::default()
        .header(b'5', b"./", b"", 0)
        .header(b'5', b"usr/", b"", 0)
        .header(b'2', b"bin", b"usr/bin", 0)
        .pax(&[("uid", b"7"), ("gid", b"8"), ("mtime", b"-1.5"), ("SCHILY.xattr.user.overlay.redirect", b"/etc")])
        .file(b"bin/tool", b"through a link to nothing yet")
        .pax(&[("SCHILY.xattr.user.x", b"a\nb"), ("SCHILY.xattr.user.box.owner", b"0:0")])
        .file(b"twice", b"first")
        .file(b"twice", b"second, longer")
        .header(b'1', b"twice", b"twice", 0)
        .header(b'1', b"hard", b"./twice", 0)
        .long(b'L', &long)
        .file(b"short", b"long")
        .file(b"gone/.wh.hidden", b"")
        .file(b"was/.wh.folder-hidden", b"")
        .file(b"was/folder-hidden/new", b"x")
        .header(b'3', b"dev/null", b"", 0)
        .header(b'6', b"fifo", b"", 0)
        .pax(&[("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0"), ("GNU.sparse.realsize", b"100000")])
        .header(b'0', b"sparse", b"", 516)
        .data(&[b"1\n50000\n4\n".to_vec(), vec![0; 502], b"data".to_vec()].concat())
        .end();
    let (root, result) = ground.unpack(&tar);
    let stats = result.unwrap();
    assert_eq!((stats.entries, stats.devices_skipped), (15, 1));
    let tool = std::fs::metadata(root.join("usr/bin/tool")).unwrap();
    assert_eq!((tool.mode() & 0o7777, tool.mtime(), tool.mtime_nsec()), (0o4777, -2, 500_000_000));
    if rustix::process::geteuid().is_root() {
        assert_eq!((tool.uid(), tool.gid()), (7, 8));
    } else {
        assert!(stats.owners_recorded > 0);
    }
    let twice = std::fs::metadata(root.join("twice")).unwrap();
    assert_eq!((std::fs::read(root.join("hard")).unwrap(), twice.nlink()), (b"second, longer".to_vec(), 2));
    assert!(root.join(std::str::from_utf8(&long).unwrap()).is_file());
    assert!(std::fs::symlink_metadata(root.join("gone/hidden")).unwrap().file_type().is_char_device());
    let mut value = [0; 8];
    assert_eq!(rustix::fs::getxattr(root.join("was/folder-hidden"), "user.overlay.opaque", &mut value).unwrap(), 1);
    assert!(std::fs::symlink_metadata(root.join("fifo")).unwrap().file_type().is_fifo());
    let sparse = std::fs::read(root.join("sparse")).unwrap();
    assert_eq!((sparse.len(), &sparse[50_000..50_004]), (100_000, &b"data"[..]));
    let usr = std::fs::metadata(root.join("usr")).unwrap();
    assert_eq!((usr.mode() & 0o7777, usr.mtime()), (0o4777, 8));
    assert_eq!(std::fs::metadata(&root).unwrap().mode() & 0o7777, 0o4777);
}

#[test]
fn owners_are_recorded_where_there_is_one_id() {
    alone!();
    let scratch = Scratch::new();
    let root = scratch.dirs.data.join("root");
    std::fs::create_dir(&root).unwrap();
    if rustix::process::geteuid().is_root() {
        std::fs::set_permissions(&scratch.dirs.data, std::fs::Permissions::from_mode(0o711)).unwrap();
        std::os::unix::fs::chown(&root, Some(65534), Some(65534)).unwrap();
    }
    let tar = Raw::default()
        .pax(&[("uid", b"7"), ("gid", b"8")])
        .file(b"file", b"x")
        .pax(&[("uid", b"7"), ("gid", b"8")])
        .header(b'2', b"link", b"file", 0)
        .file(b".wh.hidden", b"")
        .header(b'3', b"null", b"", 0)
        .end();
    let place = root.clone();
    crate::store::tests::in_single_id_namespace(move || {
        let folder = std::fs::File::open(&place).unwrap();
        let limits = Limits { bytes: 10, entries: 10 };
        assert_eq!(unpack(&mut tar.as_slice(), folder.as_fd(), &limits).unwrap().owners_recorded, 2);
    });
    let mut owner = [0; 8];
    let length = rustix::fs::getxattr(root.join("file"), "user.box.owner", &mut owner).unwrap();
    assert_eq!(&owner[..length], b"7:8");
    assert!(std::fs::symlink_metadata(root.join("hidden")).unwrap().file_type().is_char_device());
}
