//! The program in the tests' images: static, so that an image needs nothing else.
//!
//! Called by a link's name (`cat`, `sleep`, …) or as `payload APPLET ARGS…`; `do A … ';' B …` runs several in turn and
//! ends with the last one's code. Never a shell: what a test says is what happens.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program: it prints and exits")]
#![expect(clippy::disallowed_methods, reason = "it shows its own environment and sleeps")]

mod files;
mod forge;
mod info;
mod net;
mod time;
mod tries;

use std::io::Write;
use std::path::Path;
use std::process::exit;

/// What an applet ends with.
pub type Code = Result<i32, String>;

fn main() {
    let mut args: Vec<String> = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let name = Path::new(&args[0]).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if name == "payload" {
        args.remove(0);
    } else {
        args[0] = name;
    }
    if args.is_empty() {
        args.push("info".into());
    }
    exit(run(&args));
}

/// Run one applet and print its error as a Unix tool does.
fn run(args: &[String]) -> i32 {
    let code = applet(&args[0], &args[1..]).unwrap_or_else(|error| {
        eprintln!("{}: {error}", args[0]);
        1
    });
    let _ = std::io::stdout().flush();
    code
}

fn applet(name: &str, args: &[String]) -> Code {
    match name {
        "do" => Ok(args.split(|arg| arg == ";").filter(|part| !part.is_empty()).fold(0, |_, part| run(part))),
        "true" => Ok(0),
        "false" => Ok(1),
        "exit" => Ok(number(args, 0)? as i32),
        "echo" => {
            println!("{}", args.join(" "));
            Ok(0)
        }
        "both" => {
            print!("{}", word(args, 0)?);
            eprint!("{}", word(args, 1)?);
            Ok(0)
        }
        "info" => info::info(),
        "field" => info::field(args),
        "printenv" => info::printenv(args),
        "tty" => info::tty(),
        "cat" => files::cat(args),
        "write" => files::write(args),
        "ls" => files::ls(args),
        "stat" => files::stat(args),
        "swap" => files::swap(args),
        "rm" | "touch" | "mkdir" | "chmod" | "ln" => files::change(name, args),
        "sleep" => time::sleep(args),
        "pause" => time::pause(args),
        "trap" => time::trap(args),
        "kill" => time::kill(args),
        "count" => time::count(args),
        "spam" => time::spam(args),
        "await" => time::await_file(args),
        "zombies" => time::zombies(args),
        "orphan" => time::orphan(args),
        "listen" => net::listen(args),
        "connect" => net::connect(args),
        "notify" => net::notify(args),
        "questions" => net::questions(args),
        "advertise" => forge::advertise(args),
        "packets" => forge::packets(args),
        "besiege" => forge::besiege(args),
        "unix" => net::unix_sockets(),
        "interfaces" => net::interfaces(),
        "peak" => info::peak(args),
        "try" => tries::tries(args),
        "hunt" => tries::hunt(args),
        "spy" => tries::spy(args),
        _ => Err("there is no such applet".into()),
    }
}

/// The argument at this place.
pub fn word(args: &[String], place: usize) -> Result<&str, String> {
    args.get(place).map(String::as_str).ok_or_else(|| "too few arguments".into())
}

/// The argument at this place as a number.
pub fn number(args: &[String], place: usize) -> Result<u64, String> {
    let text = word(args, place)?;
    text.parse().map_err(|_| format!("`{text}` is not a number"))
}
