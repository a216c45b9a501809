//! Vectors with room for what is known to come. In the policy, whose size counts, they grow instead.

use alloc::vec::Vec;

/// An empty vector with room for so many.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn of<T>(count: usize) -> Vec<T> {
    Vec::with_capacity(count)
}

/// An empty vector.
#[cfg(target_arch = "wasm32")]
pub(crate) fn of<T>(_count: usize) -> Vec<T> {
    Vec::new()
}
