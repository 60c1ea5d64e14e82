//! The shelf on which managed keys lie between replicas.
//!
//! Never looks into what lies there; whoever implements it seals it.

use std::sync::{Mutex, PoisonError};

use crate::base::{Blame, Blamed, Secret};

/// One sealed value with a version, changed by compare-and-set only.
#[async_trait::async_trait]
pub trait KeyVault: Send + Sync + std::fmt::Debug {
    /// The value and its version; `None` when there never was one.
    ///
    /// # Errors
    /// When the store cannot answer, or the value cannot be opened.
    async fn read(&self) -> Result<Option<(Secret<Vec<u8>>, u64)>, VaultError>;

    /// Replaces the value if its version is still `expected` (`None`: if there is none). False when it is not.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn swap(&self, expected: Option<u64>, value: &Secret<Vec<u8>>) -> Result<bool, VaultError>;
}

/// The vault cannot be reached or opened.
#[derive(Debug, thiserror::Error)]
#[error("the key vault cannot be used: {0}")]
pub struct VaultError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl VaultError {
    /// Wraps the store's own error, whose text must hold no secret.
    pub fn new(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(source.into())
    }
}

impl Blamed for VaultError {
    fn blame(&self) -> Blame {
        Blame::Store
    }
}

/// A vault for one process alone.
#[derive(Debug, Default)]
pub(super) struct LocalVault(Mutex<Option<(Secret<Vec<u8>>, u64)>>);

#[async_trait::async_trait]
impl KeyVault for LocalVault {
    async fn read(&self) -> Result<Option<(Secret<Vec<u8>>, u64)>, VaultError> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    async fn swap(&self, expected: Option<u64>, value: &Secret<Vec<u8>>) -> Result<bool, VaultError> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.as_ref().map(|(_, version)| *version) != expected {
            return Ok(false);
        }
        *held = Some((value.clone(), expected.map_or(1, |version| version.wrapping_add(1))));
        Ok(true)
    }
}

#[cfg(test)]
impl LocalVault {
    /// What a flushed store is like.
    pub(super) fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
