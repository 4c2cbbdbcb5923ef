//! Files: read, write, list, look at, change.

use crate::{Code, word};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};

fn failed(path: &str) -> impl Fn(std::io::Error) -> String {
    move |error| format!("{path}: {error}")
}

/// Bytes of files, or of stdin, to stdout.
pub fn cat(args: &[String]) -> Code {
    let mut stdout = std::io::stdout().lock();
    if args.is_empty() {
        copy(&mut std::io::stdin().lock(), &mut stdout)?;
    }
    for path in args {
        copy(&mut fs::File::open(path).map_err(failed(path))?, &mut stdout)?;
    }
    stdout.flush().map_err(failed("stdout"))?;
    Ok(0)
}

/// Each piece is passed on at once: what is on a terminal must not wait for a full buffer.
fn copy(from: &mut dyn Read, to: &mut dyn Write) -> Result<(), String> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = from.read(&mut buffer).map_err(failed("read"))?;
        if length == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..length]).and_then(|()| to.flush()).map_err(failed("write"))?;
    }
}

/// `write FILE TEXT…`: the file is opened without truncating, as a write to a file of /proc is.
pub fn write(args: &[String]) -> Code {
    let path = word(args, 0)?;
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(false).open(path).map_err(failed(path))?;
    file.write_all(args[1..].join(" ").as_bytes()).map_err(failed(path))?;
    Ok(0)
}

/// Names in folders, sorted, one a line.
pub fn ls(args: &[String]) -> Code {
    let here = [".".to_owned()];
    for path in if args.is_empty() { &here } else { args } {
        let mut names: Vec<String> = fs::read_dir(path)
            .map_err(failed(path))?
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names.iter().for_each(|name| println!("{name}"));
    }
    Ok(0)
}

/// `kind mode uid:gid size major:minor path`, links not followed.
pub fn stat(args: &[String]) -> Code {
    word(args, 0)?;
    for path in args {
        let meta = fs::symlink_metadata(path).map_err(failed(path))?;
        let kind = meta.file_type();
        let kind = match () {
            () if kind.is_dir() => "dir",
            () if kind.is_symlink() => "link",
            () if kind.is_char_device() => "char",
            () if kind.is_block_device() => "block",
            () if kind.is_fifo() => "fifo",
            () if kind.is_socket() => "socket",
            () => "file",
        };
        let (mode, device) = (meta.mode() & 0o7777, meta.rdev());
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        println!("{kind} {mode:04o} {}:{} {} {major}:{minor} {path}", meta.uid(), meta.gid(), meta.size());
    }
    Ok(0)
}

/// `swap FOLDER TARGET`: for ever, the folder is itself or a link to the target.
pub fn swap(args: &[String]) -> Code {
    let (folder, target) = (word(args, 0)?, word(args, 1)?);
    let (aside, link) = (format!("{folder}.aside"), format!("{folder}.link"));
    println!("ready");
    loop {
        fs::rename(folder, &aside).map_err(failed(folder))?;
        std::os::unix::fs::symlink(target, &link).and_then(|()| fs::rename(&link, folder)).map_err(failed(&link))?;
        fs::remove_file(folder).and_then(|()| fs::rename(&aside, folder)).map_err(failed(folder))?;
    }
}

/// `rm`, `touch`, `mkdir`, `chmod MODE PATH`, `ln TARGET PATH` (symbolic).
pub fn change(name: &str, args: &[String]) -> Code {
    let path = args.last().ok_or("too few arguments")?;
    match name {
        "rm" if fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir()) => fs::remove_dir_all(path),
        "rm" => fs::remove_file(path),
        "touch" => fs::OpenOptions::new().append(true).create(true).open(path).map(drop),
        "mkdir" => fs::create_dir_all(path),
        "ln" => std::os::unix::fs::symlink(word(args, 0)?, path),
        _ => {
            let mode = u32::from_str_radix(word(args, 0)?, 8).map_err(|_| "not a mode")?;
            fs::set_permissions(path, fs::Permissions::from_mode(mode))
        }
    }
    .map_err(failed(path))?;
    Ok(0)
}
