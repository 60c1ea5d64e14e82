//! "did you mean …": the known name that was probably meant.
//!
//! Never corrects anything by itself.

/// The one of `known` that is closest to `written`, if it is close enough to be a slip of the hand.
pub fn closest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Names longer than any of ours cannot be slips, and the table below is quadratic.
    if written.len() > 64 {
        return None;
    }
    let plain = written.to_ascii_lowercase().replace('-', "_");
    known
        .into_iter()
        .map(|name| (distance(&plain, &name.to_ascii_lowercase().replace('-', "_")), name))
        .filter(|(distance, name)| *distance <= (name.chars().count() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// How many insertions, deletions, replacements and swaps of neighbours lie between two words.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=to.len()).collect();
    let mut last = None;
    for (row, letter) in from.chars().enumerate() {
        let mut current = vec![row + 1];
        for (column, other) in to.iter().enumerate() {
            let at = |line: &[usize], index: usize| line.get(index).copied().unwrap_or(usize::MAX - 1);
            let mut best = (at(&above, column) + usize::from(letter != *other))
                .min(at(&above, column + 1) + 1)
                .min(at(&current, column) + 1);
            if column > 0 && last == Some(*other) && to.get(column - 1) == Some(&letter) {
                best = best.min(at(&before, column - 1) + 1);
            }
            current.push(best);
        }
        before = std::mem::replace(&mut above, current);
        last = Some(letter);
    }
    above.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_hand_are_recognised() {
        let known = ["issuer", "client_id", "client_secret", "scopes", "url"];
        for (written, meant) in [
            ("isuser", Some("issuer")),
            ("client-id", Some("client_id")),
            ("clientSecret", Some("client_secret")),
            ("ulr", Some("url")),
            ("Scopes", Some("scopes")),
            ("banana", None),
            ("", None),
        ] {
            assert_eq!(closest(written, known), meant, "{written}");
        }
    }

    #[test]
    fn distance_counts_edits() {
        for (from, to, edits) in [("", "", 0), ("a", "", 1), ("", "abc", 3), ("ab", "ba", 1), ("kitten", "sitting", 3)]
        {
            assert_eq!(distance(from, to), edits, "{from} {to}");
        }
    }
}
