//! Tar archives byte by byte, so that they can hold what no honest tool writes.

/// An archive being written. Nothing is checked: names may be absolute, hold `..`, or repeat.
#[derive(Default, Clone)]
pub struct Tar {
    bytes: Vec<u8>,
}

/// The head of an entry: what of it differs from a plain file of root.
#[derive(Clone)]
pub struct Head<'a> {
    /// The type letter: `0` file, `1` hard link, `2` symbolic link, `3` and `4` devices, `5` folder, `6` FIFO.
    pub kind: u8,
    /// Permissions.
    pub mode: u32,
    /// The owner.
    pub owner: (u64, u64),
    /// Where a link leads.
    pub link: &'a str,
    /// A device's numbers.
    pub device: (u32, u32),
    /// The size claimed, if another than the data's.
    pub size: Option<u64>,
}

impl Default for Head<'_> {
    fn default() -> Self {
        Self { kind: b'0', mode: 0o644, owner: (0, 0), link: "", device: (0, 0), size: None }
    }
}

impl Tar {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Any entry. A name of over 100 bytes gets a pax record, as GNU tar and bsdtar write it.
    pub fn entry(mut self, name: &str, head: &Head, data: &[u8]) -> Self {
        let mut records: Vec<(&str, &[u8])> = Vec::new();
        if name.len() > 100 {
            records.push(("path", name.as_bytes()));
        }
        if head.link.len() > 100 {
            records.push(("linkpath", head.link.as_bytes()));
        }
        if !records.is_empty() {
            self = self.pax(&records);
        }
        let mut header = [0u8; 512];
        put(&mut header[0..100], name);
        put(&mut header[100..108], &format!("{:07o}", head.mode));
        put(&mut header[108..116], &format!("{:07o}", head.owner.0));
        put(&mut header[116..124], &format!("{:07o}", head.owner.1));
        put(&mut header[124..136], &format!("{:011o}", head.size.unwrap_or(data.len() as u64)));
        put(&mut header[136..148], "14000000000");
        header[156] = head.kind;
        put(&mut header[157..257], head.link);
        put(&mut header[257..265], "ustar\x0000");
        put(&mut header[329..337], &format!("{:07o}", head.device.0));
        put(&mut header[337..345], &format!("{:07o}", head.device.1));
        seal(&mut header);
        self.bytes.extend_from_slice(&header);
        self.bytes.extend_from_slice(data);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self
    }

    /// A pax header for the next entry.
    pub fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut data = Vec::new();
        for (name, value) in records {
            // The length counts its own digits.
            let rest = name.len() + value.len() + 3;
            let mut length = rest + 1;
            while length != rest + length.to_string().len() {
                length = rest + length.to_string().len();
            }
            data.extend_from_slice(format!("{length} {name}=").as_bytes());
            data.extend_from_slice(value);
            data.push(b'\n');
        }
        self.entry("pax", &Head { kind: b'x', ..Head::default() }, &data)
    }

    /// A file.
    pub fn file(self, name: &str, mode: u32, data: impl AsRef<[u8]>) -> Self {
        self.entry(name, &Head { mode, ..Head::default() }, data.as_ref())
    }

    /// A folder.
    pub fn folder(self, name: &str, mode: u32) -> Self {
        self.entry(name, &Head { kind: b'5', mode, ..Head::default() }, b"")
    }

    /// A symbolic link.
    pub fn link(self, name: &str, target: &str) -> Self {
        self.entry(name, &Head { kind: b'2', mode: 0o777, link: target, ..Head::default() }, b"")
    }

    /// A hard link.
    pub fn hard(self, name: &str, target: &str) -> Self {
        self.entry(name, &Head { kind: b'1', link: target, ..Head::default() }, b"")
    }

    /// A FIFO.
    pub fn fifo(self, name: &str) -> Self {
        self.entry(name, &Head { kind: b'6', ..Head::default() }, b"")
    }

    /// A character device.
    pub fn device(self, name: &str, major: u32, minor: u32) -> Self {
        self.entry(name, &Head { kind: b'3', mode: 0o666, device: (major, minor), ..Head::default() }, b"")
    }

    /// The archive, with the two empty blocks of its end.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(&[0; 1024]);
        self.bytes
    }

    /// The archive as it is, without an end.
    pub fn unfinished(self) -> Vec<u8> {
        self.bytes
    }
}

fn put(field: &mut [u8], text: &str) {
    let length = field.len().min(text.len());
    field[..length].copy_from_slice(&text.as_bytes()[..length]);
}

fn seal(header: &mut [u8; 512]) {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    put(&mut header[148..156], &format!("{sum:06o}\0 "));
}

#[test]
fn other_tools_read_it() {
    let long = "d/".repeat(60) + "x";
    let bytes = Tar::new().folder("d", 0o755).file(&long, 0o600, b"abc").link("l", "d").finish();
    let mut archive = tar::Archive::new(&bytes[..]);
    let names: Vec<String> =
        archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect();
    assert_eq!(names, ["d", &long, "l"]);
}
