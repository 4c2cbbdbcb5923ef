//! Programs of bare system calls, put together byte by byte: what no library would send, as high bits above a 32-bit
//! argument, the calls of i386 and those of x32. For x86_64 only.

use std::os::unix::fs::PermissionsExt;

/// Where the program is loaded: below 4 GB, as i386's calls need it.
const BASE: u64 = 0x40_0000;
/// What comes before the code: the ELF header and one program header.
const HEADERS: usize = 64 + 56;

/// One call with its arguments.
#[derive(Clone, Copy)]
pub enum Call {
    /// x86_64's own, or with 0x4000_0000 in its number x32's.
    Native(u64, [u64; 5]),
    /// i386's, by `int 0x80`.
    I386(u64, [u64; 5]),
    /// i386's `socketcall`, with what it says in memory.
    Socket(u64, [u32; 3]),
}

/// A static program that makes the calls and prints what comes of each: two letters, which [`errnos`] reads.
///
/// In an argument, [`TEXT`] stands for the address of `text`.
pub fn program(calls: &[Call], text: &str) -> Vec<u8> {
    let data = BASE + HEADERS as u64;
    let mut memory: Vec<u8> = text.bytes().chain([0]).collect();
    let mut code = Vec::new();
    // Patched below: where the answers go, which is behind all.
    code.extend([0x49, 0xbc]);
    let answers_at = code.len();
    code.extend([0; 8]);
    for call in calls {
        let place = |value: u64| if value == TEXT { data } else { value };
        match call {
            Call::Native(number, arguments) => {
                move_into(&mut code, [0x48, 0xb8], *number);
                // rdi, rsi, rdx, r10, r8.
                let registers = [[0x48, 0xbf], [0x48, 0xbe], [0x48, 0xba], [0x49, 0xba], [0x49, 0xb8]];
                registers.into_iter().zip(arguments).for_each(|(to, value)| move_into(&mut code, to, place(*value)));
                code.extend([0x0f, 0x05]);
            }
            Call::I386(number, arguments) => i386(&mut code, *number, &arguments.map(place)),
            Call::Socket(number, said) => {
                let at = data + memory.len() as u64;
                memory.extend(said.iter().flat_map(|value| value.to_le_bytes()));
                i386(&mut code, 102, &[*number, at, 0, 0, 0]);
            }
        }
        // test rax, rax; js +2; xor eax, eax; neg eax; mov ecx, eax; shr ecx, 4; add cl, '@'; mov [r12], cl;
        code.extend([0x48, 0x85, 0xc0, 0x78, 0x02, 0x31, 0xc0, 0xf7, 0xd8, 0x89, 0xc1, 0xc1, 0xe9, 0x04, 0x80, 0xc1]);
        // and al, 15; add al, '@'; mov [r12 + 1], al; add r12, 2.
        code.extend([b'@', 0x41, 0x88, 0x0c, 0x24, 0x24, 0x0f, 0x04, b'@', 0x41, 0x88, 0x44, 0x24, 0x01]);
        code.extend([0x49, 0x83, 0xc4, 0x02]);
    }
    let entry = data + memory.len() as u64;
    // write(1, answers, length); exit(0).
    let tail = 5 * 10 + 2 + 10 + 2;
    let answers = entry + (code.len() + tail) as u64;
    code[answers_at..answers_at + 8].copy_from_slice(&answers.to_le_bytes());
    for (to, value) in [([0x48, 0xb8], 1), ([0x48, 0xbf], 1), ([0x48, 0xbe], answers)] {
        move_into(&mut code, to, value);
    }
    move_into(&mut code, [0x48, 0xba], 2 * calls.len() as u64);
    code.extend([0x0f, 0x05]);
    move_into(&mut code, [0x48, 0xb8], 60);
    move_into(&mut code, [0x48, 0xbf], 0);
    code.extend([0x0f, 0x05]);
    elf(entry, &[memory, code].concat(), 2 * calls.len() as u64)
}

/// In an argument: the address of the program's text.
pub const TEXT: u64 = u64::MAX - 7;

/// The error numbers that a program printed, 0 for what worked.
pub fn errnos(printed: &str) -> Vec<u16> {
    let bytes: Vec<u16> = printed.bytes().map(|byte| u16::from(byte.wrapping_sub(b'@'))).collect();
    bytes.as_chunks::<2>().0.iter().map(|[high, low]| high << 4 | low).collect()
}

/// Write such a program to a file.
pub fn write(path: &std::path::Path, calls: &[Call], text: &str) {
    std::fs::write(path, program(calls, text)).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn move_into(code: &mut Vec<u8>, register: [u8; 2], value: u64) {
    code.extend(register);
    code.extend(value.to_le_bytes());
}

fn i386(code: &mut Vec<u8>, number: u64, arguments: &[u64; 5]) {
    move_into(code, [0x48, 0xb8], number);
    // rbx, rcx, rdx, rsi, rdi.
    let registers = [[0x48, 0xbb], [0x48, 0xb9], [0x48, 0xba], [0x48, 0xbe], [0x48, 0xbf]];
    registers.into_iter().zip(arguments).for_each(|(to, value)| move_into(code, to, *value));
    // int 0x80; movsxd rax, eax.
    code.extend([0xcd, 0x80, 0x48, 0x63, 0xc0]);
}

/// elf(5): a header, one segment that is all of it, and space behind for the answers.
fn elf(entry: u64, content: &[u8], space: u64) -> Vec<u8> {
    let size = (HEADERS + content.len()) as u64;
    let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    // An executable for x86_64, version 1.
    file.extend([2, 0, 62, 0, 1, 0, 0, 0]);
    for word in [entry, 64, 0] {
        file.extend(word.to_le_bytes());
    }
    // Flags; the sizes of both headers; one program header, no sections.
    file.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 64, 0, 0, 0, 0, 0]);
    // PT_LOAD, to be read, written and executed.
    file.extend([1, 0, 0, 0, 7, 0, 0, 0]);
    for word in [0, BASE, BASE, size, size + space, 0x1000] {
        file.extend(word.to_le_bytes());
    }
    file.extend(content);
    file
}
