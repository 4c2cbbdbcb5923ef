//! The namespace holder: the smallest program that keeps a user namespace alive, a few hundred bytes of ELF.
//!
//! It runs from a sealed memfd, so that neither box's own pages nor a file on a noexec folder are needed for as long
//! as it waits; its memory is one page of code and one of stack. Descriptor 3 is the reading end of a FIFO that every
//! process of box in the namespace holds open for writing. When the last writer has gone and nobody has come back
//! for ten seconds, it exits, and the namespace with it.

use std::arch::global_asm;

#[cfg(target_arch = "x86_64")]
global_asm!(
    ".pushsection .rodata.box_holder, \"a\"",
    ".globl box_holder_start",
    ".globl box_holder_end",
    ".hidden box_holder_start",
    ".hidden box_holder_end",
    "box_holder_start:",
    "    sub rsp, 544",
    "    mov rax, 0x100000003", // struct pollfd: fd 3, events POLLIN
    "    mov [rsp], rax",
    "2:  mov rdi, rsp", // wait for a byte, or for the last writer to go
    "    mov esi, 1",
    "    mov edx, -1",
    "    mov eax, 7", // poll
    "    syscall",
    "    test byte ptr [rsp+6], 1", // POLLIN
    "    jnz 3f",
    "    mov qword ptr [rsp+16], 10", // all have gone: wait ten seconds
    "    mov qword ptr [rsp+24], 0",
    "    lea rdi, [rsp+16]",
    "    xor esi, esi",
    "    mov eax, 35", // nanosleep
    "    syscall",
    "    mov rdi, rsp",
    "    mov esi, 1",
    "    xor edx, edx",
    "    mov eax, 7",
    "    syscall",
    "    test eax, eax", // a writer is there, and silent
    "    jz 2b",
    "    test byte ptr [rsp+6], 1", // somebody came while we slept
    "    jnz 3f",
    "    xor edi, edi",
    "    mov eax, 60", // exit
    "    syscall",
    "3:  mov edi, 3",
    "    lea rsi, [rsp+32]",
    "    mov edx, 512",
    "    xor eax, eax", // read
    "    syscall",
    "    jmp 2b",
    "box_holder_end:",
    ".popsection",
);

#[cfg(target_arch = "aarch64")]
global_asm!(
    ".pushsection .rodata.box_holder, \"a\"",
    ".globl box_holder_start",
    ".globl box_holder_end",
    ".hidden box_holder_start",
    ".hidden box_holder_end",
    "box_holder_start:",
    "    sub sp, sp, #544",
    "    mov x9, #3", // struct pollfd: fd 3, events POLLIN
    "    movk x9, #1, lsl #32",
    "    str x9, [sp]",
    "2:  mov x0, sp", // wait for a byte, or for the last writer to go
    "    mov x1, #1",
    "    mov x2, #0",
    "    mov x3, #0",
    "    mov x8, #73", // ppoll
    "    svc #0",
    "    ldrh w9, [sp, #6]",
    "    tbnz w9, #0, 3f", // POLLIN
    "    mov x9, #10",     // all have gone: wait ten seconds
    "    stp x9, xzr, [sp, #16]",
    "    add x0, sp, #16",
    "    mov x1, #0",
    "    mov x8, #101", // nanosleep
    "    svc #0",
    "    stp xzr, xzr, [sp, #16]",
    "    mov x0, sp",
    "    mov x1, #1",
    "    add x2, sp, #16",
    "    mov x3, #0",
    "    mov x8, #73",
    "    svc #0",
    "    cbz x0, 2b", // a writer is there, and silent
    "    ldrh w9, [sp, #6]",
    "    tbnz w9, #0, 3f", // somebody came while we slept
    "    mov x0, #0",
    "    mov x8, #93", // exit
    "    svc #0",
    "3:  mov x0, #3",
    "    add x1, sp, #32",
    "    mov x2, #512",
    "    mov x8, #63", // read
    "    svc #0",
    "    b 2b",
    "box_holder_end:",
    ".popsection",
);

unsafe extern "C" {
    static box_holder_start: u8;
    static box_holder_end: u8;
}

/// Where the one segment is loaded.
const BASE: u64 = 0x40_0000;
/// ELF header and one program header.
const HEADERS: usize = 64 + 56;

/// The whole program, an ELF file for this machine.
pub fn program() -> Vec<u8> {
    // SAFETY: both symbols are in one section of this file, in this order; what lies between them is constant.
    let code = unsafe {
        let (start, end) = (&raw const box_holder_start, &raw const box_holder_end);
        std::slice::from_raw_parts(start, end.offset_from(start) as usize)
    };
    let machine: u16 = if cfg!(target_arch = "x86_64") { 62 } else { 183 };
    let size = (HEADERS + code.len()) as u64;
    let mut elf = Vec::with_capacity(size as usize);
    elf.extend(*b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    for half in [2u16, machine] {
        elf.extend(half.to_le_bytes()); // e_type ET_EXEC, e_machine
    }
    elf.extend(1u32.to_le_bytes()); // e_version
    for word in [BASE + HEADERS as u64, 64, 0] {
        elf.extend(word.to_le_bytes()); // e_entry, e_phoff, e_shoff
    }
    elf.extend(0u32.to_le_bytes()); // e_flags
    for half in [64u16, 56, 1, 0, 0, 0] {
        elf.extend(half.to_le_bytes()); // e_ehsize, e_phentsize, e_phnum, no sections
    }
    for word in [1u32, 5] {
        elf.extend(word.to_le_bytes()); // PT_LOAD, readable and executable
    }
    for word in [0, BASE, BASE, size, size, 0x1000] {
        elf.extend(word.to_le_bytes()); // offset, addresses, sizes, alignment
    }
    elf.extend(code);
    elf
}
