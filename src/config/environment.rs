//! What a configuration reads besides itself: variables and files.
//!
//! The only place of this module that touches the machine; tests hand in an environment of their own.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::OnceLock;

use crate::base::{Random, Secret, SystemRandom};

/// A file that was read.
#[derive(Debug)]
pub struct FileContents {
    /// Its bytes.
    pub bytes: Secret<Vec<u8>>,
    /// Whether every user of the machine may read it.
    pub world_readable: bool,
}

/// Variables and files.
pub trait Environment {
    /// The variable `name`, if it is set.
    fn var(&self, name: &str) -> Option<Secret<String>>;

    /// The file at `path`.
    ///
    /// # Errors
    /// When it cannot be read, or is larger than a megabyte: nothing that a configuration names is.
    fn read(&self, path: &Path) -> io::Result<FileContents>;

    /// Seals the sessions of a store in memory when no secret is configured: the same one at every reload.
    fn ephemeral_secret(&self) -> Secret<Vec<u8>>;
}

/// The process' own variables and files.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEnvironment;

impl Environment for SystemEnvironment {
    fn var(&self, name: &str) -> Option<Secret<String>> {
        // `std::env::var` does not panic on such names, but documents that it may one day.
        if name.is_empty() || name.contains(['=', '\0']) {
            return None;
        }
        std::env::var(name).ok().map(Secret::new)
    }

    fn read(&self, path: &Path) -> io::Result<FileContents> {
        use std::io::Read as _;
        let file = std::fs::File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::Error::from(io::ErrorKind::IsADirectory));
        }
        let mut bytes = Vec::new();
        file.take(LARGEST + 1).read_to_end(&mut bytes)?;
        let bytes = Secret::new(bytes);
        if bytes.expose().len() as u64 > LARGEST {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        Ok(FileContents { bytes, world_readable: world_readable(&metadata) })
    }

    fn ephemeral_secret(&self) -> Secret<Vec<u8>> {
        static SECRET: OnceLock<Secret<Vec<u8>>> = OnceLock::new();
        let random: &dyn Random = &SystemRandom;
        SECRET.get_or_init(|| Secret::new(random.bytes::<32>().to_vec())).clone()
    }
}

/// These variables, and no files at all: for a configuration that a program wrote.
impl Environment for BTreeMap<&str, Secret<String>> {
    fn var(&self, name: &str) -> Option<Secret<String>> {
        self.get(name).cloned()
    }

    fn read(&self, _: &Path) -> io::Result<FileContents> {
        Err(io::Error::from(io::ErrorKind::NotFound))
    }

    fn ephemeral_secret(&self) -> Secret<Vec<u8>> {
        SystemEnvironment.ephemeral_secret()
    }
}

#[cfg(unix)]
fn world_readable(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o004 != 0
}

#[cfg(not(unix))]
fn world_readable(_: &std::fs::Metadata) -> bool {
    false
}

/// Bytes of the largest file that is read.
const LARGEST: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    /// OPS-02: file modes are looked at.
    #[cfg(unix)]
    #[test]
    fn a_file_that_everybody_may_read_is_noticed() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "hunter2").unwrap();
        let environment = SystemEnvironment;
        for (mode, open) in [(0o600, false), (0o640, false), (0o644, true), (0o604, true)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let file = environment.read(&path).unwrap();
            assert_eq!(file.world_readable, open, "{mode:o}");
            assert_eq!(file.bytes.expose(), b"hunter2");
        }
    }

    #[test]
    fn folders_and_endless_files_are_refused() {
        let environment = SystemEnvironment;
        let folder = tempfile::tempdir().unwrap();
        assert!(environment.read(folder.path()).is_err());
        assert!(environment.read(Path::new("/dev/zero")).is_err());
        assert!(environment.var("").is_none());
        assert!(environment.var("a=b").is_none());
        assert_eq!(environment.ephemeral_secret().expose(), SystemEnvironment.ephemeral_secret().expose());
    }
}
