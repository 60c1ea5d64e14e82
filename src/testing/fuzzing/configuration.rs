//! The configuration file.

use std::path::Path;

use super::fixture::{CONFIGURATION, environment};
use crate::config::{Config, Problems};

/// A file is accepted, and what is printed of it is accepted again and means the same; or it is refused with sentences that name places.
/// No secret is repeated either way.
///
/// The input is a file, and also lines behind a good one.
pub fn configuration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for text in [text.to_owned(), format!("{CONFIGURATION}\n{text}")] {
        match parse(&text) {
            Ok(config) => accepted(&config),
            Err(problems) => refused(&problems),
        }
    }
}

fn parse(text: &str) -> Result<Config, Problems> {
    Config::parse(text, Path::new("fuzzed.toml"), &environment())
}

fn accepted(config: &Config) {
    let shown = config.redacted();
    for text in [&shown, &format!("{config:?}")] {
        assert!(!text.contains("canary"), "{text}");
    }
    for warning in &config.warnings {
        assert!(!warning.to_string().contains("canary"), "{warning}");
    }
    // Only what a secret was read from, and a password in the store's URL, cannot be printed.
    let restored = shown.replace("\"[secret]\"", "{ env = \"SECRET\" }");
    let again = parse(&restored).unwrap_or_else(|problems| panic!("{problems}\n{shown}"));
    assert_eq!(again.redacted(), shown);
}

fn refused(problems: &Problems) {
    assert!(problems.iter().count() > 0);
    for problem in problems {
        assert!(problem.what.ends_with('.') && problem.what.len() > 8, "{problem}");
        assert_ne!(problem.what, "This cannot be read.", "{problem}");
        assert!(!problem.to_string().contains("canary"), "{problem}");
    }
}
