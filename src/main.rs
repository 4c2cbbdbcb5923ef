//! The `box` program. Everything is in the library; see `src/lib.rs`.

fn main() -> std::process::ExitCode {
    boxlib::cli::main()
}
