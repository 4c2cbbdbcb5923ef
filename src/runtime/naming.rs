//! Which property of config.json an error is about, by its path there: `mounts[3]`. For those who have written one;
//! users of `box run` have written options, which the errors speak of anyway.

use super::Bundle;
use anyhow::Result;

/// Whether properties are named.
#[derive(Debug, Clone, Copy)]
pub(super) struct Naming(bool);

impl Naming {
    /// For a bundle that somebody else has written, as `box oci` has it.
    pub(super) fn of(bundle: &Bundle<'_>) -> Self {
        Self(bundle.unmonitored.is_some())
    }

    /// For processes that are added to a container: their properties are options, or stand in a file of their own.
    pub(super) fn none() -> Self {
        Self(false)
    }

    /// The result; an error of it names the property.
    pub(super) fn name<T>(self, property: impl FnOnce() -> String, result: Result<T>) -> Result<T> {
        result.map_err(|error| if self.0 { error.context(format!("`{}`", property())) } else { error })
    }
}
