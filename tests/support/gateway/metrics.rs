//! Metrics in the Prometheus text format.
//!
//! Must never guess: a sample that is not there counts as zero only in sums.

use std::collections::BTreeMap;

/// The samples of one scrape.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

impl Metrics {
    /// Reads the text; lines that are no samples are skipped.
    pub fn parse(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect();
        Self { samples }
    }

    /// The sum of all samples of that name with these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let wanted = |found: &BTreeMap<String, String>| {
            labels.iter().all(|&(key, value)| found.get(key).is_some_and(|found| found == value))
        };
        self.samples.iter().filter(|(key, found, _)| key == name && wanted(found)).map(|(_, _, value)| value).sum()
    }

    /// Whether there is a sample of that name at all.
    pub fn has(&self, name: &str) -> bool {
        self.samples.iter().any(|(key, _, _)| key == name)
    }

    /// The names.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.samples.iter().map(|(name, _, _)| name.clone()).collect();
        names.dedup();
        names
    }
}

fn sample(line: &str) -> Option<(String, BTreeMap<String, String>, f64)> {
    let (name, rest) = line.split_at(line.find(['{', ' '])?);
    let mut labels = BTreeMap::new();
    let mut rest = rest.trim_start();
    if let Some(mut inner) = rest.strip_prefix('{') {
        while !inner.starts_with('}') {
            let (key, after) = inner.split_once("=\"")?;
            let mut value = String::new();
            let mut letters = after.char_indices();
            let end = loop {
                match letters.next()? {
                    (_, '\\') => value.push(match letters.next()?.1 {
                        'n' => '\n',
                        other => other,
                    }),
                    (at, '"') => break at + 1,
                    (_, letter) => value.push(letter),
                }
            };
            labels.insert(key.trim_start_matches(',').to_owned(), value);
            inner = &after[end..];
        }
        rest = inner[1..].trim_start();
    }
    Some((name.to_owned(), labels, rest.split(' ').next()?.parse().ok()?))
}
