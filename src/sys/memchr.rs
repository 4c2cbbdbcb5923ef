//! memchr(3) and memrchr(3): the C library's, which look at 32 bytes at a time.

use std::ffi::{c_int, c_void};

/// Where `byte` is first found.
pub fn find(byte: u8, bytes: &[u8]) -> Option<usize> {
    // SAFETY: the pointer and the length are those of a slice.
    let found = unsafe { libc::memchr(bytes.as_ptr().cast::<c_void>(), c_int::from(byte), bytes.len()) };
    offset(found, bytes)
}

/// Where `byte` is last found.
pub fn find_last(byte: u8, bytes: &[u8]) -> Option<usize> {
    // SAFETY: the pointer and the length are those of a slice.
    let found = unsafe { libc::memrchr(bytes.as_ptr().cast::<c_void>(), c_int::from(byte), bytes.len()) };
    offset(found, bytes)
}

fn offset(found: *mut c_void, bytes: &[u8]) -> Option<usize> {
    (!found.is_null()).then(|| found as usize - bytes.as_ptr() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_and_last() {
        for (bytes, first, last) in
            [("", None, None), ("ab", None, None), ("x", Some(0), Some(0)), ("axbxc", Some(1), Some(3))]
        {
            assert_eq!((find(b'x', bytes.as_bytes()), find_last(b'x', bytes.as_bytes())), (first, last), "{bytes}");
        }
    }
}
