//! Files with holes: where the content that the archive holds goes in the file.

use super::bad;
use anyhow::Result;

/// More pieces than this are refused (CVE-2025-58183): a map is memory before there is content.
const MAX_PIECES: u64 = 1 << 18;
/// A larger file is refused, holes or not: copying it would fill any disk.
const MAX_REAL_SIZE: u64 = 1 << 40;

/// The map of a sparse file.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::store) struct Sparse {
    /// The size of the file.
    pub real_size: u64,
    /// Offset and length of each piece, in order.
    pub pieces: Vec<(u64, u64)>,
}

impl Sparse {
    /// A map that holds together: in order, within the file, and exactly as much as the archive has.
    pub fn new(real_size: u64, pieces: Vec<(u64, u64)>, content: u64) -> Result<Self> {
        let (mut end, mut sum) = (0u64, 0u64);
        for (offset, length) in &pieces {
            if *offset < end {
                return Err(bad("the pieces of a sparse file overlap"));
            }
            end = offset.checked_add(*length).ok_or_else(|| bad("a sparse file is larger than any file can be"))?;
            sum = sum.saturating_add(*length);
        }
        if real_size > MAX_REAL_SIZE {
            return Err(bad(format!("a sparse file of {real_size} bytes is too large")));
        }
        if end > real_size || sum != content {
            return Err(bad("the map of a sparse file does not fit its size"));
        }
        Ok(Self { real_size, pieces })
    }
}

/// Refuse a map of too many pieces before it is read.
pub(super) fn check_count(count: u64) -> Result<()> {
    if count > MAX_PIECES {
        return Err(bad("the map of a sparse file is too large"));
    }
    Ok(())
}

/// Offsets and lengths in turn, as pairs.
pub(super) fn pairs(numbers: &[u64]) -> Result<Vec<(u64, u64)>> {
    let (pairs, rest) = numbers.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(bad("the map of a sparse file is malformed"));
    }
    check_count(pairs.len() as u64)?;
    Ok(pairs.iter().map(|[offset, length]| (*offset, *length)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_must_hold_together() {
        assert!(Sparse::new(10, vec![(0, 2), (8, 2)], 4).is_ok());
        assert!(Sparse::new(10, vec![(10, 0)], 0).is_ok());
        for (real, pieces, content) in [
            (10, vec![(8, 2), (0, 2)], 4),
            (10, vec![(0, 2), (1, 2)], 4),
            (9, vec![(8, 2)], 2),
            (10, vec![(0, 2)], 3),
            (10, vec![(u64::MAX, 2)], 2),
            (1 << 62, vec![], 0),
        ] {
            assert!(Sparse::new(real, pieces, content).is_err());
        }
    }
}
